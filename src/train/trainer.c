/* See trainer.h. */
#include "train/trainer.h"

#include "base/clock.h"
#include "base/file.h"
#include "train/continued.h"
#include "train/export.h"
#include "train/gradient.h"
#include "train/model_text.h"

#include <inttypes.h>
#include <math.h>

struct Trainer {
    const TrainConfig *config; /* borrowed */
    TrainerOptions options;
    Backend *backend;     /* options.backend, or one of its own */
    Package *from, *text; /* where weights and tokenizer come from; may be one */
    ModelText texts;
    json_t *model_json; /* config.json's keys */
    Config model;
    char *data_folder;
    Ranks ranks;
    Params params;
    Optim optim;
    Gradient *gradient;
    Data data;
    Progress progress;
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
    t->model_json =
        c->from ? continued_config(package_config(t->from), c->shape, err) : json_incref(c->shape);
    if (!t->model_json || !config_read(&t->model, t->model_json, err))
        return c->from ? error_add(err, "%s", c->from) : error_add(err, "model.shape");
    t->backend = t->options.backend;
    if (!t->backend)
        t->backend = backend_open("cpu", t->options.n_threads, err);
    return t->backend && positions_are_plain(&t->model, c->tokens, err) &&
           ranks_open(&t->ranks, t->backend, err) &&
           params_open(&t->params, &t->model, t->backend, c->compute, c->divides_experts, &c->learn,
                       err) &&
           optim_open(&t->optim, &t->params, &c->optimizer,
                      c->zero == ZERO_NONE ? 1 : t->backend->n_ranks, err);
}

static bool read_data(Trainer *t, Error *err)
{
    t->data_folder =
        t->options.data ? mem_strdup(t->options.data) : file_join(t->options.out, "data");
    const DataText text = trainer_data_text(t);
    return t->options.state.save || data_open(&t->data, t->config, &text, err);
}

/* The first rank tokenizes with all threads; the others find what it kept. */
static bool open_data(Trainer *t, Error *err)
{
    Backend *b = t->backend;
    if (ranks_is_first(&t->ranks) && !read_data(t, err))
        return false;
    ranks_first(&t->ranks, 0);
    return b->group_is_ok(b, err) && (ranks_is_first(&t->ranks) || read_data(t, err));
}

/* A micro-batch lies within a grain. */
static int micro_rows(const TrainConfig *c)
{
    const int rows = c->rows / c->grains;
    return c->micro_rows < rows ? c->micro_rows : rows;
}

static bool open_gradient(Trainer *t, Error *err)
{
    const TrainConfig *c = t->config;
    const GradientOptions options = {
        .grains = c->grains,
        .micro_rows = micro_rows(c),
        .row_tokens = c->tokens,
        .recomputes = c->recomputes,
        .zero = t->optim.shards.n > 1 ? (ZeroStage)c->zero : ZERO_NONE,
        .balance = (float)c->balance,
    };
    t->gradient = gradient_open(&t->params, &t->optim.shards, &options, err);
    return t->gradient != NULL;
}

