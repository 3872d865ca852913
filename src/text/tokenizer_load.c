/* Reading vocabularies, merges and added tokens, whatever file they come from. See
 * tokenizer_parts.h. */
#include "text/tokenizer_parts.h"

#include "base/json_reader.h"

#include <stdio.h>
#include <string.h>

Str load_keep(TokenizerLoad *load, const char *text)
{
    size_t n = strlen(text);
    return (Str){arena_strndup(&load->arena, text, n), n};
}

bool load_added(TokenizerLoad *load, int64_t id, Str text, unsigned flags, Error *err)
{
    Vocab *vocab = &load->t->vocab;
    if (id >= 0 && id < VOCAB_IDS_MAX && vocab_has(vocab, (int32_t)id) &&
        str_equal(vocab_bytes(vocab, (int32_t)id), text)) {
        if (!(vocab->entries[id].flags & TOKEN_ADDED))
            vocab->entries[id].flags |= (uint8_t)(flags | TOKEN_ADDED);
        return true;
    }
    char shown[TOKEN_SHOW_BYTES];
    int32_t ordinary = vocab_find(vocab, text);
    if (ordinary >= 0)
        return error_set(err, ERROR_FORMAT,
                         "added token \"%s\" has id %lld, but %d in the vocabulary",
                         token_show(text, shown), (long long)id, ordinary);
    return vocab_add(vocab, id, text, flags | TOKEN_ADDED, err);
}

bool load_ordinary(TokenizerLoad *load, int64_t id, Str text, Error *err)
{
    char bytes[2 * VOCAB_TOKEN_BYTES_MAX];
    size_t n;
    if (text.bytes <= sizeof bytes && byte_alphabet_decode(text, bytes, &n))
        return vocab_add(&load->t->vocab, id, (Str){bytes, n}, TOKEN_ORDINARY, err);
    return vocab_add(&load->t->vocab, id, text, 0, err);
}

bool load_merge(TokenizerLoad *load, Str left, Str right, Error *err)
{
    char left_bytes[2 * VOCAB_TOKEN_BYTES_MAX], right_bytes[2 * VOCAB_TOKEN_BYTES_MAX];
    size_t n_left, n_right;
    if (left.bytes > sizeof left_bytes || right.bytes > sizeof right_bytes ||
        !byte_alphabet_decode(left, left_bytes, &n_left) ||
        !byte_alphabet_decode(right, right_bytes, &n_right))
        return error_set(err, ERROR_FORMAT, "merge %zu is not in the byte alphabet",
                         load->t->bpe.n_merges);
    return bpe_add(&load->t->bpe, &load->t->vocab, (Str){left_bytes, n_left},
                   (Str){right_bytes, n_right}, err);
}

bool load_merge_line(TokenizerLoad *load, Str line, Error *err)
{
    ptrdiff_t space = str_find(line, STR(" "), 0);
    if (space <= 0 || (size_t)space + 1 == line.bytes ||
        str_find(line, STR(" "), (size_t)space + 1) >= 0)
        return error_set(err, ERROR_FORMAT, "merge %zu is not two parts with a space between",
                         load->t->bpe.n_merges);
    return load_merge(load, str_slice(line, 0, (size_t)space),
                      str_slice(line, (size_t)space + 1, line.bytes), err);
}

/* The reader is before the object {"token": id, ...}. */
static bool read_vocab(TokenizerLoad *load, JsonReader *r, Error *err)
{
    char text[2 * VOCAB_TOKEN_BYTES_MAX];
    if (!json_reader_expect(r, JSON_EVENT_OBJECT, err))
        return false;
    for (;;) {
        JsonEvent event = json_reader_next(r, err);
        if (event != JSON_EVENT_KEY)
            return event == JSON_EVENT_OBJECT_END;
        size_t at = r->event_at;
        Str key = r->string;
        if (key.bytes > sizeof text)
            return error_set(err, ERROR_LIMIT, "byte %zu: token of %zu bytes; at most %d", at,
                             key.bytes, VOCAB_TOKEN_BYTES_MAX);
        if (key.bytes)
            memcpy(text, key.data, key.bytes); /* the reader keeps it only until the next event */
        key.data = text;
        int64_t id;
        if (!json_reader_int(r, 0, VOCAB_IDS_MAX - 1, &id, err))
            return false;
        if (!load_ordinary(load, id, key, err))
            return error_add(err, "byte %zu", at);
    }
}

/* The reader is behind the bracket of ["a", "b"]. */
static bool read_merge_pair(TokenizerLoad *load, JsonReader *r, Error *err)
{
    char left[2 * VOCAB_TOKEN_BYTES_MAX];
    size_t at = r->event_at;
    if (!json_reader_expect(r, JSON_EVENT_STRING, err))
        return false;
    size_t n_left = r->string.bytes;
    if (n_left > sizeof left)
        return error_set(err, ERROR_LIMIT, "byte %zu: merge part of %zu bytes", at, n_left);
    if (n_left)
        memcpy(left, r->string.data, n_left);
    if (!json_reader_expect(r, JSON_EVENT_STRING, err))
        return false;
    if (!load_merge(load, (Str){left, n_left}, r->string, err))
        return error_add(err, "byte %zu", at);
    return json_reader_expect(r, JSON_EVENT_ARRAY_END, err);
}

