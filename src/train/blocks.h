/* Where a file of documents may be cut, so that threads can work on its parts. */
#ifndef WEN_TRAIN_BLOCKS_H
#define WEN_TRAIN_BLOCKS_H

#include "base/str.h"

/* The end of the block that begins at `at` and has at least `bytes` bytes, unless the text ends
 * before. Lines: behind a line end. Else behind a line end that is followed by a printable ASCII
 * character: there a token ends, and no character is joined to the one before. */
size_t block_end(Str text, size_t at, size_t bytes, bool is_lines);

/* Lines of a text; the last one may lack its end. */
int64_t block_lines(Str text);

#endif
