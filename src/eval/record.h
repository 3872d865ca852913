/* What is known of all cases in all settings: what results are made of. */
#ifndef WEN_EVAL_RECORD_H
#define WEN_EVAL_RECORD_H

#include "eval/setting.h"
#include "eval/task_list.h"

typedef struct EvalRecord {
    bool is_there;
    bool is_cut;      /* ended by a limit of length, not by the model */
    bool was_closed;  /* the thought */
    bool has_thought; /* in its last turn, more than white space */
    double values[EVAL_METRICS_MAX];
    /* Sums over the turns, but for the prompt: of the last one. */
    int prompt_tokens, thinking_tokens, reply_tokens;
    uint64_t doc_hash;
} EvalRecord;

typedef struct EvalLabels {
    bool are_there;
    int level;
    const char *lang, *kind;
} EvalLabels;

/* Replies not asked for, as the prompt does not fit the context. */
typedef struct EvalLeftOut {
    int n;
    char why[200]; /* the first time */
} EvalLeftOut;

typedef struct EvalRecords {
    const TaskList *tasks;
    const EvalSettings *settings;
    EvalRecord **records;              /* [task][case * settings->n + setting] */
    EvalLabels **labels;               /* [task][case] */
    EvalLeftOut *left_out;             /* [task] */
    int64_t n_asked, n_kept, n_tokens; /* replies of this run and of earlier ones; tokens of this */
    double seconds;
} EvalRecords;

void eval_records_open(EvalRecords *r, const TaskList *tasks, const EvalSettings *settings);
void eval_records_close(EvalRecords *r);

EvalRecord *eval_record(const EvalRecords *r, int task_i, int case_i, int setting_i);
/* Whether this task is asked in this setting. */
bool eval_is_asked(const EvalRecords *r, int task_i, int setting_i);
/* Whether it is asked with every budget. */
bool eval_has_curve(const EvalRecords *r, int task_i);

/* A group of a task's cases, by one of its labels. */
enum { EVAL_GROUPS_MAX = 16 };
typedef struct EvalGroup {
    EvalSplit split;
    int level;
    const char *text; /* of the others */
} EvalGroup;
/* The groups of this split, in order; fewer than two are none. */
int eval_groups(const EvalRecords *r, int task_i, EvalSplit split,
                EvalGroup groups[EVAL_GROUPS_MAX]);
/* "level=2", "lang=zh", "kind=/think". */
void eval_group_name(const EvalGroup *group, Buf *out);

/* The values of a metric, or counts, of a group's cases (NULL: all); NAN for the others. */
enum {
    EVAL_THINKING_TOKENS = -1,
    EVAL_REPLY_TOKENS = -2,
    EVAL_PROMPT_TOKENS = -3,
    EVAL_CUT = -4,
    EVAL_CLOSED = -5,
    EVAL_HAS_THOUGHT = -6,
};
void eval_values(const EvalRecords *r, int task_i, int setting_i, int metric,
                 const EvalGroup *group, double *values);

#endif
