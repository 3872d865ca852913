/* See error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PRINTF_LIKE(3, 0)
static void format_cut(char *out, size_t capacity, const char *format, va_list args)
{
    int n = vsnprintf(out, capacity, format, args);
    if (n >= 0 && (size_t)n >= capacity)
        memcpy(out + capacity - 4, "...", 4);
}

bool error_set(Error *err, ErrorCode code, const char *format, ...)
{
    if (!err)
        return false;
    err->code = code;
    va_list args;
    va_start(args, format);
    format_cut(err->message, sizeof err->message, format, args);
    va_end(args);
    return false;
}

bool error_set_errno(Error *err, const char *format, ...)
{
    int saved = errno;
    if (!err)
        return false;
    char context[384];
    va_list args;
    va_start(args, format);
    format_cut(context, sizeof context, format, args);
    va_end(args);
    return error_set(err, saved == ENOMEM ? ERROR_MEMORY : ERROR_IO, "%s: %s", context,
                     strerror(saved));
}

bool error_add(Error *err, const char *format, ...)
{
    if (!err)
        return false;
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    char context[384];
    va_list args;
    va_start(args, format);
    format_cut(context, sizeof context, format, args);
    va_end(args);
    return error_set(err, err->code, "%s: %s", context, old);
}

const char *error_name(ErrorCode code)
{
    static const char *const names[] = {
        [ERROR_NONE] = "none",         [ERROR_IO] = "io",
        [ERROR_FORMAT] = "format",     [ERROR_UNSUPPORTED] = "unsupported",
        [ERROR_MEMORY] = "memory",     [ERROR_ARGUMENT] = "argument",
        [ERROR_LIMIT] = "limit",       [ERROR_DEVICE] = "device",
        [ERROR_CANCELLED] = "cancelled",
    };
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "unknown";
}
