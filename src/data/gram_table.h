/* N-grams of evaluation texts; see decontaminate.h. */
#ifndef WEN_DATA_GRAM_TABLE_H
#define WEN_DATA_GRAM_TABLE_H

#include "base/mem.h"
#include "data/units.h"

/* A text of an evaluation set. */
typedef struct GramText {
    const char *path; /* in the table's arena */
    int64_t line;
    uint32_t n_grams;
} GramText;

typedef struct GramSlot {
    uint64_t hash;
    uint32_t text; /* plus 1; 0: empty. The first text that has the gram */
} GramSlot;

typedef struct GramTable {
    int gram, short_words;
    GramText *texts; /* [n_texts] */
    size_t n_texts, n_texts_max;
    GramSlot *slots;
    size_t n_grams, n_slots;
    bool has_length[UNITS_GRAM_MAX + 1]; /* grams of so many words are in the table */
    const char *const *keys;             /* [n_keys]; see decontaminate.h */
    int n_keys;
    int64_t n_files, n_skipped;
    Units units; /* scratch */
    Arena arena;
} GramTable;

/* A zeroed table with gram, short_words and keys set is ready for use. */
void gram_table_close(GramTable *table);
/* Adds the texts of a file, or of all files below a folder. */
bool gram_table_add(GramTable *table, const char *path, Error *err) MUST_USE;

/* The text (index) that has the gram of `length` words from word i on, or -1. */
int64_t gram_table_find(const GramTable *table, const Units *units, size_t i, int length);

#endif
