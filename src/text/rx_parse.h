/* The regular expressions that people write (ECMA 262, as JSON Schema asks for) -> rx.h.
 *
 * Alternation, groups of every kind, greedy and lazy quantifiers, classes, \d \w \s \p{L}, anchors,
 * lookahead (outside of loops). What has no meaning as a set of strings is an error: back
 * references, lookbehind, \b, inline flags. Errors say at which byte. */
#ifndef WEN_TEXT_RX_PARSE_H
#define WEN_TEXT_RX_PARSE_H

#include "text/rx_chars.h"

enum { RX_PATTERN_BYTES_MAX = 16 * 1024, RX_PATTERN_DEPTH_MAX = 100, RX_OPTIONAL_RUN_MAX = 128 };

typedef enum RxMatch {
    RX_MATCH_WHOLE, /* the whole text matches */
    RX_MATCH_PART,  /* something in the text matches, as JSON Schema's `pattern` */
} RxMatch;

bool rx_parse(RxPool *p, Str pattern, RxMatch match, Spelling spelling, Rx *out,
              Error *err) MUST_USE;

#endif
