/* UTF-8, strictly as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef WEN_BASE_UTF8_H
#define WEN_BASE_UTF8_H

#include "base/str.h"

/* Decodes the first character. Returns its length in bytes (1 to 4), or 0 when the bytes are not
 * UTF-8 or end too early; *cp is then untouched. */
size_t utf8_decode(Str s, uint32_t *cp);

/* Writes 1 to 4 bytes; cp must be a scalar value. Returns the length. */
size_t utf8_encode(uint32_t cp, char out[4]);

/* True when s ends inside a character that more bytes could still complete; *tail_bytes is then the
 * length of that unfinished part (1 to 3). */
bool utf8_is_cut(Str s, size_t *tail_bytes);

/* The offset of the first byte that is not UTF-8, or s.bytes. */
size_t utf8_valid_prefix(Str s);

/* Appends s with every maximal ill-formed part replaced by one U+FFFD (as Python's "replace" and
 * the WHATWG decoder do). */
void utf8_append_lossy(Buf *out, Str s);

#endif
