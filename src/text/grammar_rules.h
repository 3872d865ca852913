/* The rules of a grammar: alternatives of symbols. Only grammar*.c include this.
 *
 * While they are made, alternatives may come in any order and name rules that have none yet.
 * rules_finish drops what can never be finished, refuses left recursion, and lays the rest out as
 * positions: syms[pos] is what must come there, SYM_END behind the last of an alternative. */
#ifndef WEN_TEXT_GRAMMAR_RULES_H
#define WEN_TEXT_GRAMMAR_RULES_H

#include "base/mem.h"
#include "text/rx.h"

typedef uint32_t Sym; /* a rule, or an expression */
enum { SYM_END = 0, RULES_SYMS_MAX = 8 << 20 };

static inline Sym sym_rx(Rx a) { return (a + 1) << 1; }
static inline Sym sym_rule(int rule) { return ((Sym)rule << 1) | 1; }
static inline bool sym_is_rule(Sym s) { return s & 1; }
static inline int sym_rule_of(Sym s) { return (int)(s >> 1); }
static inline Rx sym_rx_of(Sym s) { return (s >> 1) - 1; }

typedef struct RuleAlt {
    int rule;
    uint32_t from, n; /* of made_syms */
} RuleAlt;

typedef struct Rules {
    RxPool *pool;
    int n_rules, root;
    /* While being made: */
    Sym *made_syms;
    size_t n_made_syms, n_made_syms_max;
    RuleAlt *alts;
    size_t n_alts, n_alts_max;
    /* Finished: */
    Sym *syms;
    uint32_t *first_start; /* [n_rules + 1]: starts of rule r are starts[first_start[r] ..] */
    uint32_t *starts;      /* positions */
} Rules;

Rules *rules_open(void);
void rules_close(Rules *r); /* NULL is fine */

int rules_new(Rules *r);
void rules_add(Rules *r, int rule, const Sym *syms, int n);
/* Too much for one grammar: makers look at it now and then. */
bool rules_check_size(const Rules *r, Error *err) MUST_USE;
/* names: what to call a rule in messages, or NULL. ERROR_ARGUMENT: nothing can be derived. */
bool rules_finish(Rules *r, int root, const char *(*name)(const void *context, int rule),
                  const void *context, Error *err) MUST_USE;

#endif
