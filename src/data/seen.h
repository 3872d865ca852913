/* Which texts were seen before, by 128 bits of hash each. */
#ifndef WEN_DATA_SEEN_H
#define WEN_DATA_SEEN_H

#include "base/str.h"

typedef struct SeenText {
    uint64_t low, high; /* low 0: an empty slot */
    int64_t number;
} SeenText;

typedef struct Seen {
    SeenText *slots;
    size_t n, n_slots;
} Seen;

void seen_close(Seen *seen); /* a zeroed one is ready for use */
/* Where the number of this text is kept: -1 when it was not seen before; the caller sets it. NULL:
 * no memory. Valid until the next call. */
int64_t *seen_number(Seen *seen, Str text, Error *err) MUST_USE;

#endif
