/* See utf8.h. The table-free decoder follows Unicode 15, table 3-7. */
#include "base/utf8.h"

#include <string.h>

/* How many bytes the sequence starting with `lead` has, and the range of its second byte. */
static size_t sequence_shape(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 2;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0)
            *low = 0xA0;
        if (lead == 0xED)
            *high = 0x9F;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0)
            *low = 0x90;
        if (lead == 0xF4)
            *high = 0x8F;
        return 4;
    }
    return 0;
}

/* Bytes of s that form a (possibly unfinished) well-formed sequence; *need is its full length. */
static size_t sequence_match(Str s, size_t *need)
{
    const unsigned char *p = (const unsigned char *)s.data;
    unsigned char low, high;
    *need = s.bytes ? sequence_shape(p[0], &low, &high) : 0;
    if (*need == 0)
        return 0;
    size_t n = 1;
    while (n < *need && n < s.bytes && p[n] >= low && p[n] <= high) {
        low = 0x80;
        high = 0xBF;
        n++;
    }
    return n;
}

size_t utf8_decode(Str s, uint32_t *cp)
{
    size_t need;
    if (sequence_match(s, &need) != need || need == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)s.data;
    static const unsigned char lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t value = p[0] & lead_mask[need];
    for (size_t i = 1; i < need; i++)
        value = value << 6 | (p[i] & 0x3Fu);
    *cp = value;
    return need;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

bool utf8_is_cut(Str s, size_t *tail_bytes)
{
    for (size_t back = 1; back <= 3 && back <= s.bytes; back++) {
        size_t need;
        size_t n = sequence_match(str_slice(s, s.bytes - back, s.bytes), &need);
        if (n == back && need > back) {
            *tail_bytes = back;
            return true;
        }
    }
    return false;
}

/* The end of the run of ASCII bytes that begins at i; 8 at a time. */
static size_t ascii_end(Str s, size_t i)
{
    uint64_t word;
    for (; i + sizeof word <= s.bytes; i += sizeof word) {
        memcpy(&word, s.data + i, sizeof word);
        if (word & 0x8080808080808080u)
            break;
    }
    while (i < s.bytes && (unsigned char)s.data[i] < 0x80)
        i++;
    return i;
}

size_t utf8_valid_prefix(Str s)
{
    size_t i = 0;
    uint32_t cp;
    while ((i = ascii_end(s, i)) < s.bytes) {
        size_t n = utf8_decode(str_slice(s, i, s.bytes), &cp);
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

void utf8_append_lossy(Buf *out, Str s)
{
    while (s.bytes > 0) {
        size_t good = utf8_valid_prefix(s);
        buf_append(out, s.data, good);
        s = str_slice(s, good, s.bytes);
        if (s.bytes == 0)
            return;
        size_t need;
        size_t bad = sequence_match(s, &need);
        buf_puts(out, "\xEF\xBF\xBD");
        s = str_slice(s, bad ? bad : 1, s.bytes);
    }
}
