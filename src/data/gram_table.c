/* See gram_table.h. */
#include "data/gram_table.h"

#include "base/file.h"
#include "text/json_scan.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, WALK_DEPTH_MAX = 256 };

void gram_table_close(GramTable *table)
{
    mem_free(table->texts);
    mem_free(table->slots);
    units_free(&table->units);
    arena_close(&table->arena);
    *table = (GramTable){0};
}

/* ---- The table --------------------------------------------------------------------------------
 */

static GramSlot *find_slot(const GramTable *table, uint64_t hash)
{
    const size_t mask = table->n_slots - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        GramSlot *slot = &table->slots[i];
        if (slot->text == 0 || slot->hash == hash)
            return slot;
    }
}

static bool grow(GramTable *table, Error *err)
{
    GramSlot *old = table->slots;
    const size_t n_old = table->n_slots, n = n_old ? 2 * n_old : 4096;
    GramSlot *slots = mem_try_alloc(n * sizeof *slots, "n-grams", err);
    if (!slots)
        return false;
    table->slots = slots;
    table->n_slots = n;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].text)
            *find_slot(table, old[i].hash) = old[i];
    mem_free(old);
    return true;
}

/* Grams of different lengths never meet: the length is part of the hash. */
static uint64_t hash_of(const Units *units, size_t i, int length)
{
    return units_gram(units, i, (size_t)length) ^ (uint64_t)length;
}

static bool add_gram(GramTable *table, size_t i, int length, Error *err)
{
    if (2 * (table->n_grams + 1) > table->n_slots && !grow(table, err))
        return false;
    const uint64_t hash = hash_of(&table->units, i, length);
    GramSlot *slot = find_slot(table, hash);
    table->has_length[length] = true;
    if (slot->text)
        return true;
    *slot = (GramSlot){hash, (uint32_t)table->n_texts};
    table->n_grams++;
    return true;
}

int64_t gram_table_find(const GramTable *table, const Units *units, size_t i, int length)
{
    if (table->n_slots == 0)
        return -1;
    return (int64_t)find_slot(table, hash_of(units, i, length))->text - 1;
}

static bool add_text(GramTable *table, Str text, const char *path, int64_t line, Error *err)
{
    if (!units_split(&table->units, text, err))
        return false;
    const size_t n = table->units.n, gram = (size_t)table->gram;
    const size_t length = n < gram ? n : gram;
    if (n < gram && n < (size_t)table->short_words)
        return true;
    if (table->n_texts == table->n_texts_max) {
        const size_t more = table->n_texts_max ? 2 * table->n_texts_max : 1024;
        GramText *texts = mem_try_grow(table->texts, table->n_texts * sizeof *texts,
                                       more * sizeof *texts, "evaluation texts", err);
        if (!texts)
            return false;
        table->texts = texts;
        table->n_texts_max = more;
    }
    table->texts[table->n_texts++] = (GramText){path, line, (uint32_t)(n - length + 1)};
    for (size_t i = 0; i + length <= n; i++)
        if (!add_gram(table, i, (int)length, err))
            return false;
    return true;
}

/* ---- Files ------------------------------------------------------------------------------------
 */

static bool is_wanted(const GramTable *table, const char *key)
{
    for (int i = 0; i < table->n_keys; i++)
        if (strcmp(table->keys[i], key) == 0)
            return true;
    return table->n_keys == 0;
}

/* A walk through JSON that looks at strings only, so that what benchmarks hold beside them (numbers
 * past 64 bits, Python's NaN and Infinity) is no trouble. */
typedef struct Walk {
    Str text;
    size_t at;
    int64_t line;
    int depth;
    char closing[WALK_DEPTH_MAX];   /* what ends each open collection */
    bool is_wanted[WALK_DEPTH_MAX]; /* everything in it is */
    bool value_is_wanted;           /* the next value */
    Buf string;
} Walk;

static size_t skip_blanks(Str text, size_t at)
{
    while (at < text.bytes && strchr(" \t\r\n", text.data[at]))
        at++;
    return at;
}

/* Reads the string at w->at into w->string. */
static bool walk_string(Walk *w)
{
    size_t end = w->at + 1;
    while (end < w->text.bytes && w->text.data[end] != '"')
        end += w->text.data[end] == '\\' ? 2 : 1;
    if (end >= w->text.bytes)
        return false;
    buf_clear(&w->string);
    json_unescape(&w->string, str_slice(w->text, w->at, end + 1));
    w->at = end + 1;
    return true;
}

static bool walk_open(Walk *w, char closing)
{
    if (w->depth + 1 == WALK_DEPTH_MAX)
        return false;
    w->closing[++w->depth] = closing;
    w->is_wanted[w->depth] = w->value_is_wanted;
    return true;
}

