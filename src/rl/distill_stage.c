/* See distill_stage.h. */
#include "rl/distill_stage.h"

#include "base/rng.h"
#include "engine/assets.h"
#include "rl/distill.h"
#include "rl/update.h"

/* Columns of log.csv, behind the trainer's. */
enum {
    COLUMN_KL,
    COLUMN_ENTROPY,
    COLUMN_AGREEMENT,
    COLUMN_TEACHER_SECONDS,
    COLUMN_REPLIES, /* on-policy: these last ones */
    COLUMN_REPLY_TOKENS,
    COLUMN_CUT,
    N_COLUMNS
};

static const struct {
    const char *name, *tag;
    int decimals;
} columns[N_COLUMNS] = {
    {"kl", "distill/kl", RUN_LOG_EXACT},
    {"entropy", "distill/entropy", RUN_LOG_EXACT},
    {"agreement", "distill/agreement", RUN_LOG_EXACT},
    {"teacher_seconds", "speed/teacher_seconds", 3},
    {"replies", "distill/replies", RUN_LOG_EXACT},
    {"reply_tokens", "distill/reply_tokens", RUN_LOG_EXACT},
    {"cut", "distill/cut", RUN_LOG_EXACT},
};

struct DistillStage {
    const DistillConfig *config;
    Prompts *prompts; /* NULL: off-policy */
    Teacher *teacher; /* opened with the first step, on the trainer's backend */
    Distill distill;
    double last_kl, last_agreement;
    int column[N_COLUMNS];
};

/* ---- Opening
 * ------------------------------------------------------------------------------------------- */

/* Against the student's tokenizer, and the rows of its head where they are known by now. */
static bool check_teacher(const DistillConfig *c, Error *err)
{
    ModelText text = {0};
    Package *package = package_open(c->train.tokenizer ? c->train.tokenizer : c->train.from,
                                    !c->train.tokenizer, err);
    bool ok = package && model_text_open(&text, package, err);
    if (ok) {
        const json_t *config = c->train.from ? package_config(package) : c->train.shape;
        const json_t *rows = json_object_get(config, "vocab_size");
        ok = teacher_check(c->teacher, text.tokenizer, (int)json_integer_value(rows), err);
    }
    if (ok && distill_config_is_on_policy(c) && !text.chat)
        ok = error_set(err, ERROR_UNSUPPORTED, "%s has no chat template, so nobody can ask it",
                       package_path(package));
    model_text_close(&text);
    package_close(package);
    return ok;
}

DistillStage *distill_stage_open(const DistillConfig *config, Error *err)
{
    DistillStage *s = mem_alloc(sizeof *s);
    s->config = config;
    bool ok = true;
    if (distill_config_is_on_policy(config))
        ok = (s->prompts = prompts_open(&config->prompts, err)) != NULL;
    if (ok && check_teacher(config, err))
        return s;
    distill_stage_close(s);
    return NULL;
}

void distill_stage_close(DistillStage *s)
{
    if (!s)
        return;
    distill_close(&s->distill);
    teacher_close(s->teacher);
    prompts_close(s->prompts);
    mem_free(s);
}

/* What has to wait for the trainer's backend. */
static bool open_rest(DistillStage *s, Trainer *t, Error *err)
{
    if (s->teacher)
        return true;
    s->teacher = teacher_open(s->config->teacher, trainer_model(t), trainer_micro_tokens(t), err);
    return s->teacher &&
           distill_open(&s->distill, &s->config->divergence, s->teacher, trainer_model(t), err);
}

/* ---- A step
 * ------------------------------------------------------------------------------------------- */

static void set(DistillStage *s, RunLog *log, int column, double value)
{
    run_log_set(log, s->column[column], value);
}

static void tell_replies(DistillStage *s, const Rollouts *r, RunLog *log)
{
    double n_tokens = 0, n_cut = 0;
    for (int i = 0; i < r->n; i++) {
        n_tokens += r->items[i].n_sampled;
        n_cut += r->items[i].finish == FINISH_LENGTH;
    }
    set(s, log, COLUMN_REPLIES, r->n);
    set(s, log, COLUMN_REPLY_TOKENS, n_tokens / r->n);
    set(s, log, COLUMN_CUT, n_cut / r->n);
}

