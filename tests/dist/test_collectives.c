/* dist/comm and the backend's collectives: every operation over 1 to 5 ranks, the order of sums,
 * and the end of a group when a rank fails. */
#include "support.h"

#include "backend/backend.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { RANKS_MAX = 5, N = 10007 };

/* What rank r brings at place i: sums of these depend on their order. */
static float number(int r, size_t i)
{
    return (float)(1 + (i * 7919 + (size_t)r * 104729) % 997) / 7;
}

/* The tree over ranks from .. from+n-1, as comm.h defines it. */
static float tree(int from, int n, int n_ranks, size_t i)
{
    if (n == 1)
        return number(from, i);
    const float left = tree(from, n / 2, n_ranks, i);
    return from + n / 2 < n_ranks ? left + tree(from + n / 2, n / 2, n_ranks, i) : left;
}

static float expected(int n_ranks, size_t i)
{
    int n = 1;
    while (n < n_ranks)
        n *= 2;
    return tree(0, n, n_ranks, i);
}

/* Uneven cuts; rank 1 has nothing. */
static void make_cuts(int n_ranks, size_t n, size_t cuts[])
{
    for (int r = 0; r <= n_ranks; r++)
        cuts[r] = r == n_ranks ? n : n * (size_t)(r * r) / (size_t)(n_ranks * n_ranks);
    if (n_ranks > 2)
        cuts[2] = cuts[1];
}

static void fill(float *x, int r)
{
    for (size_t i = 0; i < N; i++)
        x[i] = number(r, i);
}

/* Asserts of cmocka jump out of the thread they run on, so ranks report. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return error_set(err, ERROR_FORMAT, "line %d: %s", __LINE__, #condition);              \
    } while (0)

static bool sums(void *context, Backend *b, Error *err)
{
    (void)context;
    size_t cuts[RANKS_MAX + 1];
    float *x = mem_alloc(sizeof *x * N), *part = mem_alloc(sizeof *part * N);
    make_cuts(b->n_ranks, N, cuts);
    const size_t from = cuts[b->rank], n = cuts[b->rank + 1] - from;
    fill(x, b->rank);
    b->all_reduce(b, x, N);
    for (size_t i = 0; i < N; i++)
        EXPECT(x[i] == expected(b->n_ranks, i));
    for (int in_place = 0; in_place < 2; in_place++) {
        float *to = in_place ? x + from : part;
        fill(x, b->rank);
        b->reduce_scatter(b, x, cuts, to);
        for (size_t i = 0; i < n; i++)
            EXPECT(to[i] == expected(b->n_ranks, from + i));
    }
    int64_t counts[] = {1, b->rank, (int64_t)1 << 60};
    b->all_reduce_counts(b, counts, 2);
    EXPECT(counts[0] == b->n_ranks && counts[1] == b->n_ranks * (b->n_ranks - 1) / 2);
    EXPECT(counts[2] == (int64_t)1 << 60);
    mem_free(x);
    mem_free(part);
    return true;
}

static bool exchanges(void *context, Backend *b, Error *err)
{
    (void)context;
    const int n_ranks = b->n_ranks, rank = b->rank;
    size_t cuts[RANKS_MAX + 1], to_cuts[RANKS_MAX + 1] = {0};
    float *all = mem_alloc(sizeof *all * N), *own = mem_alloc(sizeof *own * N);
    make_cuts(n_ranks, N, cuts);
    fill(own, 0);
    for (int r = 0; r <= n_ranks; r++)
        cuts[r] *= sizeof *own;
    b->all_gather(b, (char *)own + cuts[rank], cuts, all);
    EXPECT(memcmp(all, own, sizeof *all * N) == 0);

    /* rank r sends r + 1 + to numbers to rank `to`: r * 100 + to */
    int32_t out[RANKS_MAX * 2 * RANKS_MAX], in[RANKS_MAX * 2 * RANKS_MAX];
    size_t from_cuts[RANKS_MAX + 1] = {0}, n = 0;
    for (int to = 0; to < n_ranks; to++) {
        for (int i = 0; i < rank + 1 + to; i++)
            out[n++] = rank * 100 + to;
        from_cuts[to + 1] = n * sizeof *out;
        to_cuts[to + 1] = to_cuts[to] + (size_t)(to + 1 + rank) * sizeof *in;
    }
    b->all_to_all(b, out, from_cuts, in, to_cuts);
    for (int from = 0, at = 0; from < n_ranks; from++)
        for (int i = 0; i < from + 1 + rank; i++)
            EXPECT(in[at++] == from * 100 + rank);

    for (int root = 0; root < n_ranks; root++) {
        int64_t told = rank == root ? 1000 + root : -1;
        b->broadcast(b, root, &told, sizeof told);
        EXPECT(told == 1000 + root);
    }
    /* a ring: everybody's number goes round */
    int64_t token = rank;
    for (int i = 0; i < n_ranks && n_ranks > 1; i++) {
        const int next = (rank + 1) % n_ranks, before = (rank + n_ranks - 1) % n_ranks;
        int64_t got;
        if (rank % 2 == 0 && !(rank == n_ranks - 1 && n_ranks % 2)) {
            b->send(b, next, &token, sizeof token);
            b->recv(b, before, &got, sizeof got);
        } else {
            b->recv(b, before, &got, sizeof got);
            b->send(b, next, &token, sizeof token);
        }
        token = got;
    }
    EXPECT(token == rank);
    b->barrier(b);
    mem_free(all);
    mem_free(own);
    return b->group_is_ok(b, err);
}