static bool start_masters(Trainer *t, Error *err)
{
    const size_t bytes = sizeof(float) * t->params.size;
    const uint64_t seed = (uint64_t)t->config->seed;
    float *masters = mem_try_alloc(bytes, "master weights", err);
    if (!masters)
        return false;
    const bool ok = t->from
                        ? params_load(&t->params, t->from, seed, masters, err)
                        : params_init(&t->params, t->config->init_deviation, seed, masters, err);
    if (ok) {
        optim_set_masters(&t->optim, masters);
        params_publish(&t->params, masters);
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

/* The folder, and the step of the checkpoint to go on from; -1: there is none. */
static bool open_folder(const Trainer *t, int64_t *step, Error *err)
{
    const char *out = t->options.out;
    if (ranks_is_first(&t->ranks)) {
        if (!file_make_dir(out, err) || !checkpoint_remove_unfinished(out, err) ||
            (t->options.is_fresh && !checkpoint_remove_all(out, err)))
            return false;
        *step = checkpoint_newest(out);
    }
    *step = ranks_first(&t->ranks, *step);
    return t->backend->group_is_ok(t->backend, err);
}

static void save_cursor(void *data, Buf *out) { data_save(data, out); }
static bool load_cursor(void *data, Str saved) { return data_load(data, saved); }

static StageState state_of(const Trainer *t)
{
    return t->options.state.save ? t->options.state
                                 : (StageState){save_cursor, load_cursor, (void *)&t->data};
}

/* Weights at step 0, or those of the newest checkpoint. */
static bool start_or_resume(Trainer *t, Error *err)
{
    int64_t step = -1;
    if (!open_folder(t, &step, err))
        return false;
    /* A checkpoint has what learns; what is frozen comes from where it came at first. */
    if ((step < 0 || t->params.n_frozen > 0) && !start_masters(t, err))
        return false;
    if (step < 0)
        return true;
    const StageState state = state_of(t);
    return checkpoint_load(t->options.out, step, &t->progress, &t->optim,
                           gradient_memory(t->gradient), &state, t->config, err);
}

Trainer *trainer_open(const TrainConfig *config, const TrainerOptions *options, Error *err)
{
    Trainer *t = mem_alloc(sizeof *t);
    t->config = config;
    t->options = *options;
    if (!open_packages(t, err) || !open_model(t, err) || !open_data(t, err) ||
        !open_gradient(t, err) || !start_or_resume(t, err) ||
        (trainer_is_first(t) && !write_config(t, err)))
        goto fail;
    return t;
fail:
    trainer_close(t);
    return NULL;
}

void trainer_close(Trainer *t)
{
    if (!t)
        return;
    data_close(&t->data);
    if (t->backend) {
        gradient_close(t->gradient);
        optim_close(&t->optim);
        if (t->params.model)
            params_close(&t->params);
        ranks_close(&t->ranks);
        if (!t->options.backend)
            t->backend->close(t->backend);
    }
    mem_free(t->data_folder);
    model_text_close(&t->texts);
    package_close(t->from);
    package_close(t->text);
    json_decref(t->model_json);
    mem_free(t);
}

const TrainConfig *trainer_config(const Trainer *t) { return t->config; }
const char *trainer_folder(const Trainer *t) { return t->options.out; }
const Progress *trainer_progress(const Trainer *t) { return &t->progress; }
Model *trainer_model(const Trainer *t) { return t->params.model; }
const Adapter *trainer_adapter(const Trainer *t) { return t->params.adapter; }
const Data *trainer_data(const Trainer *t) { return &t->data; }
const ModelText *trainer_text(const Trainer *t) { return &t->texts; }

DataText trainer_data_text(const Trainer *t)
{
    return (DataText){.tokenizer = t->texts.tokenizer,
                      .chat = t->texts.chat,
                      .key = t->texts.key,
                      .n_vocab = t->model.n_vocab,
                      .folder = t->data_folder,
                      .n_threads = t->options.n_threads,
                      .line = t->options.line,
                      .context = t->options.context};
}

json_t *trainer_generation(const Trainer *t)
{
    return package_generation_config(t->text ? t->text : t->from);
}

bool trainer_is_first(const Trainer *t) { return ranks_is_first(&t->ranks); }

bool trainer_agree(const Trainer *t, bool is_so) { return ranks_first(&t->ranks, is_so) != 0; }

const Rows *trainer_next_rows(Trainer *t) { return data_next(&t->data); }

int trainer_micro_tokens(const Trainer *t) { return micro_rows(t->config) * t->config->tokens; }

double trainer_score(Trainer *t, const Rows *rows, const Objective *objective)
{
    return gradient_score(t->gradient, rows, objective);
}

/* ---- A step
 * ---------------------------------------------------------------------------------------------- */

bool trainer_update(Trainer *t, const Rows *rows, const Objective *objective, StepReport *report,
                    Error *err)
{
    const double start = clock_seconds();
    const int64_t step = t->progress.step, n_before = report->gradient.n_tokens;
    const float *part;
    report->rate = schedule_rate(&t->config->schedule, step);
    if (!gradient_batch(t->gradient, rows, objective, &part, &report->gradient, err))
        return false;
    report->gradient.n_tokens += n_before;
    if (!isfinite(report->gradient.loss))
        return error_set(err, ERROR_LIMIT, "step %" PRId64 ": the loss is %g", step + 1,
                         report->gradient.loss);
    if (!optim_step(&t->optim, part, gradient_memory(t->gradient), report->rate, &report->optim,
                    err))
        return error_add(err, "step %" PRId64, step + 1);
    report->seconds += clock_seconds() - start;
    return true;
}

void trainer_end_step(Trainer *t, const StepReport *report)
{
    t->progress.step++;
    t->progress.n_tokens += report->gradient.n_tokens;
    t->progress.seconds += report->seconds;
}

bool trainer_step(Trainer *t, StepReport *report, Error *err)
{
    *report = (StepReport){0};
    if (!trainer_update(t, data_next(&t->data), NULL, report, err))
        return false;
    trainer_end_step(t, report);
    return true;
}

/* ---- Keeping
 * --------------------------------------------------------------------------------------------- */

bool trainer_save(const Trainer *t, Error *err)
{
    const StageState state = state_of(t);
    return checkpoint_save(t->options.out, t->config->checkpoint_keep, &t->progress, &t->optim,
                           &t->ranks, &state, t->config, err);
}

double trainer_learning_share(const Trainer *t)
{
    return (double)t->params.size / (double)config_n_parameters(&t->model);
}

bool trainer_export(const Trainer *t, ExportKind kind, const char *folder, Error *err)
{
    Backend *b = t->backend;
    const Export e = {
        .params = &t->params,
        .masters = optim_masters(&t->optim, gradient_memory(t->gradient)),
        .config = t->model_json,
        .from = t->config->from,
        .lora_alpha = t->config->learn.alpha,
        .is_rslora = t->config->learn.is_rslora,
        .text = t->text ? t->text : t->from,
        .tokenizer = t->texts.tokenizer,
        .answer_end = t->config->stage != STAGE_PRETRAIN ? model_text_answer_end(&t->texts) : -1,
    };
    if (!b->group_is_ok(b, err))
        return false;
    if (!ranks_is_first(&t->ranks))
        return true;
    return kind == EXPORT_ADAPTER ? export_adapter(folder, &e, err) : export_model(folder, &e, err);
}

/* ---- Several ranks
 * --------------------------------------------------------------------------------------- */

typedef struct RanksJob {
    const TrainConfig *config;
    const TrainerOptions *options;
    TrainerBody *body;
    void *context;
} RanksJob;

static bool run_rank(void *context, Backend *b, Error *err)
{
    const RanksJob *job = context;
    TrainerOptions options = *job->options;
    options.backend = b;
    if (b->rank > 0)
        options.line = NULL;
    Trainer *t = trainer_open(job->config, &options, err);
    const bool ok = t && job->body(job->context, t, err);
    trainer_close(t);
    return ok;
}

bool trainer_run_ranks(const TrainConfig *config, const TrainerOptions *options, TrainerBody *body,
                       void *context, Error *err)
{
    RanksJob job = {config, options, body, context};
    return backend_run_ranks("cpu", config->ranks, options->n_threads, run_rank, &job, err);
}
