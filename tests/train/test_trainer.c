/* train/trainer: configuration, the loop, and resuming, bit for bit. */
#include "run_rig.h"

#include "train/continued.h"
#include "train/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void write_config(const char *model)
{
    Buf text = {0};
    buf_printf(&text,
               "model:\n  shape: %s\n  tokenizer: %s\n  compute: f32\n"
               "data:\n  sources:\n    - path: %s/lines.jsonl\n      weight: 3\n"
               "    - path: %s/text.txt\n"
               "batch: {rows: 4, tokens: 32, micro_rows: 4}\n"
               "schedule: {shape: wsd, peak: 0.01, warmup_steps: 2, decay_steps: 4, steps: 12}\n"
               "output: {checkpoint_every: 5, checkpoint_keep: 2}\n",
               model, folder, folder, folder);
    write_file("config.yaml", text.data);
    buf_free(&text);
}

typedef struct Run {
    const char *out;
    const char *sets[8];
    int n_sets, n_threads;
    int64_t steps; /* to do now */
} Run;

/* Does the steps, and then the others if `to_the_end`; reports of the first and last by hand. */
static void do_run(const Run *run, bool to_the_end, StepReport *first, StepReport *last)
{
    Error err = {0};
    TrainConfig config;
    bool is_done;
    char out[600];
    snprintf(out, sizeof out, "%s/%s", folder, run->out);
    assert_ok(
        train_config_read(&config, STAGE_PRETRAIN, config_path, run->sets, run->n_sets, &err));
    const TrainerOptions options = {.out = out, .n_threads = run->n_threads};
    Trainer *t = trainer_open(&config, &options, &err);
    if (!t)
        fail_msg("%s", err.message);
    for (int64_t i = 0; i < run->steps; i++) {
        assert_ok(trainer_step(t, last, &err));
        if (i == 0 && first)
            *first = *last;
    }
    if (to_the_end) {
        assert_ok(run_stage(t, &(RunOptions){0}, &is_done, &err));
        assert_true(is_done);
    }
    trainer_close(t);
    train_config_close(&config);
}

static void expect_same_file(const char *a, const char *b, const char *name)
{
    Error err = {0};
    Buf one = {0}, other = {0};
    char path[700];
    snprintf(path, sizeof path, "%s/%s/%s", folder, a, name);
    assert_ok(file_read(&one, path, SIZE_MAX, &err));
    snprintf(path, sizeof path, "%s/%s/%s", folder, b, name);
    assert_ok(file_read(&other, path, SIZE_MAX, &err));
    if (one.bytes != other.bytes || memcmp(one.data, other.data, one.bytes) != 0)
        fail_msg("%s differs between %s and %s", name, a, b);
    buf_free(&one);
    buf_free(&other);
}

/* A run that is stopped and then loses a step, three times, and goes on with other threads, another
 * cut and recomputation, ends as the uninterrupted one. The configuration has been written. */
static void check_resume(const char *whole, const char *cut)
{
    StepReport report;
    const Run all = {.out = whole, .n_threads = 1};
    do_run(&all, true, NULL, &report);
    Error err = {0};
    TrainConfig config;
    char out[600];
    snprintf(out, sizeof out, "%s/%s", folder, cut);
    assert_ok(train_config_read(&config, STAGE_PRETRAIN, config_path, NULL, 0, &err));
    static volatile sig_atomic_t is_stopped = 1; /* after every step */
    const TrainerOptions options = {.out = out, .n_threads = 2};
    const RunOptions run_options = {.stop = &is_stopped};
    for (int i = 0; i < 3; i++) {
        bool is_done = true;
        Trainer *t = trainer_open(&config, &options, &err);
        if (!t)
            fail_msg("%s", err.message);
        assert_ok(run_stage(t, &run_options, &is_done, &err));
        assert_false(is_done);
        assert_int_equal(trainer_progress(t)->step, i + 1);
        assert_ok(trainer_step(t, &report, &err)); /* lost, as by kill -9 */
        trainer_close(t);
    }
    train_config_close(&config);
    const Run rest = {.out = cut,
                      .n_threads = 3,
                      .sets = {"batch.micro_rows=1", "batch.recompute=true"},
                      .n_sets = 2};
    do_run(&rest, true, NULL, &report);
    expect_same_file(whole, cut, "model/model.safetensors");
    expect_same_file(whole, cut, "checkpoints/12/tensors.safetensors");
    expect_same_file(whole, cut, "checkpoints/12/data.bin");
}

