/* JSON written straight into a Buf: answers go out as they come, and strings keep their bytes.
 *
 * Commas put themselves: one is due unless the last byte opens something. So an object is
 *
 *     out_open(out, NULL, '{');
 *     out_str(out, "role", STR("assistant"));
 *     out_open(out, "choices", '[');
 *     ...
 *     out_close(out, ']');
 *     out_close(out, '}');
 *
 * `key` NULL: an element of an array, or the outermost value (which follows other text only after
 * a blank or a line's end). */
#ifndef WEN_SERVER_JSON_OUT_H
#define WEN_SERVER_JSON_OUT_H

#include "base/str.h"

#include <jansson.h>

void out_open(Buf *out, const char *key, char bracket);
void out_close(Buf *out, char bracket);
void out_str(Buf *out, const char *key, Str value); /* what is no UTF-8 becomes U+FFFD */
void out_int(Buf *out, const char *key, int64_t value);
void out_real(Buf *out, const char *key, double value); /* not finite: null */
void out_bool(Buf *out, const char *key, bool value);
void out_null(Buf *out, const char *key);
void out_raw(Buf *out, const char *key, Str json);              /* JSON text as it is */
void out_value(Buf *out, const char *key, const json_t *value); /* NULL: null */

#endif
