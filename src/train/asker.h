/* How training asks its own model: through a callback, because train knows no engine. src/rl has
 * one over the weights in training (rl/live.h). */
#ifndef WEN_TRAIN_ASKER_H
#define WEN_TRAIN_ASKER_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

typedef struct Question {
    /* One of the two; borrowed. */
    json_t *messages;   /* rendered with the model's chat template */
    const char *prompt; /* or a text to go on with, as it is */
    json_t *tools;      /* NULL: none */
    int thinks;         /* 1, 0; -1: the template has no such switch */
} Question;

/* What came back; freed with replies_free. */
typedef struct Reply {
    char *thinking, *content; /* never NULL */
    json_t *tool_calls;       /* [{"name", "arguments": raw text}] */
    int n_tokens;
    const char *finish; /* "stop", "length", "tool_calls": engine.h; static */
} Reply;

typedef struct AskOptions {
    int max_tokens;
    bool is_greedy; /* else as the model's generation_config.json says */
    uint64_t seed;  /* question i is drawn with seed + i */
} AskOptions;

typedef struct Asker {
    /* Fills replies [n]. Must leave the model as it is. */
    bool (*ask)(void *context, const AskOptions *options, const Question *questions, int n,
                Reply *replies, Error *err);
    void *context;
} Asker;

void replies_free(Reply *replies, int n);

#endif
