/* See blocks.h. */
#include "train/blocks.h"

#include <string.h>

/* Behind the line end that comes next; the text's end if none does. */
static size_t line_end(Str text, size_t from)
{
    const char *newline = memchr(text.data + from, '\n', text.bytes - from);
    return newline ? (size_t)(newline - text.data) + 1 : text.bytes;
}

size_t block_end(Str text, size_t at, size_t bytes, bool is_lines)
{
    if (bytes >= text.bytes - at)
        return text.bytes;
    for (size_t end = line_end(text, at + bytes); end < text.bytes; end = line_end(text, end))
        if (is_lines || (text.data[end] > ' ' && text.data[end] < 0x7f))
            return end;
    return text.bytes;
}

int64_t block_lines(Str text)
{
    int64_t n = 0;
    for (size_t at = 0; at < text.bytes; n++)
        at = line_end(text, at);
    return n;
}
