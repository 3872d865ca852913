/* See jsonl.h. */
#include "train/jsonl.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

bool jsonl_read(const char *path, JsonlEach *each, void *context, Error *err)
{
    Buf text = {0};
    bool ok = file_read(&text, path, SIZE_MAX, err);
    int line = 0;
    for (size_t from = 0; ok && from < text.bytes;) {
        const char *end = memchr(text.data + from, '\n', text.bytes - from);
        const size_t to = end ? (size_t)(end - text.data) : text.bytes;
        json_error_t where;
        char place[400];
        snprintf(place, sizeof place, "%.380s:%d", path, ++line);
        if (to > from) {
            json_t *value = json_loadb(text.data + from, to - from, JSON_DECODE_ANY, &where);
            ok = value ? each(context, value, place, err)
                       : error_set(err, ERROR_FORMAT, "%s: %s", place, where.text);
            json_decref(value);
        }
        from = to + 1;
    }
    buf_free(&text);
    return ok;
}
