/* The reference model of a KL term: the weights that a run started from, held still beside those in
 * training. */
#ifndef WEN_RL_REFERENCE_H
#define WEN_RL_REFERENCE_H

#include "rl/update.h"
#include "train/params.h"

typedef struct Reference Reference;

/* path: the checkpoint (train_config's model.from). `like`: the model in training, whose
 * configuration, backend and type it shares. Answers have at most row_tokens tokens. */
Reference *reference_open(const char *path, const Model *like, int row_tokens, Error *err) MUST_USE;
void reference_close(Reference *r); /* NULL is fine */

/* logprobs[i] [rollouts->items[i].ids.n] of each answer's sampled tokens; in `arena`. */
bool reference_logprobs(Reference *r, const Rollouts *rollouts, float **logprobs, Arena *arena,
                        Error *err) MUST_USE;

#endif
