/* See learn_tokenizer.h. */
#include "train/learn_tokenizer.h"

#include "base/clock.h"
#include "base/file.h"
#include "text/pretokenize.h"
#include "text/qwen_tokens.h"
#include "text/tokenizer_write.h"
#include "train/corpus.h"
#include "train/fields.h"
#include "train/yaml.h"

#include <stddef.h>
#include <string.h>

enum { TEMPLATE_BYTES_MAX = 1 << 20, WORDS_BYTES_MAX = 1 << 28 };

typedef struct LearnConfig {
    int size, multiple, token_bytes, context;
    int64_t min_count, min_piece_count, bytes, seed;
    json_t *source_list, *exclude;
    const char *chat_template; /* a file; NULL: ours */
    TrainSource sources[TRAIN_SOURCES_MAX];
    int n_sources;
    json_t *json;
} LearnConfig;

#define AT(field) offsetof(LearnConfig, field)
static const Field fields[] = {
    {"vocab.size", FIELD_INT, AT(size), 256 + QWEN_TOKENS, 1 << 20, 2048, NULL, false},
    {"vocab.multiple", FIELD_INT, AT(multiple), 1, 1 << 16, 1, NULL, false},
    {"vocab.min_count", FIELD_INT64, AT(min_count), 1, 1e15, 2, NULL, false},
    {"vocab.token_bytes", FIELD_INT, AT(token_bytes), 1, VOCAB_TOKEN_BYTES_MAX, 128, NULL, false},
    {"data.sources", FIELD_JSON, AT(source_list), 0, 0, 0, NULL, false},
    {"data.seed", FIELD_INT64, AT(seed), 0, 9e15, 1, NULL, false},
    {"data.bytes", FIELD_INT64, AT(bytes), 0, 1e15, 0, NULL, false},
    {"data.min_piece_count", FIELD_INT64, AT(min_piece_count), 1, 1e15, 1, NULL, false},
    {"data.exclude", FIELD_JSON, AT(exclude), 0, 0, 0, NULL, false},
    {"output.context", FIELD_INT, AT(context), 1, 1 << 30, 131072, NULL, false},
    {"output.chat_template", FIELD_TEXT, AT(chat_template), 0, 0, 0, NULL, false},
};
static const FieldTable table = {fields, sizeof fields / sizeof *fields};

static bool read_config(LearnConfig *c, const char *path, const char *const *sets, int n_sets,
                        Error *err)
{
    *c = (LearnConfig){0};
    c->json = fields_read(&table, path, sets, n_sets, c, err);
    return c->json && (train_sources_read(c->source_list, c->sources, &c->n_sources, err) ||
                       error_add(err, "%s", path));
}

bool learn_tokenizer_check(const char *config_path, Error *err)
{
    LearnConfig c;
    const bool ok = read_config(&c, config_path, NULL, 0, err);
    json_decref(c.json);
    return ok;
}

/* ---- Pieces that are not learned from ---------------------------------------------------------
 */

/* ASCII letters in lower case; other letters are compared as they are. */
static Str lower(Str word, char *out)
{
    for (size_t i = 0; i < word.bytes; i++)
        out[i] =
            word.data[i] >= 'A' && word.data[i] <= 'Z' ? (char)(word.data[i] | 0x20) : word.data[i];
    return (Str){out, word.bytes};
}

static bool read_words(PieceCounts *words, const char *path, Error *err)
{
    Buf text = {0};
    bool ok = file_read(&text, path, WORDS_BYTES_MAX, err);
    for (size_t at = 0, end; ok && at < text.bytes; at = end + 1) {
        end = at + strcspn(text.data + at, "\r\n");
        const Str word = str_slice(buf_str(&text), at, end);
        ok = word.bytes == 0 || piece_counts_add(words, lower(word, text.data + at), 1, err);
    }
    buf_free(&text);
    return ok;
}

/* A piece's word: without the one character (a blank, a quote) that may stand before its letters.
 */
static Str word_of(const CharTable *chars, Str piece)
{
    size_t bytes;
    const CharClass first = char_class(chars, char_decode(piece.data, &bytes));
    return first == CHAR_LETTER ? piece : str_slice(piece, bytes, piece.bytes);
}

