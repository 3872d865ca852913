/* train/backward: whole small models against finite differences of a model in double precision, and
 * the promises about threads, cuts and recomputation, bit for bit. */
#include "rig.h"

#include "model_f64.h"

enum { POINTS = 12 };

/* The loss in double with parameter `at` moved by `step`. */
static double moved_loss(F64Model *m, double *w, const F64Batch *batch, size_t at, double step)
{
    const double kept = w[at];
    w[at] = kept + step;
    const double loss = loss_f64(m, batch);
    w[at] = kept;
    return loss;
}

/* The difference over some points of a tensor, relative to the gradient's size there. */
static void check_tensor(Rig *rig, F64Model *m, double *w, const F64Batch *batch, const Param *p)
{
    Rng rng = {p->offset};
    double wrong = 0, sum = 0;
    for (int i = 0; i < POINTS; i++) {
        const size_t at = p->offset + rng_below(&rng, p->size);
        const double h = 1e-5;
        const double expected =
            (moved_loss(m, w, batch, at, h) - moved_loss(m, w, batch, at, -h)) / (2 * h);
        const double got = (double)rig->flat[at];
        wrong += (got - expected) * (got - expected);
        sum += expected * expected;
    }
    const double error = sqrt(wrong / (sum + 1e-30));
    if (!(error < 1e-5) && sqrt(wrong) > 1e-9)
        fail_msg("%s: gradient is off by %.2e of its size", p->name, error);
}

static void check_model(const char *json, float balance)
{
    Rig rig;
    const Rows *rows = rig_rows();
    rig_open(&rig, json, DTYPE_F32, 2, 256, false);
    const double got = rig_gradient(&rig, rows, NULL, 0, balance);
    double weights = 0;
    /* The last sequence is the token that fills the third row up. */
    enum { ALL = RIG_TOKENS + 1 };
    float scaled[ALL] = {0};
    int32_t ids[ALL] = {0}, targets[ALL] = {0};
    static const int lengths[] = {9, 5, 70, 11, 20, 1};
    memcpy(ids, rows->ids, sizeof(int32_t) * RIG_TOKENS);
    memcpy(targets, rows->targets, sizeof(int32_t) * RIG_TOKENS);
    for (int i = 0; i < RIG_TOKENS; i++)
        weights += (double)rows->weights[i];
    for (int i = 0; i < RIG_TOKENS; i++)
        scaled[i] = rows->weights[i] * (float)(1 / weights);
    const F64Batch batch = {6, lengths, ids, targets, scaled};
    double *w = mem_alloc(sizeof(double) * rig.params.size);
    int *chosen = mem_alloc(sizeof(int) * 2 * ALL * 8);
    for (size_t i = 0; i < rig.params.size; i++)
        w[i] = (double)rig.masters[i];
    F64Model m = {.p = &rig.params, .w = w, .chosen = chosen, .balance = (double)balance};
    m.counts = rig.totals.counts;
    m.n_total = ALL;
    const double expected = loss_f64(&m, &batch) - m.balance_loss;
    m.fixes = true;
    assert_true(fabs(got - expected) < 1e-6 * expected);
    for (int i = 0; i < rig.params.n; i++)
        check_tensor(&rig, &m, w, &batch, &rig.params.items[i]);
    mem_free(w);
    mem_free(chosen);
    rig_close(&rig);
}

static void dense_agrees_with_differences(void **state)
{
    (void)state;
    check_model(rig_dense, 0);
}

static void untied_agrees_with_differences(void **state)
{
    (void)state;
    check_model(rig_untied, 0);
}

static void biases_agree_with_differences(void **state)
{
    (void)state;
    check_model(rig_qwen2, 0);
}

static void mixture_agrees_with_differences(void **state)
{
    (void)state;
    check_model(rig_moe, 0);
    check_model(rig_moe, 0.3f); /* with the load-balancing loss */
}

/* The gradient of one configuration, to compare bits with. */
static float *gradient_of(const char *json, DType type, int n_threads, bool recomputes,
                          const int *cuts, int n_cuts, double *loss)
{
    Rig rig;
    rig_open(&rig, json, type, n_threads, 256, recomputes);
    *loss = rig_gradient(&rig, rig_rows(), cuts, n_cuts, 0.1f);
    float *copy = mem_alloc(sizeof(float) * rig.params.size);
    memcpy(copy, rig.flat, sizeof(float) * rig.params.size);
    for (size_t i = 0; i < rig.params.size; i++)
        assert_true(isfinite(copy[i]));
    rig_close(&rig);
    return copy;
}

static void check_same(const char *json, DType type, int n_threads, bool recomputes,
                       const int *cuts, int n_cuts)
{
    double expected_loss, loss;
    float *expected = gradient_of(json, type, 1, false, NULL, 0, &expected_loss);
    float *got = gradient_of(json, type, n_threads, recomputes, cuts, n_cuts, &loss);
    Rig rig;
    rig_open(&rig, json, type, 1, 256, false);
    assert_true(loss == expected_loss);
    for (int i = 0; i < rig.params.n; i++) {
        const Param *p = &rig.params.items[i];
        if (memcmp(expected + p->offset, got + p->offset, sizeof(float) * p->size) != 0)
            fail_msg("%s: other bits", p->name);
    }
    rig_close(&rig);
    mem_free(expected);
    mem_free(got);
}

static void nothing_changes_bits(void **state)
{
    (void)state;
    static const char *const models[] = {rig_dense, rig_untied, rig_qwen2, rig_moe};
    static const int every[] = {1, 2}, last[] = {2};
    for (int i = 0; i < 4; i++)
        for (int type = 0; type < 2; type++) {
            const DType t = type == 0 ? DTYPE_F32 : DTYPE_BF16;
            check_same(models[i], t, 3, false, NULL, 0);  /* threads */
            check_same(models[i], t, 2, true, NULL, 0);   /* recomputation */
            check_same(models[i], t, 2, false, every, 2); /* micro-batches */
            check_same(models[i], t, 2, true, last, 1);
        }
}

/* bfloat16 points the same way as f32. */
static void bf16_is_close(void **state)
{
    (void)state;
    static const char *const models[] = {rig_dense, rig_moe};
    for (int i = 0; i < 2; i++) {
        double loss, dot = 0, aa = 0, bb = 0;
        float *a = gradient_of(models[i], DTYPE_F32, 2, false, NULL, 0, &loss);
        float *b = gradient_of(models[i], DTYPE_BF16, 2, false, NULL, 0, &loss);
        Rig rig;
        rig_open(&rig, models[i], DTYPE_F32, 1, 256, false);
        for (size_t j = 0; j < rig.params.size; j++) {
            dot += (double)a[j] * (double)b[j];
            aa += (double)a[j] * (double)a[j];
            bb += (double)b[j] * (double)b[j];
        }
        rig_close(&rig);
        mem_free(a);
        mem_free(b);
        if (!(dot / sqrt(aa * bb) > 0.9995))
            fail_msg("model %d: cosine %.6f", i, dot / sqrt(aa * bb));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_agrees_with_differences),
        cmocka_unit_test(untied_agrees_with_differences),
        cmocka_unit_test(biases_agree_with_differences),
        cmocka_unit_test(mixture_agrees_with_differences),
        cmocka_unit_test(nothing_changes_bits),
        cmocka_unit_test(bf16_is_close),
    };
    return TEST_MAIN("backward", tests);
}
