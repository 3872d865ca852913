/* What the dialects of OpenAI share. */
#ifndef WEN_SERVER_OPENAI_H
#define WEN_SERVER_OPENAI_H

#include "server/exchange.h"

/* Checks messages in OpenAI's shape, changes aliases in place (developer is system, reasoning is
 * reasoning_content) and makes them the question. */
bool openai_set_messages(Exchange *x, json_t *messages, Fault *fault) MUST_USE;

/* The members that begin every answer and chunk, after its "{". */
void openai_put_head(Buf *out, const Exchange *x, const char *object);
void openai_put_usage(Buf *out, const char *key, const Exchange *x);

/* The prompt that makes a model fill in what stands between two texts; whether the model can. */
const char *openai_fill_in(Arena *arena, const char *prefix, const char *suffix);
bool openai_can_fill_in(const Exchange *x, Fault *fault) MUST_USE;

/* Of every stream of events. */
void openai_fail_stream(Exchange *x, const Fault *fault, Buf *out);
void openai_ping(Exchange *x, Buf *out);

#endif
