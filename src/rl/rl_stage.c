/* See rl_stage.h. */
#include "rl/rl_stage.h"

#include "base/rng.h"
#include "engine/assets.h"
#include "rl/reference.h"
#include "rl/reward.h"
#include "rl/reward_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ATTEMPTS_MAX = 65, FAMILIES_MAX = 128 };

/* Columns of log.csv, behind the trainer's. */
enum {
    COLUMN_REWARD,
    COLUMN_SCORE,
    COLUMN_MIXED,
    COLUMN_ANSWERS,
    COLUMN_CUT,
    COLUMN_LENGTH_RIGHT,
    COLUMN_LENGTH_WRONG,
    COLUMN_ENTROPY,
    COLUMN_RATIO,
    COLUMN_CLIPPED,
    COLUMN_KL,
    COLUMN_KL_SAMPLER,
    COLUMN_KL_REFERENCE,
    N_COLUMNS
};

static const struct {
    const char *name, *tag;
} columns[N_COLUMNS] = {
    {"reward", "rl/reward"},
    {"score", "rl/score"},
    {"mixed_groups", "rl/mixed_groups"},
    {"answers", "rl/answers"},
    {"cut", "rl/cut"},
    {"length_right", "rl/length_right"},
    {"length_wrong", "rl/length_wrong"},
    {"entropy", "rl/entropy"},
    {"ratio", "rl/ratio"},
    {"clipped", "rl/clipped"},
    {"kl", "rl/kl"},
    {"kl_sampler", "rl/kl_sampler"},
    {"kl_reference", "rl/kl_reference"},
};

struct RlStage {
    const RlConfig *config;
    Prompts *prompts;
    Reward *reward;
    Grader *grader;     /* opened with the first step, if there is one */
    RewardModel *model; /* loaded with the first step, if there is one */
    bool is_loaded;
    Reference *reference;           /* opened with the first step */
    JsonLines *lines;               /* rollouts.jsonl; likewise */
    double last_reward, last_score; /* of the last step, means */
    int column[N_COLUMNS];
    int family_column[FAMILIES_MAX]; /* by task_family's number; -1: not drawn from */
};

/* Problems with their groups: what one round of sampling made. */
typedef struct Round {
    Problem *problems;
    int n;
    Rollouts rollouts;
    double *advantages; /* [rollouts.n] */
    float **reference;  /* [rollouts.n], or NULL */
} Round;

/* A group that is learned from. */
typedef struct Group {
    const Round *round;
    int problem_i;
} Group;

/* All of a step. */
typedef struct RlStep {
    Round rounds[ATTEMPTS_MAX];
    int n_rounds;
    Group *groups; /* [n_problems] at most */
    int n_groups, n_mixed, n_seen;
    Arena arena;
} RlStep;

/* ---- Opening
 * ------------------------------------------------------------------------------------------- */

static bool check_verifiers(RlStage *s, Error *err)
{
    Str line;
    const RlConfig *c = s->config;
    if (c->program || c->judge.path || c->model || prompts_have_verifiers(s->prompts, &line))
        return true;
    return error_set(
        err, ERROR_FORMAT,
        "%s: a problem has no family with a verifier, so reward.program, judge or model "
        "is needed: %.*s ...",
        c->prompts.path, (int)line.bytes, line.data);
}

RlStage *rl_stage_open(const RlConfig *config, Error *err)
{
    RlStage *s = mem_alloc(sizeof *s);
    s->config = config;
    if ((s->prompts = prompts_open(&config->prompts, err)) && check_verifiers(s, err) &&
        (!config->model || (s->model = reward_model_open(config->model, config->token, err))) &&
        (s->reward = reward_open(config->program, (int)(config->timeout_s * 1000),
                                 prompts_sample(s->prompts), err)))
        return s;
    rl_stage_close(s);
    return NULL;
}

void rl_stage_close(RlStage *s)
{
    if (!s)
        return;
    json_lines_close(s->lines);
    reference_close(s->reference);
    grader_close(s->grader);
    reward_model_close(s->model);
    reward_close(s->reward);
    prompts_close(s->prompts);
    mem_free(s);
}

/* What has to wait for the trainer: its model, its folder. */
static bool open_rest(RlStage *s, Trainer *t, Error *err)
{
    const RlConfig *c = s->config;
    if (!trainer_text(t)->chat)
        return error_set(err, ERROR_UNSUPPORTED, "%s has no chat template, so nobody can ask it",
                         c->train.from);
    if (c->judge.path && !s->grader &&
        !(s->grader = grader_open(&c->judge, trainer_model(t)->backend, err)))
        return false;
    if (s->model && !s->is_loaded &&
        !(s->is_loaded = reward_model_load(s->model, trainer_model(t)->backend, err)))
        return false;
    if (c->policy.kl > 0 && !s->reference)
        s->reference = reference_open(c->train.from, trainer_model(t), c->train.tokens, err);
    if (!s->lines)
        s->lines =
            json_lines_open(trainer_folder(t), "rollouts.jsonl", trainer_progress(t)->step, err);
    return s->lines && (s->reference || c->policy.kl == 0);
}

