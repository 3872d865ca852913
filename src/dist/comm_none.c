/* The transport of one rank; see comm.h. */
#include "dist/comm.h"

#include "base/bug.h"

#include <string.h>

static void none_close(Comm *c) { (void)c; }

static void none_all_reduce(Comm *c, float *x, size_t n)
{
    (void)c;
    (void)x;
    (void)n;
}

static void none_all_reduce_counts(Comm *c, int64_t *x, size_t n)
{
    (void)c;
    (void)x;
    (void)n;
}

static void copy(void *to, const void *from, size_t bytes)
{
    if (to != from && bytes > 0)
        memmove(to, from, bytes);
}

static void none_reduce_scatter(Comm *c, float *from, const size_t cuts[], float *to)
{
    (void)c;
    copy(to, from + cuts[0], sizeof *to * (cuts[1] - cuts[0]));
}

static void none_all_gather(Comm *c, const void *mine, const size_t cuts[], void *all)
{
    (void)c;
    copy((char *)all + cuts[0], mine, cuts[1] - cuts[0]);
}

static void none_all_to_all(Comm *c, const void *from, const size_t from_cuts[], void *to,
                            const size_t to_cuts[])
{
    (void)c;
    ASSERT(from_cuts[1] - from_cuts[0] == to_cuts[1] - to_cuts[0]);
    copy((char *)to + to_cuts[0], (const char *)from + from_cuts[0], to_cuts[1] - to_cuts[0]);
}

static void none_broadcast(Comm *c, int root, void *data, size_t bytes)
{
    (void)c;
    (void)data;
    (void)bytes;
    ASSERT(root == 0);
}

static void none_barrier(Comm *c) { (void)c; }

/* There is nobody to send to. */
static void none_send(Comm *c, int to, const void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    ASSERT(to < c->n_ranks && to != c->rank);
}

static void none_recv(Comm *c, int from, void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    ASSERT(from < c->n_ranks && from != c->rank);
}

/* The only rank keeps its own error. */
static void none_fail(Comm *c, const Error *why)
{
    (void)c;
    (void)why;
}

static bool none_is_ok(Comm *c, Error *err)
{
    (void)c;
    (void)err;
    return true;
}

Comm *comm_none(void)
{
    static Comm none = {
        .transport = "none",
        .rank = 0,
        .n_ranks = 1,
        .close = none_close,
        .all_reduce = none_all_reduce,
        .all_reduce_counts = none_all_reduce_counts,
        .reduce_scatter = none_reduce_scatter,
        .all_gather = none_all_gather,
        .all_to_all = none_all_to_all,
        .broadcast = none_broadcast,
        .barrier = none_barrier,
        .send = none_send,
        .recv = none_recv,
        .fail = none_fail,
        .is_ok = none_is_ok,
    };
    return &none;
}
