/* wen tokenize: text -> ids and back, as the model's own tokenizer does it. */
#include "base/file.h"
#include "base/json_reader.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_find.h"
#include "wen.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX ((size_t)1 << 30)

typedef struct Tokenize {
    const char *model_name, *text;
    bool decodes, is_jsonl, is_plain;
    wen_model *model;
    int32_t bos_id, suffix_id; /* what the reference puts around a text; -1: nothing */
    Buf out;
} Tokenize;

static bool api_error(const wen_error *from, Error *err)
{
    return error_set(err, (ErrorCode)from->code, "%s", from->message);
}

static int32_t member_id(const json_t *tokenizer, const char *name)
{
    const json_t *id = json_object_get(tokenizer, name);
    return json_is_integer(id) ? (int32_t)json_integer_value(id) : -1;
}

static bool open_model(Tokenize *t, Error *err)
{
    wen_error why;
    wen_model_options options = wen_model_options_defaults();
    options.load = WEN_LOAD_TEXT;
    char *path = model_find(t->model_name, false, err);
    if (!path)
        return false;
    t->model = wen_model_open(path, &options, &why);
    mem_free(path);
    char *info = t->model ? wen_model_info(t->model, 0, NULL, &why) : NULL;
    if (!info)
        return api_error(&why, err);
    json_t *tree = json_loads(info, 0, NULL);
    const json_t *tokenizer = json_object_get(tree, "tokenizer");
    t->bos_id = member_id(tokenizer, "bos_id");
    t->suffix_id = member_id(tokenizer, "suffix_id");
    json_decref(tree);
    wen_free(info);
    return true;
}

static void put_id(Buf *out, int32_t id)
{
    char digits[16];
    int at = sizeof digits;
    do {
        digits[--at] = (char)('0' + id % 10);
        id /= 10;
    } while (id > 0);
    if (out->bytes > 0 && out->data[out->bytes - 1] != '[')
        buf_putc(out, ',');
    buf_append(out, digits + at, sizeof digits - (size_t)at);
}

/* Appends "[1,2,3]" and a newline. */
static bool encode(Tokenize *t, Str text, Error *err)
{
    wen_error why;
    int32_t *ids;
    int n_ids;
    if (!wen_tokenize(t->model, text.data, text.bytes, t->is_plain, &ids, &n_ids, &why))
        return api_error(&why, err);
    buf_putc(&t->out, '[');
    if (t->bos_id >= 0)
        put_id(&t->out, t->bos_id);
    for (int i = 0; i < n_ids; i++)
        put_id(&t->out, ids[i]);
    if (t->suffix_id >= 0)
        put_id(&t->out, t->suffix_id);
    buf_puts(&t->out, "]\n");
    wen_free(ids);
    return true;
}

/* Reads a JSON array of ids, to be freed with mem_free. */
static bool read_ids(Str json, int32_t **ids, int *n_ids, Error *err)
{
    JsonReader r;
    json_reader_open(&r, json);
    size_t n = 0, capacity = 0;
    bool ok = json_reader_expect(&r, JSON_EVENT_ARRAY, err);
    JsonEvent event = JSON_EVENT_ERROR;
    while (ok && (event = json_reader_next(&r, err)) == JSON_EVENT_NUMBER) {
        int64_t id;
        if (n == capacity) {
            size_t grown = capacity ? capacity * 2 : 1024;
            int32_t *block = mem_try_grow(*ids, n * sizeof **ids, grown * sizeof **ids, "ids", err);
            ok = block != NULL;
            *ids = ok ? block : *ids;
            capacity = grown;
        }
        ok = ok && json_reader_number_as_int(&r, 0, INT32_MAX, &id, err);
        if (ok)
            (*ids)[n++] = (int32_t)id;
    }
    if (ok && event != JSON_EVENT_ARRAY_END)
        ok = event != JSON_EVENT_ERROR &&
             error_set(err, ERROR_FORMAT, "byte %zu: an id cannot be %s", r.event_at,
                       json_event_name(event));
    ok = ok && json_reader_expect(&r, JSON_EVENT_END, err);
    json_reader_close(&r);
    *n_ids = (int)n;
    return ok;
}

/* Appends the text: its bytes alone, or as one JSON string on a line. */
static bool decode(Tokenize *t, Str json, Error *err)
{
    int32_t *ids = NULL;
    int n_ids = 0;
    wen_error why;
    size_t bytes;
    bool ok = read_ids(json, &ids, &n_ids, err);
    char *text = ok ? wen_detokenize(t->model, ids, n_ids, false, &bytes, &why) : NULL;
    if (ok && !text)
        ok = api_error(&why, err);
    if (text && t->is_jsonl) {
        buf_put_json(&t->out, (Str){text, bytes});
        buf_putc(&t->out, '\n');
    } else if (text) {
        buf_append(&t->out, text, bytes);
    }
    wen_free(text);
    mem_free(ids);
    return ok;
}

