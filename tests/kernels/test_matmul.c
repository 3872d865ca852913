/* The leaf products: packing moves bytes exactly, the plain C equals a double sum, and every
 * instruction-set level equals the plain C bit for bit, whatever the shape. */
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/kernels.h"
#include "support.h"
#include "tensor/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_TYPES = DTYPE_COUNT };

/* Guarded blocks of one case, freed together. */
enum { GUARDS_MAX = 64 };
static struct {
    void *block;
    size_t bytes;
} guards[GUARDS_MAX];
static int n_guards;

static void *guard(size_t bytes)
{
    assert_true(n_guards < GUARDS_MAX);
    guards[n_guards].bytes = bytes;
    return guards[n_guards++].block = guard_alloc(bytes);
}

static void drop_guards(int down_to)
{
    while (n_guards > down_to) {
        n_guards--;
        guard_free(guards[n_guards].block, guards[n_guards].bytes);
    }
}

static void random_half(Rng *rng, uint8_t *at)
{
    double scale = rng_below(rng, 16) == 0 ? 0x1p-16 : 0.02; /* some are subnormal */
    uint16_t h = half_from_float((float)(scale * rng_normal(rng)));
    memcpy(at, &h, sizeof h);
}

static void random_float(Rng *rng, uint8_t *at)
{
    float v = (float)(0.02 * rng_normal(rng));
    memcpy(at, &v, sizeof v);
}

/* Where a block of bytes would be read as scales, scales. */
static void random_scales(Rng *rng, DType type, uint8_t *block)
{
    const PackedLayout *layout = packed_layout(type);
    switch (layout->scales) {
    case PACKED_Q6_K:
        random_half(rng, block + 208);
        break;
    case PACKED_Q2_K:
        random_half(rng, block + 80);
        random_half(rng, block + 82);
        break;
    case PACKED_Q3_K:
        random_half(rng, block + 108);
        break;
    case PACKED_E8M0:
        /* 0 and 1 are subnormal */
        block[0] = (uint8_t)(rng_below(rng, 16) == 0 ? rng_below(rng, 3) : 118 + rng_below(rng, 8));
        break;
    case PACKED_LINE:
        random_float(rng, block);
        random_float(rng, block + 4);
        break;
    default:
        if (type == DTYPE_F8_128) {
            random_float(rng, block);
            for (int i = 4; i < dtype_info(type)->block_bytes; i++)
                if ((block[i] & 0x7f) == E4M3_NAN)
                    block[i] = 0;
            break;
        }
        random_half(rng, block);
        if (layout->form == PACKED_MIN)
            random_half(rng, block + 2);
    }
}

/* A row in the file's form: any quants at all, sane scales. */
static void random_row(Rng *rng, DType type, int n, uint8_t *row)
{
    const DTypeInfo *info = dtype_info(type);
    for (int k = 0; k < n; k += info->block_len, row += info->block_bytes) {
        float value = (float)rng_normal(rng);
        if (info->block_len == 1) {
            quant_encode(type, &value, row, 1);
            continue;
        }
        for (int i = 0; i < info->block_bytes; i++)
            row[i] = (uint8_t)rng_next(rng);
        random_scales(rng, type, row);
    }
}

/* A weight and some activations, all ending at guard pages. */
typedef struct Case {
    DType type;
    int m, n, k;
    uint8_t *file; /* [n] rows */
    size_t row_bytes, tile_bytes, tiles_bytes;
    uint8_t *tiles;
    float *x;
    Acts acts;
    ActBlock *blocks;
    uint16_t *bf16;
    void *scratch;
} Case;

