/* A task: conversations that are begun, gone on with and judged. The seam between the loop that
 * asks (eval_run.h) and whatever is asked: a family of problems, a file of them, a script, a
 * benchmark.
 *
 * A task makes its case number i again and again the same, so that a run can be stopped and go on.
 * It is asked in one or more settings (setting.h) and knows nothing of them. */
#ifndef WEN_EVAL_TASK_H
#define WEN_EVAL_TASK_H

#include "base/str.h"

#include <jansson.h>

enum { EVAL_METRICS_MAX = 4, EVAL_NAME_BYTES = 96 };

/* One reply of the model. */
typedef struct EvalTurn {
    Buf thinking, content;
    json_t *calls;      /* [{"name", "arguments": raw text}]; never NULL */
    const char *finish; /* "stop", "length", "tool_calls"; static */
    int prompt_tokens, thinking_tokens, reply_tokens; /* reply: the thought included */
    bool was_closed; /* the thought: by the budget, for the answer's room, or as it went round */
} EvalTurn;

void eval_turn_clear(EvalTurn *turn);
void eval_turn_free(EvalTurn *turn);

/* One conversation. The references are its own; a zeroed one is ready. */
typedef struct EvalCase {
    json_t *doc;      /* what is noted of it: {"id", ..., "answer"} */
    json_t *messages; /* so far; the last one is the user's or a tool's */
    json_t *tools;    /* an array; NULL: none */
    /* What results are split by; 0 and NULL: by nothing. The texts live as long as the task. */
    int level;
    const char *lang, *kind;
    int n_turns; /* replies taken */
    void *state; /* the task's own */
} EvalCase;

/* Which of these. */
typedef enum EvalSplit {
    EVAL_SPLIT_NONE,
    EVAL_SPLIT_LEVEL,
    EVAL_SPLIT_LANG,
    EVAL_SPLIT_KIND,
    N_EVAL_SPLITS
} EvalSplit;

typedef struct EvalTask EvalTask;
struct EvalTask {
    char name[EVAL_NAME_BYTES]; /* "chain:2-4" */
    char about[EVAL_NAME_BYTES];
    int n_cases;
    /* The conversations say themselves whether a thought is wanted (one of them has a flag): there
     * is nothing to switch. */
    bool has_own_mode;
    bool skips_budgets; /* is not asked with budgets of thought */
    EvalSplit split;    /* that tables show */
    /* The first is what tables show. Each is 0 .. 1, higher is better; NAN: not in this case. */
    const char *metrics[EVAL_METRICS_MAX];
    int n_metrics;
    void *state;

    bool (*open_case)(const EvalTask *task, int i, EvalCase *c, Error *err);
    /* Takes a reply. True: the conversation goes on, what comes next was appended to its messages.
     * False: it is over, values [n_metrics] are set. */
    bool (*take)(const EvalTask *task, EvalCase *c, const EvalTurn *turn, double *values);
    void (*close_case)(EvalCase *c); /* the task's own state; NULL: there is none */
    void (*close)(EvalTask *task);   /* likewise */
};

void eval_case_close(const EvalTask *task, EvalCase *c);
void eval_task_close(EvalTask *task); /* frees it; NULL is fine */

/* Appends a message of this role; and the model's turn as a message, its thought included. */
void eval_case_say(EvalCase *c, const char *role, Str content);
void eval_case_keep_turn(EvalCase *c, const EvalTurn *turn);

#endif