static void over_ranks(RankBody *body)
{
    for (int n_ranks = 1; n_ranks <= RANKS_MAX; n_ranks++) {
        Error err = {0};
        if (!backend_run_ranks("cpu", n_ranks, n_ranks, body, NULL, &err))
            fail_msg("%d ranks: %s", n_ranks, err.message);
    }
}

static void sums_are_a_tree(void **state)
{
    (void)state;
    over_ranks(sums);
}

static void exchanges_arrive(void **state)
{
    (void)state;
    over_ranks(exchanges);
}

typedef struct Meeting {
    atomic_int n_come;
    int n_threads[RANKS_MAX];
} Meeting;

static bool come(void *context, Backend *b, Error *err)
{
    Meeting *m = context;
    m->n_threads[b->rank] = b->n_threads;
    for (int i = 1; i <= 50; i++) {
        atomic_fetch_add(&m->n_come, 1);
        b->barrier(b);
        EXPECT(atomic_load(&m->n_come) == i * b->n_ranks);
        b->barrier(b);
    }
    return true;
}

static void barriers_hold_and_threads_are_divided(void **state)
{
    (void)state;
    Error err = {0};
    Meeting m = {0};
    assert_ok(backend_run_ranks("cpu", 3, 7, come, &m, &err));
    assert_int_equal(m.n_threads[0] + m.n_threads[1] + m.n_threads[2], 7);
    m = (Meeting){0};
    assert_ok(backend_run_ranks("cpu", 3, 1, come, &m, &err));
    assert_int_equal(m.n_threads[2], 1);
}

/* Where the others wait while rank 1 fails, or leaves without a word. */
typedef struct Trouble {
    int place;
    bool is_silent;
} Trouble;
enum { PLACES = 8 };

static bool wait_in_vain(void *context, Backend *b, Error *err)
{
    const Trouble *trouble = context;
    float x[64] = {1}, y[64];
    size_t cuts[RANKS_MAX + 1], bytes[RANKS_MAX + 1];
    for (int r = 0; r <= b->n_ranks; r++) {
        cuts[r] = (size_t)r * 4;
        bytes[r] = cuts[r] * sizeof *x;
    }
    b->barrier(b);
    if (b->rank == 1)
        return trouble->is_silent || error_set(err, ERROR_IO, "rank one's disk is full");
    memset(y, 1, sizeof y);
    switch (trouble->place) {
    case 0:
        b->all_reduce(b, x, 64);
        break;
    case 1:
        b->reduce_scatter(b, x, cuts, y);
        break;
    case 2:
        b->all_gather(b, x, bytes, y);
        break;
    case 3:
        b->all_to_all(b, x, bytes, y, bytes);
        for (size_t i = 0; i < cuts[b->n_ranks]; i++)
            EXPECT(y[i] == 0);
        break;
    case 4:
        b->broadcast(b, 1, y, sizeof y);
        break;
    case 5:
        b->send(b, 1, x, sizeof x);
        break;
    case 6:
        b->recv(b, 1, y, sizeof y);
        EXPECT(y[63] == 0);
        break;
    default:
        b->barrier(b);
    }
    return b->group_is_ok(b, err) || false;
}

static void a_failing_rank_ends_them_all(void **state)
{
    (void)state;
    for (int place = 0; place < PLACES; place++)
        for (int is_silent = 0; is_silent < 2; is_silent++) {
            Error err = {0};
            Trouble trouble = {place, is_silent};
            assert_error(backend_run_ranks("cpu", 4, 4, wait_in_vain, &trouble, &err),
                         is_silent ? ERROR_CANCELLED : ERROR_IO,
                         is_silent ? "1 of 4 ranks ended before" : "rank one's disk is full");
        }
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    Error err = {0};
    assert_error(backend_run_ranks("cpu", 0, 1, come, NULL, &err), ERROR_ARGUMENT, "0 ranks");
    assert_error(backend_run_ranks("cpu", 100000, 1, come, NULL, &err), ERROR_ARGUMENT, "1 to 256");
    assert_error(backend_run_ranks("abacus", 1, 1, come, NULL, &err), ERROR_ARGUMENT, "abacus");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_a_tree),
        cmocka_unit_test(exchanges_arrive),
        cmocka_unit_test(barriers_hold_and_threads_are_divided),
        cmocka_unit_test(a_failing_rank_ends_them_all),
        cmocka_unit_test(wrong_numbers_are_refused),
    };
    return TEST_MAIN("collectives", tests);
}