static Case case_new(DType type, int m, int n, int k, uint64_t seed)
{
    Rng rng = {seed};
    drop_guards(0);
    Case c = {.type = type, .m = m, .n = n, .k = k};
    c.row_bytes = dtype_row_bytes(type, k);
    c.tile_bytes = packed_tile_bytes(type, k);
    c.tiles_bytes = c.tile_bytes * (size_t)packed_n_tiles(n);
    c.file = mem_alloc(c.row_bytes * (size_t)n);
    c.tiles = guard(c.tiles_bytes);
    memset(c.tiles, 0, c.tiles_bytes);
    for (int row = 0; row < n; row++) {
        uint8_t *file = c.file + (size_t)row * c.row_bytes;
        random_row(&rng, type, k, file);
        packed_put(type, c.tiles + (size_t)(row / TILE_ROWS) * c.tile_bytes, row % TILE_ROWS, 0, k,
                   file);
    }
    size_t even = (size_t)(k + k % 2), rows = (size_t)m;
    c.x = guard(rows * (size_t)k * sizeof(float));
    c.bf16 = guard(rows * even * sizeof(uint16_t));
    c.blocks = guard((rows * (size_t)(k / BLOCK_COLS) + 1) * sizeof(ActBlock));
    c.blocks++;
    c.scratch = guard(PRODUCT_SCRATCH_BYTES);
    for (size_t row = 0; row < rows; row++) {
        float *x = c.x + row * (size_t)k;
        for (int i = 0; i < k; i++)
            x[i] = (float)(rng_normal(&rng) * (rng_below(&rng, 50) == 0 ? 20 : 1));
        c.bf16[row * even + even - 1] = 0;
        acts_round_bf16(x, k, c.bf16 + row * even);
        if (k % BLOCK_COLS == 0)
            acts_quantize(x, k, c.blocks + row * (size_t)(k / BLOCK_COLS));
    }
    c.acts = (Acts){m, k, c.x, (size_t)k, c.bf16, even, c.blocks};
    return c;
}

static void case_free(Case *c)
{
    mem_free(c->file);
    drop_guards(0);
}

/* y [m, n], rows n apart, in a guarded block. */
static float *case_run_with(const Case *c, const MatmulKernels *kernels, Acts acts)
{
    size_t count = (size_t)acts.n_rows * (size_t)c->n;
    float *y = guard(count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        y[i] = NAN;
    Product p = {.type = c->type,
                 .tiles = c->tiles,
                 .tile_bytes = c->tile_bytes,
                 .n_tiles = packed_n_tiles(c->n),
                 .n_rows = c->n,
                 .acts = acts,
                 .y = y,
                 .y_stride = (size_t)c->n,
                 .scratch = c->scratch};
    kernels->product[c->type](&p);
    return y;
}

static float *case_run(const Case *c, IsaLevel level, Acts acts)
{
    return case_run_with(c, &kernels_for(level)->matmul, acts);
}

static int rounded_cols(DType type, int k)
{
    int block = dtype_info(type)->block_len;
    return (k + block - 1) / block * block;
}

static void test_packing_keeps_every_byte(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++) {
        Case c = case_new((DType)i, 1, 37, rounded_cols((DType)i, 515), 7);
        uint8_t *row = mem_alloc(c.row_bytes);
        for (int r = 0; r < c.n; r++) {
            packed_get(c.type, c.tiles + (size_t)(r / TILE_ROWS) * c.tile_bytes, r % TILE_ROWS, 0,
                       c.k, row);
            assert_memory_equal(row, c.file + (size_t)r * c.row_bytes, c.row_bytes);
        }
        mem_free(row);
        case_free(&c);
    }
}

static void test_packed_size_is_file_size(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++)
        assert_int_equal(packed_tile_bytes((DType)i, 512), 16 * dtype_row_bytes((DType)i, 512));
    assert_int_equal(packed_tile_bytes(DTYPE_BF16, 3), 128);
}

/* The activation that the product sees for column k of row t. */
static double act_value(const Case *c, int t, int k)
{
    size_t row = (size_t)t, col = (size_t)k, cols = (size_t)c->k;
    unsigned form = acts_form(c->type);
    if (form == ACTS_BF16)
        return (double)bf16_to_float(c->bf16[row * c->acts.bf16_stride + col]);
    if (form == ACTS_INT8) {
        const ActBlock *b = &c->blocks[row * (cols / BLOCK_COLS) + col / BLOCK_COLS];
        return (double)b->scale * b->quants[col % BLOCK_COLS];
    }
    return (double)c->x[row * cols + col];
}

