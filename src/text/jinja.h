/* A small Jinja: what chat templates use, run as shipped.
 *
 * Statements if/elif/else, for (with loop.*, else, inline if, unpacking, recursive excluded), set
 * (also namespace attributes and block set), macro and call of it, raw, comments, generation
 * blocks (ignored), whitespace control; trim_blocks and lstrip_blocks on, as Transformers sets them.
 * Expressions: literals, lists, dicts, tuples, slices, attribute and item access, calls with
 * keywords, arithmetic, ~, comparisons, in, is TEST, and/or/not, inline if, filters. Unknown
 * constructs are errors that give line and name. Source: Jinja 3.1 template designer documentation.
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
void jinja_free(JinjaTemplate *t);

typedef struct JinjaOutput {
    Buf text;
    TextSpan *untrusted; /* spans of `text` that came from untrusted strings; sorted, disjoint */
    int n_untrusted, n_untrusted_max;
} JinjaOutput;
void jinja_output_free(JinjaOutput *out);

/* Renders with the members of the JSON object `variables` as globals. A string anywhere inside is
 * untrusted unless `is_trusted(path context)` says otherwise: see chat.h, which marks assistant
 * history. JSON null is None; an absent member is undefined. raise_exception(text) in the template
 * becomes an Error with that text. Bounded: steps, output and depth have limits. */
typedef bool JinjaTrust(void *context, const json_t *string_value);
bool jinja_render(const JinjaTemplate *t, json_t *variables, JinjaTrust *is_trusted,
                  void *trust_context, JinjaOutput *out, Error *err) MUST_USE;

#endif