static void dense_resumes_to_the_bit(void **state)
{
    (void)state;
    write_config(dense);
    check_resume("dense", "dense-cut");
}

static void mixture_resumes_to_the_bit(void **state)
{
    (void)state;
    write_config(mixture);
    check_resume("moe", "moe-cut");
}

/* ---- Adapters --------------------------------------------------------------------------------
 */

/* An adapter beside the model of the dense run. `more`: lines of the group lora. */
static void write_lora_config(const char *more, const char *merge)
{
    Buf text = {0};
    buf_printf(&text,
               "model: {from: %s/dense/model, compute: bf16}\n"
               "lora: {rank: 4, alpha: 8%s}\n"
               "data:\n  sources:\n    - path: %s/lines.jsonl\n"
               "batch: {rows: 4, tokens: 32, micro_rows: 4, grains: 2}\n"
               "schedule: {shape: wsd, peak: 0.01, warmup_steps: 2, decay_steps: 4, steps: 12}\n"
               "output: {checkpoint_every: 5, checkpoint_keep: 2, merge: %s}\n",
               folder, more, folder, merge);
    write_file("config.yaml", text.data);
    buf_free(&text);
}

/* All tensors of two packages, to the bit. */
static void expect_same_weights(const char *a, const char *b)
{
    Error err = {0};
    char one_path[700], other_path[700];
    snprintf(one_path, sizeof one_path, "%s/%s", folder, a);
    snprintf(other_path, sizeof other_path, "%s/%s", folder, b);
    Package *one, *other;
    assert_ok(one = package_open(one_path, true, &err));
    assert_ok(other = package_open(other_path, true, &err));
    const TensorTable *table = package_tensors(one);
    assert_int_equal(tensor_table_count(table), tensor_table_count(package_tensors(other)));
    for (int i = 0; i < tensor_table_count(table); i++) {
        const NamedTensor *t = tensor_table_at(table, i);
        Tensor twin;
        assert_ok(package_tensor(other, t->name, &twin, &err));
        if (t->tensor.bytes != twin.bytes || memcmp(t->tensor.data, twin.data, twin.bytes) != 0)
            fail_msg("%s differs between %s and %s", t->name, a, b);
    }
    package_close(one);
    package_close(other);
}

/* Resumes to the bit, too; keeps only what it trains; and the model that it writes is the base with
 * the adapter merged in. (After the dense run.) */
static void adapter_resumes_to_the_bit(void **state)
{
    (void)state;
    Error err = {0};
    char path[700];
    FileMap checkpoint;
    write_lora_config("", "true");
    check_resume("lora", "lora-cut");
    expect_same_file("lora", "lora-cut", "adapter/adapter_model.safetensors");
    snprintf(path, sizeof path, "%s/lora/checkpoints/12/tensors.safetensors", folder);
    assert_ok(file_map(&checkpoint, path, &err));
    /* Masters and two moments of A [4, in] and B [out, 4], every one on a cache line. */
    const size_t in_and_out = (32 + 32) + (32 + 16) + (32 + 16) + (32 + 32) + 3 * (32 + 48);
    assert_in_range(checkpoint.bytes, 3 * 4 * 2 * 4 * in_and_out,
                    3 * 4 * 2 * 4 * in_and_out + 1024);
    file_unmap(&checkpoint);

    char base[600], adapter[600], out[600];
    snprintf(base, sizeof base, "%s/dense/model", folder);
    snprintf(adapter, sizeof adapter, "%s/lora/adapter", folder);
    snprintf(out, sizeof out, "%s/merged", folder);
    Package *package;
    AdapterPackage *trained;
    assert_ok(package = package_open(base, true, &err));
    assert_ok(trained = adapter_package_open(adapter, &err));
    assert_true(trained->scale == 2);
    const MergedAdapter merged = {trained, 1};
    /* The run rounds its base to bfloat16 first. */
    const ConvertOptions rounding = {.type = "BF16", .as_safetensors = true, .n_threads = 1};
    char rounded_path[600];
    snprintf(rounded_path, sizeof rounded_path, "%s/rounded", folder);
    Package *rounded;
    assert_ok(package_convert(package, rounded_path, &rounding, &err));
    assert_ok(rounded = package_open(rounded_path, true, &err));
    ConvertOptions merging = rounding;
    merging.adapters = &merged;
    merging.n_adapters = 1;
    assert_ok(package_convert(rounded, out, &merging, &err));
    expect_same_weights("lora/model", "merged");
    adapter_package_close(trained);
    package_close(rounded);
    package_close(package);
}

