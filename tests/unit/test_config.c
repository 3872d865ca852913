/* model/config: the release files, YaRN's numbers, and configurations that are refused. */
#include "support.h"

#include "model/positions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char small[] =
    "{\"model_type\": \"qwen3\", \"hidden_size\": 64, \"num_hidden_layers\": 2, \"vocab_size\": "
    "300,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 32, \"rope_theta\": "
    "1000000.0,"
    " \"intermediate_size\": 96, \"max_position_embeddings\": 128, \"eos_token_id\": [5, 7],"
    " \"rms_norm_eps\": 1e-06}";

static bool read_text(Config *c, const char *text, Error *err)
{
    json_error_t where;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &where);
    assert_non_null(json);
    bool ok = config_read(c, json, err);
    json_decref(json);
    return ok;
}

/* `small` with one key replaced. */
static bool read_with(const char *key, const char *value, Error *err)
{
    Config c;
    json_t *json = json_loads(small, 0, NULL);
    json_t *replacement = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_non_null(replacement);
    json_object_set_new(json, key, replacement);
    bool ok = config_read(&c, json, err);
    json_decref(json);
    return ok;
}

static void small_one_is_read(void **state)
{
    (void)state;
    Error err = {0};
    Config c;
    assert_ok(read_text(&c, small, &err));
    assert_int_equal(c.n_layers, 2);
    assert_int_equal(c.head_dim, 32);
    assert_true(c.has_qk_norm && !c.has_qkv_bias && !c.is_tied);
    assert_int_equal(c.n_eos, 2);
    assert_int_equal(config_kv_elements(&c), 2 * 2 * 2 * 32);
    /* embed + head + final norm + 2 layers of (norms, q, o, k, v, qk norms, ffn) */
    assert_int_equal(config_n_parameters(&c),
                     2 * 300 * 64 + 64 +
                         2 * (2 * 64 + 2 * 64 * 128 + 2 * 64 * 64 + 2 * 32 + 3 * 64 * 96));
}

static void absurd_ones_are_refused(void **state)
{
    (void)state;
    Error err = {0};
    assert_error(read_with("num_hidden_layers", "0", &err), ERROR_LIMIT, "num_hidden_layers");
    assert_error(read_with("num_hidden_layers", "1000000", &err), ERROR_LIMIT, "num_hidden_layers");
    assert_error(read_with("hidden_size", "-64", &err), ERROR_LIMIT, "hidden_size");
    assert_error(read_with("hidden_size", "64.5", &err), ERROR_FORMAT, "whole number");
    assert_error(read_with("vocab_size", "\"many\"", &err), ERROR_FORMAT, "vocab_size");
    assert_error(read_with("head_dim", "30", &err), ERROR_UNSUPPORTED, "head_dim");
    assert_error(read_with("num_key_value_heads", "3", &err), ERROR_FORMAT, "cannot share");
    assert_error(read_with("rms_norm_eps", "-1", &err), ERROR_LIMIT, "rms_norm_eps");
    assert_error(read_with("eos_token_id", "300", &err), ERROR_FORMAT, "eos_token_id");
    assert_error(read_with("model_type", "\"llama\"", &err), ERROR_UNSUPPORTED, "llama");
    assert_error(read_with("hidden_act", "\"gelu\"", &err), ERROR_UNSUPPORTED, "gelu");
    assert_error(read_with("tie_word_embeddings", "1", &err), ERROR_FORMAT, "true or false");
    assert_error(read_with("rope_scaling", "{\"type\": \"longrope\", \"factor\": 2}", &err),
                 ERROR_UNSUPPORTED, "longrope");
    assert_error(read_with("rope_scaling", "{\"type\": \"linear\"}", &err), ERROR_FORMAT, "factor");
    assert_error(
        read_with("dual_chunk_attention_config", "{\"chunk_size\": 100, \"local_size\": 10}", &err),
        ERROR_UNSUPPORTED, "is 90");
    assert_error(
        read_with("dual_chunk_attention_config", "{\"chunk_size\": 64, \"local_size\": 64}", &err),
        ERROR_UNSUPPORTED, "local_size");
    assert_error(read_with("rope_scaling", "{\"type\": \"yarn\"}", &err), ERROR_FORMAT, "factor");
    Config c;
    assert_error(read_text(&c, "[]", &err), ERROR_FORMAT, "not an object");
    assert_error(read_text(&c, "{}", &err), ERROR_FORMAT, "model_type");
}

