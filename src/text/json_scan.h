/* Checks JSON byte by byte as it comes, without keeping it: strict RFC 8259 syntax. */
#ifndef WEN_TEXT_JSON_SCAN_H
#define WEN_TEXT_JSON_SCAN_H

#include "base/str.h"

enum { JSON_SCAN_DEPTH_MAX = 256 };

typedef enum JsonScanState {
    SCAN_VALUE,       /* a value must come */
    SCAN_ITEM_OR_END, /* behind [ */
    SCAN_KEY_OR_END,  /* behind { */
    SCAN_KEY,         /* behind , in an object */
    SCAN_COLON,       /* behind a key */
    SCAN_AFTER,       /* behind a value inside something */
    SCAN_STRING,      /* inside a string or key */
    SCAN_ESCAPE,      /* behind a backslash */
    SCAN_HEX,         /* in the digits of \u */
    SCAN_LITERAL,     /* in true, false or null */
    SCAN_MINUS,       /* in a number: behind its sign */
    SCAN_ZERO,        /* behind a leading 0 */
    SCAN_DIGITS,      /* in the whole part */
    SCAN_POINT,       /* behind the point */
    SCAN_FRACTION,    /* in the digits behind it */
    SCAN_E,           /* behind e */
    SCAN_E_SIGN,      /* behind its sign */
    SCAN_E_DIGITS,    /* in the exponent */
    SCAN_DONE,        /* the one value is over; only white space may follow */
    SCAN_BROKEN,
} JsonScanState;

/* Zeroed is ready. */
typedef struct JsonScan {
    JsonScanState state;
    int depth; /* of open objects and arrays */
    int n_hex;
    const char *literal; /* what is left of it */
    bool string_is_key;
    uint64_t is_object[JSON_SCAN_DEPTH_MAX / 64];
} JsonScan;

/* Takes one byte, returns the new state. A number outside of any container never becomes DONE: see
 * json_scan_is_whole. */
JsonScanState json_scan_byte(JsonScan *s, char c);
/* True when what was taken is one whole value. */
bool json_scan_is_whole(const JsonScan *s);
/* True inside a string, where structure means nothing. */
bool json_scan_in_string(const JsonScan *s);

/* Appends the text of a JSON string (with its quotes, already checked): escapes resolved, a
 * surrogate without its partner as U+FFFD. */
void json_unescape(Buf *out, Str quoted);

#endif
