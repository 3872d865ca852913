/* The vocabulary as a trie over bytes: what a grammar's masks are computed with. Made once for a
 * tokenizer, immutable, for many threads.
 *
 * Ordinary tokens only: added tokens are no text, a grammar names them by id. They are split into
 * slices, each with a trie and a bitset of its own, so that a place where any JSON string may go on
 * takes whole slices without a walk: slice i holds the tokens that are at most slice_chars[i]
 * characters of UTF-8, none of them a control, '"' or '\\'; the last holds all other tokens.
 * (Slices: llguidance, docs/optimizations.md.) */
#ifndef WEN_TEXT_TOKEN_TRIE_H
#define WEN_TEXT_TOKEN_TRIE_H

#include "text/tokenizer.h"

enum { TRIE_SLICES = 4, TRIE_SAFE_SLICES = TRIE_SLICES - 1 };

/* Nodes stand in depth-first order; a node's first child follows it. */
typedef struct TrieNode {
    uint32_t behind; /* the first node that is not below this one */
    int32_t id;      /* the token that ends here, or -1 */
    uint16_t depth;  /* bytes before this one */
    uint8_t byte;
} TrieNode;

typedef struct TrieSlice {
    TrieNode *nodes;
    uint32_t n_nodes;
    uint32_t *mask; /* bit id: the token is in this slice */
    int n_tokens;
} TrieSlice;

typedef struct TokenTrie {
    const Tokenizer *tokenizer; /* borrowed */
    int n_tokens, n_words;      /* of a mask, 32 tokens a word */
    int depth_max;              /* bytes of the longest token */
    TrieSlice slices[TRIE_SLICES];
} TokenTrie;

/* 0: no limit. */
extern const int trie_slice_chars[TRIE_SAFE_SLICES];

TokenTrie *token_trie_open(const Tokenizer *tokenizer, Error *err) MUST_USE;
void token_trie_close(TokenTrie *t); /* NULL is fine */

#endif
