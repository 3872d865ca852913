/* See sweep_trial.h. */
#include "train/sweep_trial.h"

#include "base/file.h"
#include "train/run.h"
#include "train/run_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESULT_BYTES_MAX = 16 << 20 };

/* ---- Its configuration
 * --------------------------------------------------------------------------------------------- */

static void add_mixture(const Trial *t, const SweepConfig *c, SetList *sets)
{
    json_t *sources = json_deep_copy(c->trial.source_list);
    for (size_t i = 0; i < json_array_size(sources); i++)
        json_object_set_new(json_array_get(sources, i), "weight", json_real(t->mixture[i]));
    set_list_add_json(sets, "data.sources", sources);
    json_decref(sources);
}

/* n of the base's steps, as a share of the trial's. */
static int64_t scaled(int64_t n, const TrainConfig *base, int64_t steps)
{
    return (int64_t)floor((double)n * (double)steps / (double)base->schedule.steps);
}

static bool read_config(const Trial *t, const SweepConfig *c, TrainConfig *out, Error *err)
{
    SetList sets = {0};
    set_list_add_trial(&sets, c);
    if (c->trial.shape)
        set_list_add_json(&sets, "model.shape", c->shapes[t->shape]);
    set_list_add(&sets, "batch.rows=%d", c->rows[t->rows]);
    set_list_add(&sets, "schedule.peak=%.17g", t->rate);
    set_list_add(&sets, "schedule.end=%.17g",
                 c->trial.schedule.end * t->rate / c->trial.schedule.peak);
    set_list_add(&sets, "schedule.steps=%" PRId64, t->n_steps);
    set_list_add(&sets, "schedule.warmup_steps=%" PRId64,
                 scaled(c->trial.schedule.warmup_steps, &c->trial, t->n_steps));
    set_list_add(&sets, "schedule.decay_steps=%" PRId64,
                 scaled(c->trial.schedule.decay_steps, &c->trial, t->n_steps));
    set_list_add(&sets, "eval.every=%" PRId64, t->n_steps); /* at the end */
    set_list_add(&sets, "eval.problems=null");
    set_list_add(&sets, "eval.prompts=null");
    if (t->mixture)
        add_mixture(t, c, &sets);
    const bool ok = set_list_read(&sets, c, out, err);
    set_list_close(&sets);
    return ok;
}

bool trial_check(Trial *t, const SweepConfig *c, Error *err)
{
    TrainConfig config;
    Config model;
    const int64_t batch = (int64_t)c->rows[t->rows] * c->trial.tokens;
    t->n_steps = c->tokens[t->tokens] / batch;
    if (t->n_steps < SWEEP_STEPS_MIN)
        return error_set(err, ERROR_ARGUMENT,
                         "sweep.tokens: %" PRId64 " tokens are %" PRId64
                         " steps of %d rows; a trial needs %d",
                         c->tokens[t->tokens], t->n_steps, c->rows[t->rows], SWEEP_STEPS_MIN);
    if (!read_config(t, c, &config, err))
        return error_add(err, "trial %s", t->name);
    const bool ok = config.from || config_read(&model, config.shape, err) ||
                    error_add(err, "size.shapes: [%d]", t->shape);
    train_config_close(&config);
    return ok;
}

/* ---- Its result
 * --------------------------------------------------------------------------------------------- */

