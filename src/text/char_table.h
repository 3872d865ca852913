/* What the tokenizer needs to know of each character, in one byte: its class for splitting, and how
 * it behaves under normalization form C. Made from the Unicode tables of utf8proc, so that the
 * library itself is only called for text that has to be rewritten. Immutable once made. */
#ifndef WEN_TEXT_CHAR_TABLE_H
#define WEN_TEXT_CHAR_TABLE_H

#include "base/error.h"

#include <stdint.h>

typedef enum CharClass {
    CHAR_OTHER,   /* everything else, combining marks and unassigned characters included */
    CHAR_LETTER,  /* general category L* */
    CHAR_NUMBER,  /* general category N* */
    CHAR_SPACE,   /* White_Space, but not CR or LF */
    CHAR_NEWLINE, /* CR, LF */
} CharClass;

enum {
    CHAR_CLASS_MASK = 7,
    /* Has a combining class: two such in a row may have to change places. */
    CHAR_NFC_ORDERED = 8,
    /* NFC may replace it or join it to the character before it (quick check No or Maybe). */
    CHAR_NFC_UNSTABLE = 16,
    /* A character with neither bit is a place where text can be cut and normalized in parts. */
    CHAR_NFC_MASK = CHAR_NFC_ORDERED | CHAR_NFC_UNSTABLE,
};

enum {
    CHAR_BLOCK_BITS = 8,
    CHAR_BLOCK = 1 << CHAR_BLOCK_BITS,
    /* Above: no letters, numbers or spaces, and NFC leaves all of it alone (tags, selectors,
     * private use; nothing else is assigned there). */
    CHAR_TABLE_END = 0x40000,
};

typedef struct CharTable {
    uint16_t block_of[CHAR_TABLE_END / CHAR_BLOCK]; /* equal blocks are stored once */
    uint8_t (*blocks)[CHAR_BLOCK];
    int n_blocks;
} CharTable;

bool char_table_open(CharTable *table, Error *err) MUST_USE;
void char_table_close(CharTable *table); /* a zeroed table is fine */

static inline unsigned char_bits(const CharTable *table, uint32_t cp)
{
    if (cp >= CHAR_TABLE_END)
        return CHAR_OTHER;
    return table->blocks[table->block_of[cp >> CHAR_BLOCK_BITS]][cp & (CHAR_BLOCK - 1)];
}

static inline CharClass char_class(const CharTable *table, uint32_t cp)
{
    return (CharClass)(char_bits(table, cp) & CHAR_CLASS_MASK);
}

/* Decodes one character of text already known to be UTF-8; *bytes gets its length. */
static inline uint32_t char_decode(const char *text, size_t *bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) {
        *bytes = 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *bytes = 2;
        return (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
    }
    if (s[0] < 0xF0) {
        *bytes = 3;
        return (s[0] & 0xFu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
    }
    *bytes = 4;
    return (s[0] & 7u) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
}

#endif
