/* What is looked at beside the loss as a run goes on: held-out documents (heldout.h) and problems
 * (problems.h) every eval.every steps and at the end, answers to prompts (samples.h) every
 * eval.samples_every steps and at the end. The training's own bits do not depend on any of it. */
#ifndef WEN_TRAIN_EVALUATION_H
#define WEN_TRAIN_EVALUATION_H

#include "train/problems.h"
#include "train/trainer.h"

typedef struct EvaluationHooks {
    Asker asker;        /* ask NULL: nothing can be asked; eval.problems and .prompts are errors */
    ProblemJudge judge; /* score NULL: score_same_text */
} EvaluationHooks;

typedef struct Evaluation Evaluation;

/* Reads everything and adds its columns to the log, which is not yet started. */
Evaluation *evaluation_open(Trainer *t, const EvaluationHooks *hooks, RunLog *log,
                            Error *err) MUST_USE;
void evaluation_close(Evaluation *e); /* NULL is fine */

/* After the log was started: opens the files of its own. */
bool evaluation_start(Evaluation *e, Error *err) MUST_USE;
/* After a step: what is due. Sets the log's columns and appends what was found to `line`. */
bool evaluation_step(Evaluation *e, RunLog *log, Buf *line, Error *err) MUST_USE;

#endif