static void test_plain_c_is_the_double_sum(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++) {
        Case c = case_new((DType)i, 3, 21, rounded_cols((DType)i, 1027), 11);
        float *y = case_run(&c, ISA_REF, c.acts);
        float *w = mem_alloc((size_t)c.k * sizeof(float));
        for (int r = 0; r < c.n; r++) {
            quant_decode(c.type, c.file + (size_t)r * c.row_bytes, w, c.k);
            for (int t = 0; t < c.m; t++) {
                double sum = 0, size = 0;
                for (int k = 0; k < c.k; k++) {
                    double product = (double)w[k] * act_value(&c, t, k);
                    sum += product;
                    size += fabs(product);
                }
                double got = (double)y[(size_t)t * (size_t)c.n + (size_t)r];
                if (!(fabs(got - sum) <= 2e-6 * size))
                    fail_msg("%s row %d of x, %d of w: %.9g, not %.9g", dtype_name(c.type), t, r,
                             got, sum);
            }
        }
        mem_free(w);
        case_free(&c);
    }
}

static void check_equal(const char *what, const Case *c, const float *got, const float *want, int m)
{
    for (size_t i = 0; i < (size_t)m * (size_t)c->n; i++)
        if (float_bits(got[i]) != float_bits(want[i]))
            fail_msg("%s %s m %d n %d k %d: element %zu is %.9g, not %.9g", what,
                     dtype_name(c->type), m, c->n, c->k, i, (double)got[i], (double)want[i]);
}

static void compare_levels(DType type, int m, int n, int k)
{
    Case c = case_new(type, m, n, rounded_cols(type, k), (uint64_t)(m + 100 * n + 10000 * k));
    float *want = case_run(&c, ISA_REF, c.acts);
    for (IsaLevel l = ISA_REF + 1; l <= isa_detect(); l++) {
        float *got = case_run(&c, l, c.acts);
        check_equal(isa_name(l), &c, got, want, m);
        drop_guards(n_guards - 1);
    }
#if defined(__x86_64__) /* the level's table has one of the two encodings */
    Kernels evex = *kernels_for(ISA_REF);
    if (kernels_avxvnni(true, &evex)) {
        float *got = case_run_with(&c, &evex.matmul, c.acts);
        check_equal("avxvnni as avx512 encodes it", &c, got, want, m);
    }
#endif
    case_free(&c);
}

static void test_levels_agree_bit_for_bit(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++) {
        for (int m = 1; m <= 14; m++)
            compare_levels((DType)i, m, 33 + m, 96);
        for (int n = 1; n <= 70; n += 3)
            compare_levels((DType)i, 2 + n % 7, n, 64);
        for (int k = 1; k <= 1700; k += 333)
            compare_levels((DType)i, 8, 40, k);
        compare_levels((DType)i, 1, 130, 2048);
        compare_levels((DType)i, 40, 48, 1280);
    }
}

static void test_a_row_is_the_same_alone_and_in_a_batch(void **state)
{
    (void)state;
    for (int i = 0; i < N_TYPES; i++) {
        Case c = case_new((DType)i, 29, 50, rounded_cols((DType)i, 544), 5);
        for (IsaLevel l = ISA_REF; l <= isa_detect(); l++) {
            float *all = case_run(&c, l, c.acts);
            for (int from = 0; from < c.m;) {
                int n = 1 + from % 9;
                n = n < c.m - from ? n : c.m - from;
                float *some = case_run(&c, l, acts_rows(c.acts, from, n));
                check_equal(isa_name(l), &c, some, all + (size_t)from * (size_t)c.n, n);
                drop_guards(n_guards - 1);
                from += n;
            }
            drop_guards(n_guards - 1);
        }
        case_free(&c);
    }
}

