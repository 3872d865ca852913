/* The automaton of a grammar, made as it is reached. Only grammar*.c include this.
 *
 *   Ways    what may come behind a terminal: a set of (position to go on at, the Ways behind that
 *           alternative), kept once and numbered. It is a set of stacks as a graph with shared
 *           tails, each position once on a level, so that ambiguity costs width and not copies.
 *   Thread  the rest of a terminal, and the Ways behind it.
 *   State   a set of threads, each rest once, and whether the text may end here. */
#ifndef WEN_TEXT_GRAMMAR_MACHINE_H
#define WEN_TEXT_GRAMMAR_MACHINE_H

#include "base/hash_index.h"
#include "text/grammar_rules.h"

typedef uint32_t Ways;
typedef uint32_t State;

enum {
    WAYS_NONE = 0,
    STATE_DEAD = 0,
};
static const State STATE_UNKNOWN = UINT32_MAX;

typedef struct Way {
    uint32_t pos; /* 0: the end of the text */
    Ways behind;
} Way;

typedef struct WaysNode {
    uint32_t from, n; /* of all_ways */
} WaysNode;

typedef struct Thread {
    Rx rest;
    Ways ways;
} Thread;

typedef struct StateNode {
    const uint8_t *class_of; /* [256]; NULL: not stepped from yet */
    State *next;             /* [classes] */
    uint32_t from;           /* of all_threads, ascending rest */
    uint32_t n : 31;
    uint32_t may_end : 1;
    uint32_t mask; /* which cached mask, plus 1 */
} StateNode;

typedef struct Machine {
    Rules *rules; /* owned */
    RxPool *pool; /* of rules */
    size_t n_made_expressions;

    Way *all_ways;
    size_t n_all_ways, n_all_ways_max;
    WaysNode *ways;
    size_t n_ways, n_ways_max;
    HashIndex ways_index;
    PairMap unions;

    Thread *all_threads;
    size_t n_all_threads, n_all_threads_max;
    StateNode *states;
    size_t n_states, n_states_max;
    HashIndex state_index;
    Arena rows; /* StateNode.next */
    size_t row_bytes;
    State start;

    /* A state being made: */
    Thread *made;
    size_t n_made, n_made_max;
    Way *todo; /* positions to enter, and those entered */
    size_t n_todo, n_todo_max;
    PairMap entered; /* of many, the ones in todo */
    bool made_may_end;
} Machine;

void machine_open(Machine *m, Rules *finished); /* takes the rules */
void machine_close(Machine *m);
/* Forgets all states but kept [n_kept], which get new numbers, as the start does. */
void machine_reset(Machine *m, State *kept, size_t n_kept);
/* Memory that machine_reset would give back, about. */
size_t machine_bytes(const Machine *m);

/* The state behind this byte. */
State machine_step_slow(Machine *m, State s, uint8_t byte);
static inline State machine_step(Machine *m, State s, uint8_t byte)
{
    const StateNode *node = &m->states[s];
    State next = node->class_of ? node->next[node->class_of[byte]] : STATE_UNKNOWN;
    return next != STATE_UNKNOWN ? next : machine_step_slow(m, s, byte);
}
/* The state behind a token that the grammar names by id. */
State machine_step_token(Machine *m, State s, int32_t id);

#endif
