/* train: documents that share a row are each as if alone, and what is not scored teaches nothing.
 */
#include "rig.h"

#include <math.h>

enum { N_DOCS = 5 };

typedef struct Gradient {
    double loss;
    float *values;
    size_t size;
} Gradient;

static Gradient gradient_of(const char *json, DType type, const Rows *rows)
{
    Rig rig;
    rig_open(&rig, json, type, 2, 256, false);
    Gradient g = {.size = rig.params.size};
    g.loss = rig_gradient(&rig, rows, NULL, 0, 0);
    g.values = mem_alloc(sizeof(float) * g.size);
    memcpy(g.values, rig.flat, sizeof(float) * g.size);
    rig_close(&rig);
    return g;
}

static void expect_close(const Gradient *a, const Gradient *b, double tolerance)
{
    double norm = 0, difference = 0;
    assert_true(fabs(a->loss - b->loss) <= tolerance * a->loss);
    for (size_t i = 0; i < a->size; i++) {
        norm += (double)a->values[i] * (double)a->values[i];
        difference += pow((double)a->values[i] - (double)b->values[i], 2);
    }
    assert_true(norm > 0);
    if (!(sqrt(difference / norm) <= tolerance))
        fail_msg("gradients differ by %.3g of their length", sqrt(difference / norm));
}

static void expect_same(const Gradient *a, const Gradient *b)
{
    assert_true(a->loss == b->loss);
    assert_memory_equal(a->values, b->values, sizeof(float) * a->size);
}

/* A copy of the rig's rows that may be changed. */
typedef struct OwnRows {
    Rows rows;
    int32_t ids[RIG_TOKENS], targets[RIG_TOKENS];
    float weights[RIG_TOKENS];
} OwnRows;

static void copy_rows(OwnRows *own)
{
    own->rows = *rig_rows();
    memcpy(own->ids, own->rows.ids, sizeof own->ids);
    memcpy(own->targets, own->rows.targets, sizeof own->targets);
    memcpy(own->weights, own->rows.weights, sizeof own->weights);
    own->rows.ids = own->ids;
    own->rows.targets = own->targets;
    own->rows.weights = own->weights;
}

static const char *const models[] = {rig_dense, rig_untied, rig_qwen2, rig_moe};
enum { N_MODELS = sizeof models / sizeof *models };

/* Documents that are not kept apart are another batch: what the next test would miss otherwise. */
static void joined_documents_are_another_batch(void **state)
{
    (void)state;
    static const int rows[] = {0, N_DOCS - 1}, joined[] = {0, 14, 84, 95, RIG_TOKENS};
    OwnRows one, other;
    copy_rows(&one);
    copy_rows(&other);
    other.rows.n_rows = 1;
    other.rows.row_start = rows;
    other.rows.doc_start = joined;
    Gradient a = gradient_of(rig_dense, DTYPE_F32, &one.rows);
    Gradient b = gradient_of(rig_dense, DTYPE_F32, &other.rows);
    assert_true(fabs(a.loss - b.loss) > 1e-4 * a.loss);
    mem_free(a.values);
    mem_free(b.values);
}

static void a_packed_row_is_its_documents(void **state)
{
    (void)state;
    static const int together[] = {0, N_DOCS}, apart[] = {0, 1, 2, 3, 4, N_DOCS};
    for (int i = 0; i < N_MODELS; i++) {
        OwnRows one, many;
        copy_rows(&one);
        copy_rows(&many);
        one.rows.n_rows = 1;
        one.rows.row_start = together;
        many.rows.n_rows = N_DOCS;
        many.rows.row_start = apart;
        Gradient a = gradient_of(models[i], DTYPE_F32, &one.rows);
        Gradient b = gradient_of(models[i], DTYPE_F32, &many.rows);
        expect_close(&a, &b, 1e-6);
        mem_free(a.values);
        mem_free(b.values);
    }
}

/* The longest document becomes another one, of which nothing is scored. */
static void neighbours_are_not_seen(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        OwnRows one, other;
        copy_rows(&one);
        for (int t = rig_doc_start[2]; t < rig_doc_start[3]; t++)
            one.weights[t] = 0;
        other = one;
        other.rows.ids = other.ids;
        for (int t = rig_doc_start[2]; t < rig_doc_start[3]; t++)
            other.ids[t] = (other.ids[t] + 7) % 50;
        Gradient a = gradient_of(models[i], DTYPE_F32, &one.rows);
        Gradient b = gradient_of(models[i], DTYPE_F32, &other.rows);
        expect_close(&a, &b, 1e-6);
        assert_true(a.loss == b.loss);
        mem_free(a.values);
        mem_free(b.values);
    }
}

/* Targets that are not scored do not matter, and neither does the unit of the weights. */
static void what_is_not_scored_teaches_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        OwnRows one, other;
        copy_rows(&one);
        copy_rows(&other);
        for (int t = 0; t < RIG_TOKENS; t++) {
            other.weights[t] *= 0.25f; /* exact */
            if (other.weights[t] == 0)
                other.targets[t] = (other.targets[t] + 7) % 50;
        }
        Gradient a = gradient_of(models[i], DTYPE_F32, &one.rows);
        Gradient b = gradient_of(models[i], DTYPE_F32, &other.rows);
        expect_same(&a, &b);
        mem_free(a.values);
        mem_free(b.values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_documents_are_another_batch),
        cmocka_unit_test(a_packed_row_is_its_documents),
        cmocka_unit_test(neighbours_are_not_seen),
        cmocka_unit_test(what_is_not_scored_teaches_nothing),
    };
    return TEST_MAIN("packing", tests);
}
