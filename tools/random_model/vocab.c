/* See vocab.h. Layouts: Qwen/Qwen3's tokenizer.json and tokenizer_config.json; gguf-py's keys. */
#include "random_model/vocab.h"

#include "base/bug.h"
#include "base/utf8.h"
#include "random_model/sentences.h"
#include "text/qwen_tokens.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { N_BYTES = 256, MERGES_MAX = 704, IDS_MAX = N_BYTES + MERGES_MAX };
#define TOKENIZER_BYTES_MAX ((size_t)64 << 20)
#define CONTEXT_MAX 131072

static Str keep(Vocab *v, Str s)
{
    return (Str){arena_strndup(&v->arena, s.data, s.bytes), s.bytes};
}

/* ---- The small vocabulary ---- */

/* GPT-2 shows every byte as a printable character, and numbers the bytes by that character. */
static bool is_shown_as_itself(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

static void byte_alphabet(uint32_t character[N_BYTES], int id[N_BYTES])
{
    int n_itself = 0, n_other = 0;
    for (int b = 0; b < N_BYTES; b++)
        if (is_shown_as_itself(b))
            id[b] = n_itself++;
    for (int b = 0; b < N_BYTES; b++) {
        if (!is_shown_as_itself(b))
            id[b] = n_itself + n_other;
        character[b] = is_shown_as_itself(b) ? (uint32_t)b : (uint32_t)(N_BYTES + n_other++);
    }
}

typedef enum CharClass {
    CLASS_LETTER,
    CLASS_DIGIT,
    CLASS_SPACE,
    CLASS_NEWLINE,
    CLASS_OTHER
} CharClass;

/* Enough of Unicode for sentences.h. */
static CharClass char_class(const char *at)
{
    const unsigned char c = (unsigned char)*at;
    if (c == ' ')
        return CLASS_SPACE;
    if (c == '\n')
        return CLASS_NEWLINE;
    if (c >= '0' && c <= '9')
        return CLASS_DIGIT;
    if ((c | 32) >= 'a' && (c | 32) <= 'z')
        return CLASS_LETTER;
    const bool is_wide_mark =
        (c == 0xe3 && (unsigned char)at[1] == 0x80) || (c == 0xef && (unsigned char)at[1] == 0xbc);
    return c >= 0x80 && !is_wide_mark ? CLASS_LETTER : CLASS_OTHER;
}

static const char *skip_class(const char *at, CharClass class)
{
    while (*at && char_class(at) == class) {
        uint32_t cp;
        at += utf8_decode(str_from(at), &cp);
    }
    return at;
}

/* Where the piece that begins at `at` ends: the Qwen rule, as far as sentences.h needs it. */
static const char *piece_end(const char *at)
{
    uint32_t cp;
    const CharClass class = char_class(at);
    const char *next = at + utf8_decode(str_from(at), &cp);
    if (class == CLASS_DIGIT)
        return next;
    if (class == CLASS_NEWLINE)
        return skip_class(at, CLASS_NEWLINE);
    if (class == CLASS_LETTER || char_class(next) == CLASS_LETTER)
        return skip_class(next, CLASS_LETTER);
    if (class == CLASS_OTHER || char_class(next) == CLASS_OTHER)
        return skip_class(skip_class(next, CLASS_OTHER), CLASS_NEWLINE);
    next = skip_class(at, CLASS_SPACE);
    return next - at > 1 ? next - 1 : next;
}

/* The sentences as ids, -1 between pieces; returns how many. symbols NULL: counts only. */
static int split_sentences(int *symbols, const int byte_id[N_BYTES])
{
    int n = 0;
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
        for (const char *at = sentences[i]; *at;) {
            for (const char *end = piece_end(at); at < end; at++, n++)
                if (symbols)
                    symbols[n] = byte_id[(unsigned char)*at];
            if (symbols)
                symbols[n] = -1;
            n++;
        }
    }
    return n;
}

static int *pair_count(int *counts, const int *symbols, int i)
{
    const bool is_pair = symbols[i] >= 0 && symbols[i + 1] >= 0;
    return is_pair ? &counts[symbols[i] * IDS_MAX + symbols[i + 1]] : NULL;
}