static bool read_and_add(Config *c, const char *more, Error *err)
{
    json_t *json = json_loads(small, 0, NULL), *change = json_loads(more, 0, NULL);
    json_object_update(json, change);
    const bool ok = config_read(c, json, err);
    json_decref(change);
    json_decref(json);
    return ok;
}

static void windows_belong_to_layers(void **state)
{
    (void)state;
    Error err = {0};
    Config c;
    assert_ok(read_and_add(&c, "{\"sliding_window\": 16, \"max_window_layers\": 1}", &err));
    assert_int_equal(c.window, 0);
    const char *from_one = "{\"use_sliding_window\": true, \"sliding_window\": 16, "
                           "\"max_window_layers\": 1}";
    assert_ok(read_and_add(&c, from_one, &err));
    assert_int_equal(c.window, 16);
    assert_true(!c.has_window[0] && c.has_window[1]);
    assert_ok(positions_are_plain(&c, 16, &err));
    assert_error(positions_are_plain(&c, 17, &err), ERROR_UNSUPPORTED, "sliding window beyond 16");
    assert_ok(read_and_add(&c,
                           "{\"use_sliding_window\": true, \"sliding_window\": 16, "
                           "\"layer_types\": [\"sliding_attention\", \"full_attention\"]}",
                           &err));
    assert_true(c.has_window[0] && !c.has_window[1]);
    assert_ok(read_and_add(&c, "{\"use_sliding_window\": true, \"sliding_window\": null}", &err));
    assert_int_equal(c.window, 0);
    assert_error(read_and_add(&c,
                              "{\"use_sliding_window\": true, \"sliding_window\": 16, "
                              "\"layer_types\": [\"sliding_attention\"]}",
                              &err),
                 ERROR_FORMAT, "layer_types");
}

/* Figures of the first Qwen's technical memo, and of the formulas worked out by hand. */
static void positions_stretch_with_the_prompt(void **state)
{
    (void)state;
    Error err = {0};
    Config c;
    SeqSpan span;
    assert_ok(read_and_add(&c, "{\"use_dynamic_ntk\": true, \"seq_length\": 2048}", &err));
    static const struct {
        int n;
        double stretch;
    } expected[] = {{1, 0}, {2048, 0}, {2049, 3}, {4096, 3}, {4097, 7}, {8192, 7}, {8193, 15}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        positions_place(&c, expected[i].n, &span);
        assert_int_equal(span.length, expected[i].n);
        assert_true(span.rope_stretch == expected[i].stretch);
    }
    assert_true(positions_salt(&c, 2048) == 0);
    assert_true(positions_salt(&c, 2049) == positions_salt(&c, 4096));
    assert_true(positions_salt(&c, 4096) != positions_salt(&c, 4097));
    assert_ok(
        read_and_add(&c, "{\"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 3}}", &err));
    assert_int_equal(c.context_max, 3 * 128);
    positions_place(&c, 256, &span);
    assert_true(span.rope_stretch == 4); /* 3 * 2 - 2 */
    assert_true(positions_salt(&c, 256) != positions_salt(&c, 257));
    double inv[16];
    float factor;
    assert_ok(read_and_add(&c, "{\"rope_scaling\": {\"type\": \"ntk\", \"factor\": 4}}", &err));
    c.head_dim = 128;
    double long_inv[64];
    config_rope(&c, long_inv, &factor);
    assert_true(fabs(pow(long_inv[1], -64) / 4088994.24 - 1) < 1e-8);
    assert_ok(read_and_add(&c, "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}}", &err));
    config_rope(&c, inv, &factor);
    assert_true(inv[0] == 0.25 && factor == 1);
}

