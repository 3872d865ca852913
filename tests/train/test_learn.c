/* What learns and what is frozen: an adapter's gradients against finite differences of the merged
 * model in double precision, frozen tensors, and the promises about threads, cuts and
 * recomputation, bit for bit. */
#include "rig.h"

#include "model_f64.h"

#include <math.h>

enum { POINTS = 12, ALL = RIG_TOKENS + 1 };

static const LearnOptions lora = {.rank = 3, .alpha = 6};
static const LearnOptions lora_two = {.rank = 5,
                                      .alpha = 5,
                                      .is_rslora = true,
                                      .projections = 1u << PROJECTION_V | 1u << PROJECTION_O};

/* A rig whose adapter is away from B = 0, where A has no gradient. */
static void open_learning(Rig *rig, const char *json, DType type, int n_threads, bool recomputes,
                          const LearnOptions *learn)
{
    rig_open_learning(rig, json, type, n_threads, 256, recomputes, learn);
    for (int i = 0; i < rig->params.n; i++) {
        const Param *p = &rig->params.items[i];
        for (size_t j = 0; p->is_adapter && j < p->size; j++) {
            Rng noise = {rng_counter(5, (uint64_t)p->place, j)};
            rig->masters[p->offset + j] = 0.08f * (float)rng_normal(&noise);
        }
    }
    params_publish(&rig->params, rig->masters);
}

/* ---- Finite differences ----------------------------------------------------------------------
 */

/* The adapter in double, and the model that it is merged into. */
typedef struct Merged {
    const Rig *rig;  /* whose adapter it is */
    const Rig *full; /* the same model, all of it listed */
    double *low;     /* [rig->params.size] */
    double *w;       /* [full->params.size] */
    F64Model *model;
    const F64Batch *batch;
} Merged;

static const Param *find_param(const Params *p, const char *name)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->items[i].name, name) == 0)
            return &p->items[i];
    fail_msg("%s is not there", name);
    return NULL;
}

static double merged_loss(const Merged *m)
{
    const Params *p = &m->rig->params;
    for (size_t i = 0; i < m->full->params.size; i++)
        m->w[i] = (double)m->full->masters[i];
    for (int i = 0; i < p->n; i += 2) { /* A, then its B */
        const Param *a = &p->items[i], *b = &p->items[i + 1];
        char name[PARAM_NAME_BYTES];
        snprintf(name, sizeof name, "%.*sweight", (int)(strstr(a->name, "lora_A") - a->name),
                 a->name);
        const Param *base = find_param(&m->full->params, name);
        for (int row = 0; row < b->n_rows; row++)
            for (int col = 0; col < a->n_cols; col++) {
                double sum = 0;
                for (int r = 0; r < a->n_rows; r++)
                    sum += m->low[b->offset + (size_t)(row * b->n_cols + r)] *
                           m->low[a->offset + (size_t)(r * a->n_cols + col)];
                m->w[base->offset + (size_t)(row * a->n_cols + col)] +=
                    (double)p->adapter->scale * sum;
            }
    }
    return loss_f64(m->model, m->batch);
}

static double moved(const Merged *m, size_t at, double step)
{
    const double kept = m->low[at];
    m->low[at] = kept + step;
    const double loss = merged_loss(m);
    m->low[at] = kept;
    return loss;
}

static void check_tensor(const Merged *m, const Param *p)
{
    Rng rng = {p->offset};
    double wrong = 0, sum = 0;
    for (int i = 0; i < POINTS; i++) {
        const size_t at = p->offset + rng_below(&rng, p->size);
        const double h = 1e-5, got = (double)m->rig->flat[at];
        const double expected = (moved(m, at, h) - moved(m, at, -h)) / (2 * h);
        wrong += (got - expected) * (got - expected);
        sum += expected * expected;
    }
    const double error = sqrt(wrong / (sum + 1e-30));
    if (!(error < 1e-5) || !(sum > 0))
        fail_msg("%s: gradient is off by %.2e of its size", p->name, error);
}

