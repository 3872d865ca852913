/* See reward_stage.h. */
#include "rl/reward_stage.h"

#include "rl/epoch_order.h"
#include "rl/pairs.h"
#include "rl/preference.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Columns of log.csv, behind the trainer's. */
enum {
    COLUMN_ACCURACY,
    COLUMN_MARGIN,
    COLUMN_PAIRS,
    COLUMN_HELDOUT_LOSS, /* with held-out pairs: these last ones */
    COLUMN_HELDOUT_ACCURACY,
    COLUMN_HELDOUT_MARGIN,
    N_COLUMNS
};

static const struct {
    const char *name, *tag;
} columns[N_COLUMNS] = {
    {"accuracy", "reward/accuracy"},
    {"margin", "reward/margin"},
    {"pairs", "reward/pairs"},
    {"heldout_pair_loss", "heldout/pair_loss"},
    {"heldout_accuracy", "heldout/accuracy"},
    {"heldout_margin", "heldout/margin"},
};

struct RewardStage {
    const RewardConfig *config;
    RewardText text;
    Pairs pairs, held_out; /* held_out.n 0: none */
    EpochOrder order;
    int64_t n_drawn; /* pairs, over all steps */
    Preference preference;
    bool is_open; /* preference: with the first step */
    PreferenceStats last, last_heldout;
    int column[N_COLUMNS];
    Arena arena;
};

/* ---- Opening --------------------------------------------------------------------------------- */

typedef struct Speaker {
    void (*line)(void *context, const char *text);
    void *context;
} Speaker;

static bool read_pairs(const RewardStage *s, Pairs *pairs, const char *path, const Speaker *speaker,
                       Error *err)
{
    char text[700];
    if (!pairs_read(pairs, path, &s->text, s->config->train.tokens, err))
        return false;
    int n = snprintf(text, sizeof text, "%.400s: %d pairs", path, pairs->n);
    if (pairs->n_long > 0)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "; %d left out, longer than batch.tokens (%d)", pairs->n_long,
                      s->config->train.tokens);
    if (pairs->n_alike > 0)
        snprintf(text + n, sizeof text - (size_t)n, "; %d left out, both answers alike",
                 pairs->n_alike);
    if (speaker->line)
        speaker->line(speaker->context, text);
    return true;
}

RewardStage *reward_stage_open(const RewardConfig *config,
                               void (*line)(void *context, const char *text), void *context,
                               Error *err)
{
    RewardStage *s = mem_alloc(sizeof *s);
    const TrainConfig *c = &config->train;
    const Speaker speaker = {line, context};
    const int n_vocab = (int)json_integer_value(json_object_get(c->shape, "vocab_size"));
    s->config = config;
    if (reward_text_open(&s->text, c->from, c->tokenizer, n_vocab, config->token, err) &&
        read_pairs(s, &s->pairs, config->pairs, &speaker, err) &&
        (!config->held_out || read_pairs(s, &s->held_out, config->held_out, &speaker, err))) {
        s->order = epoch_order((uint64_t)c->seed, s->pairs.n, &s->arena);
        return s;
    }
    reward_stage_close(s);
    return NULL;
}

void reward_stage_close(RewardStage *s)
{
    if (!s)
        return;
    preference_close(&s->preference);
    pairs_close(&s->pairs);
    pairs_close(&s->held_out);
    reward_text_close(&s->text);
    arena_close(&s->arena);
    mem_free(s);
}

/* ---- A step ---------------------------------------------------------------------------------- */

static bool learn(RewardStage *s, Trainer *t, StepReport *report, Error *err)
{
    const TrainConfig *c = &s->config->train;
    const int n = s->config->n_pairs;
    Arena arena = {0};
    Rows rows;
    int *which = ARENA_ARRAY(&arena, int, n);
    for (int i = 0; i < n; i++)
        which[i] = epoch_order_at(&s->order, s->n_drawn + i);
    s->preference.stats = (PreferenceStats){0};
    const bool ok = pairs_rows(&s->pairs, which, n, c->tokens, c->grains, &arena, &rows, err) &&
                    trainer_update(t, &rows, &s->preference.objective, report, err);
    s->n_drawn += n;
    s->last = s->preference.stats;
    arena_close(&arena);
    return ok;
}

