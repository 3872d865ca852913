/* Rollouts: a model's own answers to problems, sampled by the engine over the weights in training.
 *
 * Weights are shared, not copied, and keys and values are f32 as in training; so what the engine
 * says of a token's probability is, bit for bit, what the trainer finds for it. Answers are drawn
 * from the whole distribution at temperature 1: that is the policy whose gradient is taken.
 *
 * The answers of a group share their prompt's pages. In an episode the tools of the problem are
 * really called: what they return follows the model's own tokens, as the template writes it, and
 * the model goes on. Ids are those that were sampled, never those of a text that was tokenized
 * again. */
#ifndef WEN_RL_ROLLOUT_H
#define WEN_RL_ROLLOUT_H

#include "engine/engine.h"
#include "tasks/tasks.h"
#include "train/model_text.h"

enum { THINKS_BOTH = 2 };

typedef struct RolloutOptions {
    int group;              /* answers to each problem */
    int max_tokens;         /* that the model may write in an answer, all turns together */
    int max_turns;          /* of an episode; the last one gets no tool response */
    int thinks;             /* 1, 0; THINKS_BOTH: every other problem; -1: not told */
    uint64_t seed;          /* answer i is drawn with seed + i */
    const int32_t *eos_ids; /* beside the model's own */
    int n_eos;
    const Adapter *adapter; /* beside the model; NULL: none */
    /* For answers that become data: another way to draw (its seed is not used), how many requests
     * run side by side (0: ENGINE_SEQUENCES), and Rollout.turns. NULL: temperature 1, all of the
     * vocabulary. */
    const Sampling *sampling;
    int n_at_once;
    bool keeps_turns;
} RolloutOptions;

/* Whether problem `problem_i` of a call is answered with a thought: 1, 0, -1 (not told). Flags of
 * its own decide before the options do. */
int rollout_thinks(const RolloutOptions *options, const Problem *problem, int problem_i);

/* One answer. */
typedef struct Rollout {
    int problem_i;
    int n_prompt;
    Ids ids;          /* the prompt, then what was sampled, forced or returned by tools */
    bool *is_sampled; /* [ids.n] */
    float *logprobs;  /* [ids.n]; 0 where nothing was sampled */
    int n_sampled, n_turns;
    FinishReason finish;   /* of the last turn */
    Buf thinking, content; /* of the last turn */
    TaskCall *calls;       /* of all turns */
    int n_calls;
    json_t *turns; /* what follows the problem's messages: assistant's turns, tools' responses; NULL
                      unless options->keeps_turns */
    double score, reward; /* by the verifier; with what the stage adds */
    int capacity;
    Arena arena;
} Rollout;

typedef struct Rollouts {
    Rollout *items; /* [n]: problem 0's group, problem 1's group, ... */
    int n;
} Rollouts;

/* Samples options->group answers to each of n problems. rollouts_free when done, also on failure.
 */
bool rollouts_make(Rollouts *r, Model *model, const ModelText *text, Problem *problems, int n,
                   const RolloutOptions *options, Error *err) MUST_USE;
void rollouts_free(Rollouts *r); /* a zeroed one is fine */

TaskReply rollout_reply(const Rollout *r);

#endif
