/* See records.h. */
#include "data/records.h"

#include <stdlib.h>
#include <string.h>

enum { RELEASE_BYTES = 64 << 20 };

bool records_open(RecordReader *r, const char *path, Error *err)
{
    *r = (RecordReader){.path = path};
    r->is_text = str_ends(str_from(path), STR(".txt"));
    if (!r->is_text && !str_ends(str_from(path), STR(".jsonl")))
        return error_set(err, ERROR_UNSUPPORTED, "%s: data is .txt or .jsonl", path);
    return file_map(&r->map, path, err);
}

void records_close(RecordReader *r)
{
    json_decref(r->record.json);
    file_unmap(&r->map);
    *r = (RecordReader){0};
}

bool records_error(const RecordReader *r, Error *err)
{
    if (r->record.number == 0)
        return error_add(err, "%s: byte %zu", r->path, r->record.at);
    return error_add(err, "%s:%lld", r->path, (long long)r->record.number);
}

static bool parse(RecordReader *r, Error *err)
{
    json_error_t why;
    const Str line = r->record.line;
    r->record.json = r->is_text ? json_pack("{s: o*}", "text", json_stringn(line.data, line.bytes))
                                : json_loadb(line.data, line.bytes, JSON_ALLOW_NUL, &why);
    if (json_is_object(r->record.json) && json_object_size(r->record.json) > 0)
        return true;
    if (r->is_text)
        error_set(err, ERROR_FORMAT, "the text is not UTF-8");
    else if (!r->record.json)
        error_set(err, ERROR_FORMAT, "%s", why.text);
    else
        error_set(err, ERROR_FORMAT, "the line is not an object with members");
    return records_error(r, err);
}

static bool is_blank(Str line)
{
    for (size_t i = 0; i < line.bytes; i++)
        if (!strchr(" \t\r", line.data[i]))
            return false;
    return true;
}

bool records_next(RecordReader *r, const Record **record, Error *err)
{
    const Str all = {(const char *)r->map.data, r->map.bytes};
    json_decref(r->record.json);
    r->record.json = NULL;
    *record = NULL;
    while (r->at < all.bytes) {
        const size_t from = r->at;
        const char *end = r->is_text ? NULL : memchr(all.data + from, '\n', all.bytes - from);
        const size_t to = end ? (size_t)(end - all.data) : all.bytes;
        r->at = to + 1;
        r->number++;
        if (from / RELEASE_BYTES != to / RELEASE_BYTES)
            file_map_release(&r->map);
        r->record = (Record){NULL, str_slice(all, from, to), r->number, from};
        if (is_blank(r->record.line))
            continue;
        *record = &r->record;
        return parse(r, err);
    }
    return true;
}

bool records_at(RecordReader *r, size_t at, int64_t number, const Record **record, Error *err)
{
    r->at = at;
    r->number = number - 1;
    return records_next(r, record, err);
}

static void put_line(Str text, Buf *out)
{
    if (out->bytes > 0)
        buf_putc(out, '\n');
    buf_add(out, text);
}

static Str string_of(const json_t *value)
{
    return (Str){json_string_value(value), json_string_length(value)};
}

static void put_message(const json_t *message, Buf *out)
{
    const json_t *thought = json_object_get(message, "reasoning_content"),
                 *content = json_object_get(message, "content"),
                 *calls = json_object_get(message, "tool_calls");
    if (json_is_string(thought))
        put_line(string_of(thought), out);
    if (json_is_string(content))
        put_line(string_of(content), out);
    for (size_t k = 0; k < json_array_size(content); k++) {
        const json_t *part = json_object_get(json_array_get(content, k), "text");
        if (json_is_string(part))
            put_line(string_of(part), out);
    }
    char *text = json_array_size(calls) > 0 ? json_dumps(calls, JSON_COMPACT) : NULL;
    if (text)
        put_line(str_from(text), out);
    free(text);
}

bool record_text(const json_t *document, Buf *out, Error *err)
{
    const json_t *text = json_object_get(document, "text"),
                 *messages = json_object_get(document, "messages");
    if (json_is_string(text)) {
        put_line(string_of(text), out);
        return true;
    }
    if (!json_is_array(messages))
        return error_set(err, ERROR_FORMAT, "neither \"text\" nor \"messages\" in this line");
    for (size_t i = 0; i < json_array_size(messages); i++)
        put_message(json_array_get(messages, i), out);
    return true;
}

bool record_write_json(const json_t *json, FileWriter *out, Error *err)
{
    char *text = json_dumps(json, JSON_COMPACT);
    const bool ok =
        file_writer_write(out, text, strlen(text), err) && file_writer_write(out, "\n", 1, err);
    free(text);
    return ok;
}

bool record_write(const Record *record, FileWriter *out, Error *err)
{
    const bool is_line = record->line.bytes > 0 && record->line.data[0] == '{';
    if (!is_line || memchr(record->line.data, '\n', record->line.bytes))
        return record_write_json(record->json, out, err);
    return file_writer_write(out, record->line.data, record->line.bytes, err) &&
           file_writer_write(out, "\n", 1, err);
}
