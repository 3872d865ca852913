/* The server's log: one line an event on standard error, as text for people or JSON for machines.
 * Prompts and answers are never in it. */
#ifndef WEN_SERVER_LOG_H
#define WEN_SERVER_LOG_H

#include "base/str.h"

#include <pthread.h>

typedef enum LogFormat { LOG_TEXT, LOG_JSON, LOG_OFF } LogFormat;

typedef struct Log {
    LogFormat format;
    pthread_mutex_t mutex;
} Log;

bool log_format_from_name(const char *name, LogFormat *format);
void log_open(Log *log, LogFormat format);
void log_close(Log *log);

/* "07:12:45 loading model.gguf" */
void log_say(Log *log, const char *format, ...) PRINTF_LIKE(2, 3);

/* One finished request. */
typedef struct LogRequest {
    const char *id, *method, *path;
    const char *model, *finish; /* NULL: none */
    int status;
    bool was_aborted;                                    /* the client went away */
    int prompt_tokens, cached_tokens, completion_tokens; /* -1: none */
    double seconds, first_token_seconds;                 /* the latter 0: none */
} LogRequest;
void log_request(Log *log, const LogRequest *request);

#endif
