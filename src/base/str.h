/* Strings: Str is a borrowed slice, Buf a growing buffer with a maximum. Neither needs a NUL, but a
 * Buf always keeps one behind its last byte, so `buf.data` can be printed. */
#ifndef WEN_BASE_STR_H
#define WEN_BASE_STR_H

#include "base/error.h"

#include <stdint.h>

typedef struct Str {
    const char *data; /* borrowed */
    size_t bytes;
} Str;

#define STR(literal) ((Str){"" literal, sizeof(literal) - 1})
/* For printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).bytes, (s).data

Str str_from(const char *text);
bool str_equal(Str a, Str b);
bool str_equals(Str a, const char *text);
bool str_starts(Str s, Str prefix);
bool str_ends(Str s, Str suffix);
/* The first place of `needle` at or after `from`, or -1. */
ptrdiff_t str_find(Str s, Str needle, size_t from);
Str str_slice(Str s, size_t from, size_t to);
uint64_t str_hash(Str s);

typedef struct Buf {
    char *data;
    size_t bytes, capacity;
    size_t bytes_max;  /* 0: 1 GiB. Past it, appends are dropped and `overflowed` is set. */
    bool overflowed;
} Buf;

/* A zeroed Buf is ready for use. Appends abort only when the machine has no memory. */
void buf_append(Buf *buf, const void *data, size_t bytes);
void buf_add(Buf *buf, Str s);
void buf_puts(Buf *buf, const char *text);
void buf_putc(Buf *buf, char c);
void buf_printf(Buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Appends a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_put_json(Buf *buf, Str s);
void buf_clear(Buf *buf);
void buf_free(Buf *buf);
Str buf_str(const Buf *buf);

#endif
