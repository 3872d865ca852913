/* Pairwise preferences: of two answers the one that is better. JSONL in the two forms that TRL
 * knows,
 *
 *   {"prompt": [messages], "chosen": [messages], "rejected": [messages]}
 *
 * or, without "prompt", whole conversations in both; "tools" is optional, other members are left
 * alone. Messages are OpenAI's; both sides end with one of the assistant. */
#ifndef WEN_RL_PAIRS_H
#define WEN_RL_PAIRS_H

#include "rl/reward_text.h"
#include "train/micro.h"

typedef struct Pairs {
    int n;               /* pairs; pair i has conversations 2i (chosen) and 2i + 1 (rejected) */
    int64_t *start;      /* [2n + 1], in ids */
    Ids ids;             /* of all conversations */
    int n_long, n_alike; /* left out: longer than a row; both conversations the same */
    uint64_t hash;       /* of all ids */
    int capacity;
} Pairs;

/* A malformed line is an error with its number. Pairs whose two conversations have more than
 * row_tokens tokens together are left out and counted, as are those that do not differ; if none is
 * left, that is an error. pairs_close when done, also on failure. */
bool pairs_read(Pairs *p, const char *path, const RewardText *text, int row_tokens,
                Error *err) MUST_USE;
void pairs_close(Pairs *p); /* a zeroed one is fine */

/* Pairs which[0 .. n-1] as a batch, in `arena`: both conversations of a pair side by side in one
 * row, scored at their last tokens, with the weight 1. The number of rows is a multiple of
 * `grains`.
 */
bool pairs_rows(const Pairs *p, const int *which, int n, int row_tokens, int grains, Arena *arena,
                Rows *rows, Error *err) MUST_USE;

#endif