/* Only some of the matrices, no model, and a loss that falls. */
static void adapters_learn(void **state)
{
    (void)state;
    StepReport first, last;
    char path[700];
    write_lora_config(", rslora: true, targets: [q_proj, v_proj]", "false");
    const Run run = {.out = "lora-some", .n_threads = 2, .steps = 11};
    do_run(&run, true, &first, &last);
    assert_true(last.gradient.loss < first.gradient.loss);
    Error err = {0};
    AdapterPackage *trained;
    snprintf(path, sizeof path, "%s/lora-some/adapter", folder);
    assert_ok(trained = adapter_package_open(path, &err));
    assert_int_equal(trained->n, 4);
    assert_true(trained->scale == 4);
    adapter_package_close(trained);
    snprintf(path, sizeof path, "%s/lora-some/model", folder);
    assert_false(file_exists(path));
}

/* Frozen tensors are those of the base at the end, others are not. */
static void frozen_tensors_stay(void **state)
{
    (void)state;
    StepReport report;
    Error err = {0};
    char path[700];
    write_lora_config("", "false");
    const Run run = {.out = "frozen",
                     .sets = {"lora.rank=0", "model.freeze=['model.embed*', '*.layers.0.*']",
                              "model.compute=f32"},
                     .n_sets = 3,
                     .n_threads = 2};
    do_run(&run, true, NULL, &report);
    Package *base, *trained;
    snprintf(path, sizeof path, "%s/dense/model", folder);
    assert_ok(base = package_open(path, true, &err));
    snprintf(path, sizeof path, "%s/frozen/model", folder);
    assert_ok(trained = package_open(path, true, &err));
    const TensorTable *table = package_tensors(base);
    for (int i = 0; i < tensor_table_count(table); i++) {
        const NamedTensor *t = tensor_table_at(table, i);
        Tensor after;
        assert_ok(package_tensor(trained, t->name, &after, &err));
        const bool is_frozen = strstr(t->name, "embed") || strstr(t->name, "layers.0.");
        if ((memcmp(after.data, t->tensor.data, after.bytes) == 0) != is_frozen)
            fail_msg("%s %s", t->name, is_frozen ? "has changed" : "has not changed");
    }
    package_close(base);
    package_close(trained);
}

