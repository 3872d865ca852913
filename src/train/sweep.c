/* See sweep.h. */
#include "train/sweep.h"

#include "base/file.h"
#include "base/rng.h"
#include "train/yaml.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TRIALS_MAX = 4096, LINE_BYTES = 256 };

/* ---- The plan
 * --------------------------------------------------------------------------------------------- */

static Trial *add_trial(Sweep *s, const Trial *trial)
{
    Trial *t = &s->trials[s->n_trials++];
    *t = *trial;
    t->heldout = ARENA_ARRAY(&s->arena, double, s->config->target.eval.n_sources + 1);
    return t;
}

static bool plan_row(Sweep *s, const SweepRow *row, Error *err)
{
    const SweepConfig *c = s->config;
    for (int i = 0; i < c->n_rates; i++) {
        Trial *t = add_trial(s, &(Trial){.shape = row->shape,
                                         .tokens = row->tokens,
                                         .rows = row->rows,
                                         .rate = c->rates[i]});
        snprintf(t->name, sizeof t->name, "size%d-tokens%d-rows%d-rate%d", row->shape, row->tokens,
                 c->rows[row->rows], i);
        if (!trial_check(t, c, err))
            return false;
    }
    return true;
}

static bool plan_grid(Sweep *s, Error *err)
{
    const SweepConfig *c = s->config;
    const int n = c->n_shapes * c->n_tokens * c->n_rows;
    if (n * c->n_rates + c->n_mixtures > TRIALS_MAX)
        return error_set(err, ERROR_LIMIT, "%d trials are too many; at most %d",
                         n * c->n_rates + c->n_mixtures, TRIALS_MAX);
    s->trials = ARENA_ARRAY(&s->arena, Trial, n * c->n_rates + c->n_mixtures);
    s->table = ARENA_ARRAY(&s->arena, SweepRow, n);
    for (int shape = 0; shape < c->n_shapes; shape++)
        for (int tokens = 0; tokens < c->n_tokens; tokens++)
            for (int rows = 0; rows < c->n_rows; rows++) {
                SweepRow *row = &s->table[s->n_table++];
                *row = (SweepRow){.shape = shape, .tokens = tokens, .rows = rows};
                row->first = s->n_trials;
                if (!plan_row(s, row, err))
                    return false;
            }
    s->n_grid = s->n_trials;
    return true;
}

/* The base's weights, then others: exponential numbers times the base's, so that every region of
 * the simplex around it is met; none below `least`. */
static const double *draw_mixture(Sweep *s, int i, Rng *rng)
{
    const TrainConfig *target = &s->config->target;
    const int n = target->n_sources;
    double *w = ARENA_ARRAY(&s->arena, double, n), sum = 0;
    for (int k = 0; k < n; k++)
        sum += w[k] = target->sources[k].weight * (i == 0 ? 1 : -log(rng_uniform(rng)));
    for (int k = 0; k < n; k++)
        w[k] = i == 0 ? w[k] / sum : s->config->least + (1 - s->config->least * n) * w[k] / sum;
    return w;
}

/* With the first shape and number of tokens, and what was best for them. */
static bool plan_mixtures(Sweep *s, int rows, double rate, Error *err)
{
    Rng rng = {rng_counter((uint64_t)s->config->seed, 0x6d6978, 0)};
    for (int i = 0; i < s->config->n_mixtures; i++) {
        Trial *t = add_trial(s, &(Trial){.rows = rows, .rate = rate});
        t->mixture = draw_mixture(s, i, &rng);
        snprintf(t->name, sizeof t->name, "mixture%d", i);
        if (!trial_check(t, s->config, err))
            return false;
    }
    return true;
}

/* ---- Running
 * --------------------------------------------------------------------------------------------- */

