/* See run.h. */
#include "train/run.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 512 };

typedef struct Run {
    Trainer *trainer;
    const RunOptions *options;
    bool is_moe;
    double flops_per_token, peak_flops;
    FILE *log;
} Run;

/* Keeps the lines of steps that this run has done; a run that is resumed repeats the others. */
static bool open_log(Run *run, Error *err)
{
    Buf old = {0}, kept = {0};
    const int64_t steps_done = trainer_progress(run->trainer)->step;
    char *path = file_join(trainer_folder(run->trainer), "log.csv");
    bool ok = !file_exists(path) || steps_done == 0 || file_read(&old, path, SIZE_MAX, err);
    buf_puts(&kept, "step,tokens,seconds,loss,bpb,lr,grad_norm,tokens_per_s,of_peak,skipped");
    buf_puts(&kept, run->is_moe ? ",balance,max_violation,router_entropy\n" : "\n");
    for (size_t from = 0; from < old.bytes;) {
        const char *end = memchr(old.data + from, '\n', old.bytes - from);
        const size_t to = end ? (size_t)(end - old.data) + 1 : old.bytes;
        int64_t step;
        if (end && sscanf(old.data + from, "%" SCNd64, &step) == 1 && step <= steps_done)
            buf_append(&kept, old.data + from, to - from);
        from = to;
    }
    ok = ok && file_write(path, buf_str(&kept), err);
    run->log = ok ? fopen(path, "a") : NULL;
    if (ok && !run->log)
        ok = error_set(err, ERROR_IO, "%s: cannot be written to", path);
    mem_free(path);
    buf_free(&old);
    buf_free(&kept);
    return ok;
}

/* Arithmetic of a token: 6 for each parameter that a product reads, and attention's causal half. */
static double flops_of_token(const Config *m, int tokens)
{
    const double head = (double)m->n_vocab * m->d_model;
    const double body = (double)config_n_active_parameters(m) - head * (m->is_tied ? 1 : 2);
    return 6 * (body + head) + 6.0 * m->n_layers * m->n_heads * m->head_dim * tokens;
}

static void write_line(const Run *run, const StepReport *r)
{
    const Progress *progress = trainer_progress(run->trainer);
    const TrainConfig *config = trainer_config(run->trainer);
    const double rate = (double)r->n_tokens / r->seconds;
    const double of_peak = rate * run->flops_per_token / run->peak_flops;
    const double bits = r->loss / 0.69314718055994531 / trainer_data(run->trainer)->bytes_per_token;
    fprintf(run->log, "%" PRId64 ",%" PRId64 ",%.3f,%.9g,%.9g,%.9g,%.9g,%.1f,%.4f,%d",
            progress->step, progress->n_tokens, progress->seconds, r->loss, bits, r->rate,
            r->optim.grad_norm, rate, of_peak, r->optim.is_skipped);
    if (run->is_moe)
        fprintf(run->log, ",%.9g,%.9g,%.9g", r->balance_loss, r->max_violation, r->router_entropy);
    fprintf(run->log, "\n");
    fflush(run->log);
    if (!run->options->line || progress->step % config->log_every != 0)
        return;
    const int64_t steps = config->schedule.steps;
    const double left = (double)(steps - progress->step) * r->seconds;
    char line[LINE_BYTES];
    snprintf(line, sizeof line,
             "step %" PRId64 "/%" PRId64 "  loss %.4f  %.3f bits/byte  lr %.2e  grad %.3f%s  "
             "%.0f tokens/s  %.0f %% of peak  %d:%02d:%02d left",
             progress->step, steps, r->loss, bits, r->rate, r->optim.grad_norm,
             r->optim.is_skipped ? " (skipped)" : "", rate, 100 * of_peak, (int)(left / 3600),
             (int)(left / 60) % 60, (int)left % 60);
    run->options->line(run->options->context, line);
}

static bool export_to_out(const Run *run, Error *err)
{
    char *folder = file_join(trainer_folder(run->trainer), "model");
    const bool ok = trainer_export(run->trainer, folder, err);
    mem_free(folder);
    return ok;
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
        if (!trainer_step(t, &report, err))
            return false;
        write_line(run, &report);
        is_stopped = run->options->stop && *run->options->stop;
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
               .flops_per_token = flops_of_token(&model->config, c->tokens),
               .peak_flops = b->peak_flops(b, c->compute)};
    bool ok = open_log(&run, err) && run_steps(&run, err);
    *is_done = trainer_progress(t)->step >= c->schedule.steps;
    if (ok && *is_done)
        ok = export_to_out(&run, err);
    if (run.log)
        fclose(run.log);
    return ok;
}