static bool score_heldout(RewardStage *s, Trainer *t, RunLog *log, Error *err)
{
    Arena arena = {0};
    Rows rows;
    const int n = s->held_out.n;
    int *which = ARENA_ARRAY(&arena, int, n);
    for (int i = 0; i < n; i++)
        which[i] = i;
    s->preference.stats = (PreferenceStats){0};
    const bool ok =
        pairs_rows(&s->held_out, which, n, s->config->train.tokens, 1, &arena, &rows, err);
    if (ok) {
        trainer_score(t, &rows, &s->preference.objective);
        s->last_heldout = s->preference.stats;
        run_log_set(log, s->column[COLUMN_HELDOUT_LOSS], s->last_heldout.loss / n);
        run_log_set(log, s->column[COLUMN_HELDOUT_ACCURACY], (double)s->last_heldout.n_right / n);
        run_log_set(log, s->column[COLUMN_HELDOUT_MARGIN], s->last_heldout.margin / n);
    }
    arena_close(&arena);
    return ok;
}

static bool take_step(void *context, Trainer *t, RunLog *log, StepReport *report, Error *err)
{
    RewardStage *s = context;
    const TrainConfig *c = &s->config->train;
    const int64_t step = trainer_progress(t)->step + 1;
    const double n = s->config->n_pairs;
    if (!s->is_open)
        preference_open(&s->preference, trainer_model(t), s->text.token, s->config->center);
    s->is_open = true;
    if (!learn(s, t, report, err))
        return false;
    run_log_set(log, s->column[COLUMN_ACCURACY], (double)s->last.n_right / n);
    run_log_set(log, s->column[COLUMN_MARGIN], s->last.margin / n);
    run_log_set(log, s->column[COLUMN_PAIRS], (double)s->n_drawn);
    if (s->held_out.n > 0 && (step % c->eval.every == 0 || step == c->schedule.steps))
        return score_heldout(s, t, log, err);
    return true;
}

/* ---- The stage ------------------------------------------------------------------------------- */

static void add_columns(void *context, RunLog *log)
{
    RewardStage *s = context;
    for (int i = 0; i < (s->held_out.n > 0 ? N_COLUMNS : COLUMN_HELDOUT_LOSS); i++)
        s->column[i] = run_log_column(log, columns[i].name, columns[i].tag, RUN_LOG_EXACT);
}

static void describe(void *context, Buf *out)
{
    const RewardStage *s = context;
    const double n = s->last.n > 0 ? (double)s->last.n : 1;
    buf_printf(out, "loss %.4f  accuracy %.3f  margin %.3f", s->last.loss / n,
               (double)s->last.n_right / n, s->last.margin / n);
    if (s->last_heldout.n > 0)
        buf_printf(out, "  held-out accuracy %.3f",
                   (double)s->last_heldout.n_right / (double)s->last_heldout.n);
}

/* Which pairs these are, and how many have been drawn. */
static void save_state(void *context, Buf *out)
{
    const RewardStage *s = context;
    buf_append(out, &s->pairs.hash, sizeof s->pairs.hash);
    buf_append(out, &s->n_drawn, sizeof s->n_drawn);
}

static bool load_state(void *context, Str saved)
{
    RewardStage *s = context;
    uint64_t hash;
    if (saved.bytes != sizeof hash + sizeof s->n_drawn)
        return false;
    memcpy(&hash, saved.data, sizeof hash);
    memcpy(&s->n_drawn, saved.data + sizeof hash, sizeof s->n_drawn);
    return hash == s->pairs.hash;
}

StageState reward_stage_state(RewardStage *s) { return (StageState){save_state, load_state, s}; }

StageSteps reward_stage_steps(RewardStage *s)
{
    return (StageSteps){add_columns, take_step, describe, s};
}
