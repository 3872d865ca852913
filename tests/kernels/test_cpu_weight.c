/* Weights of the CPU backend: what is put in comes out, and the products cut into tasks equal the
 * leaf functions, whatever the number of threads. */
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/cpu_backend.h"
#include "support.h"
#include "tensor/quant.h"

#include <string.h>

enum { N_TYPES = DTYPE_COUNT, RESERVED_ROWS = 300, RESERVED_COLS = 1024 };

static Error err;

static Backend *open_backend(int n_threads)
{
    Backend *b = cpu_backend_open(n_threads, &err);
    if (!b)
        fail_msg("%s", err.message);
    assert_ok(b->reserve(b, RESERVED_ROWS, RESERVED_COLS, &err));
    return b;
}

static float *random_floats(uint64_t seed, size_t n)
{
    Rng rng = {seed};
    float *x = mem_alloc(n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(&rng);
    return x;
}

/* A tensor [n_mats * n, k] of random rows; free its data with mem_free. */
static Tensor random_tensor(DType type, int n_mats, int n, int k, uint64_t seed)
{
    float *x = random_floats(seed, (size_t)(n_mats * n * k));
    Tensor t = {.type = type, .n_dims = 2, .dims = {n_mats * n, k}};
    t.bytes = dtype_row_bytes(type, k) * (size_t)(n_mats * n);
    uint8_t *data = mem_alloc(t.bytes);
    for (int row = 0; row < n_mats * n; row++)
        quant_encode(type, x + row * k, data + dtype_row_bytes(type, k) * (size_t)row, k);
    mem_free(x);
    t.data = data;
    return t;
}

static void free_tensor(Tensor *t) { mem_free((void *)(uintptr_t)t->data); }

static Weight *new_weight(Backend *b, const Tensor *t, int n_mats)
{
    Weight *w = b->weight_new(b, t, n_mats, &err);
    if (!w)
        fail_msg("%s", err.message);
    return w;
}

static void check_rows(Backend *b, const Weight *w, int mat, const Tensor *t, int first, int n)
{
    int k = (int)t->dims[1];
    size_t row_bytes = dtype_row_bytes(t->type, k);
    float *got = mem_alloc(sizeof(float) * (size_t)(n * k)),
          *want = mem_alloc(sizeof(float) * (size_t)k);
    b->weight_get(b, w, mat, 0, n, got);
    for (int row = 0; row < n; row++) {
        quant_decode(t->type, (const uint8_t *)t->data + row_bytes * (size_t)(first + row), want,
                     k);
        assert_memory_equal(got + row * k, want, sizeof(float) * (size_t)k);
    }
    mem_free(got);
    mem_free(want);
}

static void test_what_is_put_in_comes_out(void **state)
{
    (void)state;
    Backend *b = open_backend(2);
    for (int i = 0; i < N_TYPES; i++) {
        enum { MATS = 3, N = 21, K = 512 };
        Tensor t = random_tensor((DType)i, MATS, N, K, 1);
        Weight *w = new_weight(b, &t, MATS);
        for (int mat = 0; mat < MATS; mat++)
            check_rows(b, w, mat, &t, mat * N, N);
        assert_int_equal(b->weight_bytes(w), 2 * 16 * dtype_row_bytes((DType)i, K) * MATS);

        Tensor one = random_tensor((DType)i, 1, N, K, 2);
        b->weight_set(b, w, 1, &one);
        check_rows(b, w, 0, &t, 0, N);
        check_rows(b, w, 1, &one, 0, N);
        check_rows(b, w, 2, &t, 2 * N, N);

        float *master = random_floats(2, N * K); /* the floats that `one` was made of */
        Tensor f32 = {.type = DTYPE_F32,
                      .n_dims = 2,
                      .dims = {N, K},
                      .data = master,
                      .bytes = N * K * sizeof(float)};
        b->weight_set(b, w, 2, &f32);
        check_rows(b, w, 2, &one, 0, N);
        mem_free(master);
        free_tensor(&one);
        free_tensor(&t);
        b->weight_free(b, w);
    }
    b->close(b);
}

static void test_an_empty_bank_is_filled_later(void **state)
{
    (void)state;
    Backend *b = open_backend(1);
    Tensor shape = {.type = DTYPE_Q4_K, .n_dims = 3, .dims = {4, 5, 256}};
    Weight *w = new_weight(b, &shape, 4);
    for (int mat = 0; mat < 4; mat++) {
        Tensor one = random_tensor(DTYPE_Q4_K, 1, 5, 256, (uint64_t)mat);
        b->weight_set(b, w, mat, &one);
        check_rows(b, w, mat, &one, 0, 5);
        free_tensor(&one);
    }
    b->weight_free(b, w);
    b->close(b);
}

static void test_embed_gathers_rows(void **state)
{
    (void)state;
    enum { N = 50, K = 256, IDS = 7, STRIDE = K + 3 };
    static const int32_t ids[IDS] = {0, 49, 16, 16, 15, 33, 1};
    Backend *b = open_backend(2);
    for (int i = 0; i < N_TYPES; i++) {
        Tensor t = random_tensor((DType)i, 1, N, K, 3);
        Weight *w = new_weight(b, &t, 1);
        float y[IDS * STRIDE], want[K];
        b->embed(b, w, ids, (Mat){y, IDS, K, STRIDE});
        for (int r = 0; r < IDS; r++) {
            quant_decode(t.type,
                         (const uint8_t *)t.data + dtype_row_bytes(t.type, K) * (size_t)ids[r],
                         want, K);
            assert_memory_equal(y + r * STRIDE, want, sizeof want);
        }
        b->weight_free(b, w);
        free_tensor(&t);
    }
    b->close(b);
}

/* y of a product with the plain C leaf function, one row at a time. */
static void plain_product(DType type, const Tensor *t, int first, int n, const float *x, int k,
                          float *y)
{
    size_t tile_bytes = packed_tile_bytes(type, k), row_bytes = dtype_row_bytes(type, k);
    uint8_t *tile = mem_alloc(tile_bytes);
    ActBlock *blocks = mem_alloc(sizeof(ActBlock) * (size_t)(k / BLOCK_COLS + 1));
    uint16_t *bf16 = mem_alloc(sizeof(uint16_t) * (size_t)(k + 1));
    MatmulKernels ref;
    matmul_kernels_ref(&ref);
    acts_round_bf16(x, k, bf16);
    if (k % BLOCK_COLS == 0)
        acts_quantize(x, k, blocks);
    for (int row = 0; row < n; row += TILE_ROWS) {
        int rows = n - row < TILE_ROWS ? n - row : TILE_ROWS;
        for (int i = 0; i < rows; i++)
            packed_put(type, tile, i, 0, k,
                       (const uint8_t *)t->data + row_bytes * (size_t)(first + row + i));
        Product p = {.type = type,
                     .tiles = tile,
                     .tile_bytes = tile_bytes,
                     .n_tiles = 1,
                     .n_rows = rows,
                     .acts = {1, k, x, (size_t)k, bf16, (size_t)(k + k % 2), blocks},
                     .y = y + row,
                     .y_stride = (size_t)n};
        ref.product[type](&p);
    }
    mem_free(tile);
    mem_free(blocks);
    mem_free(bf16);
}

/* Three weights of different types and sizes share x; y has columns to spare that must not change.
 */
static void check_products(Backend *b, const DType type[3], int rows, int k)
{
    static const int n[3] = {100, 33, 257};
    float *x = random_floats(5, (size_t)(rows * k));
    Tensor t[3];
    Weight *w[3];
    Mat y[3];
    for (int i = 0; i < 3; i++) {
        t[i] = random_tensor(type[i], 1, n[i], k, (uint64_t)i);
        w[i] = new_weight(b, &t[i], 1);
        y[i] = (Mat){random_floats(6, (size_t)(rows * (n[i] + 2))), rows, n[i], n[i] + 2};
    }
    uint64_t before = mem_count();
    b->matmul(b, 3, w, (Mat){x, rows, k, k}, y);
    assert_int_equal(mem_count(), before);
    for (int i = 0; i < 3; i++) {
        float *untouched = random_floats(6, (size_t)(rows * y[i].stride));
        for (int row = 0; row < rows; row++) {
            float want[257];
            plain_product(type[i], &t[i], 0, n[i], x + row * k, k, want);
            assert_memory_equal(mat_rows(y[i], row, 1).data, want, sizeof(float) * (size_t)n[i]);
            assert_memory_equal(mat_rows(y[i], row, 1).data + n[i],
                                untouched + row * y[i].stride + n[i], 2 * sizeof(float));
        }
        mem_free(untouched);
        mem_free(y[i].data);
        b->weight_free(b, w[i]);
        free_tensor(&t[i]);
    }
    mem_free(x);
}

static void test_products_equal_the_plain_ones(void **state)
{
    (void)state;
    static const DType mixes[][3] = {{DTYPE_Q4_K, DTYPE_Q6_K, DTYPE_BF16},
                                     {DTYPE_Q8_0, DTYPE_F32, DTYPE_Q4_0},
                                     {DTYPE_F16, DTYPE_Q5_K, DTYPE_Q5_1},
                                     {DTYPE_Q2_K, DTYPE_A8_128, DTYPE_F8_128},
                                     {DTYPE_MXFP4, DTYPE_IQ4_XS, DTYPE_A4_64}};
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        Backend *b = open_backend(n_threads);
        for (size_t mix = 0; mix < sizeof mixes / sizeof *mixes; mix++) {
            check_products(b, mixes[mix], 1, 256);
            check_products(b, mixes[mix], 9, 512);
        }
        check_products(b, mixes[0], 203, 256);
        check_products(b, (const DType[]){DTYPE_BF16, DTYPE_F32, DTYPE_F16}, 3, 77);
        b->matmul(b, 1, NULL, (Mat){NULL, 0, 256, 256}, NULL); /* no rows: nothing happens */
        b->close(b);
    }
}

