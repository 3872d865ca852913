/* tensor/quant: decoding against the layouts as ggml's headers describe them, written out here a
 * second time in the order of the bytes; encoding against its documented error (docs/numerics.md).
 */
#include "support.h"

#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tensor/quant.h"

#include <math.h>
#include <string.h>

static float half_at(const uint8_t *p) { return half_to_float((uint16_t)(p[0] | p[1] << 8)); }

static void expect_q4_q5(DType type, const uint8_t *b, double *y)
{
    bool has_min = type == DTYPE_Q4_1 || type == DTYPE_Q5_1;
    bool is_5 = type == DTYPE_Q5_0 || type == DTYPE_Q5_1;
    double d = (double)half_at(b), m = has_min ? (double)half_at(b + 2) : 0;
    const uint8_t *qh = b + (has_min ? 4 : 2), *qs = qh + (is_5 ? 4 : 0);
    for (int j = 0; j < 32; j++) {
        int q = j < 16 ? qs[j] & 15 : qs[j - 16] >> 4;
        if (is_5)
            q += 16 * (qh[j / 8] >> j % 8 & 1);
        y[j] = has_min ? d * q + m : d * (q - (is_5 ? 16 : 8));
    }
}

static void expect_q4_k_q5_k(DType type, const uint8_t *b, double *y)
{
    double d = (double)half_at(b), dmin = (double)half_at(b + 2);
    const uint8_t *s = b + 4, *qh = b + 16, *qs = b + (type == DTYPE_Q5_K ? 48 : 16);
    for (int i = 0; i < 256; i++) {
        int j = i / 32, l = i % 32;
        int sc = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        int m = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
        uint8_t byte = qs[32 * (j / 2) + l];
        int q = j % 2 ? byte >> 4 : byte & 15;
        if (type == DTYPE_Q5_K && (qh[l] & 1 << j))
            q += 16;
        y[i] = d * sc * q - dmin * m;
    }
}