/* Drops rare pieces and listed words. */
static bool drop_pieces(const LearnConfig *c, PieceCounts *counts, int64_t *n_kept, Error *err)
{
    PieceCounts words = {0};
    CharTable chars = {0};
    bool ok = char_table_open(&chars, err);
    if (c->exclude && !json_is_array(c->exclude))
        ok = error_set(err, ERROR_FORMAT, "data.exclude: it is a list of files, a word a line");
    for (size_t i = 0; ok && i < json_array_size(c->exclude); i++) {
        const char *path = json_string_value(json_array_get(c->exclude, i));
        ok = path ? read_words(&words, path, err)
                  : error_set(err, ERROR_FORMAT, "data.exclude[%zu]: it is not a path", i);
    }
    *n_kept = 0;
    for (size_t i = 0; ok && i < counts->n; i++) {
        PieceCount *item = &counts->items[i];
        char small[256];
        if (item->n < (uint64_t)c->min_piece_count ||
            (item->piece.bytes <= sizeof small &&
             piece_counts_find(&words, lower(word_of(&chars, item->piece), small))))
            item->n = 0;
        *n_kept += item->n > 0;
    }
    char_table_close(&chars);
    piece_counts_close(&words);
    return ok;
}

/* ---- Files ------------------------------------------------------------------------------------
 */

static bool write_one(const char *out, const char *name, Buf *text, Error *err)
{
    char *path = file_join(out, name);
    const bool ok = file_write(path, buf_str(text), err);
    mem_free(path);
    buf_clear(text);
    return ok;
}

/* config.yaml comes last: a folder that has it is whole. */
static bool write_files(const LearnConfig *c, const BpeVocab *v, Str chat_template, const char *out,
                        Error *err)
{
    Buf text = {0};
    bool ok = file_make_dir(out, err);
    tokenizer_write_json(v, &text);
    ok = ok && write_one(out, "tokenizer.json", &text, err);
    buf_clear(&text);
    tokenizer_write_vocab(v, &text);
    ok = ok && write_one(out, "vocab.json", &text, err);
    buf_clear(&text);
    tokenizer_write_merges(v, &text);
    ok = ok && write_one(out, "merges.txt", &text, err);
    buf_clear(&text);
    tokenizer_write_config(v, chat_template, c->context, &text);
    ok = ok && write_one(out, "tokenizer_config.json", &text, err);
    buf_clear(&text);
    yaml_write(c->json, &text);
    ok = ok && write_one(out, "config.yaml", &text, err);
    buf_free(&text);
    return ok;
}

static bool learn(const LearnConfig *c, PieceCounts *counts, Str chat_template, const char *out,
                  LearnReport *r, Error *err)
{
    const double start = clock_seconds();
    const BpeTrainOptions options = {c->size - QWEN_TOKENS, (uint64_t)c->min_count,
                                     (size_t)c->token_bytes};
    BpeVocab v = {0};
    r->n_pieces = (int64_t)counts->n;
    if (!drop_pieces(c, counts, &r->n_kept, err))
        return false;
    if (r->n_kept == 0)
        return error_set(err, ERROR_FORMAT, "data: there is no piece of text to learn from");
    if (!bpe_train(&v, counts, &options, err))
        return false;
    r->n_merges = v.n_merges;
    r->n_ids = (int)v.vocab.n + QWEN_TOKENS;
    r->n_rows = (r->n_ids + c->multiple - 1) / c->multiple * c->multiple;
    r->bytes_per_token = (double)v.n_bytes / (double)v.n_tokens;
    r->learn_seconds = clock_seconds() - start;
    const bool ok = write_files(c, &v, chat_template, out, err);
    bpe_vocab_close(&v);
    return ok;
}

static bool count_and_learn(const LearnConfig *c, Str chat_template, const char *out, int n_threads,
                            LearnReport *r, Error *err)
{
    const CorpusOptions corpus = {c->sources, c->n_sources,  c->seed,
                                  c->bytes,   chat_template, n_threads};
    const double start = clock_seconds();
    PieceCounts counts = {0};
    CorpusReport counted;
    bool ok = corpus_count(&corpus, &counts, &counted, err);
    if (ok) {
        r->n_documents = counted.n_documents;
        r->n_bytes = counted.n_bytes;
        r->count_seconds = clock_seconds() - start;
        ok = learn(c, &counts, chat_template, out, r, err);
    }
    piece_counts_close(&counts);
    return ok;
}

bool learn_tokenizer(const char *config_path, const char *const *sets, int n_sets, const char *out,
                     int n_threads, LearnReport *report, Error *err)
{
    LearnConfig c;
    Buf file = {0};
    *report = (LearnReport){0};
    bool ok = read_config(&c, config_path, sets, n_sets, err) &&
              (!c.chat_template || file_read(&file, c.chat_template, TEMPLATE_BYTES_MAX, err));
    ok = ok && count_and_learn(&c, c.chat_template ? buf_str(&file) : qwen_chat_template(), out,
                               n_threads, report, err);
    buf_free(&file);
    json_decref(c.json);
    return ok;
}
