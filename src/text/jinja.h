/* A small Jinja: what chat templates use, run as shipped.
 *
 * Statements: if/elif/else, for (loop.*, else, inline if, unpacking, break, continue; not
 * recursive), set (also namespace attributes, tuples, blocks with filters), macro, call, filter,
 * with, raw, comments, generation blocks (their marks are ignored), white space control;
 * trim_blocks and lstrip_blocks are on, as Transformers sets them.
 * Expressions: all of Jinja's. Filters, tests, methods and functions: the usual ones; the rest are
 * errors, when they are reached, that name them. Every error gives the line.
 * Source of the semantics: Jinja 3.1, Template Designer Documentation; tests/cases/jinja.jsonl.
 * Known differences: integers have 64 bits; lazy iterators (map, select, range) are lists; no
 * groupby, batch, wordwrap and other filters for web pages.
 *
 * Every string remembers which of its bytes came from the caller's data (through concatenation,
 * slices, strip, replace, tojson ...): see JinjaOutput.untrusted. */
#ifndef WEN_TEXT_JINJA_H
#define WEN_TEXT_JINJA_H

#include "base/mem.h"
#include "text/tokenizer.h"

#include <jansson.h>

typedef struct JinjaTemplate JinjaTemplate;

JinjaTemplate *jinja_parse(Str source, Error *err) MUST_USE;
void jinja_free(JinjaTemplate *t); /* NULL is fine */
/* True when the template reads a variable of this name anywhere. */
bool jinja_mentions(const JinjaTemplate *t, const char *name);

typedef struct JinjaOutput {
    Buf text;
    TextSpan *untrusted; /* spans of `text` that came from untrusted strings; sorted, disjoint */
    int n_untrusted, n_untrusted_max;
} JinjaOutput;
void jinja_output_free(JinjaOutput *out);

/* Where a JSON value stands in `variables`: its parent, and its key or index there. The outermost
 * place (parent NULL) is that of a variable. */
typedef struct JinjaPlace JinjaPlace;
struct JinjaPlace {
    const JinjaPlace *parent;
    const char *key; /* NULL: an element of an array */
    size_t index;
    const json_t *value;
};

/* Renders with the members of the JSON object `variables` as globals. A string is untrusted unless
 * `is_trusted` (NULL: nothing is) says otherwise of its place; for the keys of an object, of the
 * object's place. JSON null is None; an absent member is undefined. raise_exception(text) in the
 * template becomes an Error with that text. Bounded: steps, memory and depth have limits
 * (ERROR_LIMIT). `out` may be used again and again; on failure it holds nothing. */
typedef bool JinjaTrust(void *context, const JinjaPlace *place);
bool jinja_render(const JinjaTemplate *t, json_t *variables, JinjaTrust *is_trusted,
                  void *trust_context, JinjaOutput *out, Error *err) MUST_USE;

#endif
