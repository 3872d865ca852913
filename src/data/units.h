/* Text as a row of words, to find texts that are alike or share a passage.
 *
 * A word is a run of letters, marks and digits, in lower case; punctuation and white space only
 * separate. Each letter of a script written without blanks (Han, Kana, Thai, Lao, Khmer, Burmese)
 * is a word by itself. A word is kept as a hash of 64 bits. */
#ifndef WEN_DATA_UNITS_H
#define WEN_DATA_UNITS_H

#include "base/str.h"

enum { UNITS_GRAM_MAX = 64 };

typedef struct Unit {
    uint64_t hash;
    size_t from, to; /* its bytes */
} Unit;

typedef struct Units {
    Unit *items;      /* [n] */
    uint64_t *prefix; /* [n + 1]: a polynomial of all words before */
    size_t n, n_max;
} Units;

void units_free(Units *units); /* a zeroed one is ready for use */

/* The words of `text`, which replace those of the last call. Bytes that are not UTF-8 separate. */
bool units_split(Units *units, Str text, Error *err) MUST_USE;

/* A hash of the n words from word i on (1 <= n <= UNITS_GRAM_MAX), in constant time. */
uint64_t units_gram(const Units *units, size_t i, size_t n);

#endif
