/* Inside the pool of rx.h: only rx*.c include this. */
#ifndef WEN_TEXT_RX_POOL_H
#define WEN_TEXT_RX_POOL_H

#include "base/hash_index.h"
#include "text/rx.h"

typedef enum RxKind {
    RX_KIND_VOID,
    RX_KIND_EMPTY,
    RX_KIND_BYTES,    /* a: which set */
    RX_KIND_CONCAT,   /* a, then b; a is no concatenation */
    RX_KIND_OR,       /* lists[a .. a+b-1], ascending */
    RX_KIND_AND,      /* likewise */
    RX_KIND_NOT,      /* a */
    RX_KIND_REPEAT,   /* a, min to max times */
    RX_KIND_MULTIPLE, /* a: which state of a division */
    RX_KIND_TOKEN,    /* a: id */
} RxKind;

enum {
    RX_NULLABLE = 1,
    RX_IS_FINITE = 2,
    RX_IS_INFINITE = 4,
    RX_MAY_BE_VOID = 8, /* has and, not or a division inside */
    RX_KNOWN_ALIVE = 16,
    RX_KNOWN_VOID = 32,
};

typedef struct RxNode {
    uint8_t kind, flags;
    uint16_t classes; /* plus 1; 0: not asked for yet */
    uint32_t a, b;
    int32_t min, max;
} RxNode;

/* Where the division of a decimal number by unit / 10^scale stands. */
typedef struct Division {
    uint64_t unit, rest;
    int32_t scale; /* digits behind the point that still count */
    int32_t place; /* 0: no digit yet, 1: behind a digit, 2: behind the point, 3: behind both */
} Division;

typedef struct RxPool {
    RxNode *nodes;
    size_t n, n_max;
    HashIndex index; /* of nodes */
    Rx *lists;
    size_t n_lists, n_lists_max;
    ByteSet *sets;
    size_t n_sets, n_sets_max;
    HashIndex set_index;
    Division *divisions;
    size_t n_divisions, n_divisions_max;
    HashIndex division_index;

    ByteClasses **classes; /* [n_classes], each its own block */
    size_t n_classes, n_classes_max;
    HashIndex class_index;
    PairMap joins;   /* (a, b) -> classes */
    uint64_t work;        /* done on derivatives so far: parts looked at */
    uint64_t search_work; /* of it, to find out what is void */
    size_t n_given_up;    /* searches that ended without an answer */
    PairMap derived; /* (expression, class) -> expression */
    Rx *scratch;     /* for making lists */
    size_t n_scratch, n_scratch_max;
} RxPool;

Rx rx_intern(RxPool *p, RxNode node);
/* A union (or intersection) of the scratch list's items from `from` on, which are taken off it. */
Rx rx_make_list(RxPool *p, RxKind kind, size_t from);
void rx_scratch_push(RxPool *p, Rx a);
Rx rx_division(RxPool *p, const Division *d);

static inline const RxNode *rx_node(const RxPool *p, Rx a) { return &p->nodes[a]; }

#endif