static void expect_q6_k(const uint8_t *b, double *y)
{
    const uint8_t *ql = b, *qh = b + 128;
    const int8_t *sc = (const int8_t *)b + 192;
    double d = (double)half_at(b + 208);
    for (int n = 0; n < 256; n += 128, y += 128, ql += 64, qh += 32, sc += 8)
        for (int l = 0; l < 32; l++) {
            int q1 = ((ql[l] & 15) | (qh[l] & 3) << 4) - 32;
            int q2 = ((ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4) - 32;
            int q3 = (ql[l] >> 4 | (qh[l] >> 4 & 3) << 4) - 32;
            int q4 = (ql[l + 32] >> 4 | (qh[l] >> 6) << 4) - 32;
            y[l] = d * sc[l / 16] * q1;
            y[l + 32] = d * sc[l / 16 + 2] * q2;
            y[l + 64] = d * sc[l / 16 + 4] * q3;
            y[l + 96] = d * sc[l / 16 + 6] * q4;
        }
}

/* ggml walks Q2_K and Q3_K by halves of 128, two bits at a time, two groups of 16 each. */
static void expect_q2_k_q3_k(DType type, const uint8_t *b, double *y)
{
    const bool is_3 = type == DTYPE_Q3_K;
    const uint8_t *q = b + (is_3 ? 32 : 16), *s = b + 96;
    const double d = (double)half_at(b + (is_3 ? 108 : 80)),
                 dmin = is_3 ? 0 : (double)half_at(b + 82);
    int group = 0;
    uint8_t mask = 1;
    for (int n = 0; n < 256; n += 128, q += 32)
        for (int shift = 0; shift < 8; shift += 2, mask = (uint8_t)(mask << 1))
            for (int half = 0; half < 2; half++, group++) {
                int low = !is_3 ? 0 : group < 8 ? s[group] & 15 : s[group - 8] >> 4;
                int sc = is_3 ? low | (s[8 + group % 4] >> 2 * (group / 4) & 3) << 4 : 0;
                for (int l = 16 * half; l < 16 * half + 16; l++) {
                    int code = q[l] >> shift & 3;
                    *y++ = is_3 ? d * (sc - 32) * (code - (b[l] & mask ? 0 : 4))
                                : d * (b[group] & 15) * code - dmin * (b[group] >> 4);
                }
            }
}

static void expect_iq4(DType type, const uint8_t *b, double *y)
{
    static const double values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
    const bool is_xs = type == DTYPE_IQ4_XS;
    for (int g = 0; g < (is_xs ? 8 : 1); g++) {
        int low = b[4 + g / 2] >> 4 * (g % 2) & 15;
        int high = (b[2] | b[3] << 8) >> 2 * g & 3;
        double d = (double)half_at(b) * (is_xs ? (low | high << 4) - 32 : 1);
        const uint8_t *qs = b + (is_xs ? 8 + 16 * g : 2);
        for (int j = 0; j < 32; j++)
            *y++ = d * values[j < 16 ? qs[j] & 15 : qs[j - 16] >> 4];
    }
}

static void expect_mxfp4(const uint8_t *b, double *y)
{
    for (int j = 0; j < 32; j++) {
        int q = j < 16 ? b[1 + j] & 15 : b[1 + j - 16] >> 4, e = q >> 1 & 3, m = q & 1;
        double size = e == 0 ? 0.5 * m : ldexp(1 + 0.5 * m, e - 1);
        y[j] = ldexp(q & 8 ? -size : size, b[0] - 127);
    }
}

static void expect_group(DType type, const uint8_t *b, double *y)
{
    float head[2];
    memcpy(head, b, sizeof head);
    const int n = dtype_info(type)->block_len;
    for (int j = 0; j < n; j++) {
        if (type == DTYPE_F8_128) {
            int code = b[4 + j], e = code >> 3 & 15, m = code & 7;
            double size = e == 0 ? ldexp(m, -9) : ldexp(8 + m, e - 10);
            y[j] = (double)head[0] * (code & 0x80 ? -size : size);
        } else if (dtype_info(type)->block_bytes == 8 + n) {
            y[j] = (double)head[0] * b[8 + j] + (double)head[1];
        } else {
            int byte = b[8 + j / 32 * 16 + j % 16];
            y[j] = (double)head[0] * (j % 32 < 16 ? byte & 15 : byte >> 4) + (double)head[1];
        }
    }
}

static void expect_block(DType type, const uint8_t *b, double *y)
{
    uint32_t bits;
    switch (type) {
    case DTYPE_F32:
        memcpy(&bits, b, 4);
        y[0] = (double)float_from_bits(bits);
        break;
    case DTYPE_F16:
        y[0] = (double)half_at(b);
        break;
    case DTYPE_BF16:
        y[0] = (double)float_from_bits((uint32_t)(b[0] | b[1] << 8) << 16);
        break;
    case DTYPE_Q8_0:
        for (int j = 0; j < 32; j++)
            y[j] = (double)half_at(b) * (int8_t)b[2 + j];
        break;
    case DTYPE_Q4_K:
    case DTYPE_Q5_K:
        expect_q4_k_q5_k(type, b, y);
        break;
    case DTYPE_Q6_K:
        expect_q6_k(b, y);
        break;
    case DTYPE_Q2_K:
    case DTYPE_Q3_K:
        expect_q2_k_q3_k(type, b, y);
        break;
    case DTYPE_IQ4_NL:
    case DTYPE_IQ4_XS:
        expect_iq4(type, b, y);
        break;
    case DTYPE_MXFP4:
        expect_mxfp4(b, y);
        break;
    case DTYPE_A4_32:
    case DTYPE_A4_64:
    case DTYPE_A4_128:
    case DTYPE_A8_32:
    case DTYPE_A8_64:
    case DTYPE_A8_128:
    case DTYPE_F8_128:
        expect_group(type, b, y);
        break;
    default:
        expect_q4_q5(type, b, y);
        break;
    }
}

static int half_place(DType type)
{
    return type == DTYPE_Q6_K ? 208 : type == DTYPE_Q2_K ? 80 : type == DTYPE_Q3_K ? 108 : 0;
}

/* Random bytes, with the halves that scale a block kept finite and moderate. */
static void random_blocks(Rng *rng, DType type, uint8_t *b, size_t n_blocks)
{
    const DTypeInfo *info = dtype_info(type);
    for (size_t i = 0; i < n_blocks; i++, b += info->block_bytes) {
        for (int j = 0; j < info->block_bytes; j++)
            b[j] = (uint8_t)rng_next(rng);
        uint16_t d = half_from_float((float)rng_normal(rng)), m = half_from_float(0.3f);
        uint32_t f = float_bits((float)rng_normal(rng));
        if (type == DTYPE_MXFP4)
            b[0] = (uint8_t)(120 + b[0] % 12);
        else if (type == DTYPE_F32 || type >= DTYPE_A4_32)
            memcpy(b, &f, 4);
        else
            memcpy(b + half_place(type), &d, 2);
        if (type >= DTYPE_A4_32 && type < DTYPE_F8_128)
            memcpy(b + 4, &f, 4);
        for (int j = 4; type == DTYPE_F8_128 && j < info->block_bytes; j++)
            b[j] = (b[j] & 0x7f) == 0x7f ? 0 : b[j]; /* no NaN */
        if (type == DTYPE_Q2_K)
            memcpy(b + 82, &m, 2);
        if (type == DTYPE_Q4_1 || type == DTYPE_Q5_1 || type == DTYPE_Q4_K || type == DTYPE_Q5_K)
            memcpy(b + 2, &m, 2);
    }
}

static void decoding_follows_the_layouts(void **state)
{
    (void)state;
    Rng rng = {7};
    for (int type = 0; type < DTYPE_COUNT; type++) {
        const DTypeInfo *info = dtype_info((DType)type);
        enum { BLOCKS = 5 };
        /* Both buffers end at a guard page, and the blocks start at an odd address. */
        size_t bytes = (size_t)(BLOCKS * info->block_bytes), n = (size_t)(BLOCKS * info->block_len);
        uint8_t *page = guard_alloc(bytes + 1), *blocks = page + 1;
        float *out = guard_alloc(n * sizeof *out);
        double expected[256];
        for (int round = 0; round < 50; round++) {
            random_blocks(&rng, (DType)type, blocks, BLOCKS);
            quant_decode((DType)type, blocks, out, (int64_t)n);
            for (int b = 0; b < BLOCKS; b++) {
                expect_block((DType)type, blocks + b * info->block_bytes, expected);
                for (int j = 0; j < info->block_len; j++) {
                    double got = (double)out[b * info->block_len + j];
                    if (fabs(got - expected[j]) >
                        1e-6 * (fabs(expected[j]) + (type > DTYPE_Q6_K ? 200 : 20)))
                        fail_msg("%s block %d element %d: %g, expected %g", info->name, b, j, got,
                                 expected[j]);
                }
            }
        }
        guard_free(page, bytes + 1);
        guard_free(out, n * sizeof *out);
    }
}

/* RMS error of encoding rows of 1024 from a seed, over the standard deviation of their bulk. */
static double rms_error(DType type, bool is_heavy_tailed)
{
    enum { ROWS = 64, COLS = 1024 };
    Rng rng = {11};
    float *row = mem_alloc(COLS * sizeof *row), *back = mem_alloc(COLS * sizeof *back);
    uint8_t *blocks = mem_alloc(COLS * 4);
    double sum = 0;
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < COLS; i++) {
            double v = rng_normal(&rng);
            if (is_heavy_tailed) /* Student's t with three degrees of freedom */
                v /= sqrt((pow(rng_normal(&rng), 2) + pow(rng_normal(&rng), 2) +
                           pow(rng_normal(&rng), 2)) /
                          3);
            row[i] = (float)(0.02 * v);
        }
        quant_encode(type, row, blocks, COLS);
        quant_decode(type, blocks, back, COLS);
        for (int i = 0; i < COLS; i++)
            sum += pow((double)row[i] - (double)back[i], 2);
    }
    mem_free(row);
    mem_free(back);
    mem_free(blocks);
    return sqrt(sum / (ROWS * COLS)) / 0.02;
}

