/* Several ranks: the backend's collectives, and ranks as threads that have a backend each. */
#include "cpu/cpu_backend.h"

#include "base/mem.h"

#include <pthread.h>

/* ---- Collectives: what the group's transport does. Nothing is queued on a processor, so they are
 * done when they return. ------------------------------------------------------------------------
 */

static void cpu_all_reduce(Backend *b, float *x, size_t n)
{
    Comm *c = cpu_of(b)->comm;
    c->all_reduce(c, x, n);
}

static void cpu_all_reduce_counts(Backend *b, int64_t *x, size_t n)
{
    Comm *c = cpu_of(b)->comm;
    c->all_reduce_counts(c, x, n);
}

static void cpu_reduce_scatter(Backend *b, float *from, const size_t cuts[], float *to)
{
    Comm *c = cpu_of(b)->comm;
    c->reduce_scatter(c, from, cuts, to);
}

static void cpu_all_gather(Backend *b, const void *mine, const size_t cuts[], void *all)
{
    Comm *c = cpu_of(b)->comm;
    c->all_gather(c, mine, cuts, all);
}

static void cpu_all_to_all(Backend *b, const void *from, const size_t from_cuts[], void *to,
                           const size_t to_cuts[])
{
    Comm *c = cpu_of(b)->comm;
    c->all_to_all(c, from, from_cuts, to, to_cuts);
}

static void cpu_broadcast(Backend *b, int root, void *data, size_t bytes)
{
    Comm *c = cpu_of(b)->comm;
    c->broadcast(c, root, data, bytes);
}

static void cpu_barrier(Backend *b)
{
    Comm *c = cpu_of(b)->comm;
    c->barrier(c);
}

static void cpu_send(Backend *b, int to, const void *data, size_t bytes)
{
    Comm *c = cpu_of(b)->comm;
    c->send(c, to, data, bytes);
}

static void cpu_recv(Backend *b, int from, void *data, size_t bytes)
{
    Comm *c = cpu_of(b)->comm;
    c->recv(c, from, data, bytes);
}

static bool cpu_group_is_ok(Backend *b, Error *err)
{
    Comm *c = cpu_of(b)->comm;
    return c->is_ok(c, err);
}

void cpu_collective_operations(Backend *b)
{
    b->all_reduce = cpu_all_reduce;
    b->all_reduce_counts = cpu_all_reduce_counts;
    b->reduce_scatter = cpu_reduce_scatter;
    b->all_gather = cpu_all_gather;
    b->all_to_all = cpu_all_to_all;
    b->broadcast = cpu_broadcast;
    b->barrier = cpu_barrier;
    b->send = cpu_send;
    b->recv = cpu_recv;
    b->group_is_ok = cpu_group_is_ok;
}

/* ---- Ranks ------------------------------------------------------------------------------------
 */

typedef struct Rank {
    Comm *comm; /* its end, until it has run */
    int n_threads;
    RankBody *body;
    void *context;
    bool ok;
    Error error;
    pthread_t thread;
} Rank;

static void *run_rank(void *argument)
{
    Rank *rank = argument;
    Comm *comm = rank->comm;
    Backend *b = cpu_backend_open_rank(rank->n_threads, comm, &rank->error);
    rank->ok = b && rank->body(rank->context, b, &rank->error);
    if (!rank->ok) { /* told before the end is given up, so that nobody waits for a rank gone */
        comm->fail(comm, &rank->error);
        comm->is_ok(comm, &rank->error); /* another may have been first */
    }
    if (b)
        b->close(b);
    else
        comm->close(comm);
    return NULL;
}

/* Starts ranks 1 and on; those that cannot be started end the group. */
static int start_ranks(Rank *ranks, int n_ranks)
{
    for (int r = 1; r < n_ranks; r++) {
        if (pthread_create(&ranks[r].thread, NULL, run_rank, &ranks[r]) == 0)
            continue;
        Comm *comm = ranks[r].comm;
        error_set(&ranks[r].error, ERROR_MEMORY, "cannot start rank %d of %d", r, n_ranks);
        comm->fail(comm, &ranks[r].error);
        for (int left = r; left < n_ranks; left++)
            ranks[left].comm->close(ranks[left].comm);
        return r;
    }
    return n_ranks;
}

bool cpu_run_ranks(int n_ranks, int n_threads, RankBody *body, void *context, Error *err)
{
    Comm *ends[COMM_RANKS_MAX] = {comm_none()};
    if (n_ranks != 1 && !comm_threads(n_ranks, ends, err))
        return false;
    const int n = n_threads > 0 ? n_threads : pool_n_processors();
    Rank *ranks = mem_alloc(sizeof *ranks * (size_t)n_ranks);
    for (int r = 0; r < n_ranks; r++) {
        const int share = n * (r + 1) / n_ranks - n * r / n_ranks;
        ranks[r] = (Rank){ends[r], share > 1 ? share : 1, body, context, .ok = false};
    }
    const int n_started = start_ranks(ranks, n_ranks);
    run_rank(&ranks[0]);
    for (int r = 1; r < n_started; r++)
        pthread_join(ranks[r].thread, NULL);
    const Rank *failed = NULL;
    for (int r = 0; r < n_ranks && !failed; r++)
        failed = ranks[r].ok ? NULL : &ranks[r];
    if (failed)
        error_set(err, failed->error.code, "%s", failed->error.message);
    const bool ok = !failed;
    mem_free(ranks);
    return ok;
}
