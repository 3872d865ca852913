/* What the files of Ollama's dialect share. */
#ifndef WEN_SERVER_OLLAMA_H
#define WEN_SERVER_OLLAMA_H

#include "server/exchange.h"

/* "2026-01-31T12:00:00.123456Z", now or `seconds` of the epoch. */
void ollama_put_time(Buf *out, const char *key, double seconds);
double ollama_now(void);

/* keep_alive: seconds, or text such as "5m", "-1", "1h30m". True when given. */
bool ollama_read_keep(const json_t *body, bool *is_given, double *seconds, Fault *fault) MUST_USE;

/* Which model the body is about: `model`, or `name` as older clients say. A 400 if neither is
 * there. */
bool ollama_read_name(const json_t *body, const char **name, Fault *fault) MUST_USE;
/* A 403 if clients may not change what is here. */
bool ollama_may_manage(const HttpCall *call, Fault *fault) MUST_USE;

#endif
