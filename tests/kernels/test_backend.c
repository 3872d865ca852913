/* The operations of the CPU backend that are not products, attention or sampling. */
#include "support.h"

#include "base/mem.h"
#include "base/rng.h"
#include "cpu/cpu_backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static Backend *open_backend(int n_threads)
{
    Error err = {0};
    Backend *b = cpu_backend_open(n_threads, &err);
    assert_ok(b);
    return b;
}

/* A matrix whose rows lie apart, with a mark between them. */
static Mat make_mat(int rows, int cols, uint64_t seed)
{
    int stride = cols + 3;
    float *data = mem_alloc(sizeof(float) * (size_t)(rows * stride));
    Rng rng = {seed};
    for (int i = 0; i < rows * stride; i++)
        data[i] = i % stride < cols ? (float)rng_normal(&rng) : 1234.5f;
    return (Mat){data, rows, cols, stride};
}

static void check_gaps(Mat m)
{
    for (int row = 0; row < m.rows; row++)
        for (int i = m.cols; i < m.stride; i++)
            assert_true(m.data[row * m.stride + i] == 1234.5f);
}

static float get(Mat m, int row, int col) { return m.data[row * m.stride + col]; }

static void level_can_be_forced(void **state)
{
    (void)state;
    Error err = {0};
    setenv("WEN_ISA", "ref", 1);
    Backend *b = open_backend(1);
    assert_string_equal(b->isa, "ref");
    b->close(b);
    setenv("WEN_ISA", "sse9", 1);
    assert_error(cpu_backend_open(1, &err), ERROR_ARGUMENT, "WEN_ISA=sse9");
    if (isa_detect() < ISA_COUNT - 1) {
        setenv("WEN_ISA", isa_name(ISA_COUNT - 1), 1);
        assert_error(cpu_backend_open(1, &err), ERROR_DEVICE, "reaches only");
    }
    unsetenv("WEN_ISA");
    assert_error(cpu_backend_open(-1, &err), ERROR_ARGUMENT, "threads");
    b = open_backend(1);
    assert_string_equal(b->isa, isa_name(isa_detect()));
    b->close(b);
}

static void memory_is_zeroed_and_reported(void **state)
{
    (void)state;
    Error err = {0};
    Backend *b = open_backend(1);
    for (size_t bytes = 100; bytes < 5000000; bytes *= 40) {
        char *memory = b->alloc(b, bytes, "test", &err), back[3] = {0};
        assert_ok(memory);
        assert_int_equal((uintptr_t)memory % MEM_ALIGN, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(memory[i], 0);
        b->upload(b, memory + 50, "abc", 3);
        b->fetch(b, back, memory + 50, 3);
        assert_memory_equal(back, "abc", 3);
        b->free(b, memory, bytes);
        mem_fail_after(1);
        assert_error(b->alloc(b, bytes, "test things", &err), ERROR_MEMORY, "test things");
        mem_fail_after(0);
    }
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_after(n);
        assert_error(b->reserve(b, 100000, 200000, &err), ERROR_MEMORY, "");
        mem_fail_after(0);
    }
    assert_ok(b->reserve(b, 1000, 2000, &err));
    uint64_t before = mem_count();
    assert_ok(b->reserve(b, 999, 2000, &err));
    assert_int_equal(mem_count(), before);
    b->close(b);
}

/* Small matrices stay on the calling thread, big ones are cut by rows and by columns: the same. */
static void operations_on_matrices(void **state)
{
    (void)state;
    static const int shapes[][2] = {{1, 7}, {3, 128}, {5, 40000}, {300, 200}, {2, 9001}};
    for (int s = 0; s < 5; s++)
        for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
            int rows = shapes[s][0], cols = shapes[s][1];
            Backend *b = open_backend(n_threads);
            Mat x = make_mat(rows, cols, 1), y = make_mat(rows, cols, 2);
            Mat w = make_mat(1, cols, 3), out = make_mat(rows, cols, 4);
            uint64_t before = mem_count();
            b->rms_norm(b, x, w.data, 1e-5f, out);
            double sum = 0;
            for (int i = 0; i < cols; i++)
                sum += (double)get(x, rows - 1, i) * (double)get(x, rows - 1, i);
            for (int i = 0; i < cols; i++)
                assert_true(fabs((double)get(out, rows - 1, i) -
                                 (double)get(x, rows - 1, i) * (double)w.data[i] /
                                     sqrt(sum / cols + 1e-5)) < 4e-6);
            b->swiglu(b, x, y, out);
            for (int r = 0; r < rows; r++)
                for (int i = 0; i < cols; i++) {
                    double z = (double)get(x, r, i);
                    double exact = z / (1 + exp(-z)) * (double)get(y, r, i);
                    assert_true(fabs((double)get(out, r, i) - exact) < 1e-5);
                }
            b->add(b, out, y);
            b->swiglu(b, x, y, x);
            for (int r = 0; r < rows; r++)
                for (int i = 0; i < cols; i++)
                    assert_true(get(out, r, i) == get(x, r, i) + get(y, r, i));
            b->add_bias(b, y, w.data);
            Mat fresh = make_mat(rows, cols, 2);
            for (int r = 0; r < rows; r++)
                for (int i = 0; i < cols; i++)
                    assert_true(get(y, r, i) == get(fresh, r, i) + w.data[i]);
            assert_int_equal(mem_count(), before + 1); /* fresh */
            check_gaps(x);
            check_gaps(y);
            check_gaps(out);
            mem_free(x.data);
            mem_free(y.data);
            mem_free(w.data);
            mem_free(out.data);
            mem_free(fresh.data);
            b->close(b);
        }
}