/* The most frequent neighbours; of equals, the lowest ids. -1 when none occurs twice. */
static int best_pair(int *counts, const int *symbols, int n)
{
    int best = -1, best_count = 1;
    for (int i = 0; i + 1 < n; i++) {
        int *count = pair_count(counts, symbols, i);
        if (!count)
            continue;
        const int pair = (int)(count - counts);
        if (++*count > best_count || (*count == best_count && best >= 0 && pair < best)) {
            best = pair;
            best_count = *count;
        }
    }
    for (int i = 0; i + 1 < n; i++) {
        int *count = pair_count(counts, symbols, i);
        if (count)
            *count = 0;
    }
    return best;
}

static int replace_pair(int *symbols, int n, int pair, int id)
{
    int n_left = 0;
    for (int i = 0; i < n; i++) {
        const bool matches =
            i + 1 < n && symbols[i] == pair / IDS_MAX && symbols[i + 1] == pair % IDS_MAX;
        symbols[n_left++] = matches ? id : symbols[i];
        i += matches;
    }
    return n_left;
}

static void learn_merges(Vocab *v, const int byte_id[N_BYTES])
{
    int *symbols = mem_alloc((size_t)split_sentences(NULL, byte_id) * sizeof *symbols);
    int *counts = mem_alloc(sizeof *counts * IDS_MAX * IDS_MAX);
    int n = split_sentences(symbols, byte_id);
    while (v->n_merges < MERGES_MAX) {
        const int pair = best_pair(counts, symbols, n);
        if (pair < 0)
            break;
        const Str a = v->tokens[pair / IDS_MAX], b = v->tokens[pair % IDS_MAX];
        char text[512];
        snprintf(text, sizeof text, "%s %s", a.data, b.data);
        v->merges[v->n_merges++] = keep(v, str_from(text));
        snprintf(text, sizeof text, "%s%s", a.data, b.data);
        v->tokens[v->n_tokens] = keep(v, str_from(text));
        n = replace_pair(symbols, n, pair, v->n_tokens++);
    }
    mem_free(counts);
    mem_free(symbols);
}

void vocab_make(Vocab *v)
{
    uint32_t character[N_BYTES];
    int byte_id[N_BYTES];
    *v = (Vocab){0};
    v->tokens = ARENA_ARRAY(&v->arena, Str, IDS_MAX);
    v->merges = ARENA_ARRAY(&v->arena, Str, MERGES_MAX);
    byte_alphabet(character, byte_id);
    for (int b = 0; b < N_BYTES; b++) {
        char text[4];
        v->tokens[byte_id[b]] = keep(v, (Str){text, utf8_encode(character[b], text)});
    }
    v->n_tokens = N_BYTES;
    learn_merges(v, byte_id);
    v->n_added = QWEN_TOKENS;
    for (int i = 0; i < QWEN_TOKENS; i++) {
        v->added[i] = str_from(qwen_tokens[i].text);
        v->is_special[i] = qwen_tokens[i].is_special;
    }
}

/* ---- A real one ---- */

static bool load_tokens(Vocab *v, json_t *vocab, Error *err)
{
    const size_t n = json_object_size(vocab);
    if (n == 0 || n > 1 << 20)
        return error_set(err, ERROR_FORMAT, "model.vocab: an object of tokens is wanted");
    v->tokens = ARENA_ARRAY(&v->arena, Str, n);
    v->n_tokens = (int)n;
    const char *text;
    json_t *id;
    json_object_foreach(vocab, text, id)
    {
        const json_int_t at = json_is_integer(id) ? json_integer_value(id) : -1;
        if (at < 0 || at >= (json_int_t)n || v->tokens[at].data)
            return error_set(err, ERROR_FORMAT, "model.vocab: ids are not 0 .. %zu, once each",
                             n - 1);
        v->tokens[at] = keep(v, str_from(text));
    }
    return true;
}

static bool load_merges(Vocab *v, const json_t *merges, Error *err)
{
    const size_t n = json_array_size(merges);
    v->merges = ARENA_ARRAY(&v->arena, Str, n + 1);
    v->n_merges = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *merge = json_array_get(merges, i);
        const char *a = json_string_value(merge), *b = "";
        if (json_array_size(merge) == 2) {
            a = json_string_value(json_array_get(merge, 0));
            b = json_string_value(json_array_get(merge, 1));
        }
        if (!a || !b)
            return error_set(err, ERROR_FORMAT, "model.merges[%zu]: not a pair", i);
        Buf pair = {0};
        buf_printf(&pair, *b ? "%s %s" : "%s%s", a, b);
        v->merges[i] = keep(v, buf_str(&pair));
        buf_free(&pair);
    }
    return true;
}

