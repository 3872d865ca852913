/* What an answer is worth: the families' own verifiers, or a program of the user's.
 *
 * A program stays running. It reads a line for each answer,
 *   {"id", "family", "messages", "thinking", "content", "tool_calls", "answer"}
 * and writes {"score": x}, 0 <= x <= 1, for it. It is asked once before anything is sampled, so one
 * that hangs, dies or answers something else is found out before compute is spent. */
#ifndef WEN_RL_REWARD_H
#define WEN_RL_REWARD_H

#include "rl/rollout.h"

typedef struct Reward Reward;

/* program: a shell command; NULL: the verifiers of src/tasks. `sample` is what a program is tried
 * with (borrowed during the call). */
Reward *reward_open(const char *program, int timeout_ms, const Problem *sample,
                    Error *err) MUST_USE;
void reward_close(Reward *r); /* NULL is fine */

/* Sets the score of every answer. */
bool reward_score(Reward *r, const Problem *problems, Rollouts *rollouts, Error *err) MUST_USE;

#endif
