/* See eval_samples.h. */
#include "eval/eval_samples.h"

#include "base/file.h"
#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDENTITY_BYTES_MAX = 1 << 20 };

struct SampleFile {
    char *path;
    FILE *file;
};

/* ---- The folder ------------------------------------------------------------------------------ */

static char *dump(const json_t *value, size_t flags)
{
    char *text = value ? json_dumps(value, flags | JSON_ENCODE_ANY) : NULL;
    return text ? text : strdup("null");
}

static bool compare(const char *path, const json_t *before, const json_t *now, Error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)now, key, value)
    {
        const json_t *old = json_object_get(before, key);
        if ((old && json_equal(old, value)) || strcmp(key, "model") == 0) /* its hash counts */
            continue;
        char *was = dump(old, JSON_COMPACT), *is = dump(value, JSON_COMPACT);
        error_set(err, ERROR_ARGUMENT,
                  "%s: the replies in this folder are of another run: \"%s\" was %.120s and is "
                  "%.120s now; give another --out",
                  path, key, was, is);
        free(was);
        free(is);
        return false;
    }
    return true;
}

bool eval_samples_folder(const char *dir, const json_t *identity, Error *err)
{
    if (!file_make_dir(dir, err))
        return false;
    char *path = file_join(dir, "run.json");
    Buf text = {0};
    bool ok = true;
    if (file_exists(path)) {
        ok = file_read(&text, path, IDENTITY_BYTES_MAX, err);
        json_t *before = ok ? json_loadb(text.data ? text.data : "", text.bytes, 0, NULL) : NULL;
        ok = ok && (before || error_set(err, ERROR_FORMAT, "%s: it is not JSON", path)) &&
             compare(path, before, identity, err);
        json_decref(before);
    } else {
        char *now = dump(identity, JSON_INDENT(2));
        buf_printf(&text, "%s\n", now);
        free(now);
        ok = file_write(path, buf_str(&text), err);
    }
    buf_free(&text);
    mem_free(path);
    return ok;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int setting_named(const EvalSettings *settings, const char *name)
{
    for (int i = 0; name && i < settings->n; i++)
        if (strcmp(settings->items[i].name, name) == 0)
            return i;
    return -1;
}

static int count_of(const json_t *tokens, const char *key)
{
    return (int)json_integer_value(json_object_get(tokens, key));
}

/* A line of a setting or a case that is not asked this time is left alone. */
static bool take_line(EvalRecords *r, int task_i, const json_t *line, Error *err)
{
    const EvalTask *task = r->tasks->items[task_i];
    const json_t *doc_id = json_object_get(line, "doc_id"),
                 *tokens = json_object_get(line, "tokens");
    const char *hash = json_string_value(json_object_get(line, "doc_hash"));
    const char *filter = json_string_value(json_object_get(line, "filter"));
    if (!json_is_integer(doc_id) || !hash || !filter || !json_is_object(tokens))
        return error_set(err, ERROR_FORMAT, "not a sample");
    const int setting_i = setting_named(r->settings, filter);
    const json_int_t case_i = json_integer_value(doc_id);
    if (setting_i < 0 || case_i < 0 || case_i >= task->n_cases)
        return true;
    EvalRecord record = {
        .is_there = true,
        .is_cut = json_is_true(json_object_get(line, "is_cut")),
        .was_closed = json_is_true(json_object_get(line, "thought_was_closed")),
        .has_thought = json_is_true(json_object_get(line, "has_thought")),
        .prompt_tokens = count_of(tokens, "prompt"),
        .thinking_tokens = count_of(tokens, "thinking"),
        .reply_tokens = count_of(tokens, "reply"),
        .doc_hash = strtoull(hash, NULL, 16),
    };
    for (int m = 0; m < task->n_metrics; m++) {
        const json_t *value = json_object_get(line, task->metrics[m]);
        if (!json_is_number(value) && !json_is_null(value))
            return error_set(err, ERROR_FORMAT, "no value of \"%s\"", task->metrics[m]);
        record.values[m] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    }
    *eval_record(r, task_i, (int)case_i, setting_i) = record;
    return true;
}

/* Returns the end of the last whole line in *end. */
static bool take_lines(const char *path, Str all, EvalRecords *r, int task_i, size_t *end,
                       Error *err)
{
    int64_t number = 1;
    *end = 0;
    for (const char *newline; (newline = memchr(all.data + *end, '\n', all.bytes - *end));
         number++) {
        const size_t bytes = (size_t)(newline - all.data) - *end;
        json_t *line = json_loadb(all.data + *end, bytes, JSON_ALLOW_NUL, NULL);
        const bool ok =
            line ? take_line(r, task_i, line, err) : error_set(err, ERROR_FORMAT, "it is not JSON");
        json_decref(line);
        if (!ok)
            return error_add(err, "%s:%lld", path, (long long)number);
        *end += bytes + 1;
        if (*end == all.bytes)
            break;
    }
    return true;
}

char *eval_samples_path(const char *dir, const char *task)
{
    Buf name = {0};
    buf_printf(&name, "samples_%s.jsonl", task);
    for (size_t i = 0; i < name.bytes; i++)
        if (strchr(":/ ", name.data[i]))
            name.data[i] = '_';
    char *path = file_join(dir, name.data);
    buf_free(&name);
    return path;
}

SampleFile *eval_samples_open(const char *dir, EvalRecords *r, int task_i, Error *err)
{
    SampleFile *f = mem_alloc(sizeof *f);
    FileMap map = {0};
    size_t end = 0;
    f->path = eval_samples_path(dir, r->tasks->items[task_i]->name);
    bool ok = !file_exists(f->path) || file_map(&map, f->path, err);
    if (ok && map.bytes > 0)
        ok = take_lines(f->path, (Str){(const char *)map.data, map.bytes}, r, task_i, &end, err);
    file_unmap(&map);
    if (ok) {
        f->file = fopen(f->path, file_exists(f->path) ? "r+" : "w");
        ok = (f->file && ftruncate(fileno(f->file), (off_t)end) == 0 &&
              fseek(f->file, 0, SEEK_END) == 0) ||
             error_set_errno(err, "%s", f->path);
    }
    if (ok)
        return f;
    eval_samples_close(f);
    return NULL;
}

void eval_samples_close(SampleFile *f)
{
    if (!f)
        return;
    if (f->file)
        fclose(f->file);
    mem_free(f->path);
    mem_free(f);
}

bool eval_samples_add(SampleFile *f, Str line, Error *err)
{
    return fwrite(line.data, 1, line.bytes, f->file) == line.bytes ||
           error_set_errno(err, "%s", f->path);
}

bool eval_samples_flush(SampleFile *f, Error *err)
{
    return fflush(f->file) == 0 || error_set_errno(err, "%s", f->path);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static json_t *text(const Buf *b) { return json_stringn_nocheck(b->data ? b->data : "", b->bytes); }

json_t *eval_sample_turn(const EvalTurn *turn)
{
    return json_pack("{s:o, s:o, s:O, s:s, s:{s:i, s:i, s:i}}", "thinking", text(&turn->thinking),
                     "content", text(&turn->content), "tool_calls", turn->calls, "finish",
                     turn->finish, "tokens", "prompt", turn->prompt_tokens, "thinking",
                     turn->thinking_tokens, "reply", turn->reply_tokens);
}

static json_t *hash_of(const char *bytes)
{
    char hex[24];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)hash_bytes(0, str_from(bytes)));
    return json_string(hex);
}

