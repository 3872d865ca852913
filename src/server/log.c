/* See log.h. */
#include "server/log.h"

#include "server/json_out.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool log_format_from_name(const char *name, LogFormat *format)
{
    static const char *const names[] = {"text", "json", "off"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], name) == 0) {
            *format = (LogFormat)i;
            return true;
        }
    }
    return false;
}

void log_open(Log *log, LogFormat format)
{
    log->format = format;
    pthread_mutex_init(&log->mutex, NULL);
}

void log_close(Log *log) { pthread_mutex_destroy(&log->mutex); }

/* Local time for people, UTC with milliseconds for machines. */
static void put_time(Buf *line, LogFormat format)
{
    struct timespec now;
    struct tm parts;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    if (format == LOG_TEXT) {
        localtime_r(&now.tv_sec, &parts);
        strftime(text, sizeof text, "%H:%M:%S ", &parts);
        buf_puts(line, text);
        return;
    }
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    out_open(line, NULL, '{');
    buf_printf(line, "\"time\":\"%s.%03ldZ\"", text, now.tv_nsec / 1000000);
}

static void write_line(Log *log, Buf *line)
{
    buf_putc(line, '\n');
    pthread_mutex_lock(&log->mutex);
    fwrite(line->data, 1, line->bytes, stderr);
    pthread_mutex_unlock(&log->mutex);
    buf_free(line);
}

void log_say(Log *log, const char *format, ...)
{
    Buf line = {0};
    char text[800];
    va_list args;
    if (log->format == LOG_OFF)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_time(&line, log->format);
    if (log->format == LOG_TEXT) {
        buf_puts(&line, text);
    } else {
        out_str(&line, "message", str_from(text));
        out_close(&line, '}');
    }
    write_line(log, &line);
}

static void put_text(Buf *line, const LogRequest *r)
{
    buf_printf(line, "%s %d %s %s %.3f s", r->id, r->status, r->method, r->path, r->seconds);
    if (r->prompt_tokens >= 0)
        buf_printf(line, ", %s: %d tokens in (%d cached), %d out", r->model ? r->model : "",
                   r->prompt_tokens, r->cached_tokens, r->completion_tokens);
    if (r->first_token_seconds > 0)
        buf_printf(line, ", first after %.3f s", r->first_token_seconds);
    if (r->was_aborted)
        buf_puts(line, ", client gone");
    else if (r->finish)
        buf_printf(line, ", %s", r->finish);
}

static void put_json(Buf *line, const LogRequest *r)
{
    out_str(line, "request_id", str_from(r->id));
    out_str(line, "method", str_from(r->method));
    out_str(line, "path", str_from(r->path));
    out_int(line, "status", r->status);
    out_real(line, "seconds", r->seconds);
    if (r->model)
        out_str(line, "model", str_from(r->model));
    if (r->prompt_tokens >= 0) {
        out_int(line, "prompt_tokens", r->prompt_tokens);
        out_int(line, "cached_tokens", r->cached_tokens);
        out_int(line, "completion_tokens", r->completion_tokens);
    }
    if (r->first_token_seconds > 0)
        out_real(line, "first_token_seconds", r->first_token_seconds);
    if (r->finish)
        out_str(line, "finish", str_from(r->finish));
    if (r->was_aborted)
        out_bool(line, "aborted", true);
    out_close(line, '}');
}

void log_request(Log *log, const LogRequest *request)
{
    Buf line = {0};
    if (log->format == LOG_OFF)
        return;
    put_time(&line, log->format);
    if (log->format == LOG_TEXT)
        put_text(&line, request);
    else
        put_json(&line, request);
    write_line(log, &line);
}
