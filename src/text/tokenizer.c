/* See tokenizer.h. Opening reads the files (tokenizer_load.c, tokenizer_config.c) and freezes the
 * parts; encoding runs added tokens, normalization, splitting and merging over them. */
#include "text/tokenizer.h"

#include "base/bug.h"
#include "base/utf8.h"
#include "text/nfc.h"
#include "text/tokenizer_parts.h"

#include <limits.h>
#include <string.h>

enum { FIRST_IDS = 256 };
/* Ids are counted in int; no text has more ids than bytes (form C at most triples it). */
#define TEXT_BYTES_MAX ((size_t)256 << 20)

void ids_push(Ids *ids, int32_t id)
{
    if (ids->n == ids->capacity) {
        ASSERT(ids->capacity <= INT_MAX / 2);
        int capacity = ids->capacity ? ids->capacity * 2 : FIRST_IDS;
        int32_t *grown = mem_alloc((size_t)capacity * sizeof *grown);
        if (ids->n)
            memcpy(grown, ids->data, (size_t)ids->n * sizeof *grown);
        mem_free(ids->data);
        ids->data = grown;
        ids->capacity = capacity;
    }
    ids->data[ids->n++] = id;
}

void ids_free(Ids *ids)
{
    mem_free(ids->data);
    *ids = (Ids){0};
}

static bool check_files(const TokenizerFiles *files, Error *err)
{
    const struct {
        const char *name;
        Str text;
    } all[] = {
        {"tokenizer.json", files->tokenizer_json},
        {"vocab.json", files->vocab_json},
        {"merges.txt", files->merges_txt},
        {"tokenizer_config.json", files->tokenizer_config_json},
        {"added_tokens.json", files->added_tokens_json},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].text.bytes > TOKENIZER_FILE_BYTES_MAX)
            return error_set(err, ERROR_LIMIT, "%s: %zu bytes; at most %d", all[i].name,
                             all[i].text.bytes, TOKENIZER_FILE_BYTES_MAX);
    return true;
}

/* The Qwen rules, for files that do not say how text is split. */
static void use_qwen_rules(TokenizerLoad *load)
{
    load->t->normalizes = true;
    load->regexes[load->n_regexes++] = str_from(QWEN_REGEX);
}

static bool load_files(TokenizerLoad *load, const TokenizerFiles *files, Error *err)
{
    bool ok = check_files(files, err);
    if (ok && files->tokenizer_json.bytes) {
        ok = load_tokenizer_json(load, files->tokenizer_json, err);
    } else if (ok && files->vocab_json.bytes && files->merges_txt.bytes) {
        use_qwen_rules(load);
        ok = load_vocab_json(load, files->vocab_json, err) &&
             load_merges_txt(load, files->merges_txt, err);
    } else if (ok && files->n_tokens > 0) {
        use_qwen_rules(load);
        ok = load_gguf(load, files, err);
    } else if (ok) {
        return error_set(err, ERROR_FORMAT,
                         "there is no tokenizer here: no tokenizer.json, no "
                         "vocab.json with merges.txt, no qwen.tiktoken, no GGUF vocabulary");
    }
    if (ok && files->tokenizer_config_json.bytes)
        ok = load_tokenizer_config(load, files->tokenizer_config_json, err);
    if (ok && files->added_tokens_json.bytes)
        ok = load_added_tokens_json(load, files->added_tokens_json, err);
    return ok;
}

/* `text` if it is given, else `id`. */
static bool named_id(const Tokenizer *t, const char *role, Str text, int32_t id, int32_t *out,
                     Error *err)
{
    *out = -1;
    if (text.bytes) {
        char shown[TOKEN_SHOW_BYTES];
        *out = added_find(&t->added, &t->vocab, text);
        if (*out < 0)
            *out = vocab_find(&t->vocab, text);
        return *out >= 0 ||
               error_set(err, ERROR_FORMAT, "the %s token \"%s\" is not in the vocabulary", role,
                         token_show(text, shown));
    }
    if (id < -1 || id >= VOCAB_IDS_MAX)
        return error_set(err, ERROR_FORMAT, "the %s token's id %d is impossible", role, id);
    if (vocab_has(&t->vocab, id))
        *out = id;
    return true;
}

