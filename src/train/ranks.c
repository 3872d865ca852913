/* See ranks.h. */
#include "train/ranks.h"

bool ranks_open(Ranks *r, Backend *b, Error *err)
{
    *r = (Ranks){.backend = b};
    r->slot = b->alloc(b, sizeof *r->slot, "a number", err);
    return r->slot != NULL;
}

void ranks_close(Ranks *r)
{
    if (r->slot)
        r->backend->free(r->backend, r->slot, sizeof *r->slot);
    *r = (Ranks){0};
}

bool ranks_is_first(const Ranks *r) { return r->backend->rank == 0; }

int64_t ranks_first(const Ranks *r, int64_t value)
{
    Backend *b = r->backend;
    int64_t told = ranks_is_first(r) ? value : 0;
    b->upload(b, r->slot, &told, sizeof told);
    b->broadcast(b, 0, r->slot, sizeof told);
    b->fetch(b, &told, r->slot, sizeof told);
    return told;
}
