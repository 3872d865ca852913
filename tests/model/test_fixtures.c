/* The forward pass against logits that PyTorch computed in float64 (tools/make_fixtures.py), from
 * the same weights in both formats: dense, mixture, sparse mixture, Qwen2, YaRN. */
#include "support.h"

#include "model_logits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE 5e-5 /* f32 sums against float64; measured: at most 1e-5 */

typedef struct Fixture {
    json_t *json;
    const json_t *columns, *logits, *log_sum_exp, *top;
    int n_vocab;
    double worst;
    int n_wrong_top, n_positions;
} Fixture;

static void take(void *context, int position, const float *logits)
{
    Fixture *f = context;
    const size_t t = (size_t)position;
    int top = 0;
    double sum = 0;
    for (int i = 1; i < f->n_vocab; i++)
        if (logits[i] > logits[top])
            top = i;
    for (int i = 0; i < f->n_vocab; i++)
        sum += exp((double)logits[i] - (double)logits[top]);
    const double expected_sum = json_real_value(json_array_get(f->log_sum_exp, t));
    f->worst = fmax(f->worst, fabs((double)logits[top] + log(sum) - expected_sum));
    for (size_t i = 0; i < json_array_size(f->columns); i++) {
        const json_int_t column = json_integer_value(json_array_get(f->columns, i));
        const double expected = json_real_value(json_array_get(json_array_get(f->logits, t), i));
        f->worst = fmax(f->worst, fabs((double)logits[column] - expected));
    }
    f->n_wrong_top += top != json_integer_value(json_array_get(f->top, t));
    f->n_positions++;
}

/* Makes the fixture's model at `path` with its own command. */
static void make_model(const Fixture *f, const char *path)
{
    const char *build = getenv("WEN_BUILD");
    const json_t *words = json_object_get(f->json, "model");
    Buf command = {0};
    buf_printf(&command, "%s/tools/make_model %s '%s'", build ? build : "build/release",
               json_string_value(json_array_get(words, 0)), path);
    for (size_t i = 1; i < json_array_size(words); i++)
        buf_printf(&command, " %s", json_string_value(json_array_get(words, i)));
    buf_puts(&command, " 2>/dev/null");
    assert_int_equal(system(command.data), 0);
    buf_free(&command);
}

static void run(Fixture *f, const char *path)
{
    Error err = {0};
    const json_t *list = json_object_get(f->json, "ids");
    const int n = (int)json_array_size(list);
    int32_t *ids = mem_alloc(sizeof *ids * (size_t)n);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    Backend *backend;
    Package *package;
    Model *model;
    assert_ok(backend = backend_open("cpu", 2, &err));
    assert_ok(package = package_open(path, true, &err));
    assert_ok(model = model_open(package, backend, NULL, &err));
    f->n_vocab = model->config.n_vocab;
    f->worst = 0;
    f->n_wrong_top = f->n_positions = 0;
    assert_ok(logits_run(model, DTYPE_F32, ids, n, take, f, &err));
    assert_int_equal(f->n_positions, n);
    assert_int_equal(f->n_wrong_top, 0);
    if (!(f->worst < TOLERANCE))
        fail_msg("%s: a logit is %.3g off", path, f->worst);
    model_close(model);
    package_close(package);
    backend->close(backend);
    mem_free(ids);
}

static void check(const char *name, bool also_gguf)
{
    char path[256];
    json_error_t at;
    snprintf(path, sizeof path, "tests/fixtures/model_%s.json", name);
    Fixture f = {.json = json_load_file(path, 0, &at)};
    if (!f.json)
        fail_msg("%s: %s", path, at.text);
    f.columns = json_object_get(f.json, "columns");
    f.logits = json_object_get(f.json, "logits");
    f.log_sum_exp = json_object_get(f.json, "log_sum_exp");
    f.top = json_object_get(f.json, "top");
    assert_true(json_array_size(f.columns) >= 16 && json_array_size(f.logits) >= 16);
    for (int is_gguf = 0; is_gguf <= also_gguf; is_gguf++) {
        char file[64], model[512];
        snprintf(file, sizeof file, "%s%s", name, is_gguf ? ".gguf" : "");
        snprintf(model, sizeof model, "%s", test_temp(file));
        make_model(&f, model);
        run(&f, model);
    }
    json_decref(f.json);
}

static void dense(void **state)
{
    (void)state;
    check("dense", true);
}
static void dense_untied(void **state)
{
    (void)state;
    check("dense_untied", true);
}
static void mixture(void **state)
{
    (void)state;
    check("moe", true);
}
static void sparse_mixture(void **state)
{
    (void)state;
    check("moe_sparse", false);
}
static void qwen2(void **state)
{
    (void)state;
    check("qwen2", true);
}
static void yarn(void **state)
{
    (void)state;
    check("yarn", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense),          cmocka_unit_test(dense_untied), cmocka_unit_test(mixture),
        cmocka_unit_test(sparse_mixture), cmocka_unit_test(qwen2),        cmocka_unit_test(yarn),
    };
    return TEST_MAIN("fixtures", tests);
}
