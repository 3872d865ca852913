/* Banks of experts divided over ranks: products are those of a whole bank, to the bit, for any
 * routes; a rank holds its share alone. */
#include "support.h"

#include "backend/backend.h"
#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

enum { EXPERTS = 8, USED = 2, TOKENS = 40, IN = 48, OUT = 40, PAIRS = TOKENS * USED };

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return error_set(err, ERROR_FORMAT, "line %d: %s", __LINE__, #condition);              \
    } while (0)

static float number(uint64_t seed, size_t i)
{
    Rng rng = {rng_counter(seed, 1, i)};
    return (float)rng_normal(&rng);
}

static void fill(float *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = number(seed, i);
}

/* Offsets of this rank's pairs. Kinds: spread; all for one expert; nobody's but the last rank's. */
static void make_routes(int kind, int rank, int n_ranks, int32_t *offset)
{
    int32_t counts[EXPERTS] = {0};
    Rng rng = {(uint64_t)(100 * kind + rank)};
    for (int i = 0; i < PAIRS; i++) {
        const int any = (int)rng_below(&rng, EXPERTS);
        const bool is_idle = kind == 2 && rank != n_ranks - 1;
        counts[kind == 1 ? 5 : any] += !is_idle;
    }
    offset[0] = 0;
    for (int e = 0; e < EXPERTS; e++)
        offset[e + 1] = offset[e] + counts[e];
}

typedef struct Side {
    Weight *bank[2];
    float *y[2], *dx, *dw[2];
} Side;

static bool open_side(Side *s, Backend *b, DType type, bool is_divided, Error *err)
{
    float *values = mem_alloc(sizeof *values * OUT * IN);
    for (int i = 0; i < 2; i++) {
        const Tensor empty = {.type = type, .n_dims = 3, .dims = {EXPERTS, OUT, IN}};
        s->bank[i] = is_divided ? b->bank_new_divided(b, type, EXPERTS, OUT, IN, err)
                                : b->weight_new(b, &empty, EXPERTS, err);
        if (!s->bank[i])
            return false;
        for (int e = 0; e < EXPERTS; e++) {
            fill(values, OUT * IN, (uint64_t)(10 * i + e));
            const Tensor t = {.type = DTYPE_F32,
                              .n_dims = 2,
                              .dims = {OUT, IN},
                              .data = values,
                              .bytes = sizeof *values * OUT * IN};
            b->weight_set(b, s->bank[i], e, &t);
        }
        s->y[i] = mem_alloc(sizeof(float) * PAIRS * OUT);
        s->dw[i] = mem_alloc(sizeof(float) * EXPERTS * OUT * IN);
    }
    s->dx = mem_alloc(sizeof(float) * PAIRS * IN);
    mem_free(values);
    return true;
}

static void close_side(Side *s, Backend *b)
{
    for (int i = 0; i < 2; i++) {
        b->weight_free(b, s->bank[i]);
        mem_free(s->y[i]);
        mem_free(s->dw[i]);
    }
    mem_free(s->dx);
}

static void compute(const Side *s, Backend *b, const MoeRoutes *routes, float *x, float *dy[2])
{
    const int n = routes->offset[EXPERTS];
    const Mat in = {x, n, IN, IN}, dx = {s->dx, n, IN, IN};
    const Mat y[] = {{s->y[0], n, OUT, OUT}, {s->y[1], n, OUT, OUT}};
    const Mat out[] = {{dy[0], n, OUT, OUT}, {dy[1], n, OUT, OUT}};
    b->matmul_experts(b, 2, s->bank, routes, in, y);
    b->matmul_experts_backward_x(b, 2, s->bank, routes, out, dx);
    b->matmul_experts_backward_w(b, 2, s->bank, routes, out, in, s->dw);
}

static bool compare(Backend *b, int kind, const Side *whole, const Side *divided, Error *err)
{
    int32_t offset[EXPERTS + 1];
    size_t cuts[EXPERTS + 1];
    const MoeRoutes routes = {
        .n_tokens = TOKENS, .n_experts = EXPERTS, .n_used = USED, .offset = offset};
    float *x = mem_alloc(sizeof *x * PAIRS * IN), *home = mem_alloc(sizeof *x * EXPERTS * OUT * IN);
    float *dy[2];
    make_routes(kind, b->rank, b->n_ranks, offset);
    const size_t n = (size_t)offset[EXPERTS];
    fill(x, n * IN, (uint64_t)(1000 + b->rank));
    for (int i = 0; i < 2; i++) {
        dy[i] = mem_alloc(sizeof *x * PAIRS * OUT);
        fill(dy[i], n * OUT, (uint64_t)(2000 + 10 * i + b->rank));
    }
    compute(whole, b, &routes, x, dy);
    compute(divided, b, &routes, x, dy);
    EXPECT(memcmp(whole->dx, divided->dx, sizeof *x * n * IN) == 0);
    for (int r = 0; r <= b->n_ranks; r++)
        cuts[r] = sizeof *x * EXPERTS * OUT * IN / (size_t)b->n_ranks * (size_t)r;
    for (int i = 0; i < 2; i++) {
        EXPECT(memcmp(whole->y[i], divided->y[i], sizeof *x * n * OUT) == 0);
        b->all_to_all(b, divided->dw[i], cuts, home, cuts);
        EXPECT(memcmp(whole->dw[i], home, sizeof *x * EXPERTS * OUT * IN) == 0);
        mem_free(dy[i]);
    }
    EXPECT(n == 0 || whole->y[0][0] != 0);
    mem_free(x);
    mem_free(home);
    return true;
}

static bool multiply(void *context, Backend *b, Error *err)
{
    (void)context;
    static const DType types[] = {DTYPE_F32, DTYPE_BF16};
    for (int i = 0; i < 2; i++) {
        Side whole, divided;
        if (!open_side(&whole, b, types[i], false, err) ||
            !open_side(&divided, b, types[i], true, err) || !b->reserve(b, PAIRS, IN, err) ||
            !b->reserve_training(b, PAIRS, 1, err))
            return false;
        EXPECT(b->weight_bytes(divided.bank[0]) * (size_t)b->n_ranks ==
               b->weight_bytes(whole.bank[0]));
        for (int kind = 0; kind < 3; kind++)
            if (!compare(b, kind, &whole, &divided, err))
                return false;
        close_side(&whole, b);
        close_side(&divided, b);
    }
    return true;
}

static void divided_banks_multiply_as_whole_ones(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= EXPERTS; ranks *= 2) {
        Error err = {0};
        if (!backend_run_ranks("cpu", ranks, ranks, multiply, NULL, &err))
            fail_msg("%d ranks: %s", ranks, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(divided_banks_multiply_as_whole_ones)};
    return TEST_MAIN("banks", tests);
}