static void test_experts_equal_their_own_products(void **state)
{
    (void)state;
    enum { EXPERTS = 6, N = 40, K = 256, ROWS = 220 };
    static const int32_t offsets[EXPERTS + 1] = {0, 1, 1, 6, 6, 206, ROWS};
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        Backend *b = open_backend(n_threads);
        Tensor t[2] = {random_tensor(DTYPE_Q4_K, EXPERTS, N, K, 8),
                       random_tensor(DTYPE_BF16, EXPERTS, N, K, 9)};
        Weight *w[2] = {new_weight(b, &t[0], EXPERTS), new_weight(b, &t[1], EXPERTS)};
        float *x = random_floats(10, ROWS * K);
        Mat y[2];
        for (int i = 0; i < 2; i++)
            y[i] = (Mat){mem_alloc(sizeof(float) * ROWS * N), ROWS, N, N};
        int32_t offset[EXPERTS + 1];
        memcpy(offset, offsets, sizeof offset);
        MoeRoutes routes = {.n_experts = EXPERTS, .offset = offset};
        uint64_t before = mem_count();
        b->matmul_experts(b, 2, w, &routes, (Mat){x, ROWS, K, K}, y);
        assert_int_equal(mem_count(), before);
        for (int i = 0; i < 2; i++) {
            for (int e = 0; e < EXPERTS; e++) {
                for (int row = offset[e]; row < offset[e + 1]; row++) {
                    float want[N];
                    plain_product(t[i].type, &t[i], e * N, N, x + row * K, K, want);
                    assert_memory_equal(mat_rows(y[i], row, 1).data, want, sizeof want);
                }
            }
            mem_free(y[i].data);
            b->weight_free(b, w[i]);
            free_tensor(&t[i]);
        }
        mem_free(x);
        b->close(b);
    }
}