static void bad_adapters_are_refused(void **state)
{
    (void)state;
    Error err = {0};
    TrainConfig c;
    write_lora_config("", "false");
    static const struct {
        const char *set, *part;
    } bad[] = {{"lora.targets=[q_proj, lm_head]", "\"lm_head\" is none of"},
               {"lora.targets=some", "all-linear"},
               {"lora.rank=1000", "lora.rank"},
               {"model.freeze=[model.norm.weight]", "give one of the two"},
               {"model.freeze=model.norm.weight", "not a list"},
               {"output.gguf=Q8_0", "output.merge: true"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *sets[] = {bad[i].set};
        if (train_config_read(&c, STAGE_PRETRAIN, config_path, sets, 1, &err) ||
            !test_contains(err.message, bad[i].part))
            fail_msg("%s: \"%s\" instead of \"%s\"", bad[i].set, err.message, bad[i].part);
    }
}

static void loss_starts_at_ln_v_and_falls(void **state)
{
    (void)state;
    static const char *const kinds[] = {"optimizer.kind=adamw", "optimizer.kind=muon"};
    write_config(dense);
    for (int i = 0; i < 2; i++) {
        StepReport first, last;
        const Run run = {.out = i ? "muon" : "adamw",
                         .sets = {kinds[i], "schedule.steps=60", "schedule.shape=constant",
                                  "schedule.decay_steps=0", "model.compute=bf16", "batch.grains=2"},
                         .n_sets = 6,
                         .n_threads = 2,
                         .steps = 40};
        do_run(&run, false, &first, &last);
        assert_true(fabs(first.gradient.loss - log(272)) < 0.05);
        if (!(last.gradient.loss < 3.0))
            fail_msg("%s: loss %.3f after 40 steps", kinds[i], last.gradient.loss);
    }
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    Error err = {0};
    TrainConfig c;
    write_config(dense);
    const char *near[] = {"batch.row=4"}, *odd[] = {"batch.tokens=33"};
    const char *grains[] = {"batch.grains=3"}, *kind[] = {"optimizer.kind=sgd"};
    const char *far[] = {"schedule.steps=0"}, *text[] = {"batch.rows=many"};
    assert_error(train_config_read(&c, STAGE_PRETRAIN, config_path, near, 1, &err), ERROR_FORMAT,
                 "did you mean batch.rows?");
    assert_error(train_config_read(&c, STAGE_PRETRAIN, config_path, odd, 1, &err), ERROR_FORMAT,
                 "33 is odd");
    assert_error(train_config_read(&c, STAGE_PRETRAIN, config_path, grains, 1, &err), ERROR_FORMAT,
                 "power of two");
    assert_error(train_config_read(&c, STAGE_PRETRAIN, config_path, kind, 1, &err), ERROR_FORMAT,
                 "adamw|muon");
    assert_error(train_config_read(&c, STAGE_PRETRAIN, config_path, far, 1, &err), ERROR_LIMIT,
                 "schedule.steps");
    assert_error(train_config_read(&c, STAGE_PRETRAIN, config_path, text, 1, &err), ERROR_FORMAT,
                 "not a whole number");
}

static void another_configuration_does_not_resume(void **state)
{
    (void)state;
    Error err = {0};
    TrainConfig c;
    char out[600];
    const char *sets[] = {"schedule.peak=0.5"};
    write_config(dense);
    snprintf(out, sizeof out, "%s/dense", folder);
    const TrainerOptions options = {.out = out, .n_threads = 1};
    assert_ok(train_config_read(&c, STAGE_PRETRAIN, config_path, sets, 1, &err));
    assert_error(trainer_open(&c, &options, &err), ERROR_ARGUMENT, "schedule.peak: 0.01");
    train_config_close(&c);
}

/* The long-context stage: another RoPE base and more positions, and nothing else. Needs the model
 * of the dense run. */
static void rope_changes_when_a_run_goes_on(void **state)
{
    (void)state;
    Error err = {0};
    StepReport report;
    char from[700], path[700];
    TrainConfig c;
    write_config(dense);
    snprintf(from, sizeof from, "model.from=%s/dense/model", folder);
    snprintf(path, sizeof path, "%s/long/model", folder);
    const Run run = {.out = "long",
                     .sets = {from, "model.tokenizer=null", "schedule.steps=6",
                              "model.shape={rope_theta: 1000000, max_position_embeddings: 2048, "
                              "hidden_size: 32}"},
                     .n_sets = 4,
                     .n_threads = 1};
    do_run(&run, true, NULL, &report);
    Package *p;
    Config model;
    assert_ok(p = package_open(path, true, &err));
    assert_ok(config_read(&model, package_config(p), &err));
    assert_true(model.rope_theta == 1000000);
    assert_int_equal(model.context_max, 2048);
    assert_int_equal(model.d_model, 32);
    package_close(p);
    static const struct {
        const char *set, *part;
    } bad[] = {{"model.shape={num_hidden_layers: 3}", "num_hidden_layers (2 in the checkpoint)"},
               {"model.shape={window: 3}", "window (not given in the checkpoint)"},
               {"model.shape={rope_theta: much}", "\"rope_theta\" is not a number"}};
    snprintf(path, sizeof path, "%s/long-bad", folder);
    const TrainerOptions options = {.out = path, .n_threads = 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *sets[] = {from, bad[i].set};
        assert_ok(train_config_read(&c, STAGE_PRETRAIN, config_path, sets, 2, &err));
        assert_error(trainer_open(&c, &options, &err), ERROR_FORMAT, bad[i].part);
        train_config_close(&c);
    }
    const char *lora[] = {from, "lora.rank=2", bad[0].set};
    assert_error(train_config_read(&c, STAGE_PRETRAIN, config_path, lora, 3, &err), ERROR_FORMAT,
                 "leave out model.shape");
}

/* Both ways in which config.json says it. */
static void rope_changes_where_the_checkpoint_has_it(void **state)
{
    (void)state;
    Error err = {0};
    static const char old[] = "{\"rope_theta\": 10000, \"rope_scaling\": null}",
                      new[] = "{\"rope_parameters\": {\"rope_theta\": 10000, \"rope_type\": "
                              "\"default\"}}";
    static const struct {
        const char *base, *changes, *want;
    } cases[] = {
        {old, "{\"rope_theta\": 5}", "{\"rope_theta\": 5, \"rope_scaling\": null}"},
        {new, "{\"rope_theta\": 5}",
         "{\"rope_parameters\": {\"rope_theta\": 5, \"rope_type\": \"default\"}}"},
        {new, "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}}",
         "{\"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4, \"rope_theta\": 10000}}"},
        {new, "{\"rope_scaling\": null}",
         "{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 10000}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *base = json_loads(cases[i].base, 0, NULL);
        json_t *changes = json_loads(cases[i].changes, 0, NULL);
        json_t *want = json_loads(cases[i].want, 0, NULL), *got;
        assert_ok(got = continued_config(base, changes, &err));
        if (!json_equal(got, want))
            fail_msg("%s with %s", cases[i].base, cases[i].changes);
        json_decref(base);
        json_decref(changes);
        json_decref(want);
        json_decref(got);
    }
}

static void broken_lines_are_named(void **state)
{
    (void)state;
    Error err = {0};
    TrainConfig c;
    char out[600], set[700];
    const char *sets[] = {set};
    write_config(dense);
    write_file("broken.jsonl", "{\"text\": \"good\"}\n{\"txt\": \"bad\"}\n");
    snprintf(out, sizeof out, "%s/broken", folder);
    snprintf(set, sizeof set, "data.sources=[{path: %s/broken.jsonl}]", folder);
    const TrainerOptions options = {.out = out, .n_threads = 1};
    assert_ok(train_config_read(&c, STAGE_PRETRAIN, config_path, sets, 1, &err));
    assert_error(trainer_open(&c, &options, &err), ERROR_FORMAT, "broken.jsonl:2");
    train_config_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(broken_lines_are_named),
        cmocka_unit_test(dense_resumes_to_the_bit),
        cmocka_unit_test(rope_changes_when_a_run_goes_on),
        cmocka_unit_test(rope_changes_where_the_checkpoint_has_it),
        cmocka_unit_test(mixture_resumes_to_the_bit),
        cmocka_unit_test(adapter_resumes_to_the_bit),
        cmocka_unit_test(adapters_learn),
        cmocka_unit_test(frozen_tensors_stay),
        cmocka_unit_test(bad_adapters_are_refused),
        cmocka_unit_test(another_configuration_does_not_resume),
        cmocka_unit_test(loss_starts_at_ln_v_and_falls),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("trainer", tests, make_folder, NULL);
}
