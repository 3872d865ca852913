/* What a package knows about text: its tokenizer and its chat template. */
#ifndef WEN_TRAIN_MODEL_TEXT_H
#define WEN_TRAIN_MODEL_TEXT_H

#include "formats/package.h"
#include "text/chat.h"

typedef struct ModelText {
    Tokenizer *tokenizer;
    ChatTemplate *chat; /* NULL: the package has none */
    uint64_t key;       /* hash of what both are made from */
} ModelText;

bool model_text_open(ModelText *t, const Package *package, Error *err) MUST_USE;
void model_text_close(ModelText *t); /* a zeroed one is fine */

/* The special token with which the template ends an answer, or -1: no template, or no such token.
 */
int32_t model_text_answer_end(const ModelText *t);

#endif
