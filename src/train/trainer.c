/* See trainer.h. */
#include "train/trainer.h"

#include "base/clock.h"
#include "base/file.h"
#include "train/export.h"
#include "train/model_text.h"

#include <inttypes.h>
#include <math.h>

/* log2 of the largest number of grains, and one more: the sums that wait in the tree. */
enum { GRAIN_SUMS_MAX = 11 };

struct Trainer {
    const TrainConfig *config; /* borrowed */
    TrainerOptions options;
    Backend *backend;
    Package *from, *text; /* where weights and tokenizer come from; may be one */
    ModelText texts;
    json_t *model_json; /* config.json's keys */
    Config model;
    Params params;
    Micro micro;
    Optim optim;
    Data data;
    Progress progress;
    /* Gradients: as many as the tree of grains needs. Each is params.size numbers and, behind them,
     * a tied head's embedding part. */
    float *sums[GRAIN_SUMS_MAX];
    int n_sums;
    size_t sum_size;
    LayerGrads *layers;
    MoeTotals totals; /* device; NULL arrays in dense models */
    int64_t *counts;  /* host copies */
    double *prob_sums, *entropy;
    Arena arena;
};

/* ---- Opening
 * ------------------------------------------------------------------------------------------- */

static bool open_packages(Trainer *t, Error *err)
{
    const TrainConfig *c = t->config;
    if (c->from && !(t->from = package_open(c->from, true, err)))
        return false;
    if (c->tokenizer && !(t->text = package_open(c->tokenizer, false, err)))
        return false;
    return model_text_open(&t->texts, t->text ? t->text : t->from, err);
}

static bool open_model(Trainer *t, Error *err)
{
    const TrainConfig *c = t->config;
    t->model_json = json_incref(c->shape ? c->shape : package_config(t->from));
    if (!config_read(&t->model, t->model_json, err))
        return c->shape ? error_add(err, "model.shape") : error_add(err, "%s", c->from);
    t->backend = backend_open("cpu", t->options.n_threads, err);
    return t->backend && params_open(&t->params, &t->model, t->backend, c->compute, err) &&
           optim_open(&t->optim, &t->params, &c->optimizer, err);
}

static bool open_data(Trainer *t, Error *err)
{
    const DataText text = {.tokenizer = t->texts.tokenizer,
                           .chat = t->texts.chat,
                           .n_vocab = t->model.n_vocab,
                           .line = t->options.line,
                           .context = t->options.context};
    return data_open(&t->data, t->config, &text, err);
}

static void *take(Trainer *t, size_t bytes, const char *what, Error *err)
{
    return t->backend->alloc(t->backend, bytes, what, err);
}

static bool open_gradients(Trainer *t, Error *err)
{
    const Config *m = &t->model;
    const size_t n_tied = m->is_tied ? (size_t)m->n_vocab * (size_t)m->d_model : 0;
    t->sum_size = t->params.size + n_tied;
    t->layers = ARENA_ARRAY(&t->arena, LayerGrads, m->n_layers);
    for (int grains = t->config->grains; grains > 0; grains /= 2) {
        t->sums[t->n_sums] = take(t, sizeof(float) * t->sum_size, "gradients", err);
        if (!t->sums[t->n_sums++])
            return false;
    }
    if (m->n_experts == 0)
        return true;
    const size_t n = (size_t)m->n_layers * (size_t)m->n_experts;
    t->totals.counts = take(t, sizeof(int64_t) * n, "counts of experts", err);
    t->totals.prob_sums = take(t, sizeof(double) * n, "counts of experts", err);
    t->totals.entropy = take(t, sizeof(double) * (size_t)m->n_layers, "counts of experts", err);
    t->counts = ARENA_ARRAY(&t->arena, int64_t, n);
    t->prob_sums = ARENA_ARRAY(&t->arena, double, n);
    t->entropy = ARENA_ARRAY(&t->arena, double, m->n_layers);
    return t->totals.counts && t->totals.prob_sums && t->totals.entropy;
}

static bool start_masters(Trainer *t, Error *err)
{
    const size_t bytes = sizeof(float) * t->params.size;
    float *masters = mem_try_alloc(bytes, "master weights", err);
    if (!masters)
        return false;
    bool ok = true;
    if (t->from)
        ok = params_load(&t->params, t->from, masters, err);
    else
        params_init(&t->params, t->config->init_deviation, (uint64_t)t->config->seed, masters);
    if (ok) {
        t->backend->upload(t->backend, t->optim.masters, masters, bytes);
        params_publish(&t->params, t->optim.masters);
    }
    mem_free(masters);
    return ok;
}

static bool write_config(const Trainer *t, Error *err)
{
    Buf text = {0};
    char *path = file_join(t->options.out, "config.yaml");
    train_config_write(t->config, &text);
    const bool ok = file_write(path, buf_str(&text), err);
    mem_free(path);
    buf_free(&text);
    return ok;
}