static bool load_added(Vocab *v, const json_t *added, Error *err)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);
        const char *text = json_string_value(json_object_get(token, "content"));
        const json_int_t id = json_integer_value(json_object_get(token, "id"));
        if (!text || v->n_added == VOCAB_ADDED_MAX || id != v->n_tokens + v->n_added)
            return error_set(err, ERROR_FORMAT,
                             "added_tokens[%zu]: text and ids in order behind the "
                             "vocabulary are wanted, at most %d",
                             i, VOCAB_ADDED_MAX);
        v->is_special[v->n_added] = json_is_true(json_object_get(token, "special"));
        v->added[v->n_added++] = keep(v, str_from(text));
    }
    return true;
}

bool vocab_load(Vocab *v, const char *dir, Error *err)
{
    *v = (Vocab){0};
    char *path = file_join(dir, "tokenizer.json");
    Buf text = {0};
    json_error_t at;
    json_t *json = NULL;
    bool ok = file_read(&text, path, TOKENIZER_BYTES_MAX, err);
    if (ok) {
        json = json_loadb(text.data ? text.data : "", text.bytes, 0, &at);
        if (!json)
            ok = error_set(err, ERROR_FORMAT, "byte %d: %s", at.position, at.text);
    }
    json_t *model = json_object_get(json, "model");
    ok = ok && load_tokens(v, json_object_get(model, "vocab"), err) &&
         load_merges(v, json_object_get(model, "merges"), err) &&
         load_added(v, json_object_get(json, "added_tokens"), err);
    if (!ok)
        error_add(err, "%s", path);
    json_decref(json);
    buf_free(&text);
    mem_free(path);
    return ok;
}

void vocab_close(Vocab *v) { arena_close(&v->arena); }

int vocab_n_ids(const Vocab *v) { return v->n_tokens + v->n_added; }

int vocab_added_id(const Vocab *v, const char *text)
{
    for (int i = 0; i < v->n_added; i++)
        if (str_equals(v->added[i], text))
            return v->n_tokens + i;
    return -1;
}

/* ---- Writing ---- */

/* Writes and frees `json`. */
static bool write_json(const char *dir, const char *name, json_t *json, size_t flags, Error *err)
{
    char *path = file_join(dir, name);
    char *text = json_dumps(json, flags);
    ASSERT(text);
    bool ok = file_write(path, str_from(text), err);
    free(text);
    mem_free(path);
    json_decref(json);
    return ok;
}

static json_t *vocab_object(const Vocab *v)
{
    json_t *object = json_object();
    for (int i = 0; i < v->n_tokens; i++)
        json_object_set_new(object, v->tokens[i].data, json_integer(i));
    return object;
}

static json_t *merge_pairs(const Vocab *v)
{
    json_t *pairs = json_array();
    for (int i = 0; i < v->n_merges; i++) {
        const ptrdiff_t space = str_find(v->merges[i], STR(" "), 0);
        json_array_append_new(pairs, json_pack("[s%, s]", v->merges[i].data, (size_t)space,
                                               v->merges[i].data + space + 1));
    }
    return pairs;
}

static json_t *added_entry(const Vocab *v, int i)
{
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", v->added[i].data, "single_word",
                     0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", v->is_special[i]);
}

static json_t *tokenizer_object(const Vocab *v)
{
    static const char rule[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                               "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    json_t *byte_level = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space",
                                   0, "trim_offsets", 0, "use_regex", 0);
    json_t *added = json_array();
    for (int i = 0; i < v->n_added; i++) {
        json_t *entry = json_pack("{s:i}", "id", v->n_tokens + i), *rest = added_entry(v, i);
        json_object_update(entry, rest);
        json_decref(rest);
        json_array_append_new(added, entry);
    }
    json_t *split = json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", rule,
                              "behavior", "Isolated", "invert", 0);
    json_t *model = json_pack(
        "{s:s, s:n, s:n, s:s, s:s, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
        "continuing_subword_prefix", "", "end_of_word_suffix", "", "fuse_unk", 0, "byte_fallback",
        0, "ignore_merges", 0, "vocab", vocab_object(v), "merges", merge_pairs(v));
    return json_pack("{s:s, s:n, s:n, s:o, s:{s:s}, s:{s:s, s:[o, O]}, s:O, s:o, s:o}", "version",
                     "1.0", "truncation", "padding", "added_tokens", added, "normalizer", "type",
                     "NFC", "pre_tokenizer", "type", "Sequence", "pretokenizers", split, byte_level,
                     "post_processor", byte_level, "decoder", byte_level, "model", model);
}

