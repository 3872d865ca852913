/* A folder's tokenizer as the arrays that GGUF keeps: token texts by id, their kinds, merges, the
 * ids of the special ones. Either tokenizer.json has it all, or vocab.json, merges.txt and
 * tokenizer_config.json (or added_tokens.json) share it. */
#include "formats/convert_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ggml's kinds of token. */
enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_USER_DEFINED = 4, TOKEN_UNUSED = 5 };

typedef struct VocabReader {
    TokenArrays *t;
    const Package *in;
    Error *err;
} VocabReader;

static bool fail(VocabReader *v, const char *file, const char *what)
{
    return error_set(v->err, ERROR_FORMAT, "%s: %s: %s", package_path(v->in), file, what);
}

/* *json stays NULL when the text is empty (there is no such file). */
static bool parse(VocabReader *v, const char *file, Str text, json_t **json)
{
    json_error_t at;
    if (text.bytes == 0)
        return true;
    *json = json_loadb(text.data, text.bytes, 0, &at);
    if (*json)
        return true;
    return error_set(v->err, ERROR_FORMAT, "%s: %s: byte %d: %s", package_path(v->in), file,
                     at.position, at.text);
}

static Str keep(VocabReader *v, const char *text, size_t bytes)
{
    return (Str){arena_strndup(&v->t->arena, text, bytes), bytes};
}

static bool put_token(VocabReader *v, const char *file, json_int_t id, const char *text,
                      int32_t type)
{
    TokenArrays *t = v->t;
    if (!text || id < 0 || id >= t->n)
        return error_set(v->err, ERROR_FORMAT,
                         "%s: %s: token %.100s has id %" JSON_INTEGER_FORMAT
                         ", but the embedding has %d rows",
                         package_path(v->in), file, text ? text : "(no text)", id, t->n);
    Str known = t->tokens[id];
    if (known.data && !str_equals(known, text))
        return error_set(v->err, ERROR_FORMAT,
                         "%s: %s: id %" JSON_INTEGER_FORMAT " is %.100s and %.100s",
                         package_path(v->in), file, id, known.data, text);
    if (!known.data)
        t->tokens[id] = keep(v, text, strlen(text));
    t->types[id] = type;
    return true;
}

static bool read_vocab(VocabReader *v, const char *file, const json_t *vocab)
{
    const char *text;
    json_t *id;
    if (!json_is_object(vocab))
        return fail(v, file, "the vocabulary is no object");
    json_object_foreach((json_t *)(uintptr_t)vocab, text, id)
    {
        if (!json_is_integer(id))
            return fail(v, file, "a token's id is no whole number");
        if (!put_token(v, file, json_integer_value(id), text, TOKEN_NORMAL))
            return false;
    }
    return true;
}

/* llama.cpp takes an added token for a control token also when only its looks say so. */
static int32_t added_type(const char *text, bool is_special)
{
    Str s = str_from(text);
    bool looks_special = (str_starts(s, STR("<|")) && str_ends(s, STR("|>"))) ||
                         (str_starts(s, STR("<｜")) && str_ends(s, STR("｜>")));
    return is_special || looks_special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
}

static bool put_added(VocabReader *v, const char *file, json_int_t id, const json_t *token)
{
    const char *text = json_string_value(json_object_get(token, "content"));
    bool is_special = json_is_true(json_object_get(token, "special"));
    return put_token(v, file, id, text, text ? added_type(text, is_special) : 0);
}

static bool read_added(VocabReader *v, const json_t *tokenizer, const json_t *config,
                       const json_t *added_tokens)
{
    const json_t *list = json_object_get(tokenizer, "added_tokens");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
        if (!put_added(v, "tokenizer.json", json_is_integer(id) ? json_integer_value(id) : -1,
                       token))
            return false;
    }
    const char *key;
    json_t *value;
    json_t *decoder = json_object_get(config, "added_tokens_decoder");
    if (json_array_size(list) == 0)
        json_object_foreach(decoder, key, value)
        {
            if (!put_added(v, "tokenizer_config.json", strtoll(key, NULL, 10), value))
                return false;
        }
    if (json_array_size(list) == 0 && json_object_size(decoder) == 0)
        json_object_foreach((json_t *)(uintptr_t)added_tokens, key, value)
        {
            json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
            if (!put_token(v, "added_tokens.json", id, key, added_type(key, false)))
                return false;
        }
    return true;
}

static bool take_merges(VocabReader *v, size_t n)
{
    if (n > INT32_MAX)
        return fail(v, "merges", "too many");
    v->t->merges = arena_try_alloc(&v->t->arena, n * sizeof *v->t->merges, "merges", v->err);
    return v->t->merges != NULL;
}

static bool read_json_merges(VocabReader *v, const json_t *merges)
{
    if (!take_merges(v, json_array_size(merges)))
        return false;
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *merge = json_array_get(merges, i);
        const char *left = json_string_value(json_array_get(merge, 0));
        const char *right = json_string_value(json_array_get(merge, 1));
        Buf pair = {0};
        if (json_is_string(merge))
            buf_puts(&pair, json_string_value(merge));
        else if (left && right && json_array_size(merge) == 2)
            buf_printf(&pair, "%s %s", left, right);
        bool ok = pair.bytes > 0 && strchr(pair.data, ' ');
        if (ok)
            v->t->merges[v->t->n_merges++] = keep(v, pair.data, pair.bytes);
        buf_free(&pair);
        if (!ok)
            return fail(v, "tokenizer.json", "a merge is not a pair of tokens");
    }
    return true;
}

