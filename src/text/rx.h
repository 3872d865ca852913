/* Regular expressions over bytes, as sets of strings that can be intersected and complemented.
 *
 * An expression is a number in a pool that keeps each one once: equal numbers, equal sets (not the
 * other way round). Matching is by derivatives (Brzozowski 1964; Owens, Reppy, Turon 2009): the
 * derivative of a set by a byte is what may follow that byte, so expressions are at the same time
 * the states of an automaton, made as they are reached. Bytes that an expression cannot tell apart
 * form a class; derivatives are kept for each class.
 *
 * A pool is not locked. It grows with every derivative; rx_forget cuts it back. */
#ifndef WEN_TEXT_RX_H
#define WEN_TEXT_RX_H

#include "base/str.h"

typedef uint32_t Rx;
enum {
    RX_VOID = 0,  /* no string */
    RX_EMPTY = 1, /* the empty string */
    RX_ALL = 2,   /* every string of bytes */
    RX_MANY = -1, /* a maximum that is none */
    RX_REPEAT_MAX = 1 << 24,
};

typedef struct RxPool RxPool;

RxPool *rx_open(void);
void rx_close(RxPool *p); /* NULL is fine */

/* A set of bytes: bit b of the 256. */
typedef struct ByteSet {
    uint64_t bits[4];
} ByteSet;
static inline void byte_set_add(ByteSet *s, int from, int to)
{
    for (int b = from; b <= to; b++)
        s->bits[b / 64] |= UINT64_C(1) << (b % 64);
}
static inline bool byte_set_has(const ByteSet *s, int b) { return s->bits[b / 64] >> (b % 64) & 1; }

/* ---- Making ---------------------------------------------------------------------------------- */

Rx rx_bytes(RxPool *p, const ByteSet *set);
Rx rx_byte_range(RxPool *p, int from, int to);
Rx rx_literal(RxPool *p, Str text);
/* Any of these texts; common beginnings are shared. `texts` is sorted in place. */
Rx rx_literals(RxPool *p, Str *texts, int n);
Rx rx_concat(RxPool *p, Rx a, Rx b);
Rx rx_or(RxPool *p, Rx a, Rx b);
Rx rx_or_all(RxPool *p, const Rx *items, int n);
Rx rx_and(RxPool *p, Rx a, Rx b);
Rx rx_not(RxPool *p, Rx a);
/* a, min to max times; max may be RX_MANY. */
Rx rx_repeat(RxPool *p, Rx a, int min, int max);
static inline Rx rx_optional(RxPool *p, Rx a) { return rx_repeat(p, a, 0, 1); }

/* Decimal numbers without sign and exponent whose value is a multiple of unit / 10^scale: digits
 * with perhaps a point and more digits. unit is from 1 to 10^15, scale from 0 to 15. */
Rx rx_multiple(RxPool *p, uint64_t unit, int scale);

/* One token of the vocabulary, known by its id and not by bytes: only for whole terminals. No byte
 * leads on from it. */
Rx rx_token(RxPool *p, int32_t id);
/* The id of such an expression, or -1. */
int32_t rx_token_id(const RxPool *p, Rx a);

/* ---- Asking ---------------------------------------------------------------------------------- */

/* The empty string is in it. */
bool rx_is_nullable(const RxPool *p, Rx a);
/* No string is in it. Remembered; costs a search the first time, if a is made with and or not. */
bool rx_is_void(RxPool *p, Rx a);
/* Certainly finitely many strings; certainly infinitely many. Both may be false. */
bool rx_is_finite(const RxPool *p, Rx a);
bool rx_is_infinite(const RxPool *p, Rx a);
/* The parts of an intersection, for who knows better; 0 when it is none. Borrowed until the next
 * expression is made. */
int rx_and_parts(const RxPool *p, Rx a, const Rx **parts);
/* If a is a concatenation: its first part (which is none) and the rest. */
bool rx_concat_parts(const RxPool *p, Rx a, Rx *first, Rx *rest);
/* If a is the complement of something: that, else RX_VOID. */
Rx rx_not_part(const RxPool *p, Rx a);

bool rx_matches(RxPool *p, Rx a, Str text);

/* ---- Derivatives ----------------------------------------------------------------------------- */

/* What may follow `byte`; RX_VOID also when it would lead nowhere. */
Rx rx_derive(RxPool *p, Rx a, uint8_t byte);

/* A partition of the bytes: class_of[b] counts from 0, sample[c] is one byte of class c. */
typedef struct ByteClasses {
    uint8_t class_of[256];
    uint8_t sample[256];
    int n;
} ByteClasses;
/* Partitions are numbered too; what is got stays valid until rx_close. */
int rx_classes(RxPool *p, Rx a);
int rx_classes_join(RxPool *p, int a, int b); /* the coarsest that is finer than both */
const ByteClasses *rx_classes_get(const RxPool *p, int classes);

/* ---- Size ------------------------------------------------------------------------------------ */

size_t rx_count(const RxPool *p); /* expressions */
/* Searches of rx_is_void that took too long; they said "not void". */
size_t rx_given_up(const RxPool *p);
/* Only the first `count` expressions stay, and kept [n_kept], which get new numbers. */
void rx_forget(RxPool *p, size_t count, Rx *kept, size_t n_kept);

#endif