/* ---- Sampling
 * ----------------------------------------------------------------------------------------- */

static RolloutOptions rollout_options(const RlStage *s, const Trainer *t, int attempt,
                                      int32_t eos[CONFIG_EOS_MAX])
{
    const RlConfig *c = s->config;
    const bool is_hybrid = chat_template_is_hybrid(trainer_text(t)->chat);
    const uint64_t step = (uint64_t)trainer_progress(t)->step;
    return (RolloutOptions){
        .adapter = trainer_adapter(t),
        .group = c->group,
        .max_tokens = c->max_tokens,
        .max_turns = c->max_turns,
        .thinks = is_hybrid ? c->thinks : -1,
        .keeps_turns = c->model != NULL,
        .seed = rng_counter((uint64_t)c->seed, step, 2 + (uint64_t)attempt),
        .eos_ids = eos,
        .n_eos =
            assets_generation_eos(trainer_generation(t), trainer_model(t)->config.n_vocab, eos),
    };
}

/* What an answer gets for more than being right. */
static double reward_of(const RlConfig *c, const Rollout *r)
{
    const bool is_cut = r->finish == FINISH_LENGTH;
    return r->score + (is_cut ? 0 : c->format) +
           policy_length_penalty(r->n_sampled, c->max_tokens, c->soft_tokens);
}

static bool score(RlStage *s, Round *b, Error *err)
{
    if (s->model)
        return reward_model_score(s->model, b->problems, &b->rollouts, err);
    if (s->grader)
        return grader_score(s->grader, b->problems, &b->rollouts, err);
    return reward_score(s->reward, b->problems, &b->rollouts, err);
}

/* Scores, rewards, advantages; true in *is_mixed [n] where a group teaches something. */
static bool judge(RlStage *s, Round *b, bool *is_mixed, Arena *arena, Error *err)
{
    const RlConfig *c = s->config;
    double *rewards = ARENA_ARRAY(arena, double, c->group);
    if (!score(s, b, err))
        return false;
    b->advantages = ARENA_ARRAY(arena, double, b->rollouts.n);
    for (int i = 0; i < b->n; i++) {
        double share = 0;
        Rollout *group = b->rollouts.items + i * c->group;
        is_mixed[i] = false;
        for (int j = 0; j < c->group; j++) {
            rewards[j] = group[j].reward = reward_of(c, &group[j]);
            share += (group[j].score >= 0.5) / (double)c->group;
            is_mixed[i] |= rewards[j] != rewards[0];
        }
        policy_advantages(&c->policy, rewards, c->group, b->advantages + i * c->group);
        for (int j = 0; j < c->group; j++)
            if (c->masks_cut && group[j].finish == FINISH_LENGTH)
                b->advantages[i * c->group + j] = 0;
        prompts_learn(s->prompts, &b->problems[i], share);
    }
    return true;
}

/* One round: as many problems as groups are missing. */
static bool sample_round(RlStage *s, Trainer *t, RlStep *step, Error *err)
{
    const RlConfig *c = s->config;
    int32_t eos[CONFIG_EOS_MAX];
    Round *b = &step->rounds[step->n_rounds++];
    const RolloutOptions options = rollout_options(s, t, step->n_rounds - 1, eos);
    b->n = c->n_problems - step->n_groups;
    b->problems = ARENA_ARRAY(&step->arena, Problem, b->n);
    bool *is_mixed = ARENA_ARRAY(&step->arena, bool, b->n);
    for (int i = 0; i < b->n; i++)
        prompts_next(s->prompts, &b->problems[i]);
    if (!rollouts_make(&b->rollouts, trainer_model(t), trainer_text(t), b->problems, b->n, &options,
                       err) ||
        !judge(s, b, is_mixed, &step->arena, err))
        return false;
    if (s->reference) {
        b->reference = ARENA_ARRAY(&step->arena, float *, b->rollouts.n);
        if (!reference_logprobs(s->reference, &b->rollouts, b->reference, &step->arena, err))
            return false;
    }
    const bool takes_all = step->n_rounds > c->resample;
    for (int i = 0; i < b->n; i++) {
        step->n_mixed += is_mixed[i];
        if (is_mixed[i] || takes_all)
            step->groups[step->n_groups++] = (Group){b, i};
    }
    step->n_seen += b->n;
    return true;
}

