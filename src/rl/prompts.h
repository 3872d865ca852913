/* Which problems a step of RL gets: lines of a file in an order that a seed shuffles, or made by
 * families, harder as the model gets better.
 *
 * The n-th draw is a function of the seed, n, and (families) the levels, which move with what the
 * groups scored; all of that is in the checkpoint. A family's level goes up when its recent groups
 * have solved more than `raise` of their answers, and down below `lower`: so most groups are mixed,
 * and a group that is not teaches nothing. */
#ifndef WEN_RL_PROMPTS_H
#define WEN_RL_PROMPTS_H

#include "tasks/tasks.h"

#include <jansson.h>

typedef struct PromptOptions {
    const char *path;       /* problems, one a line; NULL: families */
    const json_t *families; /* [{"family", "weight", "difficulty": [low, high]}]; NULL: all of them;
                               borrowed during open */
    double raise, lower;    /* 0.7, 0.3; raise above 1: levels stay where they start */
    bool is_even;           /* any difficulty of a family's range is drawn: there are no levels */
    uint64_t seed;
} PromptOptions;

typedef struct Prompts Prompts;

/* A line of the file that is no problem is an error with its number. */
Prompts *prompts_open(const PromptOptions *options, Error *err) MUST_USE;
void prompts_close(Prompts *p); /* NULL is fine */

/* Whether every problem is of a family that has a verifier; if not, *line begins one that is not.
 */
bool prompts_have_verifiers(Prompts *p, Str *line);
/* The first problem, without drawing it: for trying a verifier out. Borrowed until close. */
const Problem *prompts_sample(Prompts *p);

/* Fills `out` with the next problem; problem_close when done. */
void prompts_next(Prompts *p, Problem *out);
/* The share of a group's answers to this problem that were right. */
void prompts_learn(Prompts *p, const Problem *problem, double share);
/* A family's level now; 0: it is not drawn from. */
int prompts_level(const Prompts *p, const TaskFamily *family);

/* What a resumed run needs. */
void prompts_save(const Prompts *p, Buf *out);
/* False when it was saved by other options. */
bool prompts_load(Prompts *p, Str saved);

#endif
