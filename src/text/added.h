/* Finding added tokens ("<|im_end|>", "<think>") in text: the leftmost, and of those that begin
 * there the longest. The tokens lie sorted, so a match narrows a range of them byte by byte: its
 * time does not depend on how many there are, and most places of a text are passed by a table of
 * first bytes. */
#ifndef WEN_TEXT_ADDED_H
#define WEN_TEXT_ADDED_H

#include "text/tokenizer.h"
#include "text/vocab.h"

typedef struct AddedSet {
    int32_t *ids; /* sorted by the tokens' bytes */
    int n;
    bool begins[256]; /* some token begins with this byte */
    int only_begin;   /* the byte that all begin with, or -1 */
} AddedSet;

/* Takes the tokens whose flags, under `mask`, equal `flags`. */
bool added_open(AddedSet *set, const Vocab *vocab, unsigned mask, unsigned flags,
                Error *err) MUST_USE;
void added_close(AddedSet *set); /* a zeroed set is fine, and empty */

/* The id of the token with exactly these bytes, or -1. */
int32_t added_find(const AddedSet *set, const Vocab *vocab, Str bytes);

/* A walk over the matches in a text. `untrusted` (sorted, disjoint) is not touched by any. */
typedef struct AddedScan {
    const AddedSet *set;
    const Vocab *vocab;
    Str text;
    const TextSpan *untrusted;
    int n_untrusted;
    size_t at; /* where to look next; 0 at first */
} AddedScan;

/* The next match's id, or -1 when there is none; scan->at is then behind it. */
int32_t added_scan_next(AddedScan *scan, size_t *from);

#endif
