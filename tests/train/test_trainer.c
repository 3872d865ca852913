/* train/trainer: configuration, the loop, and resuming, bit for bit. */
#include "run_rig.h"

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
 * cut and recomputation, ends as the uninterrupted one. */
static void check_resume(const char *model, const char *whole, const char *cut)
{
    StepReport report;
    write_config(model);
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
    check_resume(dense, "dense", "dense-cut");
}

static void mixture_resumes_to_the_bit(void **state)
{
    (void)state;
    check_resume(mixture, "moe", "moe-cut");
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
        cmocka_unit_test(mixture_resumes_to_the_bit),
        cmocka_unit_test(another_configuration_does_not_resume),
        cmocka_unit_test(loss_starts_at_ln_v_and_falls),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("trainer", tests, make_folder, NULL);
}