static bool name_ids(Tokenizer *t, const TokenizerLoad *load, const TokenizerFiles *files,
                     Error *err)
{
    int32_t prefix;
    if (!named_id(t, "beginning", load->bos, files->bos_id, &t->bos_id, err) ||
        !named_id(t, "end", load->eos, files->eos_id, &t->eos_id, err) ||
        !named_id(t, "padding", load->pad, files->pad_id, &t->pad_id, err) ||
        !named_id(t, "prefix", load->prefix, -1, &prefix, err) ||
        !named_id(t, "suffix", load->suffix, -1, &t->suffix_id, err))
        return false;
    /* The configuration has the last word over the post-processor. */
    if (t->bos_id < 0)
        t->bos_id = prefix;
    t->adds_bos = load->add_bos >= 0 ? load->add_bos : prefix >= 0 || files->add_bos;
    if (t->adds_bos && prefix >= 0 && prefix != t->bos_id)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "the post-processor puts token %d in front of a text, not the beginning token", prefix);
    if (t->bos_id < 0)
        t->adds_bos = false;
    if (load->add_eos == 1 && t->suffix_id < 0)
        t->suffix_id = t->eos_id;
    return true;
}

static bool freeze(Tokenizer *t, const TokenizerLoad *load, const TokenizerFiles *files, Error *err)
{
    if (!bpe_finish(&t->bpe, &t->vocab, load->ignore_merges, err) ||
        !added_open(&t->added, &t->vocab, TOKEN_ADDED, TOKEN_ADDED, err) ||
        !added_open(&t->raw_added, &t->vocab, TOKEN_ADDED | TOKEN_NORMALIZED, TOKEN_ADDED, err) ||
        !added_open(&t->normalized_added, &t->vocab, TOKEN_ADDED | TOKEN_NORMALIZED,
                    TOKEN_ADDED | TOKEN_NORMALIZED, err) ||
        !name_ids(t, load, files, err) || !char_table_open(&t->chars, err))
        return false;
    t->pretokenizer = pretokenizer_open(&t->chars, load->regexes, load->n_regexes, err);
    return t->pretokenizer != NULL;
}

Tokenizer *tokenizer_open(const TokenizerFiles *files, Error *err)
{
    Tokenizer *t = mem_alloc(sizeof *t);
    TokenizerLoad load = {.t = t, .add_bos = -1, .add_eos = -1};
    bool ok = load_files(&load, files, err) && freeze(t, &load, files, err);
    arena_close(&load.arena);
    if (ok)
        return t;
    tokenizer_close(t);
    error_add(err, "tokenizer");
    return NULL;
}

void tokenizer_close(Tokenizer *t)
{
    if (!t)
        return;
    vocab_close(&t->vocab);
    bpe_close(&t->bpe);
    char_table_close(&t->chars);
    pretokenizer_close(t->pretokenizer);
    added_close(&t->added);
    added_close(&t->raw_added);
    added_close(&t->normalized_added);
    mem_free(t);
}

int tokenizer_n_tokens(const Tokenizer *t) { return (int)t->vocab.n; }

int32_t tokenizer_added_id(const Tokenizer *t, const char *text)
{
    return added_find(&t->added, &t->vocab, str_from(text));
}

static bool has_flag(const Tokenizer *t, int32_t id, unsigned flag)
{
    return vocab_has(&t->vocab, id) && (t->vocab.entries[id].flags & flag);
}

bool tokenizer_is_added(const Tokenizer *t, int32_t id) { return has_flag(t, id, TOKEN_ADDED); }