static bool print(Tokenize *t, Error *err)
{
    if (t->out.overflowed)
        return error_set(err, ERROR_LIMIT, "the result is longer than 1 GiB");
    Str out = buf_str(&t->out);
    if (fwrite(out.data, 1, out.bytes, stdout) != out.bytes || fflush(stdout) != 0)
        return error_set_errno(err, "standard output");
    buf_clear(&t->out);
    return true;
}

static bool run_whole(Tokenize *t, Error *err)
{
    Buf input = {0};
    bool ok = t->text || file_read(&input, "-", INPUT_BYTES_MAX - 1, err);
    Str text = t->text ? str_from(t->text) : buf_str(&input);
    if (ok && !(t->decodes ? decode(t, text, err) : encode(t, text, err)))
        ok = error_add(err, t->text ? "TEXT" : "standard input");
    buf_free(&input);
    return ok && print(t, err);
}

static bool encode_json_string(Tokenize *t, Str line, Error *err)
{
    JsonReader r;
    json_reader_open(&r, line);
    bool ok = json_reader_expect(&r, JSON_EVENT_STRING, err);
    Buf text = {0};
    if (ok)
        buf_add(&text, r.string);
    ok = ok && json_reader_expect(&r, JSON_EVENT_END, err) && encode(t, buf_str(&text), err);
    buf_free(&text);
    json_reader_close(&r);
    return ok;
}

static bool run_lines(Tokenize *t, Error *err)
{
    char *line = NULL;
    size_t capacity = 0, line_n = 0;
    bool ok = true;
    for (ssize_t n; ok && (n = getline(&line, &capacity, stdin)) >= 0;) {
        Str text = {line, (size_t)n};
        line_n++;
        while (text.bytes && strchr("\r\n", text.data[text.bytes - 1]))
            text.bytes--;
        if (text.bytes == 0)
            continue;
        ok = t->decodes ? decode(t, text, err) : encode_json_string(t, text, err);
        if (!ok)
            error_add(err, "line %zu", line_n);
        ok = ok && print(t, err);
    }
    if (ok && ferror(stdin))
        ok = error_set_errno(err, "standard input");
    free(line);
    return ok;
}

static bool check_usage(const Tokenize *t, Error *err)
{
    if (t->decodes && t->is_plain)
        return error_set(err, ERROR_ARGUMENT,
                         "--plain is about encoding; leave it out with --decode");
    if (t->is_jsonl && t->text)
        return error_set(err, ERROR_ARGUMENT, "--jsonl reads standard input; leave TEXT out");
    return true;
}

int cmd_tokenize(int argc, char **argv)
{
    Tokenize t = {.bos_id = -1, .suffix_id = -1};
    const Arg options[] = {
        {"decode", 0, ARG_FLAG, &t.decodes, NULL, "ids to text instead of text to ids", 0, 0},
        {"jsonl", 0, ARG_FLAG, &t.is_jsonl, NULL, "one JSON string (or array of ids) a line", 0, 0},
        {"plain", 0, ARG_FLAG, &t.is_plain, NULL, "special-token text is only text", 0, 0},
        {"model", 'm', ARG_TEXT, &t.model_name, "MODEL", "the model, said outright", 0, 0},
        {0},
    };
    const ArgSpec spec = {
        .command = "tokenize",
        .usage = "MODEL [TEXT]",
        .about =
            "Prints the ids of TEXT, or of standard input, as one JSON array. Special tokens such\n"
            "as <|im_end|> are matched. With --decode: reads such an array, prints its text.",
        .options = options,
        .n_words_min = 0,
        .n_words_max = 2,
    };
    ArgWords words;
    Error err = {0};
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    int at = 0;
    if (!t.model_name && words.n > 0)
        t.model_name = words.words[at++];
    if (words.n > at)
        t.text = words.words[at++];
    if (!t.model_name)
        error_set(&err, ERROR_ARGUMENT, "which model? usage: wen tokenize %s", spec.usage);
    else if (words.n > at)
        error_set(&err, ERROR_ARGUMENT, "TEXT is one word: put it in quotes");
    if (err.code != ERROR_NONE || !check_usage(&t, &err)) {
        fprintf(stderr, "wen tokenize: %s\n", err.message);
        return 2;
    }
    bool ok = open_model(&t, &err) && (t.is_jsonl ? run_lines(&t, &err) : run_whole(&t, &err));
    if (!ok)
        fprintf(stderr, "wen tokenize: %s\n", err.message);
    wen_model_close(t.model);
    buf_free(&t.out);
    return ok ? 0 : 1;
}