/* The reader is before the array: of "a b" (older files) or of ["a", "b"]. */
static bool read_merges(TokenizerLoad *load, JsonReader *r, Error *err)
{
    if (!json_reader_expect(r, JSON_EVENT_ARRAY, err))
        return false;
    for (;;) {
        JsonEvent event = json_reader_next(r, err);
        switch (event) {
        case JSON_EVENT_ARRAY_END:
            return true;
        case JSON_EVENT_ERROR:
            return false;
        case JSON_EVENT_STRING:
            if (!load_merge_line(load, r->string, err))
                return error_add(err, "byte %zu", r->event_at);
            break;
        case JSON_EVENT_ARRAY:
            if (!read_merge_pair(load, r, err))
                return false;
            break;
        default:
            return error_set(err, ERROR_FORMAT, "byte %zu: a merge cannot be %s", r->event_at,
                             json_event_name(event));
        }
    }
}

typedef struct ModelRead {
    bool has_vocab, has_merges;
    size_t merges_at; /* where merges begin that came before the vocabulary; 0: they did not */
} ModelRead;

static bool unsupported(JsonReader *r, const char *what, Error *err)
{
    return error_set(err, ERROR_UNSUPPORTED, "byte %zu: a tokenizer model with %s is not supported",
                     r->event_at, what);
}

/* A member of "model" that has to have the value which means "not used". */
static bool read_model_option(TokenizerLoad *load, JsonReader *r, Str key, Error *err)
{
    static const char *const must_be_off[] = {"dropout", "continuing_subword_prefix",
                                              "end_of_word_suffix", "byte_fallback"};
    for (size_t i = 0; i < sizeof must_be_off / sizeof *must_be_off; i++) {
        if (!str_equals(key, must_be_off[i]))
            continue;
        JsonEvent event = json_reader_next(r, err);
        if (event == JSON_EVENT_ERROR)
            return false;
        bool is_off = event == JSON_EVENT_NULL || event == JSON_EVENT_FALSE ||
                      (event == JSON_EVENT_STRING && r->string.bytes == 0) ||
                      (event == JSON_EVENT_NUMBER &&
                       (str_equals(r->string, "0") || str_equals(r->string, "0.0")));
        return is_off || unsupported(r, must_be_off[i], err);
    }
    if (str_equals(key, "ignore_merges")) {
        JsonEvent event = json_reader_next(r, err);
        load->ignore_merges = event == JSON_EVENT_TRUE;
        return json_reader_skip(r, event, err);
    }
    if (!str_equals(key, "type"))
        return json_reader_skip_value(r, err);
    if (!json_reader_expect(r, JSON_EVENT_STRING, err))
        return false;
    if (str_equals(r->string, "BPE"))
        return true;
    char shown[TOKEN_SHOW_BYTES];
    return error_set(err, ERROR_UNSUPPORTED, "byte %zu: tokenizer model \"%s\" is not supported",
                     r->event_at, token_show(r->string, shown));
}

static bool read_model_member(TokenizerLoad *load, JsonReader *r, ModelRead *model, Error *err)
{
    if (str_equals(r->string, "vocab")) {
        if (model->has_vocab)
            return error_set(err, ERROR_FORMAT, "byte %zu: a second vocab", r->event_at);
        model->has_vocab = true;
        return read_vocab(load, r, err);
    }
    if (str_equals(r->string, "merges")) {
        if (model->has_merges)
            return error_set(err, ERROR_FORMAT, "byte %zu: a second list of merges", r->event_at);
        model->has_merges = true;
        if (model->has_vocab)
            return read_merges(load, r, err);
        model->merges_at = r->at;
        return json_reader_skip_value(r, err);
    }
    return read_model_option(load, r, r->string, err);
}

static bool read_model(TokenizerLoad *load, JsonReader *r, Error *err)
{
    ModelRead model = {0};
    if (!json_reader_expect(r, JSON_EVENT_OBJECT, err))
        return false;
    JsonEvent event;
    while ((event = json_reader_next(r, err)) == JSON_EVENT_KEY)
        if (!read_model_member(load, r, &model, err))
            return false;
    if (event != JSON_EVENT_OBJECT_END)
        return false;
    if (!model.has_vocab)
        return error_set(err, ERROR_FORMAT, "byte %zu: the model has no vocab", r->event_at);
    if (model.merges_at == 0)
        return true;
    JsonReader again;
    json_reader_open_at(&again, r->text, model.merges_at);
    bool ok = read_merges(load, &again, err);
    json_reader_close(&again);
    return ok;
}

/* The members of tokenizer.json that load_component reads, in the order in which it must. */
static const char *const components[] = {"normalizer", "pre_tokenizer", "post_processor", "decoder",
                                         "added_tokens"};
enum { N_COMPONENTS = sizeof components / sizeof *components };

