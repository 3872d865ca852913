/* Text with provenance: building it and the string operations of Python, all by code points. */
#ifndef WEN_TEXT_JINJA_TEXT_H
#define WEN_TEXT_JINJA_TEXT_H

#include "text/jinja_value.h"

/* Text being written. `failed` is set, with the run's error, when memory or the limit runs out;
 * further additions do nothing. */
struct JinjaBuilder {
    JinjaRun *run;
    char *data;
    size_t bytes, capacity;
    TextSpan *spans;
    int n_spans, max_spans;
    bool failed;
};

void jinja_add(JinjaBuilder *b, const JinjaText *t);
void jinja_add_slice(JinjaBuilder *b, const JinjaText *t, size_t from, size_t to);
void jinja_put(JinjaBuilder *b, Str s, bool untrusted);
void jinja_put_cp(JinjaBuilder *b, uint32_t cp, bool untrusted);
/* The finished text; NULL after a failure. */
const JinjaText *jinja_built(JinjaBuilder *b) MUST_USE;
bool jinja_built_value(JinjaBuilder *b, JinjaValue *out) MUST_USE;

/* Trusted text; the bytes are borrowed. */
const JinjaText *jinja_text(JinjaRun *run, Str s) MUST_USE;
bool jinja_text_value(JinjaRun *run, Str s, JinjaValue *out) MUST_USE;

/* Walks a text by characters. */
typedef struct JinjaCursor {
    const JinjaText *text;
    size_t at; /* byte offset of the next character */
    int span_i;
    uint32_t cp; /* the character just read */
    bool untrusted;
} JinjaCursor;
bool jinja_next_char(JinjaCursor *c);

/* The first place of `needle` at or after byte `from`, or -1; in linear time. */
ptrdiff_t jinja_find(Str s, Str needle, size_t from);
size_t jinja_n_chars(const JinjaText *t);
/* The byte offset of character `char_i`, at most the end. */
size_t jinja_char_offset(const JinjaText *t, size_t char_i);
/* Bytes from .. to-1, sharing the data. */
const JinjaText *jinja_slice_bytes(JinjaRun *run, const JinjaText *t, size_t from,
                                   size_t to) MUST_USE;
bool jinja_slice_value(JinjaRun *run, const JinjaText *t, size_t from, size_t to,
                       JinjaValue *out) MUST_USE;

/* Strips `chars` (NULL: white space) from the chosen ends. */
const JinjaText *jinja_strip(JinjaRun *run, const JinjaText *t, const JinjaText *chars, bool left,
                             bool right) MUST_USE;
/* At most `max` replacements; negative: all. */
const JinjaText *jinja_replace(JinjaRun *run, const JinjaText *t, const JinjaText *old,
                               const JinjaText *new_text, int64_t max) MUST_USE;
/* separator NULL: runs of white space. max < 0: no limit. from_right: str.rsplit. */
bool jinja_split(JinjaRun *run, const JinjaText *t, const JinjaText *separator, int64_t max,
                 bool from_right, JinjaValue *out) MUST_USE;
bool jinja_split_lines(JinjaRun *run, const JinjaText *t, bool keep_ends, JinjaValue *out) MUST_USE;
bool jinja_join(JinjaRun *run, const JinjaText *separator, const JinjaList *items, bool strict,
                JinjaValue *out) MUST_USE;

/* Letter case by Unicode's simple mappings (and the German sharp s in full). CASE_TITLE is
 * str.title, CASE_WORDS Jinja's title filter, which sees words only after white space and -({[<. */
typedef enum JinjaCase {
    CASE_UPPER,
    CASE_LOWER,
    CASE_CAPITALIZE,
    CASE_TITLE,
    CASE_WORDS,
} JinjaCase;
const JinjaText *jinja_change_case(JinjaRun *run, const JinjaText *t, JinjaCase how) MUST_USE;

/* str.isupper and str.islower. */
bool jinja_text_is_case(const JinjaText *t, bool upper);

bool jinja_is_space(uint32_t cp);     /* str.isspace of one character */
bool jinja_is_printable(uint32_t cp); /* str.isprintable */

/* "format" % value, and "format".format(...) with plain {} {0} {name} fields. */
typedef struct JinjaArgs JinjaArgs;
bool jinja_format_percent(JinjaRun *run, const JinjaText *format, JinjaValue value,
                          JinjaValue *out) MUST_USE;
bool jinja_format_braces(JinjaRun *run, const JinjaText *format, const JinjaArgs *args,
                         JinjaValue *out) MUST_USE;

#endif
