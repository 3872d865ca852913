/* See card_task.h. */
#include "eval/card_task.h"

#include "base/mem.h"
#include "tasks/checks.h"

#include <stdio.h>

typedef struct Step {
    const char *question, *answer;
    bool thinks;
    double (*score)(const Problem *p, const TaskReply *reply);
} Step;

static const Step steps[] = {
    {"How many r's in strawberries?", "3", true, score_number},
    {"Then, how many r's in blueberries? /no_think", "2", false, score_number},
    {"Really? /think", "Yes, 2", true, score_yes_no},
};
enum { STEPS = sizeof steps / sizeof *steps };
_Static_assert((int)STEPS < (int)EVAL_METRICS_MAX, "a metric each, and one for all");

typedef struct State {
    bool is_right[STEPS];
} State;

static bool open_case(const EvalTask *task, int i, EvalCase *c, Error *err)
{
    (void)task, (void)i, (void)err;
    json_t *answers = json_array();
    c->messages = json_array();
    c->state = mem_alloc(sizeof(State));
    for (int k = 0; k < STEPS; k++)
        json_array_append_new(answers, json_string(steps[k].answer));
    eval_case_say(c, "user", str_from(steps[0].question));
    c->doc = json_pack("{s:s, s:o, s:o}", "id", "card", "messages", json_deep_copy(c->messages),
                       "answer", answers);
    return true;
}

static bool is_right(const Step *step, const EvalTurn *turn)
{
    const Problem p = {.lang = LANG_EN, .answer = str_from(step->answer)};
    const TaskReply reply = {.content = buf_str(&turn->content)};
    const bool has_thought = check_trim(buf_str(&turn->thinking)).bytes > 0;
    return has_thought == step->thinks && step->score(&p, &reply) >= 1;
}

static bool take(const EvalTask *task, EvalCase *c, const EvalTurn *turn, double *values)
{
    (void)task;
    State *s = c->state;
    const int k = c->n_turns - 1;
    s->is_right[k] = is_right(&steps[k], turn);
    if (k + 1 < STEPS) {
        eval_case_keep_turn(c, turn);
        eval_case_say(c, "user", str_from(steps[k + 1].question));
        return true;
    }
    values[0] = 1;
    for (int i = 0; i < STEPS; i++) {
        values[1 + i] = s->is_right[i];
        values[0] *= s->is_right[i];
    }
    return false;
}

static void close_case(EvalCase *c) { mem_free(c->state); }

EvalTask *card_task_open(void)
{
    EvalTask *task = mem_alloc(sizeof *task);
    *task = (EvalTask){.name = "card",
                       .about = "the dialogue of Qwen3's model card",
                       .n_cases = 1,
                       .has_own_mode = true,
                       .metrics = {"acc", "turn_1", "turn_2", "turn_3"},
                       .n_metrics = 1 + STEPS,
                       .open_case = open_case,
                       .take = take,
                       .close_case = close_case};
    return task;
}
