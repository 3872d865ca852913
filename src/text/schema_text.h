/* JSON Schema's rules for strings and numbers as expressions over their JSON spelling. */
#ifndef WEN_TEXT_SCHEMA_TEXT_H
#define WEN_TEXT_SCHEMA_TEXT_H

#include "text/rx_chars.h"

#include <jansson.h>

/* The inside of a JSON string that has this `format`. False: the name says nothing about text. */
bool schema_format(RxPool *p, Str name, Rx *out);

/* "-?(0|[1-9]...)", without and with fraction and exponent. */
Rx schema_integer(RxPool *p);
Rx schema_number(RxPool *p);
/* Numbers that are not whole; without exponent, as all sets that speak about values are: so that a
 * number is in one exactly when its spelling is. */
Rx schema_fractional(RxPool *p);
/* Plain decimal spellings of other numbers than this one. */
Rx schema_other_number(RxPool *p, const json_t *number);

typedef struct NumberBound {
    bool is_set, is_strict;
    json_t *value; /* borrowed */
} NumberBound;

/* Plain decimal numbers (no exponent) from low to high. */
Rx schema_range(RxPool *p, NumberBound low, NumberBound high);
/* Plain decimal multiples of a positive number, or numbers that are none; RX_VOID if it has too
 * many digits. */
Rx schema_multiple(RxPool *p, const json_t *unit, bool is_negated);
/* Appends a number as it is spelled in an answer. */
void schema_put_number(Buf *out, const json_t *number);
/* The spellings that are accepted for it: 2 is also 2.0 where the schema says so. */
Rx schema_number_literal(RxPool *p, const json_t *number);
/* < 0, 0, > 0. */
int schema_compare_numbers(const json_t *a, const json_t *b);
bool schema_is_multiple(const json_t *number, const json_t *unit);

#endif
