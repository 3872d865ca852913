/* Sets of Unicode characters, and how they are spelled as bytes. */
#ifndef WEN_TEXT_RX_CHARS_H
#define WEN_TEXT_RX_CHARS_H

#include "text/rx.h"

/* How a character stands in the text. Each has one spelling only, so that sets of texts can be
 * intersected and complemented. */
typedef enum Spelling {
    SPELL_UTF8,
    /* In a JSON string: \" and \\, \b \f \n \r \t, \u00xx (lower case) for the other controls,
     * UTF-8 for the rest. */
    SPELL_JSON,
} Spelling;

typedef struct CharRange {
    uint32_t from, to;
} CharRange;

/* Zeroed is the empty set; free with char_set_free. */
typedef struct CharSet {
    CharRange *ranges; /* ascending and apart after char_set_tidy */
    size_t n, n_max;
} CharSet;

void char_set_add(CharSet *s, uint32_t from, uint32_t to);
void char_set_add_set(CharSet *s, const CharSet *other);
void char_set_tidy(CharSet *s);
void char_set_negate(CharSet *s); /* tidies */
/* Adds the other case of each letter. */
void char_set_add_cases(CharSet *s);
void char_set_free(CharSet *s);

/* \d, \w, \s as ECMAScript has them. */
void char_set_add_escape(CharSet *s, char which);
/* A general category ("L", "Lu"), or "Any", "Latin"-like scripts are not known: false. */
bool char_set_add_category(CharSet *s, Str name) MUST_USE;

/* One character of the set. */
Rx rx_chars(RxPool *p, CharSet *s, Spelling spelling);
/* Any one character. */
Rx rx_any_char(RxPool *p, Spelling spelling);
/* Appends the one spelling of UTF-8 text (ill-formed bytes as U+FFFD). */
void spell_text(Buf *out, Str text, Spelling spelling);

#endif
