/* Characters whose bytes can be merged before anything else, so that a text of three-byte
 * characters starts with a third of the parts.
 *
 * Let every merge rank above the merges that make its two parts (true of every trained table). Then
 * merging is the same as going through the ranks once, in order, doing all merges of a rank. Take a
 * character c whose bytes, alone, merge into one token, the last of those merges having rank R. If
 * no merge of rank up to R joins something before c to a token that c begins with, or something
 * after c to a token that c ends with (c itself included), then up to rank R nothing happens to c's
 * bytes but their own merges, and nothing that happens elsewhere needs c: it may as well be one
 * token from the start. Text around c is valid UTF-8, so what stands before it ends, and what
 * stands after it begins, at a character. Tables have early merges of a space and the first byte of
 * a character; so the condition is on merges with bytes from 0x80 only, and holds for a character
 * that has no ASCII beside it. */
#ifndef WEN_TEXT_BPE_CHARS_H
#define WEN_TEXT_BPE_CHARS_H

#include "text/vocab.h"

enum { BPE_CHARS = 0x10000 }; /* the others are rare, and merged from their bytes */

/* One merge, for this purpose. */
typedef struct BpeMerge {
    int32_t left, right, result;
} BpeMerge;

/* Fills char_ids[BPE_CHARS]: the token that a character is from the start when neither neighbour in
 * its piece, if it has one, is ASCII; or -1. */
bool bpe_find_chars(const Vocab *vocab, const BpeMerge *merges, size_t n_merges, int32_t *char_ids,
                    Error *err) MUST_USE;

#endif