static void test_no_memory_is_an_error(void **state)
{
    (void)state;
    Backend *b = open_backend(1);
    Tensor shape = {.type = DTYPE_BF16, .n_dims = 2, .dims = {1 << 14, 1 << 14}};
    mem_fail_after(1);
    assert_error(b->weight_new(b, &shape, 1, &err), ERROR_MEMORY, "weights");
    mem_fail_after(0);
    shape.dims[0] = (int64_t)1 << 33;
    assert_error(b->weight_new(b, &shape, 1, &err), ERROR_UNSUPPORTED, "BF16");
    b->close(b);
}

/* Weights come and go in any order; a big one has a mapping of its own. */
static void test_slabs_hold_what_they_gave(void **state)
{
    (void)state;
    enum { N = 12 };
    Slab *slabs = NULL, *home[N];
    uint8_t *block[N];
    size_t bytes[N];
    for (int i = 0; i < N; i++) {
        bytes[i] = i == 4 ? (size_t)70 << 20 : i == 7 ? (size_t)60 << 20 : (size_t)(i * 999 + 1);
        block[i] = slab_take(&slabs, bytes[i], "block", &home[i], &err);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t)block[i] % MEM_ALIGN, 0);
        block[i][0] = block[i][bytes[i] - 1] = (uint8_t)(i + 1);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(block[i][0], i + 1);
        assert_int_equal(block[i][bytes[i] - 1], i + 1);
    }
    assert_ptr_equal(home[3], home[5]); /* the big one did not end the slab */
    for (int i = 0; i < N; i++)
        slab_give(&slabs, home[i * 5 % N]);
    assert_null(slabs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_in_comes_out),
        cmocka_unit_test(test_an_empty_bank_is_filled_later),
        cmocka_unit_test(test_embed_gathers_rows),
        cmocka_unit_test(test_products_equal_the_plain_ones),
        cmocka_unit_test(test_experts_equal_their_own_products),
        cmocka_unit_test(test_no_memory_is_an_error),
        cmocka_unit_test(test_slabs_hold_what_they_gave),
    };
    return TEST_MAIN("cpu_weight", tests);
}
