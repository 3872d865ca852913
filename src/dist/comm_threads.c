/* Ranks as threads of one process; see comm.h.
 *
 * An operation is: post what I bring, meet, read and write the others' memory, meet again. Each
 * rank does its share of a sum in place, in everybody's memory, so that no scratch is needed.
 *
 * A meeting either takes place for all or for nobody: a rank that has met goes through with the
 * operation even when another fails right after it, so memory that is being read stays. */
#include "dist/comm.h"

#include "base/bug.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

/* Elements that a rank sums at a time, so that the tree's later levels find them in the cache; and
 * the grain of dividing an array among ranks, a cache line's worth. */
enum { CHUNK = 4096, DIVISION = 16 };

typedef enum Operation {
    OP_ALL_REDUCE,
    OP_ALL_REDUCE_COUNTS,
    OP_REDUCE_SCATTER,
    OP_ALL_GATHER,
    OP_ALL_TO_ALL,
    OP_BROADCAST,
    OP_BARRIER
} Operation;

/* What a rank brings to the operation in work. */
typedef struct Post {
    Operation operation;
    size_t size; /* what has to be the same on all ranks */
    const void *from;
    void *to;
    const size_t *cuts;
} Post;

/* From one rank to another. */
typedef struct Mail {
    const void *data; /* NULL: nothing is waiting */
    size_t bytes;
    bool is_being_read;
} Mail;

typedef struct Group {
    int n_ranks, n_open;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int n_arrived;
    unsigned meeting; /* how many have taken place */
    bool has_failed;
    Error error;
    Post *posts; /* [n_ranks] */
    Mail *mail;  /* [n_ranks, n_ranks]: from, to */
} Group;

typedef struct ThreadComm {
    Comm base; /* first: a Comm * is a ThreadComm * */
    Group *group;
} ThreadComm;

static ThreadComm *of(Comm *c) { return (ThreadComm *)c; }

/* ---- Meeting
 * ----------------------------------------------------------------------------------------- */

/* With the mutex held. */
static void set_failed(Group *g, const Error *why)
{
    if (!g->has_failed) {
        g->has_failed = true;
        g->error = *why;
    }
    pthread_cond_broadcast(&g->changed);
}

/* One that has left never comes: whoever waits for it would wait for ever. */
static bool all_are_there(Group *g)
{
    if (g->n_open < g->n_ranks && !g->has_failed) {
        Error err = {0};
        error_set(&err, ERROR_CANCELLED, "%d of %d ranks ended before the others",
                  g->n_ranks - g->n_open, g->n_ranks);
        set_failed(g, &err);
    }
    return !g->has_failed;
}

static bool meet(Comm *c)
{
    Group *g = of(c)->group;
    pthread_mutex_lock(&g->mutex);
    bool has_met = false;
    if (all_are_there(g)) {
        const unsigned meeting = g->meeting;
        if (++g->n_arrived == g->n_ranks) {
            g->n_arrived = 0;
            g->meeting++;
            pthread_cond_broadcast(&g->changed);
        }
        while (g->meeting == meeting && all_are_there(g))
            pthread_cond_wait(&g->changed, &g->mutex);
        has_met = g->meeting != meeting;
    }
    pthread_mutex_unlock(&g->mutex);
    return has_met;
}

/* Posts, meets, and looks whether all came for the same. */
static bool begin(Comm *c, Post post)
{
    const Post *posts = of(c)->group->posts;
    of(c)->group->posts[c->rank] = post;
    if (!meet(c))
        return false;
    for (int r = 0; r < c->n_ranks; r++)
        ASSERT(posts[r].operation == post.operation && posts[r].size == post.size);
    return true;
}

/* ---- Sums
 * -------------------------------------------------------------------------------------------- */