static void check_adapter(const char *json, const LearnOptions *learn)
{
    Rig rig, full;
    const Rows *rows = rig_rows();
    open_learning(&rig, json, DTYPE_F32, 2, false, learn);
    rig_open(&full, json, DTYPE_F32, 1, 256, false);
    const double got = rig_gradient(&rig, rows, NULL, 0, 0);
    double weights = 0;
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
    Merged m = {.rig = &rig, .full = &full, .batch = &batch};
    m.low = mem_alloc(sizeof(double) * rig.params.size);
    m.w = mem_alloc(sizeof(double) * full.params.size);
    int *chosen = mem_alloc(sizeof(int) * 2 * ALL * 8);
    F64Model model = {.p = &full.params, .w = m.w, .chosen = chosen, .n_total = ALL};
    m.model = &model;
    for (size_t i = 0; i < rig.params.size; i++)
        m.low[i] = (double)rig.masters[i];
    assert_true(fabs(got - merged_loss(&m)) < 1e-6 * got);
    model.fixes = true;
    for (int i = 0; i < rig.params.n; i++)
        check_tensor(&m, &rig.params.items[i]);
    mem_free(m.low);
    mem_free(m.w);
    mem_free(chosen);
    rig_close(&rig);
    rig_close(&full);
}

static void adapters_agree_with_differences(void **state)
{
    (void)state;
    check_adapter(rig_dense, &lora);
    check_adapter(rig_untied, &lora_two);
    check_adapter(rig_qwen2, &lora);
    check_adapter(rig_moe, &lora);
}

/* ---- Bits ------------------------------------------------------------------------------------
 */

static void check_same(const char *json, DType type, int n_threads, bool recomputes,
                       const int *cuts, int n_cuts)
{
    Rig one, other;
    open_learning(&one, json, type, 1, false, &lora);
    open_learning(&other, json, type, n_threads, recomputes, &lora);
    const double loss = rig_gradient(&one, rig_rows(), NULL, 0, 0.1f);
    assert_true(loss == rig_gradient(&other, rig_rows(), cuts, n_cuts, 0.1f));
    for (int i = 0; i < one.params.n; i++) {
        const Param *p = &one.params.items[i];
        if (memcmp(one.flat + p->offset, other.flat + p->offset, sizeof(float) * p->size) != 0)
            fail_msg("%s: other bits", p->name);
    }
    rig_close(&one);
    rig_close(&other);
}

static void nothing_changes_bits(void **state)
{
    (void)state;
    static const char *const models[] = {rig_dense, rig_moe};
    static const int every[] = {1, 2}, last[] = {2};
    for (int i = 0; i < 2; i++)
        for (int type = 0; type < 2; type++) {
            const DType t = type == 0 ? DTYPE_F32 : DTYPE_BF16;
            check_same(models[i], t, 3, false, NULL, 0);  /* threads */
            check_same(models[i], t, 2, false, every, 2); /* micro-batches */
            check_same(models[i], t, 2, true, last, 1);   /* recomputation */
        }
}

/* ---- Freezing --------------------------------------------------------------------------------
 */

/* Those that are not frozen have the gradients they have without; the others have none. */
static void check_frozen(const char *json, const char *const *patterns, int n, int n_expected)
{
    Rig rig, full;
    const LearnOptions learn = {.freeze = patterns, .n_freeze = n};
    rig_open_learning(&rig, json, DTYPE_BF16, 1, 256, false, &learn);
    rig_open(&full, json, DTYPE_BF16, 1, 256, false);
    assert_int_equal(rig.params.n_frozen, n_expected);
    assert_int_equal(rig.params.n + rig.params.n_frozen, full.params.n);
    assert_true(rig.params.size < full.params.size);
    const double loss = rig_gradient(&full, rig_rows(), NULL, 0, 0.1f);
    assert_true(loss == rig_gradient(&rig, rig_rows(), NULL, 0, 0.1f));
    for (int i = 0; i < rig.params.n; i++) {
        const Param *p = &rig.params.items[i], *same = find_param(&full.params, p->name);
        if (memcmp(rig.flat + p->offset, full.flat + same->offset, sizeof(float) * p->size) != 0)
            fail_msg("%s: other bits than with nothing frozen", p->name);
    }
    rig_close(&rig);
    rig_close(&full);
}