/* What the search reaches on these rows, with 1 % to spare. (docs/numerics.md compares with
 * llama.cpp on larger ones.) */
static void encoding_keeps_its_error(void **state)
{
    (void)state;
    static const struct {
        DType type;
        double gaussian, heavy_tailed;
    } figures[] = {
        {DTYPE_Q8_0, 0.00479, 0.01304},
        {DTYPE_Q4_0, 0.08061, 0.20898},
        {DTYPE_Q4_1, 0.06883, 0.15032},
        {DTYPE_Q5_0, 0.03989, 0.10812},
        {DTYPE_Q5_1, 0.03328, 0.07272},
        {DTYPE_Q4_K, 0.06927, 0.15202},
        {DTYPE_Q5_K, 0.03415, 0.07484},
        {DTYPE_Q6_K, 0.01668, 0.04046},
        {DTYPE_BF16, 0.00166, 0.00283},
        {DTYPE_F16, 0.00021, 0.00035},
        {DTYPE_F32, 0, 0},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        double gaussian = rms_error(figures[i].type, false),
               heavy = rms_error(figures[i].type, true);
        if (gaussian > figures[i].gaussian * 1.01 || heavy > figures[i].heavy_tailed * 1.01)
            fail_msg("%s: %.5f and %.5f", dtype_name(figures[i].type), gaussian, heavy);
    }
}

