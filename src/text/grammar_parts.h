/* Inside a grammar. Only grammar*.c include this. */
#ifndef WEN_TEXT_GRAMMAR_PARTS_H
#define WEN_TEXT_GRAMMAR_PARTS_H

#include "text/grammar.h"
#include "text/grammar_machine.h"

#include <stdatomic.h>

enum {
    GRAMMAR_MASKS_MAX = 192,          /* kept, of 19 KB for 151,643 tokens */
    GRAMMAR_MACHINE_BYTES = 64 << 20, /* then the automaton starts over */
    GRAMMAR_FORCED_BYTES = 4096,      /* looked ahead at once */
};

typedef struct CachedMask {
    State state;
    uint32_t *words;
} CachedMask;

/* Where an expression goes with one more safe character (token_trie.h): lists of distinct ends. */
typedef struct Ends {
    uint32_t from, n; /* of all_ends; n 0: some character leads nowhere */
} Ends;

struct Grammar {
    atomic_int n_refs;
    const TokenTrie *trie;
    Machine machine;
    Matcher *matchers; /* all of them */
    State *path;       /* [trie->depth_max + 1]: a walk's states */

    CachedMask masks[GRAMMAR_MASKS_MAX];
    int n_masks, next_mask; /* the oldest is replaced */

    Rx safe_char;
    PairMap ends_of; /* expression -> which of `ends` */
    Ends *ends;
    size_t n_ends, n_ends_max;
    Rx *all_ends;
    size_t n_all_ends, n_all_ends_max;
    PairMap takes; /* (expression, slice) -> whether it takes the slice */

    size_t n_masks_made, n_masks_found;
};

struct Matcher {
    Grammar *grammar;
    State state;
    Matcher *before, *after;
};

/* Takes the rules, finished; made with one reference. */
Grammar *grammar_make(const TokenTrie *trie, Rules *finished);

/* ---- grammar_mask.c -------------------------------------------------------------------------- */

/* What of the slices each expression takes was found out for expressions that are forgotten now. */
void mask_forget(Grammar *g);
void mask_close(Grammar *g);
void mask_compute(Grammar *g, State s, uint32_t *mask);

/* ---- grammar_forced.c ------------------------------------------------------------------------ */

void forced_tokens(Grammar *g, State s, Ids *ids);

#endif