bool tokenizer_is_special(const Tokenizer *t, int32_t id) { return has_flag(t, id, TOKEN_SPECIAL); }

int32_t tokenizer_bos_id(const Tokenizer *t) { return t->bos_id; }

int32_t tokenizer_eos_id(const Tokenizer *t) { return t->eos_id; }

int32_t tokenizer_pad_id(const Tokenizer *t) { return t->pad_id; }

bool tokenizer_adds_bos(const Tokenizer *t) { return t->adds_bos; }

int32_t tokenizer_suffix_id(const Tokenizer *t) { return t->suffix_id; }

Str tokenizer_bytes(const Tokenizer *t, int32_t id)
{
    return vocab_has(&t->vocab, id) ? vocab_bytes(&t->vocab, id) : (Str){"", 0};
}

/* What merging made of a short piece, once: words come back. A cache belongs to one call. */
enum { CACHED_BYTES = 27, CACHED_IDS = 8, CACHE_LINES_MAX = 8192, CACHE_LINE_TEXT_BYTES = 64 };
typedef struct CachedPiece {
    char text[CACHED_BYTES + 4]; /* the rest is zero */
    uint8_t n_ids;               /* 0: an empty line */
    int32_t ids[CACHED_IDS];
} CachedPiece;

/* One call of tokenizer_encode. */
typedef struct Encoding {
    const Tokenizer *t;
    Ids *ids;
    CachedPiece *cache; /* NULL: the text is too short for one to pay */
    size_t n_cache;
    NfcResult normalized; /* of the stretch at hand */
    TextSpan *spans;      /* untrusted spans of that stretch */
    size_t n_spans_max;
} Encoding;

static bool merge_piece(Encoding *e, Str piece, Error *err)
{
    if (!e->cache || piece.bytes > CACHED_BYTES)
        return bpe_merge(&e->t->bpe, piece, e->ids, err);
    char key[CACHED_BYTES + 4] = {(char)piece.bytes};
    memcpy(key + 1, piece.data, piece.bytes);
    uint64_t words[4];
    words[3] = 0;
    memcpy(words, key, sizeof key);
    uint64_t hash = (words[0] ^ words[1] * 0xbf58476d1ce4e5b9u ^ words[2] * 0x94d049bb133111ebu ^
                     words[3] * 0xd1b54a32d192ed03u) *
                    0x9e3779b97f4a7c15u;
    CachedPiece *line = &e->cache[hash >> 40 & (e->n_cache - 1)];
    if (line->n_ids == 0 || memcmp(line->text, key, sizeof key) != 0) {
        int n_before = e->ids->n;
        if (!bpe_merge(&e->t->bpe, piece, e->ids, err))
            return false;
        int n = e->ids->n - n_before;
        if (n <= CACHED_IDS) {
            memcpy(line->text, key, sizeof key);
            memcpy(line->ids, e->ids->data + n_before, (size_t)n * sizeof *line->ids);
            line->n_ids = (uint8_t)n;
        }
        return true;
    }
    for (int i = 0; i < line->n_ids; i++)
        ids_push(e->ids, line->ids[i]);
    return true;
}

static inline bool encode_piece(Encoding *e, Str piece, Error *err)
{
    int32_t id = vocab_find_whole(&e->t->vocab, piece);
    if (id < 0)
        return merge_piece(e, piece, err);
    ids_push(e->ids, id);
    return true;
}

static bool encode_split_piece(void *context, Str piece, Error *err)
{
    return encode_piece(context, piece, err);
}

/* Text without added tokens, normalized. */
static bool encode_plain(Encoding *e, Str text, Error *err)
{
    if (!pretokenizer_is_qwen(e->t->pretokenizer))
        return pretokenizer_split(e->t->pretokenizer, text, encode_split_piece, e, err);
    size_t end = text.bytes ? qwen_piece_end(&e->t->chars, text, 0) : 0, next;
    for (size_t at = 0; at < text.bytes; at = end, end = next) {
        next = end < text.bytes ? qwen_piece_end(&e->t->chars, text, end) : end;
        vocab_prefetch(&e->t->vocab, (Str){text.data + end, next - end});
        if (!encode_piece(e, (Str){text.data + at, end - at}, err))
            return false;
    }
    return true;
}

