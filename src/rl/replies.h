/* A model's replies to problems, as training data: several to each problem are sampled, the
 * family's checker judges them, and what is kept becomes a conversation a line, in the shape of
 * `wen data make`.
 *
 * With keep.which right this is rejection sampling (Qwen3 report, section 4.3: thinking data for
 * the fusion of modes); with all it makes the replies of a teacher for off-policy distillation. A
 * reply that max_tokens cut, that did not follow its mode (no thought where one was wanted, or one
 * where none was), or that another of the same problem repeats is never kept.
 *
 * Replies are sampled by rollout.h, so tools are really called. The file is a function of the
 * configuration, the problems and the model. docs/data.md lists the keys. */
#ifndef WEN_RL_REPLIES_H
#define WEN_RL_REPLIES_H

#include "rl/rollout.h"
#include "tasks/mixture.h"
#include "train/fields.h"

typedef struct RepliesConfig {
    const char *from; /* the model */
    const char *path; /* problems, one a line; NULL: made as `make` says */
    json_t *make;     /* a mixture's keys (tasks/mixture.h); borrowed from json */
    int group, max_tokens, max_turns, n_at_once;
    int thinks; /* 0, 1, THINKS_BOTH */
    double temperature, top_p;
    int top_k;
    int64_t seed;
    int keeps_all;            /* 1: not only right ones */
    int at_random;            /* 1: any of those that may be kept; 0: the shortest first */
    int per_problem;          /* kept of each problem at most; 0: no limit */
    double least_solved;      /* share of right replies below which a problem's are chance */
    double repetition;        /* see reply_filters.h; above this share a reply is left out */
    bool same_script;         /* replies that change it are left out */
    double flagged, hard_off; /* shares, as in mixture.h */
    json_t *json;             /* complete; owned */
    Mixture *mix;             /* owned; NULL with `path` */
} RepliesConfig;

bool replies_config_read(RepliesConfig *c, const char *path, const char *const *sets, int n_sets,
                         Error *err) MUST_USE;
void replies_config_close(RepliesConfig *c); /* a zeroed one is fine */

/* What became of a family's problems and replies. */
typedef struct RepliesCount {
    const char *family;       /* "" for all together */
    int64_t problems, solved; /* solved: with a right reply among them */
    int64_t replies, right, cut, other_mode, unfit, repeated;
    int64_t kept, kept_tokens; /* tokens that the model wrote */
} RepliesCount;

typedef struct RepliesReport {
    RepliesCount *families; /* [n], the last one is all together; owned */
    int n;
    int64_t n_resumed; /* problems that were done before */
} RepliesReport;

typedef struct RepliesOptions {
    const char *out; /* OUT.part holds what is done so far; the same call goes on from it */
    int n_threads;   /* 0: one a processor */
    void (*progress)(void *context, const RepliesCount *all, int64_t n_problems); /* NULL: silent */
    void *context;
    const volatile int *stop; /* not 0: ends with ERROR_CANCELLED after the batch; may be NULL */
} RepliesOptions;

/* Everything is read and checked before anything is sampled. replies_report_free when done. */
bool replies_run(const RepliesConfig *c, const RepliesOptions *options, RepliesReport *report,
                 Error *err) MUST_USE;
void replies_report_free(RepliesReport *report); /* a zeroed one is fine */

#endif