/* Figures of transformers' _compute_yarn_parameters, to ten digits. */
static void yarn_matches_the_reference(void **state)
{
    (void)state;
    Error err = {0};
    Config c;
    assert_ok(read_text(&c, small, &err));
    c.head_dim = 128;
    c.rope_theta = 1e6;
    double inv[64];
    float factor;
    assert_ok(config_set_yarn(&c, 4, 32768, &err));
    assert_int_equal(c.context_max, 131072);
    config_rope(&c, inv, &factor);
    static const struct {
        int j;
        double inv;
    } expected[] = {{0, 1},
                    {1, 8.058421878e-01},
                    {16, 3.162277660e-02},
                    {23, 6.978305849e-03},
                    {24, 5.375321491e-03},
                    {31, 8.029597275e-04},
                    {39, 6.490394321e-05},
                    {40, 4.445698525e-05},
                    {63, 3.102344402e-07}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(fabs(inv[expected[i].j] / expected[i].inv - 1) < 1e-9);
    assert_true(fabsf(factor - 1.138629436f) < 1e-6f);
    assert_ok(config_set_yarn(&c, 2, 32768, &err));
    config_rope(&c, inv, &factor);
    assert_true(fabs(inv[31] / 9.489524053e-04 - 1) < 1e-9);
    c.rope_theta = 5e6;
    assert_ok(config_set_yarn(&c, 4, 262144, &err));
    config_rope(&c, inv, &factor);
    assert_true(fabs(inv[37] / 8.376025360e-05 - 1) < 1e-9);
    assert_true(fabs(inv[63] / 6.362699470e-08 - 1) < 1e-9);
    assert_error(config_set_yarn(&c, 0.5, 32768, &err), ERROR_ARGUMENT, "factor");
}

static void release_files_have_the_published_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int64_t n_parameters;
    } releases[] = {
        {"configs/Qwen3-0.6B.config.json", 596049920},
        {"configs/Qwen3-1.7B.config.json", 1720574976},
        {"configs/Qwen3-4B.config.json", 4022468096},
        {"configs/Qwen3-8B.config.json", 8190735360},
        {"configs/Qwen3-14B.config.json", 14768307200},
        {"configs/Qwen3-32B.config.json", 32762123264},
        {"configs/Qwen3-30B-A3B.config.json", 30532122624},
        {"configs/Qwen3-235B-A22B.config.json", 235093634560},
        {"configs/Qwen3-4B-Instruct-2507.config.json", 4022468096},
        {"configs/Qwen3-30B-A3B-2507.config.json", 30532122624},
        {"configs/Qwen3-0.6B-Base.config.json", 596049920},
        {"configs/Qwen2.5-0.5B-Instruct.config.json", 494032768},
        {"configs/Qwen2.5-72B-Instruct.config.json", 72706203648},
    };
    skip_without_data("configs");
    for (size_t i = 0; i < sizeof releases / sizeof *releases; i++) {
        Error err = {0};
        Config c;
        json_t *json = json_load_file(test_data(releases[i].file), 0, NULL);
        assert_non_null(json);
        assert_ok(config_read(&c, json, &err));
        json_decref(json);
        assert_int_equal(config_n_parameters(&c), releases[i].n_parameters);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_one_is_read),
        cmocka_unit_test(absurd_ones_are_refused),
        cmocka_unit_test(windows_belong_to_layers),
        cmocka_unit_test(positions_stretch_with_the_prompt),
        cmocka_unit_test(yarn_matches_the_reference),
        cmocka_unit_test(release_files_have_the_published_sizes),
    };
    return TEST_MAIN("config", tests);
}