typedef bool StretchEncoder(Encoding *e, Str text, size_t from, const TextSpan *untrusted,
                            int n_untrusted, Error *err);

/* Pushes the ids of the added tokens of `set` in the text, and gives the stretches between them to
 * `each` (with all spans: those still count from the start of the text, as `from` does). */
static bool encode_around_added(Encoding *e, const AddedSet *set, Str text,
                                const TextSpan *untrusted, int n_untrusted, StretchEncoder *each,
                                Error *err)
{
    AddedScan scan = {set, &e->t->vocab, text, untrusted, n_untrusted, 0};
    size_t done = 0, from = 0;
    int32_t id;
    while ((id = added_scan_next(&scan, &from)) >= 0) {
        if (from > done && !each(e, str_slice(text, done, from), done, untrusted, n_untrusted, err))
            return false;
        ids_push(e->ids, id);
        done = scan.at;
    }
    return done == text.bytes ||
           each(e, str_slice(text, done, text.bytes), done, untrusted, n_untrusted, err);
}

static bool encode_normalized_stretch(Encoding *e, Str text, size_t from, const TextSpan *untrusted,
                                      int n_untrusted, Error *err)
{
    (void)from, (void)untrusted, (void)n_untrusted;
    return encode_plain(e, text, err);
}

/* The untrusted spans of text[from .. from + bytes - 1] as they lie in its normalized form. */
static bool map_spans(Encoding *e, size_t from, size_t bytes, bool is_changed,
                      const TextSpan *untrusted, int n_untrusted, int *n_out, Error *err)
{
    if ((size_t)n_untrusted > e->n_spans_max) {
        mem_free(e->spans);
        e->n_spans_max = 0;
        e->spans = mem_try_alloc((size_t)n_untrusted * sizeof *e->spans, "untrusted spans", err);
        if (!e->spans)
            return false;
        e->n_spans_max = (size_t)n_untrusted;
    }
    int n = 0;
    for (int i = 0; i < n_untrusted; i++) {
        TextSpan span = untrusted[i];
        if (span.to <= from || span.from >= from + bytes || span.to <= span.from)
            continue;
        span.from = span.from > from ? span.from - from : 0;
        span.to = span.to - from < bytes ? span.to - from : bytes;
        if (is_changed)
            span = (TextSpan){nfc_map(&e->normalized, span.from, false),
                              nfc_map(&e->normalized, span.to, true)};
        if (n > 0 && span.from < e->spans[n - 1].to)
            span.from = e->spans[n - 1].to; /* two spans met in one character */
        if (span.to > span.from)
            e->spans[n++] = span;
    }
    *n_out = n;
    return true;
}

/* A stretch of raw text without the added tokens that are matched there. */
static bool encode_raw_stretch(Encoding *e, Str text, size_t from, const TextSpan *untrusted,
                               int n_untrusted, Error *err)
{
    const Tokenizer *t = e->t;
    bool is_changed = false;
    Str normal = text;
    if (t->normalizes && nfc_quick_check(&t->chars, text) < text.bytes) {
        if (!nfc_normalize(&t->chars, text, &e->normalized, err))
            return false;
        normal = buf_str(&e->normalized.text);
        is_changed = true;
    }
    if (t->normalized_added.n == 0)
        return encode_plain(e, normal, err);
    int n_spans;
    return map_spans(e, from, text.bytes, is_changed, untrusted, n_untrusted, &n_spans, err) &&
           encode_around_added(e, &t->normalized_added, normal, e->spans, n_spans,
                               encode_normalized_stretch, err);
}