static void add_floats(void *to, const void *from, size_t n)
{
    float *y = to;
    const float *x = from;
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void add_counts(void *to, const void *from, size_t n)
{
    int64_t *y = to;
    const int64_t *x = from;
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

typedef void Add(void *to, const void *from, size_t n);

/* Sums the elements from .. to-1 of all ranks' posted memory in the tree's order; the result is
 * left in rank 0's. */
static void sum_part(const Group *g, Add *add, size_t element, size_t from, size_t to)
{
    for (size_t at = from; at < to; at += CHUNK) {
        const size_t n = to - at < CHUNK ? to - at : CHUNK;
        for (int apart = 1; apart < g->n_ranks; apart *= 2)
            for (int r = 0; r + apart < g->n_ranks; r += 2 * apart)
                add((char *)g->posts[r].to + at * element,
                    (const char *)g->posts[r + apart].to + at * element, n);
    }
}

/* Where rank r's share of n elements begins. */
static size_t share_start(const Group *g, int r, size_t n)
{
    const size_t at = n * (size_t)r / (size_t)g->n_ranks;
    return r == g->n_ranks ? n : at / DIVISION * DIVISION;
}

static void all_reduce(Comm *c, Operation operation, Add *add, size_t element, void *x, size_t n)
{
    const Group *g = of(c)->group;
    if (!begin(c, (Post){.operation = operation, .size = n, .to = x}))
        return;
    const size_t from = share_start(g, c->rank, n), to = share_start(g, c->rank + 1, n);
    sum_part(g, add, element, from, to);
    for (int r = 1; r < g->n_ranks && to > from; r++)
        memcpy((char *)g->posts[r].to + from * element,
               (const char *)g->posts[0].to + from * element, (to - from) * element);
    meet(c);
}

static void threads_all_reduce(Comm *c, float *x, size_t n)
{
    all_reduce(c, OP_ALL_REDUCE, add_floats, sizeof *x, x, n);
}

static void threads_all_reduce_counts(Comm *c, int64_t *x, size_t n)
{
    all_reduce(c, OP_ALL_REDUCE_COUNTS, add_counts, sizeof *x, x, n);
}

static void threads_reduce_scatter(Comm *c, float *from, const size_t cuts[], float *to)
{
    const Group *g = of(c)->group;
    const size_t first = cuts[c->rank], end = cuts[c->rank + 1];
    if (!begin(c, (Post){.operation = OP_REDUCE_SCATTER, .size = cuts[c->n_ranks], .to = from}))
        return;
    sum_part(g, add_floats, sizeof *to, first, end);
    const float *sum = (const float *)g->posts[0].to + first;
    if (to != sum && end > first)
        memcpy(to, sum, sizeof *to * (end - first));
    meet(c);
}

/* ---- Exchanges
 * --------------------------------------------------------------------------------------- */

static void threads_all_gather(Comm *c, const void *mine, const size_t cuts[], void *all)
{
    const Group *g = of(c)->group;
    if (!begin(c, (Post){.operation = OP_ALL_GATHER, .size = cuts[c->n_ranks], .from = mine}))
        return;
    for (int r = 0; r < c->n_ranks; r++) {
        char *to = (char *)all + cuts[r];
        if (to != g->posts[r].from && cuts[r + 1] > cuts[r])
            memcpy(to, g->posts[r].from, cuts[r + 1] - cuts[r]);
    }
    meet(c);
}

static void threads_all_to_all(Comm *c, const void *from, const size_t from_cuts[], void *to,
                               const size_t to_cuts[])
{
    const Group *g = of(c)->group;
    if (!begin(c, (Post){.operation = OP_ALL_TO_ALL, .from = from, .cuts = from_cuts})) {
        memset((char *)to + to_cuts[0], 0, to_cuts[c->n_ranks] - to_cuts[0]);
        return;
    }
    for (int r = 0; r < c->n_ranks; r++) {
        const Post *post = &g->posts[r];
        const size_t at = post->cuts[c->rank], bytes = to_cuts[r + 1] - to_cuts[r];
        ASSERT(post->cuts[c->rank + 1] - at == bytes);
        if (bytes > 0)
            memcpy((char *)to + to_cuts[r], (const char *)post->from + at, bytes);
    }
    meet(c);
}

static void threads_broadcast(Comm *c, int root, void *data, size_t bytes)
{
    const Group *g = of(c)->group;
    ASSERT(root >= 0 && root < c->n_ranks);
    if (!begin(c, (Post){.operation = OP_BROADCAST, .size = bytes, .from = data}))
        return;
    if (c->rank != root && bytes > 0)
        memcpy(data, g->posts[root].from, bytes);
    meet(c);
}

static void threads_barrier(Comm *c)
{
    if (begin(c, (Post){.operation = OP_BARRIER}))
        meet(c); /* the posts are read between the two */
}

static Mail *mail_of(Group *g, int from, int to) { return &g->mail[from * g->n_ranks + to]; }

static void threads_send(Comm *c, int to, const void *data, size_t bytes)
{
    Group *g = of(c)->group;
    ASSERT(data && to >= 0 && to < c->n_ranks && to != c->rank);
    Mail *mail = mail_of(g, c->rank, to);
    pthread_mutex_lock(&g->mutex);
    *mail = (Mail){.data = data, .bytes = bytes};
    pthread_cond_broadcast(&g->changed);
    while (mail->data && (mail->is_being_read || all_are_there(g)))
        pthread_cond_wait(&g->changed, &g->mutex);
    mail->data = NULL;
    pthread_mutex_unlock(&g->mutex);
}

static void threads_recv(Comm *c, int from, void *data, size_t bytes)
{
    Group *g = of(c)->group;
    ASSERT(from >= 0 && from < c->n_ranks && from != c->rank);
    Mail *mail = mail_of(g, from, c->rank);
    pthread_mutex_lock(&g->mutex);
    while (!mail->data && all_are_there(g))
        pthread_cond_wait(&g->changed, &g->mutex);
    const void *source = mail->data;
    mail->is_being_read = source != NULL;
    ASSERT(!source || mail->bytes == bytes);
    pthread_mutex_unlock(&g->mutex);
    if (!source) {
        memset(data, 0, bytes);
        return;
    }
    memcpy(data, source, bytes);
    pthread_mutex_lock(&g->mutex);
    *mail = (Mail){0};
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

/* ---- The group's life
 * -------------------------------------------------------------------------------- */

static void threads_fail(Comm *c, const Error *why)
{
    Group *g = of(c)->group;
    pthread_mutex_lock(&g->mutex);
    set_failed(g, why);
    pthread_mutex_unlock(&g->mutex);
}

static bool threads_is_ok(Comm *c, Error *err)
{
    Group *g = of(c)->group;
    pthread_mutex_lock(&g->mutex);
    const bool ok = !g->has_failed;
    if (!ok)
        error_set(err, g->error.code, "%s", g->error.message);
    pthread_mutex_unlock(&g->mutex);
    return ok;
}

static void free_group(Group *g)
{
    pthread_mutex_destroy(&g->mutex);
    pthread_cond_destroy(&g->changed);
    mem_free(g->posts);
    mem_free(g->mail);
    mem_free(g);
}

static void threads_close(Comm *c)
{
    Group *g = of(c)->group;
    pthread_mutex_lock(&g->mutex);
    const bool is_last = --g->n_open == 0;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
    mem_free(c);
    if (is_last)
        free_group(g);
}

static const Comm table = {
    .transport = "threads",
    .close = threads_close,
    .all_reduce = threads_all_reduce,
    .all_reduce_counts = threads_all_reduce_counts,
    .reduce_scatter = threads_reduce_scatter,
    .all_gather = threads_all_gather,
    .all_to_all = threads_all_to_all,
    .broadcast = threads_broadcast,
    .barrier = threads_barrier,
    .send = threads_send,
    .recv = threads_recv,
    .fail = threads_fail,
    .is_ok = threads_is_ok,
};

bool comm_threads(int n_ranks, Comm *ends[], Error *err)
{
    if (n_ranks < 1 || n_ranks > COMM_RANKS_MAX)
        return error_set(err, ERROR_ARGUMENT, "%d ranks asked for; 1 to %d are possible", n_ranks,
                         COMM_RANKS_MAX);
    const size_t n = (size_t)n_ranks;
    Group *g = mem_alloc(sizeof *g);
    g->n_ranks = g->n_open = n_ranks;
    g->posts = mem_alloc(sizeof *g->posts * n);
    g->mail = mem_alloc(sizeof *g->mail * n * n);
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->changed, NULL);
    for (int r = 0; r < n_ranks; r++) {
        ThreadComm *end = mem_alloc(sizeof *end);
        end->base = table;
        end->base.rank = r;
        end->base.n_ranks = n_ranks;
        end->group = g;
        ends[r] = &end->base;
    }
    return true;
}