static double number_of(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* Takes up what a finished run of the same configuration left. */
static bool read_result(Trial *t, const SweepConfig *c, const TrainConfig *config, const char *path,
                        Error *err)
{
    Buf text = {0}, difference = {0};
    if (!file_exists(path))
        return false;
    json_t *result = file_read(&text, path, RESULT_BYTES_MAX, err)
                         ? json_loadb(text.data, text.bytes, 0, NULL)
                         : NULL;
    const json_t *heldout = json_object_get(result, "heldout");
    const json_t *old = json_object_get(result, "config");
    const bool is_same =
        result && (int)json_array_size(heldout) == c->target.eval.n_sources &&
        json_equal(json_object_get(old, "eval"), json_object_get(config->json, "eval")) &&
        !train_config_differs(config, old, &difference);
    if (is_same) {
        t->loss = number_of(json_object_get(result, "loss"));
        t->n_parameters = json_integer_value(json_object_get(result, "parameters"));
        for (int i = 0; i < c->target.eval.n_sources; i++)
            t->heldout[i] = number_of(json_array_get(heldout, (size_t)i));
    }
    json_decref(result);
    buf_free(&text);
    buf_free(&difference);
    return is_same;
}

static bool write_result(const Trial *t, const SweepConfig *c, const TrainConfig *config,
                         const char *path, Error *err)
{
    json_t *heldout = json_array();
    for (int i = 0; i < c->target.eval.n_sources; i++)
        json_array_append_new(heldout, number(t->heldout[i]));
    json_t *result = json_pack("{s:o, s:o, s:I, s:O}", "loss", number(t->loss), "heldout", heldout,
                               "parameters", (json_int_t)t->n_parameters, "config", config->json);
    char *text = json_dumps(result, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    const bool ok = file_write(path, str_from(text), err);
    free(text);
    json_decref(result);
    return ok;
}

/* From the run's log.csv: held-out losses of the last step, or the last tenth's mean loss. */
static bool read_losses(Trial *t, const SweepConfig *c, const char *folder, Error *err)
{
    RunTable table;
    char *path = file_join(folder, "log.csv");
    const bool ok = run_table_read(&table, path, err);
    mem_free(path);
    if (!ok)
        return false;
    const int n = c->target.eval.n_sources, last = table.n_rows - 1;
    const int loss = run_table_column(&table, n > 0 ? "heldout_loss" : "loss");
    /* The sources' columns stand behind the total's, two a source; a single one is the total. */
    for (int i = 0; i < n; i++)
        t->heldout[i] = run_table_number(&table, last, n > 1 ? loss + 2 * (i + 1) : loss);
    const int first = n > 0 ? last : last - last / 10;
    double sum = 0;
    for (int row = first; row <= last; row++)
        sum += run_table_number(&table, row, loss);
    t->loss = sum / (last - first + 1);
    run_table_close(&table);
    return true;
}

/* ---- Running
 * --------------------------------------------------------------------------------------------- */

typedef struct TrialJob {
    Trial *trial;
    const TrialOptions *options;
    bool is_done, has_diverged;
} TrialJob;

static bool run_on_rank(void *context, Trainer *trainer, Error *err)
{
    TrialJob *job = context;
    bool is_done = false;
    const RunOptions options = {.stop = job->options->stop,
                                .progress = job->options->progress,
                                .context = job->options->context,
                                .is_trial = true};
    const bool ok = run_stage(trainer, &options, &is_done, err);
    if (trainer_is_first(trainer)) {
        job->trial->n_parameters = config_n_parameters(&trainer_model(trainer)->config);
        job->is_done = is_done;
        job->has_diverged = !ok && err->code == ERROR_LIMIT; /* a loss or gradient without end */
    }
    return ok;
}

bool trial_run(Trial *t, const SweepConfig *c, const TrialOptions *options, bool *is_done,
               Error *err)
{
    TrainConfig config;
    char name[96];
    snprintf(name, sizeof name, "trials/%s", t->name);
    if (!read_config(t, c, &config, err))
        return false;
    char *folder = file_join(options->out, name), *result = file_join(folder, "result.json");
    char *data = file_join(options->out, "data");
    bool ok = true;
    *is_done = read_result(t, c, &config, result, NULL);
    if (!*is_done) {
        TrialJob job = {.trial = t, .options = options};
        TrainerOptions trainer = {.out = folder, .data = data, .n_threads = options->n_threads};
        ok = trainer_run_ranks(&config, &trainer, run_on_rank, &job, err);
        if (!ok && !job.has_diverged && err->code == ERROR_ARGUMENT) {
            trainer.is_fresh = true; /* another configuration's trial of this name */
            ok = trainer_run_ranks(&config, &trainer, run_on_rank, &job, err);
        }
        *is_done = job.is_done || job.has_diverged;
        if (job.has_diverged) {
            t->loss = (double)NAN;
            for (int i = 0; i < c->target.eval.n_sources; i++)
                t->heldout[i] = (double)NAN;
            ok = true;
        } else if (ok && job.is_done) {
            ok = read_losses(t, c, folder, err);
        }
        ok = ok && (!*is_done || (write_result(t, c, &config, result, err) &&
                                  checkpoint_remove_all(folder, err)));
    }
    mem_free(folder);
    mem_free(result);
    mem_free(data);
    train_config_close(&config);
    return ok || error_add(err, "trial %s", t->name);
}