static void test_activations_agree_bit_for_bit(void **state)
{
    (void)state;
    static const float special[] = {NAN,       INFINITY,  -INFINITY, 0.0f,     -0.0f,
                                    0x1p-149f, 0x1p-101f, 0x1p-100f, 0x1p127f, -3.3895314e38f};
    enum { N = 32 * 40 };
    Rng rng = {3};
    float *x = guard(N * sizeof(float));
    for (int i = 0; i < N; i++) {
        x[i] = (float)rng_normal(&rng);
        if (i / BLOCK_COLS % 3 == 1)
            x[i] *= 0x1p-110f; /* some blocks are nearly nothing */
        if (i / BLOCK_COLS % 3 == 2 && rng_below(&rng, 20) == 0)
            x[i] = special[rng_below(&rng, sizeof special / sizeof *special)];
        if (i < 2 * BLOCK_COLS)
            x[i] = (float)(i % 16) + 0.5f; /* ties, with 127 the largest below */
    }
    x[5] = 127.0f;
    x[BLOCK_COLS + 5] = -127.0f;
    const ActsKernels *ref = &kernels_for(ISA_REF)->matmul.acts;
    for (IsaLevel l = ISA_REF; l <= isa_detect(); l++) {
        const ActsKernels *acts = &kernels_for(l)->matmul.acts;
        ActBlock *blocks[2] = {guard(sizeof(ActBlock) * (N / BLOCK_COLS)),
                               guard(sizeof(ActBlock) * (N / BLOCK_COLS))};
        ref->quantize(x, N, blocks[0]);
        acts->quantize(x, N, blocks[1]);
        for (int i = 0; i < N / BLOCK_COLS; i++) {
            if (isnan(blocks[0][i].scale) && isnan(blocks[1][i].scale))
                blocks[0][i].scale = blocks[1][i].scale = 0;
        }
        assert_memory_equal(blocks[0], blocks[1], sizeof(ActBlock) * (N / BLOCK_COLS));
        for (int n = N - 37; n <= N; n++) {
            uint16_t *h[2] = {guard(2 * (size_t)n), guard(2 * (size_t)n)};
            ref->round_bf16(x + N - n, n, h[0]);
            acts->round_bf16(x + N - n, n, h[1]);
            assert_memory_equal(h[0], h[1], 2 * (size_t)n);
            drop_guards(n_guards - 2);
        }
    }
    drop_guards(0);
}

static void test_quantized_activations_are_close(void **state)
{
    (void)state;
    enum { N = 256 };
    Rng rng = {9};
    float x[N];
    ActBlock blocks[N / BLOCK_COLS];
    for (int i = 0; i < N; i++)
        x[i] = (float)rng_normal(&rng);
    acts_quantize(x, N, blocks);
    for (int b = 0; b < N / BLOCK_COLS; b++) {
        int sum = 0, second = 0;
        for (int i = 0; i < BLOCK_COLS; i++) {
            int q = blocks[b].quants[i];
            float error = x[b * BLOCK_COLS + i] - blocks[b].scale * (float)q;
            assert_true(fabsf(error) <= 0.5001f * blocks[b].scale);
            sum += q;
            second += i < BLOCK_COLS / 2 ? 0 : q;
        }
        assert_int_equal(blocks[b].minus_sum, -sum);
        assert_int_equal(blocks[b].minus_second, -second);
        assert_true(blocks[b].sum == (float)sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_keeps_every_byte),
        cmocka_unit_test(test_packed_size_is_file_size),
        cmocka_unit_test(test_plain_c_is_the_double_sum),
        cmocka_unit_test(test_levels_agree_bit_for_bit),
        cmocka_unit_test(test_a_row_is_the_same_alone_and_in_a_batch),
        cmocka_unit_test(test_activations_agree_bit_for_bit),
        cmocka_unit_test(test_quantized_activations_are_close),
    };
    return TEST_MAIN("matmul", tests);
}