static void say(const Sweep *s, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(const Sweep *s, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    if (!s->options->line)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->options->line(s->options->trial.context, text);
}

static bool run_trials(Sweep *s, int from, int to, int total, bool *is_done, Error *err)
{
    *is_done = true;
    for (int i = from; *is_done && i < to; i++) {
        Trial *t = &s->trials[i];
        if (!trial_run(t, s->config, &s->options->trial, is_done, err))
            return false;
        if (*is_done)
            say(s, "trial %d of %d: %s, rate %.3g: %s %.4f", i + 1, total, t->name, t->rate,
                isfinite(t->loss) ? "loss" : "diverged, loss", t->loss);
    }
    return true;
}

/* ---- Choosing rate and batch
 * --------------------------------------------------------------------------------------------- */

static void note(Sweep *s, const char *text)
{
    for (int i = 0; i < s->n_notes; i++)
        if (s->notes[i] == text)
            return;
    if (s->n_notes < (int)(sizeof s->notes / sizeof *s->notes))
        s->notes[s->n_notes++] = text;
}

static const char rate_edge[] =
    "A best rate is the smallest or largest tried: widen rate.from and rate.to.";
static const char rows_edge[] =
    "The best batch is the smallest or largest tried: widen batch.rows.";

static void fit_rows(Sweep *s)
{
    const int n = s->config->n_rates;
    for (int i = 0; i < s->n_table; i++) {
        SweepRow *row = &s->table[i];
        double losses[SWEEP_RATES_MAX];
        for (int k = 0; k < n; k++)
            losses[k] = s->trials[row->first + k].loss;
        row->is_known = fit_parabola(s->config->rates, losses, n, &row->best);
        if (n > 1 && row->is_known && !row->best.is_inside)
            note(s, rate_edge);
    }
}

/* The row of this shape and number of tokens whose best loss is lowest, or NULL. */
static const SweepRow *best_row(const Sweep *s, int shape, int tokens)
{
    const SweepRow *best = NULL;
    for (int i = 0; i < s->n_table; i++) {
        const SweepRow *row = &s->table[i];
        if (row->shape == shape && row->tokens == tokens && row->is_known &&
            (!best || row->best.value < best->best.value))
            best = row;
    }
    return best;
}

/* The number of rows nearest to what the law says, a power of two times the smallest tried. */
static int rows_near(const Sweep *s, double batch_tokens)
{
    const SweepConfig *c = s->config;
    const double ratio = batch_tokens / ((double)c->rows[0] * c->target.tokens);
    const int doublings = ratio > 1 ? (int)lround(log2(ratio)) : 0;
    return c->rows[0] << (doublings < 16 ? doublings : 16);
}

/* How the optima move with size and length, and where they are for the base. */
static bool fit_laws(Sweep *s)
{
    const SweepConfig *c = s->config;
    enum { POINTS_MAX = SWEEP_LIST_MAX * SWEEP_LIST_MAX };
    double at[2 * POINTS_MAX], rates[POINTS_MAX], batches[POINTS_MAX], axis[POINTS_MAX];
    double losses[POINTS_MAX];
    const int varied = c->n_shapes >= c->n_tokens ? 0 : 1;
    int n = 0, n_losses = 0;
    for (int shape = 0; shape < c->n_shapes; shape++)
        for (int tokens = 0; tokens < c->n_tokens; tokens++) {
            const SweepRow *row = best_row(s, shape, tokens);
            if (!row)
                continue;
            at[2 * n] = (double)s->trials[row->first].n_parameters;
            at[2 * n + 1] = (double)c->tokens[tokens];
            rates[n] = row->best.at;
            batches[n] = (double)c->rows[row->rows] * c->trial.tokens;
            if ((varied == 0 ? tokens : shape) == 0) { /* along one axis, the other at its first */
                axis[n_losses] = at[2 * n + varied];
                losses[n_losses++] = row->best.value;
            }
            n++;
        }
    s->has_loss_law = fit_saturation(axis, losses, n_losses, &s->loss_law);
    return fit_power_law(at, rates, n, 2, s->rate_law) &&
           fit_power_law(at, batches, n, 2, s->batch_law);
}

static bool choose_rate_and_rows(Sweep *s, Error *err)
{
    static const char far[] =
        "The power laws point further than the trials reach: the rate is kept "
        "within twice, the batch within four times of what was tried.";
    const SweepConfig *c = s->config;
    const double target[] = {s->target_parameters, s->target_tokens};
    fit_rows(s);
    const SweepRow *first = best_row(s, 0, 0);
    if (!first)
        return error_set(err, ERROR_ARGUMENT, "all trials diverged: lower rate.from");
    if (c->n_rows > 1 && (first->rows == 0 || first->rows == c->n_rows - 1))
        note(s, rows_edge);
    s->rate = first->best.at;
    s->rows = c->rows[first->rows];
    s->has_law = c->n_shapes * c->n_tokens > 1 && fit_laws(s);
    if (!s->has_law)
        return true;
    const double rate = power_law_at(s->rate_law, target, 2);
    const int rows = rows_near(s, power_law_at(s->batch_law, target, 2));
    const int most = 4 * c->rows[c->n_rows - 1];
    if (c->n_rates > 1)
        s->rate = fmin(fmax(rate, c->rates[0] / 2), 2 * c->rates[c->n_rates - 1]);
    if (c->n_rows > 1)
        s->rows = rows < most ? rows : most;
    if ((c->n_rates > 1 && s->rate != rate) || (c->n_rows > 1 && s->rows != rows))
        note(s, far);
    return true;
}

/* ---- Choosing weights
 * --------------------------------------------------------------------------------------------- */

static bool choose_weights(Sweep *s, Error *err)
{
    const SweepConfig *c = s->config;
    const int n = c->target.n_sources, n_losses = c->target.eval.n_sources;
    double *mixtures = ARENA_ARRAY(&s->arena, double, c->n_mixtures *n);
    double *losses = ARENA_ARRAY(&s->arena, double, c->n_mixtures *n_losses);
    double importance[TRAIN_SOURCES_MAX];
    int n_known = 0;
    for (int i = s->n_grid; i < s->n_trials; i++) {
        const Trial *t = &s->trials[i];
        if (!isfinite(t->loss))
            continue;
        memcpy(mixtures + n_known * n, t->mixture, sizeof(double) * (size_t)n);
        memcpy(losses + n_known++ * n_losses, t->heldout, sizeof(double) * (size_t)n_losses);
    }
    for (int j = 0; j < n_losses; j++)
        importance[j] = c->target.eval.sources[j].weight;
    if (!fit_mixture(mixtures, losses, n_known, n, n_losses, &s->mixture_law))
        return error_set(err, ERROR_ARGUMENT, "mixture: %d trials did not diverge, too few to fit",
                         n_known);
    mixture_best(&s->mixture_law, importance, c->least, s->weights);
    s->has_mixture = true;
    return true;
}

/* ---- The tuned configuration
 * --------------------------------------------------------------------------------------------- */

static int64_t at_least_1(double x) { return x < 1 ? 1 : (int64_t)llround(x); }

/* The base with the chosen values; as many tokens as before, so another number of steps. */
static bool read_tuned(const Sweep *s, TrainConfig *out, Error *err)
{
    const TrainConfig *base = &s->config->target;
    const double share = (double)base->rows / s->rows;
    SetList sets = {0};
    set_list_add(&sets, "schedule.peak=%.4g", s->rate);
    set_list_add(&sets, "schedule.end=%.4g", base->schedule.end * s->rate / base->schedule.peak);
    if (s->rows != base->rows) {
        const int64_t steps = at_least_1((double)base->schedule.steps * share);
        const double warmup = (double)base->schedule.warmup_steps * share;
        const double decay = (double)base->schedule.decay_steps * share;
        set_list_add(&sets, "batch.rows=%d", s->rows);
        set_list_add(&sets, "schedule.steps=%" PRId64, steps);
        set_list_add(&sets, "schedule.warmup_steps=%" PRId64, (int64_t)floor(warmup));
        set_list_add(&sets, "schedule.decay_steps=%" PRId64, (int64_t)floor(decay));
    }
    if (s->has_mixture) {
        json_t *sources = json_deep_copy(base->source_list);
        for (size_t i = 0; i < json_array_size(sources); i++)
            json_object_set_new(json_array_get(sources, i), "weight",
                                json_real(round(1e4 * s->weights[i]) / 1e4));
        set_list_add_json(&sets, "data.sources", sources);
        json_decref(sources);
    }
    const bool ok = set_list_read(&sets, s->config, out, err);
    set_list_close(&sets);
    return ok || error_add(err, "the tuned configuration");
}

static bool write_yaml(const char *path, const json_t *json, Error *err)
{
    Buf text = {0};
    yaml_write(json, &text);
    const bool ok = file_write(path, buf_str(&text), err);
    buf_free(&text);
    return ok;
}

static bool write_tuned(const Sweep *s, Error *err)
{
    TrainConfig tuned;
    char *own = file_join(s->options->trial.out, "tuned.yaml");
    const char *path = s->config->write ? s->config->write : own;
    bool ok = read_tuned(s, &tuned, err);
    if (ok) {
        ok = write_yaml(path, tuned.json, err);
        train_config_close(&tuned);
    }
    if (ok)
        say(s, "rate %.4g, %d rows of %d tokens: %s", s->rate, s->rows, s->config->target.tokens,
            path);
    mem_free(own);
    return ok;
}

/* ---- All of it
 * --------------------------------------------------------------------------------------------- */

/* Parameters and tokens of the run that is tuned. */
static bool find_target(Sweep *s, Error *err)
{
    const TrainConfig *t = &s->config->target;
    Config model;
    s->target_tokens = (double)t->schedule.steps * t->rows * t->tokens;
    if (t->from)
        return true;
    if (!config_read(&model, t->shape, err))
        return error_add(err, "model.shape");
    s->target_parameters = (double)config_n_parameters(&model);
    return true;
}

static bool run_all(Sweep *s, bool *is_done, Error *err)
{
    const SweepConfig *c = s->config;
    char *config = file_join(s->options->trial.out, "config.yaml");
    bool ok = find_target(s, err) && plan_grid(s, err) &&
              file_make_dir(s->options->trial.out, err) && write_yaml(config, c->json, err);
    mem_free(config);
    const int total = s->n_grid + c->n_mixtures;
    if (!ok || !run_trials(s, 0, s->n_grid, total, is_done, err))
        return false;
    if (!*is_done)
        return true;
    if (!choose_rate_and_rows(s, err))
        return false;
    if (c->n_mixtures > 0) {
        const SweepRow *first = best_row(s, 0, 0);
        if (!plan_mixtures(s, first->rows, first->best.at, err) ||
            !run_trials(s, s->n_grid, s->n_trials, total, is_done, err))
            return false;
        if (!*is_done)
            return true;
        if (!choose_weights(s, err))
            return false;
    }
    return write_tuned(s, err) && sweep_report_write(s, err);
}

bool sweep_run(const SweepConfig *config, const SweepOptions *options, bool *is_done, Error *err)
{
    Sweep s = {.config = config, .options = options};
    s.weights = ARENA_ARRAY(&s.arena, double, config->target.n_sources);
    *is_done = false;
    const bool ok = run_all(&s, is_done, err);
    arena_close(&s.arena);
    return ok;
}
