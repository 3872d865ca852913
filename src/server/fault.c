/* See fault.h. */
#include "server/fault.h"

#include "base/utf8.h"
#include "server/json_out.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct Kind {
    int status;
    const char *openai, *code, *anthropic;
} Kind;

static const Kind kinds[] = {
    {400, "invalid_request_error", "invalid_request", "invalid_request_error"},
    {401, "authentication_error", "invalid_api_key", "authentication_error"},
    {403, "permission_error", "forbidden", "permission_error"},
    {404, "not_found_error", "not_found", "not_found_error"},
    {405, "invalid_request_error", "method_not_allowed", "invalid_request_error"},
    {410, "not_found_error", "gone", "not_found_error"},
    {413, "invalid_request_error", "request_too_large", "request_too_large"},
    {416, "invalid_request_error", "out_of_range", "invalid_request_error"},
    {429, "rate_limit_error", "queue_full", "rate_limit_error"},
    {500, "server_error", "internal_error", "api_error"},
    {501, "not_supported_error", "not_supported", "api_error"},
    {503, "unavailable_error", "unavailable", "overloaded_error"},
    {504, "timeout_error", "timeout", "api_error"},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds, KIND_SERVER = 9 };

static const Kind *kind_of(int status)
{
    for (int i = 0; i < N_KINDS; i++)
        if (kinds[i].status == status)
            return &kinds[i];
    return &kinds[KIND_SERVER];
}

bool fault_set(Fault *f, int status, const char *param, const char *format, ...)
{
    va_list args;
    *f = (Fault){.status = status};
    snprintf(f->param, sizeof f->param, "%s", param ? param : "");
    va_start(args, format);
    vsnprintf(f->message, sizeof f->message, format, args);
    va_end(args);
    /* A parser may quote what it was given: a fault is one line, of whole characters. */
    size_t bytes = utf8_valid_prefix(str_from(f->message));
    f->message[bytes] = '\0';
    for (char *c = f->message; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = ' ';
    return false;
}

bool fault_from_wen(Fault *f, const wen_error *err)
{
    static const int statuses[] = {
        [WEN_ERROR_NONE] = 500,   [WEN_ERROR_IO] = 500,        [WEN_ERROR_FORMAT] = 400,
        [WEN_ERROR_MEMORY] = 503, [WEN_ERROR_ARGUMENT] = 400,  [WEN_ERROR_LIMIT] = 400,
        [WEN_ERROR_DEVICE] = 500, [WEN_ERROR_CANCELLED] = 503, [WEN_ERROR_UNSUPPORTED] = 400,
    };
    fault_set(f, statuses[err->code], NULL, "%s", err->message);
    /* Fields are checked before the library sees them: the limit that is left is the context. */
    if (err->code == WEN_ERROR_LIMIT)
        f->code = "context_length_exceeded";
    if (f->status == 503)
        f->retry_after_s = 5;
    return false;
}

static void put_openai(Buf *out, const Fault *f, const Kind *kind)
{
    out_open(out, NULL, '{');
    out_open(out, "error", '{');
    out_str(out, "message", str_from(f->message));
    out_str(out, "type", str_from(kind->openai));
    if (f->param[0])
        out_str(out, "param", str_from(f->param));
    else
        out_null(out, "param");
    out_str(out, "code", str_from(f->code ? f->code : kind->code));
    out_close(out, '}');
    out_close(out, '}');
}

static void put_anthropic(Buf *out, const Fault *f, const Kind *kind, const char *request_id)
{
    out_open(out, NULL, '{');
    out_str(out, "type", STR("error"));
    out_open(out, "error", '{');
    out_str(out, "type", str_from(kind->anthropic));
    out_str(out, "message", str_from(f->message));
    out_close(out, '}');
    if (request_id[0])
        out_str(out, "request_id", str_from(request_id));
    out_close(out, '}');
}

void fault_put(Buf *out, const Fault *f, FaultShape shape, const char *request_id)
{
    const Kind *kind = kind_of(f->status);
    switch (shape) {
    case FAULT_OPENAI:
        put_openai(out, f, kind);
        break;
    case FAULT_ANTHROPIC:
        put_anthropic(out, f, kind, request_id);
        break;
    case FAULT_OLLAMA:
        out_open(out, NULL, '{');
        out_str(out, "error", str_from(f->message));
        out_close(out, '}');
        break;
    }
}
