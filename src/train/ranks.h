/* What the ranks of a run tell each other besides tensors: small numbers in host memory. */
#ifndef WEN_TRAIN_RANKS_H
#define WEN_TRAIN_RANKS_H

#include "backend/backend.h"

typedef struct Ranks {
    Backend *backend;
    int64_t *slot; /* device */
} Ranks;

bool ranks_open(Ranks *r, Backend *b, Error *err) MUST_USE;
void ranks_close(Ranks *r); /* a zeroed one is fine */

/* Rank 0 writes the run's files and speaks; all are rank 0 when alone. */
bool ranks_is_first(const Ranks *r);
/* Rank 0's value, on every rank; 0 when a rank has failed. All ranks call it. */
int64_t ranks_first(const Ranks *r, int64_t value);

#endif