static bool sample_step(RlStage *s, Trainer *t, RlStep *step, Error *err)
{
    step->groups = ARENA_ARRAY(&step->arena, Group, s->config->n_problems);
    while (step->n_groups < s->config->n_problems)
        if (!sample_round(s, t, step, err))
            return false;
    return true;
}

static void free_step(RlStep *step)
{
    for (int i = 0; i < step->n_rounds; i++) {
        rollouts_free(&step->rounds[i].rollouts);
        for (int k = 0; k < step->rounds[i].n; k++)
            problem_close(&step->rounds[i].problems[k]);
    }
    arena_close(&step->arena);
}

/* ---- Learning
 * ----------------------------------------------------------------------------------------- */

static void add_stats(PolicyStats *sum, const PolicyStats *one)
{
    sum->n_tokens += one->n_tokens;
    sum->n_clipped += one->n_clipped;
    sum->kl += one->kl;
    sum->kl_largest = fmax(sum->kl_largest, one->kl_largest);
    sum->reference_kl += one->reference_kl;
    sum->ratio += one->ratio;
    sum->neg_logprobs += one->neg_logprobs;
}

/* One step of the optimizer on groups from .. to-1. */
static bool update(RlStage *s, Trainer *t, const RlStep *step, int from, int to, PolicyStats *stats,
                   StepReport *report, Error *err)
{
    const RlConfig *c = s->config;
    Arena arena = {0};
    UpdateAnswer *answers = ARENA_ARRAY(&arena, UpdateAnswer, (to - from) * c->group);
    int n = 0;
    for (int g = from; g < to; g++)
        for (int j = 0; j < c->group; j++) {
            const Round *b = step->groups[g].round;
            const int i = step->groups[g].problem_i * c->group + j;
            answers[n++] = (UpdateAnswer){&b->rollouts.items[i], b->advantages[i],
                                          b->reference ? b->reference[i] : NULL};
        }
    Update u;
    const bool ok =
        update_make(&u, &c->policy, answers, n, c->train.tokens, c->train.grains, err) &&
        trainer_update(t, &u.rows, &u.objective, report, err);
    *stats = u.stats;
    update_free(&u);
    arena_close(&arena);
    return ok;
}

/* ---- Telling
 * ------------------------------------------------------------------------------------------ */

static void add_columns(void *context, RunLog *log)
{
    RlStage *s = context;
    for (int i = 0; i < N_COLUMNS; i++)
        s->column[i] = run_log_column(log, columns[i].name, columns[i].tag, RUN_LOG_EXACT);
    for (int i = 0; i < task_n_families() && i < FAMILIES_MAX; i++) {
        char name[96], tag[96];
        s->family_column[i] = -1;
        if (prompts_level(s->prompts, task_family(i)) == 0)
            continue;
        snprintf(name, sizeof name, "score/%.60s", task_family(i)->name);
        snprintf(tag, sizeof tag, "rl/%.80s", name);
        s->family_column[i] = run_log_column(log, name, tag, 4);
    }
}

static bool write_rollout(RlStage *s, const Trainer *t, const Problem *p, const Rollout *r,
                          Error *err)
{
    Buf text = {0};
    Error unreadable;
    const bool is_text = tokenizer_decode(trainer_text(t)->tokenizer, r->ids.data + r->n_prompt,
                                          r->ids.n - r->n_prompt, false, &text, &unreadable);
    json_t *output = is_text && text.bytes ? json_stringn(text.data, text.bytes) : NULL;
    json_t *line = json_pack(
        "{s:I, s:s%, s:s%, s:i, s:f, s:f, s:s, s:i, s:i, s:o}", "step",
        (json_int_t)trainer_progress(t)->step + 1, "problem", p->id.data, p->id.bytes, "family",
        p->family_name.data, p->family_name.bytes, "difficulty", p->difficulty, "score", r->score,
        "reward", r->reward, "finish", finish_reason_name(r->finish), "tokens", r->n_sampled,
        "turns", r->n_turns, "output", output ? output : json_string("")); /* not UTF-8: left out */
    const bool ok = json_lines_add(s->lines, line, err);
    json_decref(line);
    buf_free(&text);
    return ok;
}

/* Sums over a step's answers. */
typedef struct Sums {
    int n, n_right, n_cut;
    double reward, score, right_tokens, wrong_tokens;
    double family_score[FAMILIES_MAX];
    int family_n[FAMILIES_MAX];
} Sums;

