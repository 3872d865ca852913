/* See run.h. */
#include "train/run.h"

#include "base/clock.h"
#include "base/file.h"
#include "train/export.h"
#include "train/page.h"
#include "train/report.h"
#include "train/run_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Columns of log.csv in their order; the last three of mixture models only. */
enum {
    COLUMN_TOKENS,
    COLUMN_SECONDS,
    COLUMN_LOSS,
    COLUMN_BPB,
    COLUMN_LR,
    COLUMN_GRAD_NORM,
    COLUMN_TOKENS_PER_S,
    COLUMN_OF_PEAK,
    COLUMN_SKIPPED,
    COLUMN_BALANCE,
    COLUMN_MAX_VIOLATION,
    COLUMN_ROUTER_ENTROPY,
    N_COLUMNS
};

static const struct {
    const char *name, *tag;
    int decimals;
} columns[N_COLUMNS] = {
    {"tokens", NULL, 0},
    {"seconds", NULL, 3},
    {"loss", "train/loss", RUN_LOG_EXACT},
    {"bpb", "train/bits_per_byte", RUN_LOG_EXACT},
    {"lr", "train/learning_rate", RUN_LOG_EXACT},
    {"grad_norm", "train/grad_norm", RUN_LOG_EXACT},
    {"tokens_per_s", "speed/tokens_per_s", 1},
    {"of_peak", "speed/of_peak", 4},
    {"skipped", "train/skipped", 0},
    {"balance", "experts/balance_loss", RUN_LOG_EXACT},
    {"max_violation", "experts/max_violation", RUN_LOG_EXACT},
    {"router_entropy", "experts/router_entropy", RUN_LOG_EXACT},
};

typedef struct Run {
    Trainer *trainer;
    const RunOptions *options;
    bool is_moe;
    double flops_per_token, peak_flops;
    double recent_tokens, recent_seconds; /* weighted towards the last ten steps or so */
    RunLog *log;
    Evaluation *evaluation;
} Run;

/* Arithmetic of a token: 4 for each parameter that a product reads, 2 more for one that learns, and
 * attention's causal half. */
static double flops_of_token(const Config *m, int tokens, double learning_share)
{
    const double head = (double)m->n_vocab * m->d_model;
    const double body = (double)config_n_active_parameters(m) - head * (m->is_tied ? 1 : 2);
    return (4 + 2 * learning_share) * (body + head) +
           6.0 * m->n_layers * m->n_heads * m->head_dim * tokens;
}

static bool open_log(Run *run, Error *err)
{
    const int n = run->is_moe ? N_COLUMNS : COLUMN_BALANCE;
    run->log = run_log_new();
    for (int i = 0; i < n; i++)
        run_log_column(run->log, columns[i].name, columns[i].tag, columns[i].decimals);
    if (run->options->steps.add_columns)
        run->options->steps.add_columns(run->options->steps.context, run->log);
    run->evaluation = evaluation_open(run->trainer, &run->options->hooks, run->log, err);
    return run->evaluation &&
           run_log_start(run->log, trainer_folder(run->trainer),
                         trainer_progress(run->trainer)->step, err) &&
           evaluation_start(run->evaluation, err);
}

/* NAN where there are no texts that the loss is of. */
static double bits_per_byte(const Run *run, double loss)
{
    return run->options->steps.take
               ? (double)NAN
               : loss / 0.69314718055994531 / trainer_data(run->trainer)->bytes_per_token;
}

static void log_step(Run *run, const StepReport *r)
{
    const Progress *progress = trainer_progress(run->trainer);
    const double rate = (double)r->gradient.n_tokens / r->seconds;
    const double values[N_COLUMNS] = {
        [COLUMN_TOKENS] = (double)progress->n_tokens,
        [COLUMN_SECONDS] = progress->seconds,
        [COLUMN_LOSS] = r->gradient.loss,
        [COLUMN_BPB] = bits_per_byte(run, r->gradient.loss),
        [COLUMN_LR] = r->rate,
        [COLUMN_GRAD_NORM] = r->optim.grad_norm,
        [COLUMN_TOKENS_PER_S] = rate,
        [COLUMN_OF_PEAK] = rate * run->flops_per_token / run->peak_flops,
        [COLUMN_SKIPPED] = r->optim.is_skipped,
        [COLUMN_BALANCE] = r->gradient.balance_loss,
        [COLUMN_MAX_VIOLATION] = r->gradient.max_violation,
        [COLUMN_ROUTER_ENTROPY] = r->gradient.router_entropy,
    };
    for (int i = 0; i < (run->is_moe ? N_COLUMNS : COLUMN_BALANCE); i++)
        run_log_set(run->log, i, values[i]);
}

