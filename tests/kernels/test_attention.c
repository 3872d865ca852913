/* Attention: the page kernel of every level against the plain one, bit for bit; the operation
 * against double precision; and its independence of chunks, batch-mates and threads. */
#include "support.h"

#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/cpu_backend.h"
#include "cpu/cpu_kv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *noise(Rng *rng, size_t n, double scale)
{
    float *x = mem_alloc(sizeof(float) * n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(rng_normal(rng) * scale);
    return x;
}

static double rounded(DType type, float x)
{
    if (type == DTYPE_F16)
        return (double)half_to_float(half_from_float(x));
    return type == DTYPE_BF16 ? (double)bf16_to_float(bf16_from_float(x)) : (double)x;
}

/* Number i of a head of n, as its page holds it. */
static double rounded_in(DType type, const float *head, int n, int i)
{
    if (type != DTYPE_Q8_0)
        return rounded(type, head[i]);
    float largest = 0;
    for (int j = i / 32 * 32; j < n && j < i / 32 * 32 + 32; j++)
        largest = fmaxf(largest, fabsf(head[j]));
    const float scale = half_to_float(half_from_float(largest / 127));
    return scale > 0 ? (double)scale * (double)rintf(head[i] * (1 / scale)) : 0;
}

/* ---- The kernel -------------------------------------------------------------------------------
 */

/* Blocks that end at a guard page, freed together. */
static struct {
    void *block;
    size_t bytes;
} guarded[16];
static int n_guarded;

static void *guard(size_t bytes)
{
    guarded[n_guarded].bytes = bytes;
    return guarded[n_guarded++].block = guard_alloc(bytes);
}

static void free_guarded(void)
{
    while (n_guarded > 0) {
        n_guarded--;
        guard_free(guarded[n_guarded].block, guarded[n_guarded].bytes);
    }
}

typedef struct PageCase {
    DType type;
    int head_dim, n_rows, first_keys,
        keys_step; /* keys a row sees: first + row * step, at most 64 */
    int hidden;    /* of those, the first ones do not count: hidden + row * step; -1: all count */
} PageCase;

/* Half a page, in no particular order but numbers all of it; of Q8_0, n_scales behind codes. */
static void fill_page(Rng *rng, DType type, char *at, size_t n, size_t n_scales)
{
    const AttentionKernels *ref = &kernels_for(ISA_REF)->attention;
    float *x = noise(rng, n, 1);
    if (type != DTYPE_Q8_0) {
        ref->narrow(type, x, (int)n, at);
    } else {
        for (size_t i = 0; i < n; i++)
            at[i] = (char)(int8_t)(x[i] * 40);
        for (size_t i = 0; i < n_scales; i++)
            ((uint16_t *)(void *)(at + n))[i] = half_from_float(0.01f + 0.02f * fabsf(x[i]));
    }
    mem_free(x);
}

/* Keys and values from `most` on become NaN. */
static void spoil(const PageCase *c, int v_cols, int most, char *keys, char *values)
{
    const bool is_q8 = c->type == DTYPE_Q8_0;
    const size_t element = is_q8 ? 1 : dtype_row_bytes(c->type, 1);
    char *key_scales = keys + c->head_dim * KV_PAGE_TOKENS;
    char *value_scales = values + v_cols * KV_PAGE_TOKENS;
    for (int j = most; j < KV_PAGE_TOKENS; j++) {
        for (int d = 0; d < c->head_dim; d++)
            memset(keys + (size_t)(d * KV_PAGE_TOKENS + j) * element, 0xff, element);
        memset(values + (size_t)(j * v_cols) * element, 0xff, (size_t)v_cols * element);
        for (int b = 0; is_q8 && b < kv_blocks(v_cols); b++) {
            memset(key_scales + 2 * (b * KV_PAGE_TOKENS + j), 0xff, 2);
            memset(value_scales + 2 * (j * kv_blocks(v_cols) + b), 0xff, 2);
        }
    }
}

/* Two pages, so that the second meets a state that is not empty. Everything ends at a guard page.
 */
static void run_page_case(const Kernels *kernels, const PageCase *c, float *states)
{
    Rng rng = {(uint64_t)(c->head_dim * 1000 + c->n_rows * 7 + (int)c->type)};
    const int v_cols = (c->head_dim + 15) / 16 * 16;
    size_t n_keys = (size_t)c->head_dim * KV_PAGE_TOKENS,
           n_values = (size_t)v_cols * KV_PAGE_TOKENS;
    const size_t n_scales = (size_t)kv_blocks(v_cols) * KV_PAGE_TOKENS;
    char *keys = guard(kv_row_bytes(c->type, c->head_dim) * KV_PAGE_TOKENS);
    char *values = guard(kv_row_bytes(c->type, v_cols) * KV_PAGE_TOKENS);
    float *q = guard(sizeof(float) * (size_t)(c->n_rows * c->head_dim));
    int32_t *seen = guard(sizeof(int32_t) * (size_t)c->n_rows);
    int32_t *first = guard(sizeof(int32_t) * (size_t)c->n_rows);
    size_t n_acc = (size_t)c->n_rows * (size_t)v_cols;
    float *acc = guard(sizeof(float) * n_acc);
    float *max = guard(sizeof(float) * (size_t)c->n_rows);
    float *sum = guard(sizeof(float) * (size_t)c->n_rows);
    float *x = noise(&rng, (size_t)(c->n_rows * c->head_dim), 1);
    memcpy(q, x, sizeof(float) * (size_t)(c->n_rows * c->head_dim));
    mem_free(x);
    memset(acc, 0, sizeof(float) * n_acc);
    for (int i = 0; i < c->n_rows; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int round = 0; round < 2; round++) {
        fill_page(&rng, c->type, keys, n_keys, n_scales);
        fill_page(&rng, c->type, values, n_values, n_scales);
        int most = 0;
        for (int i = 0; i < c->n_rows; i++) {
            int n = c->first_keys + i * c->keys_step;
            seen[i] = n < KV_PAGE_TOKENS ? n : KV_PAGE_TOKENS;
            most = seen[i];
            n = c->hidden + i * c->keys_step;
            first[i] = n < most ? n : most - 1;
        }
        spoil(c, v_cols, most, keys, values); /* what nobody sees is NaN */
        AttentionPage p = {.type = c->type,
                           .keys = keys,
                           .values = values,
                           .next_keys = keys,
                           .next_values = values,
                           .next_element_bytes =
                               c->type == DTYPE_Q8_0 ? 1 : (int)dtype_row_bytes(c->type, 1),
                           .head_dim = c->head_dim,
                           .v_cols = v_cols,
                           .n_rows = c->n_rows,
                           .q = q,
                           .n_keys = seen,
                           .first_keys = c->hidden < 0 ? NULL : first,
                           .scale = 0.3f,
                           .state = {max, sum, acc}};
        kernels->attention.page(&p);
    }
    memcpy(states, max, sizeof(float) * (size_t)c->n_rows);
    memcpy(states + c->n_rows, sum, sizeof(float) * (size_t)c->n_rows);
    memcpy(states + 2 * c->n_rows, acc, sizeof(float) * n_acc);
    free_guarded();
}

static void compare_page_case(const PageCase *c)
{
    size_t n = (size_t)c->n_rows * (size_t)((c->head_dim + 15) / 16 * 16 + 2);
    float *expected = mem_alloc(sizeof(float) * n), *got = mem_alloc(sizeof(float) * n);
    run_page_case(kernels_for(ISA_REF), c, expected);
    for (int i = 0; i < (int)n; i++)
        assert_true(isfinite(expected[i]));
    for (int level = 1; level <= (int)isa_detect(); level++) {
        run_page_case(kernels_for((IsaLevel)level), c, got);
        if (memcmp(expected, got, sizeof(float) * n) != 0)
            fail_msg("%s: %s, head_dim %d, %d rows, %d + %d keys, %d hidden",
                     isa_name((IsaLevel)level), dtype_name(c->type), c->head_dim, c->n_rows,
                     c->first_keys, c->keys_step, c->hidden);
    }
    mem_free(expected);
    mem_free(got);
}

static void page_is_alike_on_all_levels(void **state)
{
    (void)state;
    static const int dims[] = {8, 16, 24, 40, 64, 80, 96, 128, 136, 256};
    static const int rows[] = {1, 2, 3, 5, 6, 7, 8, 12, 13, 64};
    static const int keys[][3] = {{1, 0, -1},  {64, 0, -1}, {1, 1, -1}, {13, 3, -1}, {62, 1, -1},
                                  {64, 0, 63}, {20, 1, 16}, {64, 1, 0}, {40, 2, 39}};
    for (int type = DTYPE_F32; type <= DTYPE_Q8_0; type++)
        for (int d = 0; d < 10; d++)
            for (int r = 0; r < 10; r++)
                for (int k = 0; k < 9; k++)
                    if ((d + r + k + type) % 5 == 0)
                        compare_page_case(&(PageCase){(DType)type, dims[d], rows[r], keys[k][0],
                                                      keys[k][1], keys[k][2]});
}

/* Pages of every type and shape, widened: on every level what the plain C makes of them. */
static void widening_is_alike_on_all_levels(void **state)
{
    (void)state;
    for (int type = DTYPE_F32; type <= DTYPE_Q8_0; type++)
        for (int head_dim = 8; head_dim <= 136; head_dim += 8) {
            const int v_cols = (head_dim + 15) / 16 * 16, n = 1 + head_dim / 2 % 64;
            const size_t n_keys = (size_t)(head_dim * KV_PAGE_TOKENS),
                         n_values = (size_t)(v_cols * n);
            const size_t n_scales = (size_t)kv_blocks(v_cols) * KV_PAGE_TOKENS;
            Rng rng = {(uint64_t)head_dim};
            AttentionPage p = {.type = (DType)type, .head_dim = head_dim, .v_cols = v_cols};
            p.keys = guard(kv_row_bytes(p.type, head_dim) * KV_PAGE_TOKENS);
            p.values = guard(kv_row_bytes(p.type, v_cols) * KV_PAGE_TOKENS);
            fill_page(&rng, p.type, (char *)p.keys, n_keys, n_scales);
            fill_page(&rng, p.type, (char *)p.values, (size_t)(v_cols * KV_PAGE_TOKENS), n_scales);
            float *keys = guard(sizeof(float) * n_keys), *values = guard(sizeof(float) * n_values);
            float *expected = mem_alloc(sizeof(float) * (n_keys + n_values));
            for (int level = 0; level <= (int)isa_detect(); level++) {
                kernels_for((IsaLevel)level)->attention.widen(&p, n, keys, values);
                if (level == 0) {
                    memcpy(expected, keys, sizeof(float) * n_keys);
                    memcpy(expected + n_keys, values, sizeof(float) * n_values);
                }
                assert_memory_equal(keys, expected, sizeof(float) * n_keys);
                assert_memory_equal(values, expected + n_keys, sizeof(float) * n_values);
            }
            mem_free(expected);
            free_guarded();
        }
}

/* Codes and scales of Q8_0, at tails, and of what does not fit. */
static void eight_bits_are_rounded_by_blocks(void **state)
{
    (void)state;
    Rng rng = {17};
    for (int n = 8; n <= HEAD_DIM_MAX; n += 8) {
        float *x = noise(&rng, (size_t)n, 3), *in = guard(sizeof(float) * (size_t)n);
        int8_t *codes = guard(kv_row_bytes(DTYPE_Q8_0, n));
        const uint16_t *scales = (const void *)(codes + n);
        memcpy(in, x, sizeof(float) * (size_t)n);
        for (int level = 0; level <= (int)isa_detect(); level++) {
            kernels_for((IsaLevel)level)->attention.narrow(DTYPE_Q8_0, in, n, codes);
            for (int i = 0; i < n; i++)
                assert_true((double)codes[i] * (double)half_to_float(scales[i / 32]) ==
                            rounded_in(DTYPE_Q8_0, x, n, i));
        }
        mem_free(x);
        free_guarded();
    }
    float odd[64] = {[0] = 1e9f, [1] = -1, [32] = NAN, [33] = 1};
    int8_t codes[64 + 4];
    uint16_t scales[2];
    attention_narrow_q8(odd, 64, codes);
    memcpy(scales, codes + 64, sizeof scales);
    assert_true(codes[0] == 127 && half_to_float(scales[0]) == 65504 && codes[1] == 0);
    assert_true(isnan((float)codes[33] * half_to_float(scales[1])));
}

static void rounding_is_alike_on_all_levels(void **state)
{
    (void)state;
    enum { N = 70000 };
    float *x = mem_alloc(sizeof(float) * N);
    uint16_t *h = mem_alloc(sizeof(uint16_t) * N * 2);
    Rng rng = {5};
    for (int i = 0; i < N; i++)
        x[i] = i % 2 ? float_from_bits((uint32_t)rng_next(&rng)) : (float)rng_normal(&rng);
    for (int i = 0; i < N; i++) /* NaN payloads are nobody's business */
        x[i] = x[i] == x[i] ? x[i] : 1.0f;
    for (int type = DTYPE_F16; type <= DTYPE_BF16; type++)
        for (int level = 0; level <= (int)isa_detect(); level++)
            for (int n = N - 40; n <= N; n += 3) {
                const AttentionKernels *k = &kernels_for((IsaLevel)level)->attention;
                k->narrow((DType)type, x, n, h);
                for (int i = 0; i < n; i++)
                    assert_int_equal(h[i], type == DTYPE_F16 ? half_from_float(x[i])
                                                             : bf16_from_float(x[i]));
            }
    mem_free(x);
    mem_free(h);
}

/* ---- The operation ----------------------------------------------------------------------------
 */

/* A store in which sequence s has its own pages, in an order that is not ascending. */
typedef struct Rig {
    CpuBackend *cpu;
    Backend *b;
    KvStore *kv;
    DType type;
    int n_heads, n_kv_heads, head_dim, n_tokens; /* n_tokens of every sequence */
    int n_seqs;
    int window, chunk; /* of its sight */
    float *q, *k, *v;  /* [n_seqs, n_tokens, width] */
    int32_t *pages;    /* [n_seqs, pages_each] */
    int pages_each;
} Rig;

static void rig_open(Rig *r, int n_threads)
{
    Error err = {0};
    r->b = cpu_backend_open(n_threads, &err);
    assert_ok(r->b);
    r->cpu = cpu_of(r->b);
    assert_ok(r->b->reserve(r->b, r->n_seqs * r->n_tokens, 16, &err));
    r->pages_each = (r->n_tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    int n_pages = r->pages_each * r->n_seqs;
    r->kv = r->b->kv_new(r->b, r->type, 2, r->n_kv_heads, r->head_dim, n_pages, &err);
    assert_ok(r->kv);
    memset(r->kv->memory, 0xff, r->kv->bytes); /* unwritten slots are NaN */
    r->pages = mem_alloc(sizeof(int32_t) * (size_t)n_pages);
    for (int i = 0; i < n_pages; i++)
        r->pages[i] = (i * 7 + 3) % n_pages;
    if (n_pages % 7 == 0)
        for (int i = 0; i < n_pages; i++)
            r->pages[i] = n_pages - 1 - i;
    Rng rng = {99};
    size_t tokens = (size_t)(r->n_seqs * r->n_tokens);
    r->q = noise(&rng, tokens * (size_t)(r->n_heads * r->head_dim), 1.5);
    r->k = noise(&rng, tokens * (size_t)(r->n_kv_heads * r->head_dim), 1);
    r->v = noise(&rng, tokens * (size_t)(r->n_kv_heads * r->head_dim), 1);
}

static void rig_close(Rig *r)
{
    r->b->kv_free(r->b, r->kv);
    r->b->close(r->b);
    mem_free(r->pages);
    mem_free(r->q);
    mem_free(r->k);
    mem_free(r->v);
}

/* Positions from .. from+n-1 of sequences first .. last in one step; rows to out (same layout as
 * q). */
static void rig_step(Rig *r, int first, int last, int from, int n, float *out)
{
    SeqSpan seqs[8];
    int n_seqs = last - first + 1, total = n_seqs * n;
    const size_t q_cols = (size_t)(r->n_heads * r->head_dim);
    const size_t kv_cols = (size_t)(r->n_kv_heads * r->head_dim);
    float *q = mem_alloc(sizeof(float) * q_cols * (size_t)total);
    float *k = mem_alloc(sizeof(float) * kv_cols * (size_t)total);
    float *v = mem_alloc(sizeof(float) * kv_cols * (size_t)total);
    float *mixed = mem_alloc(sizeof(float) * q_cols * (size_t)total);
    for (int s = 0; s < n_seqs; s++) {
        size_t token = (size_t)((first + s) * r->n_tokens + from), row = (size_t)(s * n);
        memcpy(q + row * q_cols, r->q + token * q_cols, sizeof(float) * q_cols * (size_t)n);
        memcpy(k + row * kv_cols, r->k + token * kv_cols, sizeof(float) * kv_cols * (size_t)n);
        memcpy(v + row * kv_cols, r->v + token * kv_cols, sizeof(float) * kv_cols * (size_t)n);
        seqs[s] = (SeqSpan){.first_row = (int)row,
                            .n_rows = n,
                            .first_position = from,
                            .pages = r->pages + (first + s) * r->pages_each};
    }
    Batch batch = {.n_tokens = total, .n_seqs = n_seqs, .seqs = seqs};
    Mat qm = {q, total, (int)q_cols, (int)q_cols}, om = {mixed, total, (int)q_cols, (int)q_cols};
    Mat km = {k, total, (int)kv_cols, (int)kv_cols}, vm = {v, total, (int)kv_cols, (int)kv_cols};
    uint64_t before = mem_count();
    r->b->kv_write(r->b, r->kv, 1, &batch, km, vm);
    float *half = mem_alloc(sizeof(float) * q_cols * (size_t)total); /* for keys of other chunks */
    for (size_t i = 0; i < q_cols * (size_t)total; i++)
        half[i] = q[i] * 0.5f;
    const Mat far = {half, total, (int)q_cols, (int)q_cols};
    const Sight sight = {.scale = 1.0f / sqrtf((float)r->head_dim),
                         .window = r->window,
                         .chunk = r->chunk,
                         .q_before = r->chunk ? far : (Mat){0},
                         .q_far = r->chunk ? far : (Mat){0}};
    before = mem_count();
    r->b->attention(r->b, r->kv, 1, &batch, &sight, qm, om);
    assert_int_equal(mem_count(), before);
    for (int s = 0; s < n_seqs; s++) {
        size_t token = (size_t)((first + s) * r->n_tokens + from), row = (size_t)(s * n);
        memcpy(out + token * q_cols, mixed + row * q_cols, sizeof(float) * q_cols * (size_t)n);
    }
    mem_free(q);
    mem_free(k);
    mem_free(v);
    mem_free(half);
    mem_free(mixed);
}

/* One query head at one position, in double, over the rounded keys and values. */
static void oracle(const Rig *r, int seq, int position, int head, double *out)
{
    const int hd = r->head_dim, kv_head_i = head / (r->n_heads / r->n_kv_heads);
    const size_t base = (size_t)(seq * r->n_tokens);
    const float *q = r->q + (base + (size_t)position) * (size_t)(r->n_heads * hd) + head * hd;
    double *p = mem_alloc(sizeof(double) * (size_t)(position + 1)), max = -HUGE_VAL, sum = 0;
    for (int j = 0; j <= position; j++) {
        const bool is_far = r->chunk > 0 && j / r->chunk < position / r->chunk;
        const float *k = r->k + (base + (size_t)j) * (size_t)(r->n_kv_heads * hd) + kv_head_i * hd;
        for (int d = 0; d < hd; d++)
            p[j] += (double)q[d] * rounded_in(r->type, k, hd, d);
        p[j] /= sqrt((double)hd) * (is_far ? 2 : 1);
        if (r->window > 0 && j <= position - r->window)
            p[j] = -HUGE_VAL;
        max = fmax(max, p[j]);
    }
    for (int d = 0; d < hd; d++)
        out[d] = 0;
    for (int j = 0; j <= position; j++) {
        const float *v = r->v + (base + (size_t)j) * (size_t)(r->n_kv_heads * hd) + kv_head_i * hd;
        double w = exp(p[j] - max);
        sum += w;
        for (int d = 0; d < hd; d++)
            out[d] += w * rounded_in(r->type, v, hd, d);
    }
    for (int d = 0; d < hd; d++)
        out[d] /= sum;
    mem_free(p);
}

static void check_against_double(const Rig *r, const float *out)
{
    double expected[HEAD_DIM_MAX];
    for (int s = 0; s < r->n_seqs; s++)
        for (int position = 0; position < r->n_tokens; position += position < 70 ? 3 : 61)
            for (int h = 0; h < r->n_heads; h++) {
                oracle(r, s, position, h, expected);
                const float *got =
                    out +
                    (size_t)(s * r->n_tokens + position) * (size_t)(r->n_heads * r->head_dim) +
                    h * r->head_dim;
                for (int d = 0; d < r->head_dim; d++)
                    if (!(fabs((double)got[d] - expected[d]) < 4e-6))
                        fail_msg("seq %d position %d head %d dim %d: %.9g, expected %.9g", s,
                                 position, h, d, (double)got[d], expected[d]);
            }
}

static void agrees_with_double(void **state)
{
    (void)state;
    static const int shapes[][4] = {/* heads, kv heads, head_dim, tokens */
                                    {4, 2, 8, 130},   {3, 1, 24, 66},   {2, 2, 64, 600},
                                    {8, 1, 16, 1100}, {4, 2, 128, 140}, {2, 1, 256, 70}};
    for (int i = 0; i < 6; i++)
        for (int type = DTYPE_F32; type <= DTYPE_Q8_0; type++) {
            Rig r = {.type = (DType)type,
                     .n_heads = shapes[i][0],
                     .n_kv_heads = shapes[i][1],
                     .head_dim = shapes[i][2],
                     .n_tokens = shapes[i][3],
                     .n_seqs = 2};
            rig_open(&r, 2);
            float *out =
                mem_alloc(sizeof(float) * (size_t)(2 * r.n_tokens * r.n_heads * r.head_dim));
            rig_step(&r, 0, 1, 0, r.n_tokens, out);
            check_against_double(&r, out);
            mem_free(out);
            rig_close(&r);
        }
}

/* Windows and chunks that begin within pages, splits and blocks. */
static void sees_what_it_should(void **state)
{
    (void)state;
    static const int sights[][2] = {{1, 0}, {17, 0}, {64, 0}, {65, 0}, {530, 0}, {0, 64}, {0, 192}};
    for (int i = 0; i < 7; i++) {
        Rig r = {.type = i % 2 ? DTYPE_F32 : DTYPE_F16,
                 .n_heads = 4,
                 .n_kv_heads = 2,
                 .head_dim = 24,
                 .n_tokens = 700,
                 .n_seqs = 2,
                 .window = sights[i][0],
                 .chunk = sights[i][1]};
        rig_open(&r, 2);
        float *out = mem_alloc(sizeof(float) * (size_t)(2 * r.n_tokens * r.n_heads * r.head_dim));
        rig_step(&r, 0, 1, 0, r.n_tokens, out);
        check_against_double(&r, out);
        mem_free(out);
        rig_close(&r);
    }
}

static void check_company(DType type, int window, int chunk)
{
    static const int chunks[] = {1, 7, 64, 100, 512, 530};
    const bool is_usual = type == DTYPE_F16 && window == 0 && chunk == 0;
    Rig r = {.type = type,
             .n_heads = 6,
             .n_kv_heads = 2,
             .head_dim = is_usual ? 40 : 16,
             .n_tokens = 1060,
             .n_seqs = 3,
             .window = window,
             .chunk = chunk};
    rig_open(&r, 1);
    size_t n = (size_t)(3 * r.n_tokens * r.n_heads * r.head_dim);
    float *expected = mem_alloc(sizeof(float) * n), *got = mem_alloc(sizeof(float) * n);
    rig_step(&r, 0, 2, 0, r.n_tokens, expected);
    rig_close(&r);
    for (int n_threads = 1; n_threads <= 3; n_threads++)
        for (int c = 0; c < 6; c += is_usual ? 1 : 4)
            for (int together = 0; together < 2; together++) {
                if (chunks[c] == 1 && together)
                    continue;
                rig_open(&r, n_threads);
                memset(got, 0, sizeof(float) * n);
                for (int first = 0; first < 3; first += together ? 3 : 1)
                    for (int from = 0; from < r.n_tokens; from += chunks[c]) {
                        int left = r.n_tokens - from;
                        rig_step(&r, first, together ? 2 : first, from,
                                 left < chunks[c] ? left : chunks[c], got);
                    }
                if (memcmp(got, expected, sizeof(float) * n) != 0)
                    fail_msg("%d threads, chunks of %d, together %d", n_threads, chunks[c],
                             together);
                rig_close(&r);
            }
    mem_free(expected);
    mem_free(got);
}

static void does_not_depend_on_company(void **state)
{
    (void)state;
    check_company(DTYPE_F16, 0, 0);
    check_company(DTYPE_Q8_0, 0, 0);
    check_company(DTYPE_F32, 600, 0);
    check_company(DTYPE_F16, 0, 192);
}

static void check_levels(DType type)
{
    Rig r = {
        .type = type, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64, .n_tokens = 200, .n_seqs = 1};
    size_t n = (size_t)(r.n_tokens * r.n_heads * r.head_dim);
    float *expected = mem_alloc(sizeof(float) * n), *got = mem_alloc(sizeof(float) * n);
    for (int level = 0; level <= (int)isa_detect(); level++) {
        setenv("WEN_ISA", isa_name((IsaLevel)level), 1);
        rig_open(&r, 2);
        rig_step(&r, 0, 0, 0, r.n_tokens, level ? got : expected);
        if (level)
            assert_memory_equal(got, expected, sizeof(float) * n);
        rig_close(&r);
    }
    unsetenv("WEN_ISA");
    mem_free(expected);
    mem_free(got);
}

static void levels_agree_on_whole_sequences(void **state)
{
    (void)state;
    check_levels(DTYPE_BF16);
    check_levels(DTYPE_Q8_0);
}

static void check_copy(DType type)
{
    Rig r = {
        .type = type, .n_heads = 2, .n_kv_heads = 2, .head_dim = 40, .n_tokens = 64, .n_seqs = 2};
    rig_open(&r, 1);
    size_t each = (size_t)(r.n_tokens * r.n_heads * r.head_dim), bytes = sizeof(float) * each;
    float *out = mem_alloc(2 * bytes), *again = mem_alloc(2 * bytes);
    rig_step(&r, 0, 0, 0, 64, out);
    r.b->kv_copy_page(r.b, r.kv, r.pages[0], r.pages[1], 40);
    /* The second sequence goes on from the copy with the first one's tokens. */
    memcpy(r.q + each, r.q, bytes);
    memcpy(r.k + each, r.k, bytes);
    memcpy(r.v + each, r.v, bytes);
    rig_step(&r, 1, 1, 40, 24, again);
    assert_memory_equal(again + each + each / 64 * 40, out + each / 64 * 40, bytes / 64 * 24);
    mem_free(out);
    mem_free(again);
    rig_close(&r);
}

static void copied_pages_hold_the_same(void **state)
{
    (void)state;
    for (int type = DTYPE_F32; type <= DTYPE_Q8_0; type++)
        check_copy((DType)type);
}

static void refuses_what_it_cannot_store(void **state)
{
    (void)state;
    Error err = {0};
    Backend *b = cpu_backend_open(1, &err);
    assert_ok(b);
    assert_error(b->kv_new(b, DTYPE_Q4_0, 1, 1, 64, 1, &err), ERROR_UNSUPPORTED, "Q4_0");
    assert_error(b->kv_new(b, DTYPE_F16, 1, 1, 12, 1, &err), ERROR_UNSUPPORTED, "head_dim 12");
    assert_error(b->kv_new(b, DTYPE_F16, 1, 1, 264, 1, &err), ERROR_UNSUPPORTED, "head_dim 264");
    mem_fail_after(1);
    assert_error(b->kv_new(b, DTYPE_F16, 1, 1, 64, 1, &err), ERROR_MEMORY, "keys and values");
    mem_fail_after(0);
    b->close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_is_alike_on_all_levels),
        cmocka_unit_test(widening_is_alike_on_all_levels),
        cmocka_unit_test(rounding_is_alike_on_all_levels),
        cmocka_unit_test(eight_bits_are_rounded_by_blocks),
        cmocka_unit_test(agrees_with_double),
        cmocka_unit_test(sees_what_it_should),
        cmocka_unit_test(does_not_depend_on_company),
        cmocka_unit_test(levels_agree_on_whole_sequences),
        cmocka_unit_test(copied_pages_hold_the_same),
        cmocka_unit_test(refuses_what_it_cannot_store),
    };
    return TEST_MAIN("attention", tests);
}
