/* cpu/gemm: every level, mode, layout and shape against one chain of sums for each element, bit for
 * bit. */
#include "support.h"

#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/kernels.h"
#include "cpu/packed.h"

#include <math.h>
#include <string.h>

typedef struct Case {
    GemmMode mode;
    GemmLayout a, b;
    int m, n, k;
} Case;

static float rounded(float x, GemmMode mode)
{
    return mode == GEMM_F32 ? x : bf16_to_float(bf16_from_float(x));
}

/* The contract of gemm.h, literally; a [m, k] and b [k, n] dense. */
static void reference(const Case *c, const float *a, const float *b, float *out)
{
    for (int i = 0; i < c->m; i++)
        for (int j = 0; j < c->n; j++) {
            float sum = out[i * c->n + j];
            for (int k = 0; k < c->k; k++) {
                int at = c->mode == GEMM_BF16 ? k ^ 1 : k;
                if (at < c->k)
                    sum = fmaf(rounded(a[i * c->k + at], c->mode),
                               rounded(b[at * c->n + j], c->mode), sum);
                if (c->mode == GEMM_BF16 && k == c->k - 1 && at == c->k)
                    sum = fmaf(rounded(a[i * c->k + k], c->mode), rounded(b[k * c->n + j], c->mode),
                               sum);
            }
            out[i * c->n + j] = sum;
        }
}

static float *random_floats(size_t n, uint64_t seed)
{
    Rng rng = {seed};
    float *x = mem_alloc(sizeof(float) * (n + 1));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(&rng);
    return x;
}

/* A side of the product from a dense [n_i, n_k]; *memory is to be freed. */
static GemmSide make_side(GemmLayout layout, const float *dense, int n_i, int n_k, void **memory,
                          size_t *bytes)
{
    GemmSide side = {layout, NULL, 0};
    if (layout == GEMM_ALONG || layout == GEMM_ACROSS) {
        side.stride = (size_t)(layout == GEMM_ALONG ? n_k : n_i) + 3;
        *bytes = sizeof(float) * (side.stride * (size_t)(layout == GEMM_ALONG ? n_i : n_k) - 3);
        float *x = guard_alloc(*bytes);
        for (int i = 0; i < n_i; i++)
            for (int k = 0; k < n_k; k++)
                x[layout == GEMM_ALONG ? (size_t)i * side.stride + (size_t)k
                                       : (size_t)k * side.stride + (size_t)i] = dense[i * n_k + k];
        side.data = *memory = x;
        return side;
    }
    const DType type = layout == GEMM_TILES_F32 ? DTYPE_F32 : DTYPE_BF16;
    side.stride = packed_tile_bytes(type, n_i);
    *bytes = side.stride * (size_t)packed_n_tiles(n_k);
    uint8_t *tiles = guard_alloc(*bytes);
    memset(tiles, 0, *bytes);
    for (int k = 0; k < n_k; k++)
        for (int i = 0; i < n_i; i++) {
            float value = dense[i * n_k + k];
            uint16_t half = bf16_from_float(value);
            const void *file = type == DTYPE_F32 ? (const void *)&value : (const void *)&half;
            packed_put(type, tiles + (size_t)(k / TILE_ROWS) * side.stride, k % TILE_ROWS, i, 1,
                       file);
        }
    side.data = *memory = tiles;
    return side;
}

