/* Problems that the model in training is asked every so often: the share it gets right, family by
 * family, with a thought and without.
 *
 * eval.problems is JSONL, one {"id", "family", "split", "difficulty", "messages", "answer"} a line;
 * "tools" may stand beside. All of it is read and checked before the first step. */
#ifndef WEN_TRAIN_PROBLEMS_H
#define WEN_TRAIN_PROBLEMS_H

#include "train/asker.h"
#include "train/run_log.h"
#include "train/train_config.h"

/* How a reply to a problem (a line of the file) is judged: 0 .. 1. */
typedef double ScoreReply(void *context, const json_t *problem, const Reply *reply);
/* What a conversation goes on with after a reply: all its messages, of which the reply is one, a
 * new reference; NULL: the reply was the last one. `messages` are those that were asked. */
typedef json_t *FollowReply(void *context, const json_t *problem, json_t *messages,
                            const Reply *reply);

/* How replies are taken. Of a conversation of several replies, the score is of the last one with
 * the calls of all. */
typedef struct ProblemJudge {
    ScoreReply *score;
    FollowReply *follow; /* NULL: a reply is always the last one */
    void *context;
} ProblemJudge;

/* The content is the answer, white space around both aside. */
double score_same_text(void *context, const json_t *problem, const Reply *reply);

typedef struct Problems Problems;

/* Reads `c->eval.problems` (NULL: there are none, which is fine) and adds its columns to the log:
 * "accuracy_think", "accuracy_plain", then one of each for every family ("accuracy_think/FAMILY").
 * A model that cannot switch its thought has the plain ones only. */
Problems *problems_open(const TrainConfig *c, bool is_hybrid, RunLog *log, Error *err) MUST_USE;
void problems_close(Problems *p); /* NULL is fine */
int problems_count(const Problems *p);

/* Asks everything and sets the log's columns. Appends what was found to `line`. */
bool problems_run(Problems *p, const Asker *asker, const ProblemJudge *judge, RunLog *log,
                  Buf *line, Error *err) MUST_USE;

#endif
