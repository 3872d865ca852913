/* Replies to problems, judged by the checkers of src/tasks: for evaluation while training. */
#ifndef WEN_RL_JUDGE_H
#define WEN_RL_JUDGE_H

#include "train/problems.h"

/* A ScoreReply; needs no context. A problem of a family of src/tasks is scored by the family's
 * checker, any other by its answer's text (score_same_text). */
double judge_reply(void *context, const json_t *problem, const Reply *reply);

/* A FollowReply; needs no context. In an episode of src/tasks the calls of the reply are really
 * made, and what they return goes behind it; any other problem is over with its first reply. */
json_t *judge_follow(void *context, const json_t *problem, json_t *messages, const Reply *reply);

#endif
