/* See json_out.h. */
#include "server/json_out.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void begin(Buf *out, const char *key)
{
    if (out->bytes > 0 && !strchr("{[: \n", out->data[out->bytes - 1]))
        buf_putc(out, ',');
    if (!key)
        return;
    buf_put_json(out, str_from(key));
    buf_putc(out, ':');
}

void out_open(Buf *out, const char *key, char bracket)
{
    begin(out, key);
    buf_putc(out, bracket);
}

void out_close(Buf *out, char bracket) { buf_putc(out, bracket); }

void out_str(Buf *out, const char *key, Str value)
{
    begin(out, key);
    buf_put_json(out, value);
}

void out_int(Buf *out, const char *key, int64_t value)
{
    begin(out, key);
    buf_printf(out, "%" PRId64, value);
}

void out_real(Buf *out, const char *key, double value)
{
    begin(out, key);
    if (isfinite(value))
        buf_printf(out, "%.9g", value);
    else
        buf_puts(out, "null");
}

void out_bool(Buf *out, const char *key, bool value)
{
    begin(out, key);
    buf_puts(out, value ? "true" : "false");
}

void out_null(Buf *out, const char *key)
{
    begin(out, key);
    buf_puts(out, "null");
}

void out_raw(Buf *out, const char *key, Str json)
{
    begin(out, key);
    buf_add(out, json);
}

static int put_piece(const char *piece, size_t bytes, void *out)
{
    buf_append(out, piece, bytes);
    return 0;
}

void out_value(Buf *out, const char *key, const json_t *value)
{
    begin(out, key);
    if (value)
        json_dump_callback(value, put_piece, out, JSON_COMPACT | JSON_ENCODE_ANY);
    else
        buf_puts(out, "null");
}
