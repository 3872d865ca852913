/* What a reward model reads and where its score stands: the same in training and in use. */
#ifndef WEN_RL_REWARD_TEXT_H
#define WEN_RL_REWARD_TEXT_H

#include "train/model_text.h"

#define REWARD_TOKEN "<|endoftext|>" /* whose logit is the score, unless a configuration says so   \
                                      */

typedef struct RewardText {
    Package *package;
    ModelText text;
    int32_t token;
    int n_vocab;
} RewardText;

/* Of the model at `path`; `tokenizer` (NULL: its own) names the one whose tokenizer and template
 * are used. A model without a chat template, or in whose vocabulary `token` is missing, is an
 * error. Reads no weights. path NULL: a model that is made from nothing, with n_vocab rows. */
bool reward_text_open(RewardText *r, const char *path, const char *tokenizer, int n_vocab,
                      const char *token, Error *err) MUST_USE;
void reward_text_close(RewardText *r); /* a zeroed one is fine */

/* Appends the ids of a conversation as the template renders it, up to and with the special token
 * that ends its last message: there the score is read. tools: an array, or NULL. */
bool reward_text_ids(const RewardText *r, json_t *messages, json_t *tools, Ids *ids,
                     Error *err) MUST_USE;

#endif