static void check_case(const Case *c, Pool *pool, void *scratch)
{
    const size_t mn = (size_t)c->m * (size_t)c->n;
    float *a = random_floats((size_t)c->m * (size_t)c->k, 1);
    float *bt = random_floats((size_t)c->n * (size_t)c->k, 2); /* [n, k] */
    float *b = mem_alloc(sizeof(float) * (size_t)c->n * (size_t)c->k);
    float *start = random_floats(mn, 3), *expected = random_floats(mn, 3);
    for (int j = 0; j < c->n; j++)
        for (int k = 0; k < c->k; k++)
            b[k * c->n + j] = bt[j * c->k + k];
    reference(c, a, b, expected);
    void *memory[2];
    size_t bytes[2];
    Gemm g = {.mode = c->mode, .m = c->m, .n = c->n, .k = c->k, .accumulate = true};
    g.a = make_side(c->a, a, c->m, c->k, &memory[0], &bytes[0]);
    g.b = make_side(c->b, bt, c->n, c->k, &memory[1], &bytes[1]);
    g.c_stride = (size_t)c->n;
    for (IsaLevel level = ISA_REF; level <= isa_detect(); level++)
        for (int alone = 0; alone < 2; alone++) {
            g.c = guard_alloc(sizeof(float) * mn);
            memcpy(g.c, start, sizeof(float) * mn);
            gemm_run(&kernels_for(level)->gemm, &g, alone ? NULL : pool, scratch);
            for (size_t i = 0; i < mn; i++)
                if (g.c[i] != expected[i])
                    fail_msg("%s mode %d layouts %d %d shape %d %d %d alone %d: element %d is %a, "
                             "not %a",
                             isa_name(level), (int)c->mode, (int)c->a, (int)c->b, c->m, c->n, c->k,
                             alone, (int)i, (double)g.c[i], (double)expected[i]);
            guard_free(g.c, sizeof(float) * mn);
        }
    guard_free(memory[0], bytes[0]);
    guard_free(memory[1], bytes[1]);
    mem_free(a);
    mem_free(b);
    mem_free(bt);
    mem_free(start);
    mem_free(expected);
}

static void each_element_is_one_chain(void **state)
{
    (void)state;
    Error err = {0};
    Pool *pool = pool_open(3, &err);
    void *scratch = mem_alloc(gemm_scratch_bytes(true));
    static const int shapes[][3] = {{1, 1, 1},    {7, 31, 5},    {8, 32, 16},  {9, 33, 17},
                                    {3, 70, 300}, {20, 64, 257}, {64, 40, 64}, {17, 5, 770},
                                    {267, 9, 30}, {5, 299, 22}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (GemmMode mode = GEMM_F32; mode <= GEMM_BF16_SINGLE; mode++)
            for (GemmLayout a = GEMM_ALONG; a <= GEMM_ACROSS; a++)
                for (GemmLayout b = GEMM_ALONG; b <= GEMM_TILES_BF16; b++) {
                    if ((b == GEMM_TILES_F32 && mode != GEMM_F32) ||
                        (b == GEMM_TILES_BF16 && mode == GEMM_F32))
                        continue;
                    const Case c = {mode, a, b, shapes[s][0], shapes[s][1], shapes[s][2]};
                    check_case(&c, pool, scratch);
                }
    mem_free(scratch);
    pool_close(pool);
}

/* Micro-batches: rows of k in two calls give the bits of one. */
static void cutting_k_changes_nothing(void **state)
{
    (void)state;
    enum { M = 24, N = 40, K = 600, CUT = 222 };
    Error err = {0};
    Pool *pool = pool_open(2, &err);
    void *scratch = mem_alloc(gemm_scratch_bytes(true));
    float *a = random_floats(M * K, 4), *b = random_floats(N * K, 5);
    float *once = mem_alloc(sizeof(float) * M * N), *twice = mem_alloc(sizeof(float) * M * N);
    const GemmKernels *kernels = &kernels_for(isa_detect())->gemm;
    for (GemmMode mode = GEMM_F32; mode <= GEMM_BF16_SINGLE; mode++) {
        Gemm g = {mode, M, N, K, {GEMM_ACROSS, a, M}, {GEMM_ACROSS, b, N}, once, N, false};
        gemm_run(kernels, &g, pool, scratch);
        g.c = twice;
        g.k = CUT;
        gemm_run(kernels, &g, pool, scratch);
        g.k = K - CUT;
        g.a.data = a + CUT * M;
        g.b.data = b + CUT * N;
        g.accumulate = true;
        gemm_run(kernels, &g, pool, scratch);
        assert_memory_equal(once, twice, sizeof(float) * M * N);
    }
    mem_free(a);
    mem_free(b);
    mem_free(once);
    mem_free(twice);
    mem_free(scratch);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_one_chain),
        cmocka_unit_test(cutting_k_changes_nothing),
    };
    return TEST_MAIN("gemm", tests);
}
