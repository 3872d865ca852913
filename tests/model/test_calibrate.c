/* model/calibrate, formats/importance, and what a conversion does with them: columns against an
 * independent computation, weighted errors that fall, sizes that are met and well spent. */
#include "engine/rig.h"

#include "model/calibrate.h"
#include "tensor/quant.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum { N_IDS = 530 }; /* two sequences, the second one short */

static void make_ids(int32_t *ids, int n_vocab)
{
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)((unsigned)i * 7919u % (unsigned)n_vocab);
}

static Importance *calibrate_rig(const Rig *rig)
{
    Error err = {0};
    int32_t ids[N_IDS];
    const Config *c = &rig->model->config;
    Importance *importance = importance_new(c->n_layers, c->n_experts);
    make_ids(ids, c->n_vocab);
    assert_ok(calibrate(rig->model, ids, N_IDS, importance, NULL, NULL, &err));
    return importance;
}

static float *read_rows(const Rig *rig, const char *name, int64_t *n)
{
    Error err = {0};
    Tensor t;
    assert_ok(package_tensor(rig->package, name, &t, &err));
    *n = tensor_n_rows(&t) * tensor_n_cols(&t);
    float *values = mem_alloc((size_t)*n * sizeof *values);
    quant_decode(t.type, t.data, values, *n);
    return values;
}

/* The first layer's q meets the normalized embedding: the columns follow from two tensors. */
static void first_input_is_the_embedding(const Rig *rig, const Importance *importance)
{
    const Config *c = &rig->model->config;
    int64_t n;
    float *embed = read_rows(rig, "model.embed_tokens.weight", &n);
    float *norm = read_rows(rig, "model.layers.0.input_layernorm.weight", &n);
    int32_t ids[N_IDS];
    make_ids(ids, c->n_vocab);
    double *expected = mem_alloc((size_t)c->d_model * sizeof *expected), total = 0, got_total = 0;
    for (int i = 0; i < N_IDS; i++) {
        const float *row = embed + (size_t)ids[i] * (size_t)c->d_model;
        double squares = 0;
        for (int k = 0; k < c->d_model; k++)
            squares += (double)row[k] * (double)row[k];
        for (int k = 0; k < c->d_model; k++) {
            double v = (double)row[k] * (double)norm[k] / sqrt(squares / c->d_model + c->rms_eps);
            expected[k] += v * v;
            total += v * v;
        }
    }
    float *columns = mem_alloc((size_t)c->d_model * sizeof *columns);
    assert_true(importance_columns(importance, "model.layers.0.self_attn.k_proj.weight", c->d_model,
                                   columns));
    for (int k = 0; k < c->d_model; k++)
        got_total += (double)columns[k];
    for (int k = 0; k < c->d_model; k++) {
        double share = expected[k] / total, got = (double)columns[k] / got_total;
        if (fabs(got - share) > 2e-3 / c->d_model + 1e-4 * share)
            fail_msg("column %d: %g, expected %g", k, got, share);
    }
    assert_false(importance_columns(importance, "model.layers.0.self_attn.k_proj.weight",
                                    c->d_model + 1, columns));
    double share = importance_share(importance, "model.layers.0.self_attn.v_proj.weight");
    assert_true(share > 0 && share < 4);
    mem_free(columns);
    mem_free(expected);
    mem_free(norm);
    mem_free(embed);
}

/* Tokens of experts: all experts' entries are there, and they differ. */
static void experts_have_their_own(const Rig *rig, const Importance *importance)
{
    const Config *c = &rig->model->config;
    float *first = mem_alloc((size_t)c->d_expert * sizeof *first);
    float *other = mem_alloc((size_t)c->d_expert * sizeof *other);
    int n_different = 0;
    for (int e = 0; e < c->n_experts; e++) {
        char name[128];
        snprintf(name, sizeof name, "model.layers.1.mlp.experts.%d.down_proj.weight", e);
        assert_true(importance_columns(importance, name, c->d_expert, e ? other : first));
        n_different += e > 0 && memcmp(first, other, (size_t)c->d_expert * sizeof *first) != 0;
    }
    assert_int_equal(n_different, c->n_experts - 1);
    mem_free(first);
    mem_free(other);
}