static void add_answer(Sums *sums, const Problem *p, const Rollout *r)
{
    const bool is_right = r->score >= 0.5;
    sums->n++;
    sums->n_right += is_right;
    sums->n_cut += r->finish == FINISH_LENGTH;
    sums->reward += r->reward;
    sums->score += r->score;
    *(is_right ? &sums->right_tokens : &sums->wrong_tokens) += r->n_sampled;
    for (int i = 0; i < task_n_families() && i < FAMILIES_MAX; i++)
        if (task_family(i) == p->family) {
            sums->family_n[i]++;
            sums->family_score[i] += r->score;
        }
}

static void log_sums(RlStage *s, const Sums *sums, RunLog *log)
{
    s->last_reward = sums->reward / sums->n;
    s->last_score = sums->score / sums->n;
    const int n_wrong = sums->n - sums->n_right;
    run_log_set(log, s->column[COLUMN_REWARD], s->last_reward);
    run_log_set(log, s->column[COLUMN_SCORE], s->last_score);
    run_log_set(log, s->column[COLUMN_ANSWERS], sums->n);
    run_log_set(log, s->column[COLUMN_CUT], (double)sums->n_cut / sums->n);
    if (sums->n_right > 0)
        run_log_set(log, s->column[COLUMN_LENGTH_RIGHT], sums->right_tokens / sums->n_right);
    if (n_wrong > 0)
        run_log_set(log, s->column[COLUMN_LENGTH_WRONG], sums->wrong_tokens / n_wrong);
    for (int i = 0; i < task_n_families() && i < FAMILIES_MAX; i++)
        if (s->family_column[i] >= 0 && sums->family_n[i] > 0)
            run_log_set(log, s->family_column[i], sums->family_score[i] / sums->family_n[i]);
}

static bool tell_answers(RlStage *s, const Trainer *t, const RlStep *step, RunLog *log, Error *err)
{
    Sums sums = {0};
    for (int i = 0; i < step->n_rounds; i++) {
        const Round *b = &step->rounds[i];
        for (int k = 0; k < b->rollouts.n; k++) {
            const Rollout *r = &b->rollouts.items[k];
            add_answer(&sums, &b->problems[r->problem_i], r);
            if (!write_rollout(s, t, &b->problems[r->problem_i], r, err))
                return false;
        }
    }
    log_sums(s, &sums, log);
    run_log_set(log, s->column[COLUMN_MIXED], (double)step->n_mixed / step->n_seen);
    return true;
}

static void tell_policy(const RlStage *s, const PolicyStats *all, const PolicyStats *first,
                        RunLog *log)
{
    const double n = all->n_tokens > 0 ? (double)all->n_tokens : 1;
    run_log_set(log, s->column[COLUMN_ENTROPY], all->neg_logprobs / n);
    run_log_set(log, s->column[COLUMN_RATIO], all->ratio / n);
    run_log_set(log, s->column[COLUMN_CLIPPED], (double)all->n_clipped / n);
    run_log_set(log, s->column[COLUMN_KL], all->kl / n);
    /* Of the first update, before any weight changed: 0, or sampler and trainer disagree. */
    run_log_set(log, s->column[COLUMN_KL_SAMPLER], first->kl_largest);
    if (s->reference)
        run_log_set(log, s->column[COLUMN_KL_REFERENCE], all->reference_kl / n);
}

/* ---- A step
 * ------------------------------------------------------------------------------------------- */

static bool learn(RlStage *s, Trainer *t, const RlStep *step, RunLog *log, StepReport *report,
                  Error *err)
{
    PolicyStats all = {0}, first = {0};
    const int n = s->config->updates, each = step->n_groups / n;
    for (int i = 0; i < n; i++) {
        PolicyStats one;
        if (!update(s, t, step, i * each, (i + 1) * each, &one, report, err))
            return false;
        if (i == 0)
            first = one;
        add_stats(&all, &one);
    }
    tell_policy(s, &all, &first, log);
    return true;
}

static bool take_step(void *context, Trainer *t, RunLog *log, StepReport *report, Error *err)
{
    RlStage *s = context;
    RlStep step = {0};
    const bool ok = open_rest(s, t, err) && sample_step(s, t, &step, err) &&
                    tell_answers(s, t, &step, log, err) && learn(s, t, &step, log, report, err);
    free_step(&step);
    return ok;
}

static void describe(void *context, Buf *out)
{
    const RlStage *s = context;
    buf_printf(out, "reward %.3f  score %.3f", s->last_reward, s->last_score);
}

static void save_state(void *context, Buf *out)
{
    const RlStage *s = context;
    prompts_save(s->prompts, out);
}

static bool load_state(void *context, Str saved)
{
    RlStage *s = context;
    return prompts_load(s->prompts, saved);
}

StageState rl_stage_state(RlStage *s) { return (StageState){save_state, load_state, s}; }

StageSteps rl_stage_steps(RlStage *s) { return (StageSteps){add_columns, take_step, describe, s}; }