/* Hours, minutes and seconds. */
static void put_duration(double seconds, char *text, size_t bytes)
{
    snprintf(text, bytes, "%d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60) % 60,
             (int)seconds % 60);
}

/* The progress line; speed and time left go by the last steps. */
static void show_step(Run *run, const StepReport *r)
{
    const double memory = 0.9;
    const Progress *progress = trainer_progress(run->trainer);
    const TrainConfig *c = trainer_config(run->trainer);
    run->recent_tokens = memory * run->recent_tokens + (double)r->gradient.n_tokens;
    run->recent_seconds = memory * run->recent_seconds + r->seconds;
    if (!run->options->progress || progress->step % c->log_every != 0)
        return;
    const double rate = run->recent_tokens / run->recent_seconds;
    char left[32];
    Buf line = {0};
    put_duration((double)(c->schedule.steps - progress->step) * (double)r->gradient.n_tokens / rate,
                 left, sizeof left);
    buf_printf(&line, "step %" PRId64 "/%" PRId64 "  ", progress->step, c->schedule.steps);
    if (run->options->steps.describe)
        run->options->steps.describe(run->options->steps.context, &line);
    else
        buf_printf(&line, "loss %.4f  %.3f bits/byte", r->gradient.loss,
                   bits_per_byte(run, r->gradient.loss));
    buf_printf(&line, "  lr %.2e  grad %.3f%s  %.0f tokens/s  %.0f %% of peak  %s left", r->rate,
               r->optim.grad_norm, r->optim.is_skipped ? " (skipped)" : "", rate,
               100 * rate * run->flops_per_token / run->peak_flops, left);
    run->options->progress(run->options->context, line.data);
    buf_free(&line);
}

static bool evaluate(Run *run, Error *err)
{
    Buf line = {0};
    buf_printf(&line, "step %" PRId64, trainer_progress(run->trainer)->step);
    const size_t empty = line.bytes;
    const bool ok = evaluation_step(run->evaluation, run->log, &line, err);
    if (ok && line.bytes > empty && run->options->line)
        run->options->line(run->options->context, line.data);
    buf_free(&line);
    return ok;
}

static const char *const titles[] = {[STAGE_PRETRAIN] = "Pre-training",
                                     [STAGE_SFT] = "Fine-tuning",
                                     [STAGE_RL] = "Reinforcement learning",
                                     [STAGE_DISTILL] = "Distillation",
                                     [STAGE_REWARD] = "Reward model"};

static bool write_report(const Run *run, Error *err)
{
    const Progress *progress = trainer_progress(run->trainer);
    const TrainConfig *c = trainer_config(run->trainer);
    const Model *model = trainer_model(run->trainer);
    ReportFact facts[] = {{.name = "steps"},          {.name = "tokens"},
                          {.name = "time"},           {.name = "tokens a second, mean"},
                          {.name = "parameters"},     {.name = "threads"},
                          {.name = "instruction set"}};
    char status[512];
    snprintf(facts[0].value, sizeof facts[0].value, "%" PRId64, progress->step);
    page_number((double)progress->n_tokens, facts[1].value);
    put_duration(progress->seconds, facts[2].value, sizeof facts[2].value);
    page_number((double)progress->n_tokens / progress->seconds, facts[3].value);
    page_number((double)config_n_parameters(&model->config), facts[4].value);
    snprintf(facts[5].value, sizeof facts[5].value, "%d", model->backend->n_threads);
    snprintf(facts[6].value, sizeof facts[6].value, "%s", model->backend->isa);
    if (progress->step < c->schedule.steps)
        snprintf(status, sizeof status, "%.300s: stopped after step %" PRId64 " of %" PRId64,
                 trainer_folder(run->trainer), progress->step, c->schedule.steps);
    else
        snprintf(status, sizeof status, "%.300s: all steps done", trainer_folder(run->trainer));
    return report_write(trainer_folder(run->trainer), titles[c->stage], status, facts,
                        sizeof facts / sizeof *facts, err);
}