static void columns_are_mean_squares(void **state)
{
    Rig rig = rig_open("tiny-moe", "F32", 1);
    Importance *importance = calibrate_rig(&rig);
    (void)state;
    first_input_is_the_embedding(&rig, importance);
    experts_have_their_own(&rig, importance);
    importance_free(importance);
    rig_close(&rig);
}

/* ---- Conversions ------------------------------------------------------------------------------
 */

typedef struct Totals {
    double weighted; /* sum over matrices of the squared weighted error times the share */
    const Importance *importance;
} Totals;

static void add_tensor(void *context, const ConvertedTensor *t)
{
    Totals *totals = context;
    if (t->weighted_error < 0)
        return;
    /* Names in a GGUF are not Hugging Face's; block kinds are told apart by theirs. */
    int layer = -1;
    char name[128] = "lm_head.weight";
    if (sscanf(t->info.name, "blk.%d.", &layer) == 1)
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer,
                 strstr(t->info.name, "attn") ? "self_attn.q_proj" : "mlp.gate_proj");
    totals->weighted +=
        t->weighted_error * t->weighted_error * importance_share(totals->importance, name);
}

/* The total of a conversion, judged by `judge` whatever the encoder was told. */
static double convert(const Package *in, const char *type, uint64_t bytes,
                      const Importance *importance, const Importance *judge, uint64_t *size)
{
    Error err = {0};
    const char *out = test_temp("calibrated.gguf");
    Totals totals = {.importance = judge};
    ConvertOptions options = {.type = type,
                              .target_bytes = bytes,
                              .importance = importance,
                              .measure_error = true,
                              .n_threads = 1,
                              .tensor_done = importance ? add_tensor : NULL,
                              .context = &totals};
    struct stat info;
    assert_ok(package_convert(in, out, &options, &err));
    assert_int_equal(stat(out, &info), 0);
    if (size)
        *size = (uint64_t)info.st_size;
    return totals.weighted;
}

static double weighted_error_of(const Package *in, const Package *made, const char *name,
                                const Importance *judge)
{
    Error err = {0};
    Tensor a, b;
    assert_ok(package_tensor(in, name, &a, &err) && package_tensor(made, name, &b, &err));
    const int64_t n_cols = tensor_n_cols(&a), n = n_cols * tensor_n_rows(&a);
    float *x = mem_alloc((size_t)n * sizeof *x), *y = mem_alloc((size_t)n * sizeof *y);
    float *w = mem_alloc((size_t)n_cols * sizeof *w);
    double sum = 0;
    quant_decode(a.type, a.data, x, n);
    quant_decode(b.type, b.data, y, n);
    assert_true(importance_columns(judge, name, (int)n_cols, w));
    for (int64_t i = 0; i < n; i++) {
        const double off = (double)x[i] - (double)y[i];
        sum += (double)w[i % n_cols] * (off * off);
    }
    mem_free(x);
    mem_free(y);
    mem_free(w);
    return sum;
}

static void weighted_errors_fall(void **state)
{
    static const char *const types[] = {"Q4_K_S"};
    static const char *const matrices[] = {"model.layers.1.self_attn.q_proj.weight",
                                           "model.layers.1.self_attn.o_proj.weight",
                                           "model.layers.1.mlp.down_proj.weight"};
    Rig rig = rig_open("tiny", "F32", 1);
    Importance *importance = calibrate_rig(&rig);
    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        double sums[2] = {0, 0};
        for (int is_calibrated = 0; is_calibrated < 2; is_calibrated++) {
            Error err = {0};
            (void)convert(rig.package, types[t], 0, is_calibrated ? importance : NULL, importance,
                          NULL);
            Package *made = package_open(test_temp("calibrated.gguf"), true, &err);
            assert_ok(made);
            for (size_t m = 0; m < sizeof matrices / sizeof *matrices; m++)
                sums[is_calibrated] +=
                    weighted_error_of(rig.package, made, matrices[m], importance);
            package_close(made);
        }
        if (!(sums[1] < 0.995 * sums[0]))
            fail_msg("%s: %g with importance, %g without", types[t], sums[1], sums[0]);
    }
    importance_free(importance);
    rig_close(&rig);
}

/* Every size is kept, and no plain type that fits in it has much less error: the choice could have
 * made the same. */