static void make_cache(Encoding *e, size_t text_bytes)
{
    if (text_bytes < 64 * CACHE_LINE_TEXT_BYTES)
        return;
    e->n_cache = 64;
    while (e->n_cache < CACHE_LINES_MAX && e->n_cache * 2 * CACHE_LINE_TEXT_BYTES <= text_bytes)
        e->n_cache *= 2;
    e->cache = mem_alloc(e->n_cache * sizeof *e->cache);
}

bool tokenizer_encode(const Tokenizer *t, Str text, const TextSpan *untrusted, int n_untrusted,
                      Ids *ids, Error *err)
{
    if (text.bytes > TEXT_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "a text of %zu bytes; at most %zu", text.bytes,
                         TEXT_BYTES_MAX);
    size_t valid = utf8_valid_prefix(text);
    if (valid < text.bytes)
        return error_set(err, ERROR_FORMAT, "byte %zu: the text is not UTF-8", valid);
    Encoding e = {.t = t, .ids = ids};
    make_cache(&e, text.bytes);
    int n_before = ids->n;
    bool ok = encode_around_added(&e, &t->raw_added, text, untrusted, n_untrusted,
                                  encode_raw_stretch, err);
    if (!ok)
        ids->n = n_before;
    nfc_result_free(&e.normalized);
    mem_free(e.spans);
    mem_free(e.cache);
    return ok;
}

bool tokenizer_encode_all(const Tokenizer *t, Str text, Ids *ids, Error *err)
{
    return tokenizer_encode(t, text, NULL, 0, ids, err);
}

bool tokenizer_encode_plain(const Tokenizer *t, Str text, Ids *ids, Error *err)
{
    TextSpan all = {0, text.bytes};
    return tokenizer_encode(t, text, &all, 1, ids, err);
}

bool tokenizer_decode(const Tokenizer *t, const int32_t *ids, int n_ids, bool skip_special,
                      Buf *out, Error *err)
{
    for (int i = 0; i < n_ids; i++) {
        if (!vocab_has(&t->vocab, ids[i]))
            return error_set(err, ERROR_ARGUMENT, "id %d (number %d of the list) is not a token",
                             ids[i], i);
        if (!(skip_special && (t->vocab.entries[ids[i]].flags & TOKEN_SPECIAL)))
            buf_add(out, vocab_bytes(&t->vocab, ids[i]));
    }
    return !out->overflowed || error_set(err, ERROR_LIMIT, "the text is too long");
}

/* Takes bytes into `held` until they are a character, or cannot become one. */
static Str complete_held(StreamDecoder *d, Str bytes, Buf *out)
{
    while (d->n_held > 0 && bytes.bytes > 0) {
        d->held[d->n_held++] = bytes.data[0];
        Str held = {d->held, (size_t)d->n_held};
        uint32_t cp;
        size_t tail = 0;
        if (utf8_decode(held, &cp) == held.bytes) {
            buf_add(out, held);
            d->n_held = 0;
        } else if (!utf8_is_cut(held, &tail) || tail != held.bytes) {
            buf_puts(out, "\xEF\xBF\xBD"); /* and the new byte begins something else */
            d->n_held = 0;
            break;
        }
        bytes = str_slice(bytes, 1, bytes.bytes);
    }
    return bytes;
}

void stream_decoder_push(StreamDecoder *d, Str bytes, Buf *out)
{
    bytes = complete_held(d, bytes, out);
    if (bytes.bytes == 0)
        return;
    size_t tail = 0;
    if (utf8_is_cut(bytes, &tail)) {
        memcpy(d->held, bytes.data + bytes.bytes - tail, tail);
        d->n_held = (int)tail;
    }
    utf8_append_lossy(out, str_slice(bytes, 0, bytes.bytes - tail));
}

void stream_decoder_flush(StreamDecoder *d, Buf *out)
{
    utf8_append_lossy(out, (Str){d->held, (size_t)d->n_held});
    d->n_held = 0;
}