static void frozen_tensors_change_no_other(void **state)
{
    (void)state;
    static const char *const head[] = {"model.embed_tokens.weight"};
    static const char *const low[] = {"model.embed*", "model.layers.0.*"};
    static const char *const parts[] = {"*.self_attn.[qk]_proj.weight", "model.norm.weight",
                                        "*.mlp.down_proj.weight"};
    static const char *const experts[] = {"*.mlp.experts.*", "*.mlp.gate.weight"};
    check_frozen(rig_dense, head, 1, 1);
    check_frozen(rig_untied, head, 1, 1);
    check_frozen(rig_dense, low, 2, 12);
    check_frozen(rig_dense, parts, 3, 7);
    check_frozen(rig_moe, experts, 2, 8);
}

static void expect_refused(const char *json, const LearnOptions *learn, ErrorCode code,
                           const char *part)
{
    Rig rig;
    Params params;
    Error err = {0};
    rig_open(&rig, json, DTYPE_F32, 1, 256, false);
    assert_error(params_open(&params, &rig.config, rig.backend, DTYPE_F32, false, learn, &err),
                 code, part);
    rig_close(&rig);
}

static void what_cannot_learn_is_refused(void **state)
{
    (void)state;
    static const char *const no_such[] = {"model.norm.weight", "model.layers.7.*"};
    static const char *const some[] = {"*.mlp.experts.[0-2].*"}, *const all[] = {"*"};
    const LearnOptions unmet = {.freeze = no_such, .n_freeze = 2};
    const LearnOptions divided = {.freeze = some, .n_freeze = 1};
    const LearnOptions nothing = {.freeze = all, .n_freeze = 1};
    const LearnOptions wide = {.rank = 25, .alpha = 1};
    const LearnOptions experts = {.rank = 2, .alpha = 1, .projections = 1u << PROJECTION_UP};
    expect_refused(rig_dense, &unmet, ERROR_ARGUMENT, "no tensor has a name like \"model.layers.7");
    expect_refused(rig_moe, &divided, ERROR_UNSUPPORTED, "3 of the 8 experts");
    expect_refused(rig_dense, &nothing, ERROR_ARGUMENT, "nothing is left");
    expect_refused(rig_dense, &wide, ERROR_ARGUMENT, "lora.rank: 25 is above the model's width");
    expect_refused(rig_moe, &experts, ERROR_UNSUPPORTED, "lora.targets: up_proj: layer 0");
}

/* PEFT's: A uniform in +-1 / sqrt(columns), B zero, so that the model begins as its base. */
static void adapters_begin_as_nothing(void **state)
{
    (void)state;
    Rig rig, full;
    rig_open_learning(&rig, rig_dense, DTYPE_F32, 1, 256, false, &lora);
    rig_open(&full, rig_dense, DTYPE_F32, 1, 256, false);
    for (int i = 0; i < rig.params.n; i++) {
        const Param *p = &rig.params.items[i];
        double most = 0;
        for (size_t j = 0; j < p->size; j++)
            most = fmax(most, fabs((double)rig.masters[p->offset + j]));
        const double bound = 1 / sqrt(p->n_cols);
        assert_true(i % 2 ? most == 0 : most <= bound && most > 0.8 * bound);
    }
    const double loss = rig_gradient(&full, rig_rows(), NULL, 0, 0);
    assert_true(loss == rig_gradient(&rig, rig_rows(), NULL, 0, 0));
    rig_close(&rig);
    rig_close(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapters_agree_with_differences),
        cmocka_unit_test(nothing_changes_bits),
        cmocka_unit_test(frozen_tensors_change_no_other),
        cmocka_unit_test(what_cannot_learn_is_refused),
        cmocka_unit_test(adapters_begin_as_nothing),
    };
    return TEST_MAIN("learn", tests);
}