static void sizes_are_met_and_well_spent(void **state)
{
    static const char *const types[] = {"Q4_K_M", "Q6_K"};
    Rig rig = rig_open("tiny", "F32", 1);
    Importance *importance = calibrate_rig(&rig);
    double previous = (double)INFINITY;
    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        uint64_t plain_bytes, bytes;
        double plain = convert(rig.package, types[t], 0, importance, importance, &plain_bytes);
        double chosen = convert(rig.package, NULL, plain_bytes, importance, importance, &bytes);
        if (bytes > plain_bytes)
            fail_msg("%s: %llu bytes asked for, %llu made", types[t],
                     (unsigned long long)plain_bytes, (unsigned long long)bytes);
        if (!(chosen <= 1.01 * plain))
            fail_msg("%s: %g chosen, %g plain", types[t], chosen, plain);
        assert_true(chosen < previous);
        previous = chosen;
    }
    Error err = {0};
    ConvertOptions options = {.target_bytes = 1000};
    assert_error(package_convert(rig.package, test_temp("none.gguf"), &options, &err), ERROR_LIMIT,
                 "bytes");
    assert_false(file_exists(test_temp("none.gguf")));
    options.target_bytes = 300000;
    assert_error(package_convert(rig.package, test_temp("none.gguf"), &options, &err), ERROR_LIMIT,
                 "the smallest types take");
    importance_free(importance);
    rig_close(&rig);
}

/* ---- llama.cpp's file -------------------------------------------------------------------------
 */

static void write_imatrix(const char *path, const char *name, const char *type, int n_cols,
                          float value)
{
    Error err = {0};
    GgufWriter *w = gguf_writer_open(path, &err);
    char sums[128], counts[128];
    float *values = mem_alloc((size_t)n_cols * sizeof *values), count = 3;
    assert_ok(w);
    snprintf(sums, sizeof sums, "%s.in_sum2", name);
    snprintf(counts, sizeof counts, "%s.counts", name);
    gguf_put_str(w, "general.type", str_from(type));
    gguf_declare(w, &(TensorInfo){.name = sums, .n_dims = 2, .dims = {1, n_cols}});
    gguf_declare(w, &(TensorInfo){.name = counts, .n_dims = 2, .dims = {1, 1}});
    for (int i = 0; i < n_cols; i++)
        values[i] = value * (float)(i + 1);
    assert_ok(gguf_begin(w, &err) && gguf_write(w, values, (size_t)n_cols * sizeof *values, &err) &&
              gguf_write(w, &count, sizeof count, &err) && gguf_writer_commit(w, &err));
    mem_free(values);
}

static void llama_cpps_file_is_read(void **state)
{
    Error err = {0};
    const char *path = test_temp("imatrix.gguf");
    float columns[64];
    (void)state;
    write_imatrix(path, "blk.1.ffn_down.weight", "imatrix", 64, 2);
    Importance *importance = importance_read(path, 2, 0, &err);
    assert_ok(importance);
    assert_true(importance_columns(importance, "model.layers.1.mlp.down_proj.weight", 64, columns));
    for (int i = 0; i < 64; i++)
        assert_true(fabsf(columns[i] / columns[0] - (float)(i + 1)) < 0.05f * (float)(i + 1));
    assert_false(
        importance_columns(importance, "model.layers.0.mlp.down_proj.weight", 64, columns));
    importance_free(importance);
    assert_error(importance_read(path, 1, 0, &err), ERROR_FORMAT, "belongs to another model");
    write_imatrix(path, "blk.1.ffn_down.weight", "imatrix", 64, NAN);
    assert_error(importance_read(path, 2, 0, &err), ERROR_FORMAT, "is no sum of squares");
    write_imatrix(path, "blk.1.ffn_down.weight", "model", 64, 2);
    assert_error(importance_read(path, 2, 0, &err), ERROR_FORMAT, "not an importance matrix");
    write_imatrix(path, "blk.1.ffn_up_exps.weight", "imatrix", 64, 2);
    assert_error(importance_read(path, 2, 8, &err), ERROR_FORMAT, "does not fit this model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_mean_squares),
        cmocka_unit_test(weighted_errors_fall),
        cmocka_unit_test(sizes_are_met_and_well_spent),
        cmocka_unit_test(llama_cpps_file_is_read),
    };
    return TEST_MAIN("calibrate", tests);
}
