/* Whole runs of several ranks: what they write is what one rank writes, evaluations included; what
 * cannot be divided is refused; trouble of one rank ends the run with its message. */
#include "support.h"

#include "../train/run_rig.h"
#include "train/run.h"

#include <string.h>

static void write_config(const char *model)
{
    Buf text = {0};
    buf_printf(&text,
               "model:\n  shape: %s\n  tokenizer: %s\n"
               "data:\n  sources:\n    - path: %s/lines.jsonl\n"
               "batch: {rows: 4, tokens: 32, grains: 4}\n"
               "schedule: {shape: constant, peak: 0.01, warmup_steps: 2, steps: 6}\n"
               "output: {checkpoint_every: 4, checkpoint_keep: 2}\n",
               model, folder, folder);
    write_file("config.yaml", text.data);
    buf_free(&text);
}

static bool run_all(void *context, Trainer *t, Error *err)
{
    (void)context;
    const RunOptions options = {0};
    bool is_done;
    return run_stage(t, &options, &is_done, err) &&
           (is_done || error_set(err, ERROR_FORMAT, "the run is not done"));
}

/* Into folder/out. */
static bool run(const char *out, const char *const *sets, int n_sets, Error *err)
{
    TrainConfig config;
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, out);
    const TrainerOptions options = {.out = path, .n_threads = 2};
    if (!train_config_read(&config, STAGE_PRETRAIN, config_path, sets, n_sets, err))
        return false;
    const bool ok = trainer_run_ranks(&config, &options, run_all, NULL, err);
    train_config_close(&config);
    return ok;
}

static void read_out(const char *out, const char *name, Buf *text)
{
    Error err = {0};
    char path[700];
    snprintf(path, sizeof path, "%s/%s/%s", folder, out, name);
    assert_ok(file_read(text, path, SIZE_MAX, &err));
}

static void expect_same(const char *out, const char *name)
{
    Buf one = {0}, other = {0};
    read_out("one", name, &one);
    read_out(out, name, &other);
    if (one.bytes != other.bytes || memcmp(one.data, other.data, one.bytes) != 0)
        fail_msg("%s: %s is not that of one rank", out, name);
    buf_free(&one);
    buf_free(&other);
}

/* The last cell of the last line: what was held out. */
static double last_cell(const char *out)
{
    Buf text = {0};
    read_out(out, "log.csv", &text);
    text.data[text.bytes - 1] = 0;
    const char *comma = strrchr(text.data, ',');
    const double value = strtod(comma + 1, NULL);
    buf_free(&text);
    return value;
}

static void files_are_those_of_one_rank(void **state)
{
    (void)state;
    Error err = {0};
    char eval[700];
    snprintf(eval, sizeof eval, "eval.sources=[{path: %s/text.txt}]", folder);
    const char *const ways[][4] = {
        {"run.ranks=1", "run.zero=1", "eval.every=3", eval},
        {"run.ranks=2", "run.zero=1", "eval.every=3", eval},
        {"run.ranks=4", "run.zero=2", "eval.every=3", eval},
        {"run.ranks=4", "run.zero=2", "run.expert_parallel=true", "eval.every=3"},
    };
    static const char *const outs[] = {"one", "two", "four", "experts"};
    write_config(mixture);
    for (int i = 0; i < 4; i++) {
        assert_ok(run(outs[i], ways[i], 4, &err));
        expect_same(outs[i], "model/model.safetensors");
        expect_same(outs[i], "checkpoints/4/tensors.safetensors");
        expect_same(outs[i], "checkpoints/6/tensors.safetensors");
        expect_same(outs[i], "checkpoints/6/data.bin");
    }
    assert_true(last_cell("one") > 0);
    assert_true(last_cell("one") == last_cell("two") && last_cell("one") == last_cell("four"));
}

static void what_cannot_be_divided_is_refused(void **state)
{
    (void)state;
    Error err = {0};
    write_config(mixture);
    const char *ranks[] = {"run.ranks=3"};
    const char *experts[] = {"run.ranks=4", "run.expert_parallel=true", "eval.prompts=[hello]"};
    const char *few[] = {"batch.rows=16", "batch.grains=16", "run.ranks=16",
                         "run.expert_parallel=true"};
    assert_error(run("bad", ranks, 1, &err), ERROR_FORMAT, "3 ranks cannot divide batch.grains");
    assert_error(run("bad", experts, 3, &err), ERROR_FORMAT, "has to hold all experts");
    assert_error(run("bad", few, 4, &err), ERROR_ARGUMENT,
                 "8 experts cannot be divided over 16 ranks");
}

static bool fail_later(void *context, Trainer *t, Error *err)
{
    StepReport report;
    for (int i = 0; i < 3; i++)
        if (!trainer_step(t, &report, err))
            return false;
    const Backend *b = trainer_model(t)->backend;
    if (b->rank == *(const int *)context)
        return error_set(err, ERROR_IO, "rank %d has no disk", b->rank);
    return trainer_step(t, &report, err) && trainer_save(t, err);
}

static void trouble_of_one_rank_ends_the_run(void **state)
{
    (void)state;
    Error err = {0};
    TrainConfig config;
    char path[600];
    const char *sets[] = {"run.ranks=4"};
    write_config(dense);
    snprintf(path, sizeof path, "%s/trouble", folder);
    const TrainerOptions options = {.out = path, .n_threads = 2};
    assert_ok(train_config_read(&config, STAGE_PRETRAIN, config_path, sets, 1, &err));
    for (int rank = 0; rank < 4; rank += 3) {
        char message[64];
        snprintf(message, sizeof message, "rank %d has no disk", rank);
        assert_error(trainer_run_ranks(&config, &options, fail_later, &rank, &err), ERROR_IO,
                     message);
    }
    train_config_close(&config);
    char broken[700];
    snprintf(broken, sizeof broken, "data.sources=[{path: %s/broken.jsonl}]", folder);
    const char *bad[] = {"run.ranks=4", broken};
    write_file("broken.jsonl", "{\"text\": \"good\"}\n{\"txt\": \"bad\"}\n");
    assert_error(run("broken", bad, 2, &err), ERROR_FORMAT, "broken.jsonl:2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_those_of_one_rank),
        cmocka_unit_test(what_cannot_be_divided_is_refused),
        cmocka_unit_test(trouble_of_one_rank_ends_the_run),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("run", tests, make_folder, NULL);
}