/* OUT/adapter of a run that trains one; OUT/model and the GGUF, if a model is wanted. */
static bool export_to_out(const Run *run, Error *err)
{
    const TrainConfig *c = trainer_config(run->trainer);
    const char *out = trainer_folder(run->trainer);
    char *folder = file_join(out, "model"), *gguf = file_join(out, "model.gguf");
    char *adapter = file_join(out, "adapter");
    const bool is_lora = c->learn.rank > 0;
    bool ok = !is_lora || trainer_export(run->trainer, EXPORT_ADAPTER, adapter, err);
    if (!is_lora || c->merges)
        ok = ok && trainer_export(run->trainer, EXPORT_MODEL, folder, err) &&
             (!c->gguf || export_gguf(folder, gguf, c->gguf, 0, err));
    mem_free(folder);
    mem_free(gguf);
    mem_free(adapter);
    return ok;
}

/* The first rank's part of a step: what is written and said. */
static bool tell_step(Run *run, const StepReport *report, Error *err)
{
    if (!trainer_is_first(run->trainer))
        return true;
    log_step(run, report);
    show_step(run, report);
    return evaluate(run, err) &&
           run_log_end_step(run->log, trainer_progress(run->trainer)->step, err);
}

static bool take_step(Run *run, StepReport *report, Error *err)
{
    const StageSteps *steps = &run->options->steps;
    if (!steps->take)
        return trainer_step(run->trainer, report, err);
    const double start = clock_seconds();
    *report = (StepReport){0};
    if (!steps->take(steps->context, run->trainer, run->log, report, err))
        return false;
    report->seconds = clock_seconds() - start; /* with what came before the updates */
    trainer_end_step(run->trainer, report);
    return true;
}

/* Steps until the schedule's end or the stop. */
static bool run_steps(Run *run, Error *err)
{
    Trainer *t = run->trainer;
    const TrainConfig *c = trainer_config(t);
    const Progress *progress = trainer_progress(t);
    bool is_stopped = false;
    while (progress->step < c->schedule.steps && !is_stopped) {
        StepReport report;
        if (!take_step(run, &report, err) || !tell_step(run, &report, err))
            return false;
        is_stopped = trainer_agree(t, run->options->stop && *run->options->stop);
        const bool is_due = progress->step % c->checkpoint_every == 0;
        if ((is_due || is_stopped || progress->step == c->schedule.steps) && !trainer_save(t, err))
            return false;
    }
    return true;
}

bool run_stage(Trainer *t, const RunOptions *options, bool *is_done, Error *err)
{
    const Model *model = trainer_model(t);
    const TrainConfig *c = trainer_config(t);
    Backend *b = model->backend;
    Run run = {.trainer = t,
               .options = options,
               .is_moe = model->config.n_experts > 0,
               .flops_per_token =
                   flops_of_token(&model->config, c->tokens, trainer_learning_share(t)),
               .peak_flops = b->peak_flops(b, c->compute) * b->n_ranks};
    const bool is_open = !trainer_is_first(t) || open_log(&run, err);
    bool ok = is_open && run_steps(&run, err);
    *is_done = trainer_progress(t)->step >= c->schedule.steps;
    if (ok && *is_done && !options->is_trial)
        ok = export_to_out(&run, err);
    /* Of a run that failed too: it shows why. */
    if (is_open && trainer_is_first(t) && trainer_progress(t)->step > 0)
        ok = write_report(&run, ok ? err : NULL) && ok;
    evaluation_close(run.evaluation);
    run_log_close(run.log);
    return ok;
}