static void gathers_rows(void **state)
{
    (void)state;
    Backend *b = open_backend(2);
    enum { N = 500 };
    Mat src = make_mat(40, 100, 1), dst = make_mat(N, 100, 2);
    int32_t index[N];
    for (int i = 0; i < N; i++)
        index[i] = i * 7 % 40;
    b->gather_rows(b, src, index, dst);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < 100; j++)
            assert_true(get(dst, i, j) == get(src, index[i], j));
    check_gaps(dst);
    mem_free(src.data);
    mem_free(dst.data);
    b->close(b);
}

static void rotates_by_position(void **state)
{
    (void)state;
    enum { T = 70, HD = 24, HEADS = 3 };
    double inv_freq[HD / 2];
    int32_t positions[T];
    for (int j = 0; j < HD / 2; j++)
        inv_freq[j] = pow(1e6, -2.0 * j / HD);
    for (int t = 0; t < T; t++)
        positions[t] = t < 35 ? t : 260000 + t;
    for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
        Backend *b = open_backend(n_threads);
        Mat x = make_mat(T, HEADS * HD, 1), before = make_mat(T, HEADS * HD, 1);
        Mat table = make_mat(T, HD, 2);
        const SeqSpan seq = {.n_rows = T};
        const Batch batch = {.n_tokens = T, .n_seqs = 1, .positions = positions, .seqs = &seq};
        b->rope_table(b, &batch, &(Rotation){.inv_freq = inv_freq, .factor = 1.25f}, table);
        b->rope(b, x, table);
        for (int t = 0; t < T; t++)
            for (int h = 0; h < HEADS; h++)
                for (int j = 0; j < HD / 2; j++) {
                    double angle = positions[t] * inv_freq[j];
                    double c = cos(angle) * 1.25, s = sin(angle) * 1.25;
                    double u = (double)get(before, t, h * HD + j);
                    double v = (double)get(before, t, h * HD + HD / 2 + j);
                    assert_true(fabs((double)get(x, t, h * HD + j) - (u * c - v * s)) < 2e-6);
                    assert_true(fabs((double)get(x, t, h * HD + HD / 2 + j) - (v * c + u * s)) <
                                2e-6);
                }
        check_gaps(x);
        check_gaps(table);
        mem_free(x.data);
        mem_free(before.data);
        mem_free(table.data);
        b->close(b);
    }
}

/* ---- Mixture of experts ------------------------------------------------------------------------
 */

enum { TOKENS = 150, EXPERTS = 37, USED = 5 };

typedef struct Routing {
    int32_t expert[TOKENS * USED], offset[EXPERTS + 1];
    int32_t pair_token[TOKENS * USED], pair_place[TOKENS * USED];
    float weight[TOKENS * USED];
    MoeRoutes routes;
} Routing;

static void routing_init(Routing *r)
{
    r->routes = (MoeRoutes){TOKENS,    EXPERTS,   USED,          r->expert,
                            r->weight, r->offset, r->pair_token, r->pair_place};
}

