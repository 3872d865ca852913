/* A judge: a model that compares answers with the reference answers of their problems (Qwen3
 * report, section 4.4: "model-based reward with reference answer").
 *
 * It is asked once for each answer, in a message that a template makes from question, reference and
 * reply, and has to say "Score: N", N from 0 to 10. It cannot say anything else: its answer is held
 * to that form as it is drawn (text/grammar.h). It is asked greedily, so the same answer always
 * gets the same score. */
#ifndef WEN_RL_GRADER_H
#define WEN_RL_GRADER_H

#include "rl/rollout.h"

typedef struct GraderOptions {
    const char *path;     /* the model: a folder or a GGUF with a chat template */
    const char *template; /* with {question}, {reference}, {reply}; NULL: grader_template */
    int thought;          /* tokens that it may think before it scores; 0: it does not think */
} GraderOptions;

extern const char grader_template[];

typedef struct Grader Grader;

/* Of a template of the caller's: {reply} has to be in it, and no other name than the three. */
bool grader_check(const GraderOptions *options, Error *err) MUST_USE;

/* On a backend that is borrowed until close. */
Grader *grader_open(const GraderOptions *options, Backend *backend, Error *err) MUST_USE;
void grader_close(Grader *g); /* NULL is fine */

/* Sets the score of every answer, 0 .. 1. A problem without a reference answer is an error if the
 * template asks for it. */
bool grader_score(Grader *g, const Problem *problems, Rollouts *rollouts, Error *err) MUST_USE;

/* What the judge reads of one answer. */
bool grader_message(const char *template, const Problem *p, const TaskReply *reply, Buf *out,
                    Error *err) MUST_USE;
/* "Score: 7" is 0.7; false for any other text. */
bool grader_read(Str text, double *score);

#endif