static bool sample(DistillStage *s, Trainer *t, Problem *problems, Rollouts *rollouts, Error *err)
{
    const DistillConfig *c = s->config;
    int32_t eos[CONFIG_EOS_MAX];
    const uint64_t step = (uint64_t)trainer_progress(t)->step;
    const RolloutOptions options = {
        .adapter = trainer_adapter(t),
        .group = c->group,
        .max_tokens = c->max_tokens,
        .max_turns = c->max_turns,
        .thinks = chat_template_is_hybrid(trainer_text(t)->chat) ? c->thinks : -1,
        .seed = rng_counter((uint64_t)c->seed, step, 2),
        .eos_ids = eos,
        .n_eos =
            assets_generation_eos(trainer_generation(t), trainer_model(t)->config.n_vocab, eos),
    };
    for (int i = 0; i < c->n_problems; i++)
        prompts_next(s->prompts, &problems[i]);
    return rollouts_make(rollouts, trainer_model(t), trainer_text(t), problems, c->n_problems,
                         &options, err);
}

/* The rollouts as rows: update.h packs them, the objective is another one. */
static bool learn_replies(DistillStage *s, Trainer *t, const Rollouts *r, StepReport *report,
                          Error *err)
{
    const TrainConfig *c = &s->config->train;
    const Policy unused = {0};
    Arena arena = {0};
    Update u;
    UpdateAnswer *answers = ARENA_ARRAY(&arena, UpdateAnswer, r->n);
    for (int i = 0; i < r->n; i++)
        answers[i] = (UpdateAnswer){&r->items[i], 0, NULL};
    const bool ok = update_make(&u, &unused, answers, r->n, c->tokens, c->grains, err) &&
                    trainer_update(t, &u.rows, &s->distill.objective, report, err);
    update_free(&u);
    arena_close(&arena);
    return ok;
}

static bool learn_on_policy(DistillStage *s, Trainer *t, RunLog *log, StepReport *report,
                            Error *err)
{
    const int n = s->config->n_problems;
    Arena arena = {0};
    Rollouts rollouts = {0};
    Problem *problems = ARENA_ARRAY(&arena, Problem, n);
    bool ok = sample(s, t, problems, &rollouts, err);
    if (ok) {
        tell_replies(s, &rollouts, log);
        ok = learn_replies(s, t, &rollouts, report, err);
    }
    rollouts_free(&rollouts);
    for (int i = 0; i < n; i++)
        problem_close(&problems[i]);
    arena_close(&arena);
    return ok;
}

static bool take_step(void *context, Trainer *t, RunLog *log, StepReport *report, Error *err)
{
    DistillStage *s = context;
    if (!open_rest(s, t, err))
        return false;
    const double seconds = teacher_seconds(s->teacher);
    s->distill.stats = (DistillStats){0};
    if (!(s->prompts ? learn_on_policy(s, t, log, report, err)
                     : trainer_update(t, trainer_next_rows(t), &s->distill.objective, report, err)))
        return false;
    const DistillStats *stats = &s->distill.stats;
    const double n = stats->n_tokens > 0 ? (double)stats->n_tokens : 1;
    s->last_kl = stats->kl / n;
    s->last_agreement = (double)stats->n_agree / n;
    set(s, log, COLUMN_KL, s->last_kl);
    set(s, log, COLUMN_ENTROPY, stats->entropy / n);
    set(s, log, COLUMN_AGREEMENT, s->last_agreement);
    set(s, log, COLUMN_TEACHER_SECONDS, teacher_seconds(s->teacher) - seconds);
    return true;
}

/* ---- The stage
 * ---------------------------------------------------------------------------------------- */

static void add_columns(void *context, RunLog *log)
{
    DistillStage *s = context;
    for (int i = 0; i < (s->prompts ? N_COLUMNS : COLUMN_REPLIES); i++)
        s->column[i] = run_log_column(log, columns[i].name, columns[i].tag, columns[i].decimals);
}

static void describe(void *context, Buf *out)
{
    const DistillStage *s = context;
    buf_printf(out, "kl %.4f  agreement %.3f", s->last_kl, s->last_agreement);
}

static void save_state(void *context, Buf *out)
{
    const DistillStage *s = context;
    prompts_save(s->prompts, out);
}

static bool load_state(void *context, Str saved)
{
    DistillStage *s = context;
    return prompts_load(s->prompts, saved);
}

StageState distill_stage_state(DistillStage *s)
{
    return s->prompts ? (StageState){save_state, load_state, s} : (StageState){0};
}

StageSteps distill_stage_steps(DistillStage *s)
{
    return (StageSteps){add_columns, take_step, describe, s};
}
