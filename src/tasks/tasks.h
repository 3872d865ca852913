/* Procedural problems: families that make, solve and check them.
 *
 * A problem is a function of (family, split, difficulty, language, seed) and of nothing else. It is
 * a conversation that waits for the assistant, the answer that the checker compares with, and a
 * worked solution: the reasoning in a compact form, then the reply.
 *
 * The splits are disjoint twice: by seed (the split is part of what the random stream is keyed
 * with) and by structure: what a problem is about (its word, its operands, its pair of statement
 * kinds, ...) is hashed, and each of 16 equal shares of hashes belongs to one split: 12 to train, 2
 * to rl, 2 to eval. A word that is counted in eval is counted, spelled or reversed in no training
 * document.
 *
 * docs/tasks.md lists the families with examples. */
#ifndef WEN_TASKS_TASKS_H
#define WEN_TASKS_TASKS_H

#include "base/mem.h"
#include "base/str.h"

typedef enum TaskSplit { SPLIT_TRAIN, SPLIT_RL, SPLIT_EVAL, N_SPLITS } TaskSplit;
typedef enum TaskLang { LANG_EN, LANG_ZH, LANG_DE, LANG_ES, N_LANGS } TaskLang;
typedef enum TaskRole { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL } TaskRole;

/* Most problems can be answered with or without a thought. Those whose last turn carries a flag of
 * its own (the dialogues with /think and /no_think) can not: for the others the caller chooses. */
typedef enum TaskMode { MODE_ANY, MODE_THINK, MODE_NO_THINK } TaskMode;

typedef struct TaskCall {
    Str name, arguments; /* arguments: a JSON object */
} TaskCall;

typedef struct TaskMessage {
    TaskRole role;
    Str content;
    Str thinking; /* assistant only; empty: none */
    const TaskCall *calls;
    int n_calls;
} TaskMessage;

typedef struct TaskFamily TaskFamily;

/* Everything that it points to lives in its arena until the next problem_make, problem_read or
 * problem_close. A zeroed one is ready. */
typedef struct Problem {
    const TaskFamily *family; /* NULL in a problem that was read whose family is none of these */
    Str family_name;
    TaskSplit split;
    TaskLang lang;
    TaskMode mode;
    int difficulty;
    uint64_t seed;
    uint64_t structure; /* the hash that decides on the split; 0 in a problem that was read */
    Str id;             /* "chain-eval-3-en-17" */
    Str tools;          /* a JSON array of OpenAI tool objects; empty: none */
    /* What the model is given; the last one is of the user or a tool. */
    const TaskMessage *messages;
    int n_messages;
    Str answer; /* for the checker; text, or a JSON value */
    bool answer_is_json;
    /* Canonical replies: one message of the assistant, or several with tool results in between.
     * None in a problem that was read. */
    const TaskMessage *solution;
    int n_solution;
    Arena arena;
} Problem;

/* What a model replied. In a problem with several calls, `calls` are those of the whole episode in
 * their order, and the rest is of the last message. */
typedef struct TaskReply {
    Str thinking, content;
    const TaskCall *calls;
    int n_calls;
} TaskReply;

struct Maker;

struct TaskFamily {
    const char *name;   /* "chain" */
    const char *domain; /* "arithmetic" */
    const char *about;  /* a short phrase */
    unsigned langs;     /* bit 1 << LANG_EN, ... */
    int difficulty_max; /* 1 .. this */
    bool calls_tools;   /* a right reply holds tool calls; in other families a call is wrong */
    /* The calls are really made, and the conversation goes on until a reply without one; else a
     * problem is over with its first reply. */
    bool is_episode;
    /* Its conversations carry flags, of which the last one holds; without any the model thinks. */
    bool has_flags;
    void (*make)(struct Maker *m);
    /* A plain text about what the family's problems are about, as the content of the solution;
     * NULL: the family has none. */
    void (*tell)(struct Maker *m);
    double (*score)(const Problem *p, const TaskReply *reply);
};

/* The table. */
int task_n_families(void);
const TaskFamily *task_family(int i);
const TaskFamily *task_find(const char *name); /* NULL: none of this name */

const char *task_split_name(TaskSplit split); /* "train" "rl" "eval" */
const char *task_lang_name(TaskLang lang);    /* "en" "zh" "de" "es" */
bool task_split_parse(Str name, TaskSplit *split);
bool task_lang_parse(Str name, TaskLang *lang);
const char *task_role_name(TaskRole role);

typedef struct ProblemSpec {
    const TaskFamily *family;
    TaskSplit split;
    int difficulty; /* 0: drawn from the family's range */
    int lang;       /* a TaskLang that the family has, or -1: drawn from those it has */
    uint64_t seed;
} ProblemSpec;

void problem_make(Problem *p, const ProblemSpec *spec);
/* What the family tells instead of a problem: the content of solution[0], no messages. The family
 * has to have `tell`. */
void problem_tell(Problem *p, const ProblemSpec *spec);
void problem_close(Problem *p);

/* One line, without its end:
 *   {"id", "family", "split", "difficulty", "messages", "answer"} and "tools" where there are any.
 */
void problem_write(const Problem *p, Buf *out);
/* The same back: all but the solution. Errors say what is missing or of the wrong type. */
bool problem_read(Problem *p, Str line, Error *err) MUST_USE;

/* The canonical replies as one reply, without a thought where the flags forbid it. Its score is 1.
 * Borrowed from the problem. */
TaskReply problem_solution(Problem *p);

/* 0 .. 1. The answer counts in the content only (never in the thought), and only if it is the
 * only one: several answers, or words that take it back, are 0. */
double task_score(const Problem *p, const TaskReply *reply);

#endif