/* Weights at step 0, or those of the newest checkpoint. */
static bool start_or_resume(Trainer *t, Error *err)
{
    const char *out = t->options.out;
    if (!file_make_dir(out, err) || (t->options.is_fresh && !checkpoint_remove_all(out, err)))
        return false;
    const int64_t step = checkpoint_newest(out);
    if (step < 0)
        return start_masters(t, err);
    return checkpoint_load(out, step, &t->progress, &t->optim, &t->data, t->config, err);
}

/* Rows at a time; a micro-batch lies within a grain. */
static int micro_rows(const TrainConfig *c)
{
    const int rows = c->rows / c->grains;
    return c->micro_rows < rows ? c->micro_rows : rows;
}

Trainer *trainer_open(const TrainConfig *config, const TrainerOptions *options, Error *err)
{
    Trainer *t = mem_alloc(sizeof *t);
    t->config = config;
    t->options = *options;
    size_t n_tokens;
    if (!mem_product((size_t)micro_rows(config), (size_t)config->tokens, INT32_MAX / 4,
                     &n_tokens)) {
        error_set(err, ERROR_LIMIT, "batch: %d rows of %d tokens at a time are too many",
                  micro_rows(config), config->tokens);
        goto fail;
    }
    if (!open_packages(t, err) || !open_model(t, err) || !open_data(t, err) ||
        !micro_open(&t->micro, &t->params, (int)n_tokens, config->recomputes, err) ||
        !open_gradients(t, err) || !start_or_resume(t, err) || !write_config(t, err))
        goto fail;
    return t;
fail:
    trainer_close(t);
    return NULL;
}

static void free_device(Trainer *t)
{
    const size_t n_layers = (size_t)t->model.n_layers;
    const size_t n = n_layers * (size_t)t->model.n_experts;
    Backend *b = t->backend;
    for (int i = 0; i < t->n_sums; i++)
        if (t->sums[i])
            b->free(b, t->sums[i], sizeof(float) * t->sum_size);
    if (t->totals.counts)
        b->free(b, t->totals.counts, sizeof(int64_t) * n);
    if (t->totals.prob_sums)
        b->free(b, t->totals.prob_sums, sizeof(double) * n);
    if (t->totals.entropy)
        b->free(b, t->totals.entropy, sizeof(double) * n_layers);
}

void trainer_close(Trainer *t)
{
    if (!t)
        return;
    data_close(&t->data);
    if (t->backend) {
        free_device(t);
        micro_close(&t->micro);
        optim_close(&t->optim);
        if (t->params.model)
            params_close(&t->params);
        t->backend->close(t->backend);
    }
    model_text_close(&t->texts);
    package_close(t->from);
    package_close(t->text);
    json_decref(t->model_json);
    arena_close(&t->arena);
    mem_free(t);
}

const TrainConfig *trainer_config(const Trainer *t) { return t->config; }
const char *trainer_folder(const Trainer *t) { return t->options.out; }
const Progress *trainer_progress(const Trainer *t) { return &t->progress; }
Model *trainer_model(const Trainer *t) { return t->params.model; }
const Data *trainer_data(const Trainer *t) { return &t->data; }

/* ---- A step
 * ---------------------------------------------------------------------------------------------- */

/* What goes with a global batch. */
typedef struct StepJob {
    const Rows *rows;
    float scale; /* 1 / sum of weights */
    Balance balance;
    int micro_rows;
    bool is_counted; /* the experts' counts are those of the whole batch */
    double loss;
} StepJob;

static int row_after(const StepJob *job, int row, int end)
{
    return row + job->micro_rows < end ? row + job->micro_rows : end;
}

static void count_experts(Trainer *t, StepJob *job)
{
    const size_t n_layers = (size_t)t->model.n_layers;
    const size_t n = n_layers * (size_t)t->model.n_experts;
    Backend *b = t->backend;
    b->zero(b, t->totals.counts, sizeof(int64_t) * n);
    b->zero(b, t->totals.prob_sums, sizeof(double) * n);
    b->zero(b, t->totals.entropy, sizeof(double) * n_layers);
    if (row_after(job, 0, job->rows->n_rows) == job->rows->n_rows)
        return; /* one micro-batch: its own forward pass counts */
    for (int row = 0, next; row < job->rows->n_rows; row = next) {
        next = row_after(job, row, job->rows->n_rows);
        micro_load(&t->micro, job->rows, row, next, job->scale);
        micro_forward(&t->micro, &t->totals);
    }
    job->is_counted = true;
}