static bool walk_close(Walk *w, char closing)
{
    if (w->depth == 0 || w->closing[w->depth] != closing)
        return false;
    w->value_is_wanted = w->is_wanted[--w->depth];
    return true;
}

/* The punctuation, number or word at w->at. */
static bool walk_rest(Walk *w)
{
    const char c = w->text.data[w->at++];
    if (c == '{' || c == '[')
        return walk_open(w, c == '{' ? '}' : ']');
    if (c == '}' || c == ']')
        return walk_close(w, c);
    if (c == ',')
        w->value_is_wanted = w->is_wanted[w->depth];
    w->line += c == '\n';
    return strchr(" \t\r\n,:+-.", c) || (c >= '0' && c <= '9') ||
           ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool walk(GramTable *table, Walk *w, const char *path, Error *err)
{
    while (w->at < w->text.bytes) {
        if (w->text.data[w->at] != '"') {
            if (!walk_rest(w))
                return error_set(err, ERROR_FORMAT, "%s:%lld: it is not JSON", path,
                                 (long long)w->line);
            continue;
        }
        if (!walk_string(w))
            return error_set(err, ERROR_FORMAT, "%s:%lld: a string does not end", path,
                             (long long)w->line);
        const size_t next = skip_blanks(w->text, w->at);
        if (next < w->text.bytes && w->text.data[next] == ':')
            w->value_is_wanted = w->is_wanted[w->depth] || is_wanted(table, w->string.data);
        else if (w->value_is_wanted && !add_text(table, buf_str(&w->string), path, w->line, err))
            return false;
    }
    return w->depth == 0 ||
           error_set(err, ERROR_FORMAT, "%s:%lld: it ends too early", path, (long long)w->line);
}

static bool add_json(GramTable *table, Str text, const char *path, int64_t line, Error *err)
{
    Walk w = {.text = text, .line = line, .value_is_wanted = table->n_keys == 0};
    w.is_wanted[0] = w.value_is_wanted;
    buf_puts(&w.string, ""); /* so that there is a text for an empty key, too */
    const bool ok = walk(table, &w, path, err);
    buf_free(&w.string);
    return ok;
}

typedef bool LineReader(GramTable *table, Str line, const char *path, int64_t number, Error *err);

static bool each_line(GramTable *table, Str all, LineReader *read, const char *path, Error *err)
{
    int64_t number = 1;
    for (size_t at = 0, end; at < all.bytes; at = end + 1, number++) {
        const char *newline = memchr(all.data + at, '\n', all.bytes - at);
        end = newline ? (size_t)(newline - all.data) : all.bytes;
        const Str line = str_slice(all, at, end);
        if (line.bytes > 0 && !str_equals(line, "\r") && !read(table, line, path, number, err))
            return false;
    }
    return true;
}

static bool add_file(GramTable *table, const char *path, bool *is_known, Error *err)
{
    const Str name = str_from(path);
    const bool is_json = str_ends(name, STR(".json")), is_lines = str_ends(name, STR(".jsonl"));
    FileMap map;
    *is_known = is_json || is_lines || str_ends(name, STR(".csv")) || str_ends(name, STR(".tsv")) ||
                str_ends(name, STR(".txt"));
    if (!*is_known)
        return true;
    if (!file_map(&map, path, err))
        return false;
    table->n_files++;
    path = arena_strndup(&table->arena, path, name.bytes);
    const Str all = {(const char *)map.data, map.bytes};
    const bool ok = is_json ? add_json(table, all, path, 1, err)
                            : each_line(table, all, is_lines ? add_json : add_text, path, err);
    file_unmap(&map);
    return ok;
}

static bool add_folder(GramTable *table, const char *path, int depth, Error *err)
{
    struct dirent **entries;
    const int n = scandir(path, &entries, NULL, alphasort);
    bool ok = n >= 0 || error_set_errno(err, "%s", path);
    for (int i = 0; i < n; i++) {
        if (ok && entries[i]->d_name[0] != '.') {
            char *inside = file_join(path, entries[i]->d_name);
            bool is_known = true;
            if (!file_is_dir(inside))
                ok = add_file(table, inside, &is_known, err);
            else if (depth < DEPTH_MAX)
                ok = add_folder(table, inside, depth + 1, err);
            table->n_skipped += !is_known;
            mem_free(inside);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return ok;
}

bool gram_table_add(GramTable *table, const char *path, Error *err)
{
    bool is_known;
    if (file_is_dir(path))
        return add_folder(table, path, 0, err);
    return add_file(table, path, &is_known, err) &&
           (is_known ||
            error_set(err, ERROR_UNSUPPORTED,
                      "%s: evaluation data is .jsonl, .json, .csv, .tsv or .txt", path));
}