static void check_token(const Routing *r, Mat logits, int t, bool normalize)
{
    double sum = 0, used = 0;
    for (int e = 0; e < EXPERTS; e++)
        sum += exp((double)get(logits, t, e));
    for (int s = 0; s < USED; s++)
        used += exp((double)get(logits, t, r->expert[t * USED + s]));
    for (int s = 0; s < USED; s++) {
        int e = r->expert[t * USED + s];
        double weight = exp((double)get(logits, t, e)) / (normalize ? used : sum);
        assert_true(fabs((double)r->weight[t * USED + s] - weight) < 1e-6);
        /* Nobody outside, or further down, is larger; equals have higher indices. */
        for (int other = 0; other < EXPERTS; other++) {
            bool is_before = false;
            for (int before = 0; before < s; before++)
                is_before |= r->expert[t * USED + before] == other;
            if (!is_before && other != e)
                assert_true(get(logits, t, other) < get(logits, t, e) ||
                            (get(logits, t, other) == get(logits, t, e) && other > e));
        }
    }
}

static void routes_to_the_best_experts(void **state)
{
    (void)state;
    static Routing r;
    for (int n_threads = 1; n_threads <= 3; n_threads += 2)
        for (int normalize = 0; normalize < 2; normalize++) {
            Backend *b = open_backend(n_threads);
            Mat logits = make_mat(TOKENS, EXPERTS, 1);
            for (int t = 0; t < TOKENS; t += 10) /* ties */
                for (int e = 0; e < EXPERTS; e++)
                    logits.data[t * logits.stride + e] = (float)(e % 3);
            routing_init(&r);
            uint64_t before = mem_count();
            b->moe_route(b, logits, normalize, &r.routes);
            assert_int_equal(mem_count(), before);
            for (int t = 0; t < TOKENS; t++)
                check_token(&r, logits, t, normalize);
            assert_int_equal(r.offset[0], 0);
            assert_int_equal(r.offset[EXPERTS], TOKENS * USED);
            /* Pairs by expert, then token, then slot; places are where they say. */
            int last_token = -1;
            for (int i = 0, e = 0; i < TOKENS * USED; i++) {
                while (i >= r.offset[e + 1]) {
                    e++;
                    last_token = -1;
                }
                assert_true(r.pair_token[i] > last_token);
                last_token = r.pair_token[i];
                bool is_found = false;
                for (int s = 0; s < USED; s++) {
                    int pair = r.pair_token[i] * USED + s;
                    is_found |= r.expert[pair] == e && r.pair_place[pair] == i;
                }
                assert_true(is_found);
            }
            mem_free(logits.data);
            b->close(b);
        }
}

static void odd_router_logits_do_no_harm(void **state)
{
    (void)state;
    static Routing r;
    Backend *b = open_backend(1);
    Mat logits = make_mat(TOKENS, EXPERTS, 1);
    for (int e = 0; e < EXPERTS; e++) {
        logits.data[e] = NAN;
        logits.data[logits.stride + e] = e ? -INFINITY : INFINITY;
        logits.data[2 * logits.stride + e] = -INFINITY;
        logits.data[3 * logits.stride + e] = e % 2 ? NAN : 1;
    }
    routing_init(&r);
    b->moe_route(b, logits, true, &r.routes);
    for (int i = 0; i < TOKENS * USED; i++)
        assert_in_range(r.expert[i], 0, EXPERTS - 1);
    mem_free(logits.data);
    b->close(b);
}

static void combines_in_slot_order(void **state)
{
    (void)state;
    static Routing r;
    Backend *b = open_backend(2);
    Mat logits = make_mat(TOKENS, EXPERTS, 1), y = make_mat(TOKENS * USED, 50, 2);
    Mat out = make_mat(TOKENS, 50, 3);
    routing_init(&r);
    b->moe_route(b, logits, true, &r.routes);
    b->moe_combine(b, &r.routes, y, out);
    for (int t = 0; t < TOKENS; t++)
        for (int i = 0; i < 50; i++) {
            float sum = 0;
            for (int s = 0; s < USED; s++)
                sum = fmaf(r.weight[t * USED + s], get(y, r.pair_place[t * USED + s], i), sum);
            assert_true(get(out, t, i) == sum);
        }
    check_gaps(out);
    mem_free(logits.data);
    mem_free(y.data);
    mem_free(out.data);
    b->close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_can_be_forced),
        cmocka_unit_test(memory_is_zeroed_and_reported),
        cmocka_unit_test(operations_on_matrices),
        cmocka_unit_test(gathers_rows),
        cmocka_unit_test(rotates_by_position),
        cmocka_unit_test(routes_to_the_best_experts),
        cmocka_unit_test(odd_router_logits_do_no_harm),
        cmocka_unit_test(combines_in_slot_order),
    };
    return TEST_MAIN("backend", tests);
}