/* Weights of columns as activations have them: a few far above the others. */
static void weights_are_heard(void **state)
{
    enum { N = 4096 };
    static float x[N], w[N], back[N];
    static uint8_t blocks[N * sizeof(float)];
    Rng rng = {7};
    (void)state;
    for (int i = 0; i < N; i++) {
        x[i] = (float)rng_normal(&rng);
        w[i] = (float)exp(2 * rng_normal(&rng));
    }
    for (int type = DTYPE_Q8_0; type <= DTYPE_MXFP4; type++) {
        double errors[2] = {0, 0}, uniform[2] = {0, 0};
        for (int is_weighted = 0; is_weighted < 2; is_weighted++) {
            quant_encode_weighted((DType)type, x, is_weighted ? w : NULL, blocks, N);
            quant_decode((DType)type, blocks, back, N);
            for (int i = 0; i < N; i++) {
                const double off = (double)x[i] - (double)back[i];
                errors[is_weighted] += (double)w[i] * (off * off);
                uniform[is_weighted] += off * off;
            }
        }
        /* MXFP4 has a power of two to choose and nothing else. */
        const double most = type == DTYPE_MXFP4 ? 0.999 : type == DTYPE_Q8_0 ? 0.97 : 0.9;
        if (!(errors[1] < most * errors[0] && uniform[1] >= uniform[0]))
            fail_msg("%s: weighted error %g, %g without weights", dtype_name((DType)type),
                     errors[1], errors[0]);
        /* Only proportions count. */
        static uint8_t again[N * sizeof(float)];
        for (int i = 0; i < N; i++)
            back[i] = w[i] * 0x1p-40f;
        quant_encode_weighted((DType)type, x, w, blocks, N);
        quant_encode_weighted((DType)type, x, back, again, N);
        assert_memory_equal(again, blocks, dtype_row_bytes((DType)type, N));
    }
}

static void encode_and_compare(DType type, const float *x, double tolerance)
{
    const DTypeInfo *info = dtype_info(type);
    size_t n = 256, bytes = dtype_row_bytes(type, (int64_t)n);
    float *in = guard_alloc(n * sizeof *in), *back = mem_alloc(n * sizeof *back);
    uint8_t *blocks = guard_alloc(bytes), again[1024];
    memcpy(in, x, n * sizeof *in);
    quant_encode(type, in, blocks, (int64_t)n);
    quant_decode(type, blocks, back, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(back[i]) || fabs((double)back[i] - (double)x[i]) > tolerance)
            fail_msg("%s element %d: %g became %g", info->name, (int)i, (double)x[i],
                     (double)back[i]);
    /* Block by block gives the same bytes: no block knows its neighbours. */
    for (size_t i = 0; i < n; i += (size_t)info->block_len)
        quant_encode(type, in + i, again + dtype_row_bytes(type, (int64_t)i), info->block_len);
    assert_memory_equal(again, blocks, bytes);
    guard_free(in, n * sizeof *in);
    guard_free(blocks, bytes);
    mem_free(back);
}

/* How much coarser than Q4_0 and its like a type is. */
static double coarseness(int type)
{
    if (type <= DTYPE_Q6_K)
        return 1;
    return type == DTYPE_Q3_K || type == DTYPE_MXFP4 ? 4 : 3;
}

static void odd_blocks_stay_finite(void **state)
{
    (void)state;
    float x[256];
    for (int type = 0; type < DTYPE_COUNT; type++) {
        memset(x, 0, sizeof x);
        encode_and_compare((DType)type, x, 0);
        for (int sign = -1; sign <= 1; sign += 2) {
            for (int i = 0; i < 256; i++)
                x[i] = (float)sign * 0.75f; /* a constant */
            encode_and_compare((DType)type, x, 0.002);
            for (int i = 0; i < 256; i++)
                x[i] = (float)sign * (0.5f + (float)i / 512); /* all on one side */
            encode_and_compare((DType)type, x, 0.05 * coarseness(type));
            memset(x, 0, sizeof x);
            x[77] = (float)sign * 3; /* one outlier */
            encode_and_compare((DType)type, x, 0.02 * coarseness(type));
            for (int i = 0; i < 256; i++)
                x[i] = (float)sign * (i % 2 ? 1e-9f : -1e-9f); /* below half's reach */
            encode_and_compare((DType)type, x, 1e-7);
            for (int i = 0; i < 256; i++)
                x[i] = (float)sign * (i % 2 ? 3e38f : -1e-38f); /* above it */
            encode_and_compare((DType)type, x, (double)INFINITY);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_follows_the_layouts),
        cmocka_unit_test(encoding_keeps_its_error),
        cmocka_unit_test(odd_blocks_stay_finite),
        cmocka_unit_test(weights_are_heard),
    };
    return TEST_MAIN("quant", tests);
}
