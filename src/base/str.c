/* See str.h. */
#include "base/str.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUF_FIRST_BYTES = 256 };
#define BUF_BYTES_MAX ((size_t)1 << 30)

Str str_from(const char *text) { return (Str){text, text ? strlen(text) : 0}; }

bool str_equal(Str a, Str b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

bool str_equals(Str a, const char *text) { return str_equal(a, str_from(text)); }

bool str_starts(Str s, Str prefix)
{
    return s.bytes >= prefix.bytes && str_equal(str_slice(s, 0, prefix.bytes), prefix);
}

bool str_ends(Str s, Str suffix)
{
    return s.bytes >= suffix.bytes &&
           str_equal(str_slice(s, s.bytes - suffix.bytes, s.bytes), suffix);
}

ptrdiff_t str_find(Str s, Str needle, size_t from)
{
    if (needle.bytes == 0)
        return from <= s.bytes ? (ptrdiff_t)from : -1;
    while (from + needle.bytes <= s.bytes) {
        const char *hit = memchr(s.data + from, needle.data[0], s.bytes - needle.bytes + 1 - from);
        if (!hit)
            return -1;
        if (memcmp(hit, needle.data, needle.bytes) == 0)
            return hit - s.data;
        from = (size_t)(hit - s.data) + 1;
    }
    return -1;
}

Str str_slice(Str s, size_t from, size_t to)
{
    if (to > s.bytes)
        to = s.bytes;
    if (from > to)
        from = to;
    return (Str){s.data ? s.data + from : NULL, to - from};
}

uint64_t str_hash(Str s)
{
    /* FNV-1a, then a finaliser: the low bits index hash tables. */
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.bytes; i++)
        h = (h ^ (unsigned char)s.data[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return h * 0x9e3779b97f4a7c15u;
}

static bool buf_reserve(Buf *buf, size_t more)
{
    size_t limit = buf->bytes_max ? buf->bytes_max : BUF_BYTES_MAX;
    if (buf->overflowed || more > limit || buf->bytes > limit - more) {
        buf->overflowed = true;
        return false;
    }
    size_t need = buf->bytes + more + 1;
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity ? buf->capacity : BUF_FIRST_BYTES;
    while (capacity < need)
        capacity *= 2;
    char *grown = mem_alloc(capacity);
    if (buf->bytes)
        memcpy(grown, buf->data, buf->bytes);
    mem_free(buf->data);
    buf->data = grown;
    buf->capacity = capacity;
    return true;
}

void buf_append(Buf *buf, const void *data, size_t bytes)
{
    if (!buf_reserve(buf, bytes))
        return;
    if (bytes)
        memcpy(buf->data + buf->bytes, data, bytes);
    buf->bytes += bytes;
    buf->data[buf->bytes] = '\0';
}

void buf_add(Buf *buf, Str s) { buf_append(buf, s.data, s.bytes); }

void buf_puts(Buf *buf, const char *text) { buf_append(buf, text, strlen(text)); }

void buf_putc(Buf *buf, char c) { buf_append(buf, &c, 1); }

void buf_printf(Buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !buf_reserve(buf, (size_t)n))
        return;
    va_start(args, format);
    vsnprintf(buf->data + buf->bytes, (size_t)n + 1, format, args);
    va_end(args);
    buf->bytes += (size_t)n;
}

void buf_put_json(Buf *buf, Str s)
{
    buf_putc(buf, '"');
    for (size_t i = 0; i < s.bytes;) {
        unsigned char c = (unsigned char)s.data[i];
        if (c == '"' || c == '\\') {
            buf_putc(buf, '\\');
            buf_putc(buf, (char)c);
            i++;
        } else if (c == '\n') {
            buf_puts(buf, "\\n");
            i++;
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(buf, "\\u%04x", c);
            i++;
        } else {
            uint32_t cp;
            size_t n = utf8_decode(str_slice(s, i, s.bytes), &cp);
            if (n > 0)
                buf_append(buf, s.data + i, n);
            else
                buf_puts(buf, "\xEF\xBF\xBD");
            i += n > 0 ? n : 1;
        }
    }
    buf_putc(buf, '"');
}

void buf_clear(Buf *buf)
{
    buf->bytes = 0;
    buf->overflowed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

void buf_free(Buf *buf)
{
    mem_free(buf->data);
    *buf = (Buf){.bytes_max = buf->bytes_max};
}

Str buf_str(const Buf *buf) { return (Str){buf->data ? buf->data : "", buf->bytes}; }