static bool read_merges_txt(VocabReader *v, Str text)
{
    size_t n_lines = 1;
    for (size_t i = 0; i < text.bytes; i++)
        n_lines += text.data[i] == '\n';
    if (!take_merges(v, n_lines))
        return false;
    int line_number = 0;
    for (size_t at = 0; at < text.bytes;) {
        ptrdiff_t newline = str_find(text, STR("\n"), at);
        size_t end = newline < 0 ? text.bytes : (size_t)newline;
        Str line = str_slice(text, at, end);
        at = end + 1;
        line_number++;
        while (line.bytes > 0 &&
               (line.data[line.bytes - 1] == '\r' || line.data[line.bytes - 1] == ' '))
            line.bytes--;
        if (line.bytes == 0 || (line_number == 1 && str_starts(line, STR("#version"))))
            continue;
        if (str_find(line, STR(" "), 0) < 1)
            return error_set(v->err, ERROR_FORMAT,
                             "%s: merges.txt: line %d is not a pair of tokens", package_path(v->in),
                             line_number);
        v->t->merges[v->t->n_merges++] = line; /* in the package's mapping */
    }
    return true;
}

static int32_t id_of_text(const TokenArrays *t, const char *text)
{
    for (int i = t->n - 1; text && i >= 0; i--) /* added tokens have the highest ids */
        if (t->tokens[i].data && t->types[i] != TOKEN_UNUSED && str_equals(t->tokens[i], text))
            return i;
    return -1;
}

/* tokenizer_config.json names a special token by its text, config.json by its id. */
static int32_t special_id(const VocabReader *v, const json_t *tokenizer_config, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "%s_token", name);
    const json_t *token = json_object_get(tokenizer_config, key);
    if (json_is_object(token))
        token = json_object_get(token, "content");
    int32_t id = id_of_text(v->t, json_string_value(token));
    if (id >= 0)
        return id;
    snprintf(key, sizeof key, "%s_token_id", name);
    const json_t *number = json_object_get(package_config(v->in), key);
    if (json_is_array(number))
        number = json_array_get(number, 0);
    json_int_t value = json_is_integer(number) ? json_integer_value(number) : -1;
    return value >= 0 && value < v->t->n ? (int32_t)value : -1;
}

static bool fill_gaps(VocabReader *v)
{
    for (int i = 0; i < v->t->n; i++) {
        char text[32];
        if (v->t->tokens[i].data)
            continue;
        int bytes = snprintf(text, sizeof text, "[PAD%d]", i);
        v->t->tokens[i] = keep(v, text, (size_t)bytes);
        v->t->types[i] = TOKEN_UNUSED;
    }
    return true;
}

static bool read_arrays(VocabReader *v, const json_t *tokenizer, const json_t *vocab_json,
                        const json_t *config, const json_t *added_tokens)
{
    const json_t *model = json_object_get(tokenizer, "model");
    const json_t *vocab = json_object_get(model, "vocab"),
                 *merges = json_object_get(model, "merges");
    const PackageText *text = package_text(v->in);
    bool ok = tokenizer ? read_vocab(v, "tokenizer.json", vocab)
                        : read_vocab(v, "vocab.json", vocab_json);
    ok = ok && read_added(v, tokenizer, config, added_tokens);
    ok = ok && (json_is_array(merges) ? read_json_merges(v, merges)
                                      : read_merges_txt(v, text->merges_txt));
    if (!ok || !fill_gaps(v))
        return false;
    v->t->bos_id = special_id(v, config, "bos");
    v->t->eos_id = special_id(v, config, "eos");
    v->t->pad_id = special_id(v, config, "pad");
    v->t->add_bos = json_is_true(json_object_get(config, "add_bos_token"));
    bool is_deepseek = id_of_text(v->t, "<｜begin▁of▁sentence｜>") >= 0;
    v->t->pre = is_deepseek ? STR("deepseek-r1-qwen") : STR("qwen2");
    return true;
}

bool token_arrays_read(TokenArrays *t, const Package *in, int64_t n_rows, Error *err)
{
    const PackageText *text = package_text(in);
    VocabReader v = {.t = t, .in = in, .err = err};
    *t = (TokenArrays){.bos_id = -1, .eos_id = -1, .pad_id = -1};
    if (text->tokenizer_json.bytes == 0 && text->vocab_json.bytes == 0)
        return true;
    if (n_rows <= 0 || n_rows > INT32_MAX)
        return fail(&v, "vocabulary", "the embedding has an impossible number of rows");
    t->n = (int)n_rows;
    t->tokens = arena_try_alloc(&t->arena, (size_t)n_rows * sizeof *t->tokens, "tokens", err);
    t->types = arena_try_alloc(&t->arena, (size_t)n_rows * sizeof *t->types, "tokens", err);
    json_t *tokenizer = NULL, *vocab = NULL, *config = NULL, *added = NULL;
    bool ok = t->tokens && t->types &&
              parse(&v, "tokenizer.json", text->tokenizer_json, &tokenizer) &&
              (tokenizer || parse(&v, "vocab.json", text->vocab_json, &vocab)) &&
              parse(&v, "tokenizer_config.json", text->tokenizer_config_json, &config) &&
              parse(&v, "added_tokens.json", text->added_tokens_json, &added) &&
              read_arrays(&v, tokenizer, vocab, config, added);
    json_decref(tokenizer);
    json_decref(vocab);
    json_decref(config);
    json_decref(added);
    return ok;
}

void token_arrays_free(TokenArrays *t) { arena_close(&t->arena); }