static json_t *tokenizer_config(const Vocab *v, Str chat_template, const char *eos)
{
    json_t *decoder = json_object(), *special = json_array();
    for (int i = 0; i < v->n_added; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", v->n_tokens + i);
        json_object_set_new(decoder, id, added_entry(v, i));
        if (v->is_special[i] && i > 0)
            json_array_append_new(special, json_string(v->added[i].data));
    }
    return json_pack("{s:b, s:b, s:o, s:o, s:n, s:s%, s:b, s:s, s:s, s:i, s:s, s:b, s:s, s:n}",
                     "add_bos_token", 0, "add_prefix_space", 0, "added_tokens_decoder", decoder,
                     "additional_special_tokens", special, "bos_token", "chat_template",
                     chat_template.data, chat_template.bytes, "clean_up_tokenization_spaces", 0,
                     "eos_token", eos, "errors", "replace", "model_max_length", CONTEXT_MAX,
                     "pad_token", v->added[0].data, "split_special_tokens", 0, "tokenizer_class",
                     "Qwen2Tokenizer", "unk_token");
}

static bool write_merges(const Vocab *v, const char *dir, Error *err)
{
    Buf text = {0};
    buf_puts(&text, "#version: 0.2\n");
    for (int i = 0; i < v->n_merges; i++) {
        buf_add(&text, v->merges[i]);
        buf_putc(&text, '\n');
    }
    char *path = file_join(dir, "merges.txt");
    bool ok = file_write(path, buf_str(&text), err);
    mem_free(path);
    buf_free(&text);
    return ok;
}

bool vocab_write_files(const Vocab *v, const char *dir, Str chat_template, const char *eos,
                       Error *err)
{
    json_t *added = json_object();
    for (int i = 0; i < v->n_added; i++)
        json_object_set_new(added, v->added[i].data, json_integer(v->n_tokens + i));
    const size_t sorted = JSON_INDENT(2) | JSON_SORT_KEYS;
    return write_json(dir, "added_tokens.json", added, sorted, err) &&
           write_json(dir, "tokenizer.json", tokenizer_object(v), JSON_INDENT(2), err) &&
           write_json(dir, "vocab.json", vocab_object(v), JSON_COMPACT, err) &&
           write_json(dir, "tokenizer_config.json", tokenizer_config(v, chat_template, eos), sorted,
                      err) &&
           write_merges(v, dir, err);
}

void vocab_put_gguf(const Vocab *v, GgufWriter *w, int n_rows, Str chat_template, const char *eos)
{
    enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };
    Arena arena = {0};
    Str *tokens = ARENA_ARRAY(&arena, Str, n_rows);
    int32_t *types = ARENA_ARRAY(&arena, int32_t, n_rows);
    for (int i = 0; i < n_rows; i++) {
        const int added = i - v->n_tokens;
        if (added < 0) {
            tokens[i] = v->tokens[i];
            types[i] = NORMAL;
        } else if (added < v->n_added) {
            tokens[i] = v->added[added];
            types[i] = v->is_special[added] ? CONTROL : USER_DEFINED;
        } else {
            char text[24];
            const int n = snprintf(text, sizeof text, "[PAD%d]", i);
            tokens[i] = (Str){arena_strndup(&arena, text, (size_t)n), (size_t)n};
            types[i] = UNUSED;
        }
    }
    gguf_put_str(w, "tokenizer.ggml.model", STR("gpt2"));
    gguf_put_str(w, "tokenizer.ggml.pre", STR("qwen2"));
    gguf_put_str_array(w, "tokenizer.ggml.tokens", tokens, (uint64_t)n_rows);
    gguf_put_i32_array(w, "tokenizer.ggml.token_type", types, (uint64_t)n_rows);
    gguf_put_str_array(w, "tokenizer.ggml.merges", v->merges, (uint64_t)v->n_merges);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)vocab_added_id(v, eos));
    gguf_put_u32(w, "tokenizer.ggml.padding_token_id", (uint32_t)v->n_tokens);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)v->n_tokens);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    gguf_put_str(w, "tokenizer.chat_template", chat_template);
    arena_close(&arena);
}