void eval_sample_line(const EvalTask *task, const EvalSetting *setting, int case_i,
                      const EvalCase *c, const json_t *turns, const EvalRecord *record, Buf *out)
{
    json_t *target = json_object_get(c->doc, "answer"), *line = json_object();
    const json_t *last = json_array_get(turns, json_array_size(turns) - 1);
    json_t *content = json_object_get(last, "content");
    char *prompt = dump(c->messages, JSON_COMPACT), *wanted = dump(target, JSON_COMPACT);
    json_object_set_new(line, "doc_id", json_integer(case_i));
    json_object_set(line, "doc", c->doc);
    json_object_set_new(line, "target", target ? json_incref(target) : json_null());
    json_object_set_new(line, "arguments",
                        json_pack("{s:{s:s, s:{s:i, s:i}}}", "gen_args_0", "arg_0", prompt, "arg_1",
                                  "think", setting->think, "think_budget", setting->budget));
    json_object_set_new(line, "resps", json_pack("[[O]]", content));
    json_object_set_new(line, "filtered_resps", json_pack("[O]", content));
    json_object_set_new(line, "filter", json_string(setting->name));
    json_object_set_new(line, "metrics", json_array());
    char doc_hash[24];
    snprintf(doc_hash, sizeof doc_hash, "%016llx", (unsigned long long)record->doc_hash);
    json_object_set_new(line, "doc_hash", json_string(doc_hash));
    json_object_set_new(line, "prompt_hash", hash_of(prompt));
    json_object_set_new(line, "target_hash", hash_of(wanted));
    for (int m = 0; m < task->n_metrics; m++) {
        json_array_append_new(json_object_get(line, "metrics"), json_string(task->metrics[m]));
        json_object_set_new(line, task->metrics[m],
                            isnan(record->values[m]) ? json_null() : json_real(record->values[m]));
    }
    json_object_set(line, "turns", (json_t *)turns);
    json_object_set_new(line, "tokens",
                        json_pack("{s:i, s:i, s:i}", "prompt", record->prompt_tokens, "thinking",
                                  record->thinking_tokens, "reply", record->reply_tokens));
    json_object_set_new(line, "is_cut", json_boolean(record->is_cut));
    json_object_set_new(line, "thought_was_closed", json_boolean(record->was_closed));
    json_object_set_new(line, "has_thought", json_boolean(record->has_thought));
    char *whole = dump(line, JSON_COMPACT);
    buf_printf(out, "%s\n", whole);
    free(whole);
    free(prompt);
    free(wanted);
    json_decref(line);
}
