/* See data_source.h. */
#include "train/data_source.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct Reader {
    const DataText *text;
    ChatReader chat;
    Documents *documents;
    Ids ids;
    int32_t end; /* the token that ends a text */
    const char *path;
    Error *err;
} Reader;

static bool add_text(Reader *r, Str text)
{
    if (text.bytes == 0)
        return true;
    r->ids.n = 0;
    if (!tokenizer_encode_plain(r->text->tokenizer, text, &r->ids, r->err))
        return false;
    ids_push(&r->ids, r->end);
    return documents_add(r->documents, r->ids.data, NULL, r->ids.n, (int64_t)text.bytes, r->err);
}

static bool add_chat(Reader *r, const json_t *conversation)
{
    if (!r->text->chat)
        return error_set(r->err, ERROR_UNSUPPORTED,
                         "a conversation, but the model has no chat template: put a "
                         "chat_template.jinja beside its tokenizer");
    return chat_reader_add(&r->chat, conversation, r->documents, r->err);
}

static bool add_line(Reader *r, Str line)
{
    json_error_t where;
    json_t *json = json_loadb(line.data, line.bytes, JSON_ALLOW_NUL, &where);
    const json_t *text = json_object_get(json, "text");
    bool ok;
    if (!json)
        ok = error_set(r->err, ERROR_FORMAT, "column %d: %s", where.column, where.text);
    else if (json_object_get(json, "messages"))
        ok = add_chat(r, json);
    else if (json_is_string(text))
        ok = add_text(r, (Str){json_string_value(text), json_string_length(text)});
    else
        ok = error_set(r->err, ERROR_FORMAT, "neither \"text\" nor \"messages\" in this line");
    json_decref(json);
    return ok;
}

static bool add_lines(Reader *r, Str all)
{
    int64_t number = 1;
    for (size_t from = 0; from < all.bytes; number++) {
        const char *end = memchr(all.data + from, '\n', all.bytes - from);
        const size_t to = end ? (size_t)(end - all.data) : all.bytes;
        if (to > from && !add_line(r, str_slice(all, from, to)))
            return error_add(r->err, "%s:%" PRId64, r->path, number);
        from = to + 1;
    }
    return true;
}

static bool find_end(Reader *r)
{
    const Tokenizer *t = r->text->tokenizer;
    r->end = tokenizer_added_id(t, "<|endoftext|>");
    if (r->end < 0)
        r->end = tokenizer_eos_id(t);
    return r->end >= 0 ||
           error_set(r->err, ERROR_ARGUMENT, "the tokenizer has no end-of-text token");
}

static bool check_counts(const Reader *r)
{
    const DocumentCounts *c = &r->documents->counts;
    if (c->n_documents > 0)
        return true;
    if (c->n_long > 0)
        return error_set(r->err, ERROR_LIMIT,
                         "%s: all %" PRId64 " documents in it are longer than batch.tokens (%d)",
                         r->path, c->n_long, r->documents->tokens_max);
    return error_set(r->err, ERROR_FORMAT, "%s: there is no document in it to learn from", r->path);
}

static void say_counts(const Reader *r)
{
    static const char *const fates[] = {"in pieces", "cut", "left out"};
    const DocumentCounts *c = &r->documents->counts;
    Buf line = {0};
    if (!r->text->line)
        return;
    buf_printf(&line, "%s: %" PRId64 " documents, %" PRId64 " tokens", r->path, c->n_documents,
               c->n_ids - c->n_documents);
    if (c->n_scored < c->n_ids - c->n_documents)
        buf_printf(&line, ", %" PRId64 " of them learned", c->n_scored);
    if (c->n_long > 0)
        buf_printf(&line, "; %" PRId64 " longer than %d tokens, %s", c->n_long,
                   r->documents->tokens_max, fates[r->documents->long_documents]);
    if (c->n_blank > 0)
        buf_printf(&line, "; %" PRId64 " with nothing to learn, left out", c->n_blank);
    r->text->line(r->text->context, line.data);
    buf_free(&line);
}

bool data_source_open(DataSource *s, const char *path, const TrainConfig *c, const DataText *text,
                      Error *err)
{
    FileMap map;
    const bool is_lines = str_ends(str_from(path), STR(".jsonl"));
    *s = (DataSource){.documents = {.tokens_max = c->tokens, .long_documents = c->long_documents}};
    Reader r = {.text = text, .documents = &s->documents, .path = path, .err = err};
    if (!is_lines && !str_ends(str_from(path), STR(".txt")))
        return error_set(err, ERROR_UNSUPPORTED, "%s: data is .txt or .jsonl", path);
    if (!find_end(&r) || !file_map(&map, path, err))
        return false;
    r.chat = (ChatReader){
        .chat = text->chat, .tokenizer = text->tokenizer, .score = c->score, .end = r.end};
    const Str all = {(const char *)map.data, map.bytes};
    const bool ok = is_lines ? add_lines(&r, all) : add_text(&r, all) || error_add(err, "%s", path);
    file_unmap(&map);
    chat_reader_free(&r.chat);
    ids_free(&r.ids);
    if (ok && check_counts(&r)) {
        say_counts(&r);
        return true;
    }
    data_source_close(s);
    return false;
}

void data_source_close(DataSource *s)
{
    documents_free(&s->documents);
    *s = (DataSource){0};
}

DataDocument data_source_document(const DataSource *s, int64_t i)
{
    const DocumentPlace *place = s->documents.places + i;
    return (DataDocument){.ids = s->documents.ids + place[0].id,
                          .n = (int)(place[1].id - place[0].id) - 1,
                          .runs = s->documents.runs + place[0].run};
}