static bool read_file_member(TokenizerLoad *load, JsonReader *r, Str found[N_COMPONENTS],
                             bool *has_model, Error *err)
{
    if (str_equals(r->string, "model")) {
        if (*has_model)
            return error_set(err, ERROR_FORMAT, "byte %zu: a second model", r->event_at);
        *has_model = true;
        return read_model(load, r, err);
    }
    int which = 0;
    while (which < N_COMPONENTS && !str_equals(r->string, components[which]))
        which++;
    JsonEvent first = json_reader_next(r, err);
    size_t from = r->event_at;
    if (!json_reader_skip(r, first, err))
        return false;
    if (which < N_COMPONENTS)
        found[which] = str_slice(r->text, from, r->at);
    return true;
}

static bool read_file(TokenizerLoad *load, JsonReader *r, Error *err)
{
    Str found[N_COMPONENTS] = {{0}};
    bool has_model = false;
    if (!json_reader_expect(r, JSON_EVENT_OBJECT, err))
        return false;
    JsonEvent event;
    while ((event = json_reader_next(r, err)) == JSON_EVENT_KEY)
        if (!read_file_member(load, r, found, &has_model, err))
            return false;
    if (event != JSON_EVENT_OBJECT_END || json_reader_next(r, err) != JSON_EVENT_END)
        return false;
    if (!has_model)
        return error_set(err, ERROR_FORMAT, "it has no \"model\"");
    for (int i = 0; i < N_COMPONENTS; i++)
        if (!load_component(load, components[i], found[i].data ? found[i] : STR("null"), err))
            return false;
    return true;
}

bool load_tokenizer_json(TokenizerLoad *load, Str json, Error *err)
{
    JsonReader r;
    json_reader_open(&r, json);
    bool ok = read_file(load, &r, err);
    json_reader_close(&r);
    return ok || error_add(err, "tokenizer.json");
}

bool load_vocab_json(TokenizerLoad *load, Str json, Error *err)
{
    JsonReader r;
    json_reader_open(&r, json);
    bool ok = read_vocab(load, &r, err) && json_reader_next(&r, err) == JSON_EVENT_END;
    json_reader_close(&r);
    return ok || error_add(err, "vocab.json");
}

bool load_merges_txt(TokenizerLoad *load, Str text, Error *err)
{
    size_t line_n = 0;
    for (size_t at = 0; at < text.bytes;) {
        ptrdiff_t newline = str_find(text, STR("\n"), at);
        size_t end = newline >= 0 ? (size_t)newline : text.bytes;
        Str line = str_slice(text, at, end);
        at = end + 1;
        line_n++;
        if (str_ends(line, STR("\r")))
            line.bytes--;
        if (line.bytes == 0 || (line_n == 1 && str_starts(line, STR("#version"))))
            continue;
        if (!load_merge_line(load, line, err))
            return error_add(err, "merges.txt: line %zu", line_n);
    }
    return true;
}

/* What converters call rows of the embedding that no token uses. */
static bool is_gguf_padding(const TokenizerFiles *files, int i)
{
    char name[32];
    return files->tokens[i].bytes < sizeof name &&
           str_equal(files->tokens[i],
                     (Str){name, (size_t)snprintf(name, sizeof name, "[PAD%d]", i)});
}

/* Token types of gguf-py: 1 normal, 3 control, 4 user-defined, 5 unused. */
static bool load_gguf_token(TokenizerLoad *load, const TokenizerFiles *files, int i, Error *err)
{
    int type = files->token_types ? files->token_types[i] : 1;
    Str text = files->tokens[i];
    if (type == 5 || text.bytes == 0 || is_gguf_padding(files, i))
        return true;
    if (type == 1)
        return load_ordinary(load, i, text, err);
    if (type == 3 || type == 4)
        return vocab_add(&load->t->vocab, i, text, TOKEN_ADDED | (type == 3 ? TOKEN_SPECIAL : 0),
                         err);
    return error_set(err, ERROR_UNSUPPORTED, "token type %d", type);
}

bool load_gguf(TokenizerLoad *load, const TokenizerFiles *files, Error *err)
{
    static const char *const known[] = {"", "qwen2", "deepseek-r1-qwen"};
    bool is_known = false;
    char shown[TOKEN_SHOW_BYTES];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        is_known |= str_equals(files->pre, known[i]);
    if (!is_known)
        return error_set(err, ERROR_UNSUPPORTED,
                         "tokenizer.ggml.pre: splitting rule \"%s\" is not supported",
                         token_show(files->pre, shown));
    if (files->n_tokens > VOCAB_IDS_MAX)
        return error_set(err, ERROR_LIMIT, "tokenizer.ggml.tokens: %d tokens; at most %d",
                         files->n_tokens, VOCAB_IDS_MAX);
    for (int i = 0; i < files->n_tokens; i++)
        if (!load_gguf_token(load, files, i, err))
            return error_add(err, "tokenizer.ggml.tokens[%d]", i);
    for (int i = 0; i < files->n_merges; i++)
        if (!load_merge_line(load, files->merges[i], err))
            return error_add(err, "tokenizer.ggml.merges[%d]", i);
    return true;
}