/* The gradient of one grain, from zero. */
static void grain_gradient(Trainer *t, StepJob *job, int from, int to, float *sum)
{
    Backend *b = t->backend;
    const bool is_moe = t->model.n_experts > 0;
    const Grads grads = params_grads(&t->params, sum, sum + t->params.size, t->layers);
    b->zero(b, sum, sizeof(float) * t->sum_size);
    for (int row = from, next; row < to; row = next) {
        next = row_after(job, row, to);
        micro_load(&t->micro, job->rows, row, next, job->scale);
        micro_forward(&t->micro, is_moe && !job->is_counted ? &t->totals : NULL);
        micro_loss(&t->micro, &grads, is_moe ? &job->balance : NULL, &job->loss);
    }
}

/* All grains, added in a binary tree: after grain g, as many pairs are joined as g + 1 has factors
 * of two. The sum is left in sums[0]. */
static void batch_gradient(Trainer *t, StepJob *job)
{
    Backend *b = t->backend;
    const int grains = t->config->grains, rows = job->rows->n_rows / grains;
    int depth = 0;
    for (int g = 0; g < grains; g++) {
        grain_gradient(t, job, g * rows, (g + 1) * rows, t->sums[depth++]);
        for (int pairs = g + 1; pairs % 2 == 0; pairs /= 2, depth--)
            b->blend(b, t->sum_size, 1.0f, t->sums[depth - 1], 1.0f, t->sums[depth - 2]);
    }
    if (t->model.is_tied)
        b->blend(b, t->sum_size - t->params.size, 1.0f, t->sums[0] + t->params.size, 1.0f,
                 t->sums[0] + t->params.items[0].offset);
}

/* Reads what the routers did; averages over mixture layers. */
static void report_experts(Trainer *t, const StepJob *job, StepReport *report)
{
    const Config *m = &t->model;
    const size_t n = (size_t)m->n_layers * (size_t)m->n_experts;
    const double n_tokens = (double)job->balance.n_tokens;
    int n_moe = 0;
    Backend *b = t->backend;
    b->fetch(b, t->counts, t->totals.counts, sizeof(int64_t) * n);
    b->fetch(b, t->prob_sums, t->totals.prob_sums, sizeof(double) * n);
    b->fetch(b, t->entropy, t->totals.entropy, sizeof(double) * (size_t)m->n_layers);
    for (int l = 0; l < m->n_layers; l++) {
        if (!m->is_moe_layer[l])
            continue;
        n_moe++;
        report->router_entropy += t->entropy[l] / n_tokens;
        for (int e = 0; e < m->n_experts; e++) {
            const size_t at = (size_t)(l * m->n_experts + e);
            const double share =
                (double)t->counts[at] / (n_tokens * m->n_experts_used) * m->n_experts;
            const double violation = share - 1;
            report->balance_loss += share * t->prob_sums[at] / n_tokens;
            report->max_violation =
                violation > report->max_violation ? violation : report->max_violation;
        }
    }
    report->router_entropy /= n_moe;
    report->balance_loss /= n_moe;
}

bool trainer_step(Trainer *t, StepReport *report, Error *err)
{
    const double start = clock_seconds();
    const TrainConfig *c = t->config;
    StepJob job = {.rows = data_next(&t->data), .micro_rows = micro_rows(c)};
    const int n = job.rows->doc_start[job.rows->row_start[job.rows->n_rows]];
    double weights = 0;
    *report = (StepReport){.n_tokens = n};
    for (int i = 0; i < n; i++)
        weights += (double)job.rows->weights[i];
    job.scale = (float)(1 / weights);
    job.balance = (Balance){(float)c->balance, rows_n_tokens(job.rows, 0, job.rows->n_rows),
                            t->totals.counts};
    if (t->model.n_experts > 0)
        count_experts(t, &job);
    batch_gradient(t, &job);
    report->loss = job.loss;
    if (t->model.n_experts > 0)
        report_experts(t, &job, report);
    report->rate = schedule_rate(&c->schedule, t->progress.step);
    if (!isfinite(job.loss))
        return error_set(err, ERROR_LIMIT, "step %" PRId64 ": the loss is %g", t->progress.step + 1,
                         job.loss);
    if (!optim_step(&t->optim, t->sums[0], report->rate, &report->optim, err))
        return error_add(err, "step %" PRId64, t->progress.step + 1);
    report->seconds = clock_seconds() - start;
    t->progress.step++;
    t->progress.n_tokens += n;
    t->progress.seconds += report->seconds;
    return true;
}

/* ---- Keeping
 * --------------------------------------------------------------------------------------------- */

bool trainer_save(const Trainer *t, Error *err)
{
    return checkpoint_save(t->options.out, t->config->checkpoint_keep, &t->progress, &t->optim,
                           &t->data, t->config, err);
}

bool trainer_export(const Trainer *t, const char *folder, Error *err)
{
    const Export e = {
        .params = &t->params,
        .masters = t->optim.masters,
        .config = t->model_json,
        .text = t->text ? t->text : t->from,
        .tokenizer = t->texts.tokenizer,
        .answer_end = t->config->stage == STAGE_SFT ? model_text_answer_end(&t->texts) : -1,
    };
    return export_model(folder, &e, err);
}
