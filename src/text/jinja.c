/* One rendering from variables to output, and its limits. Entry point: jinja_render. */
#include "text/jinja_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a template may use. A prompt of a million tokens takes a few thousand steps and its own size
 * a few times over; everything else is a template that does not end. */
enum { DEPTH_MAX = 800 };
static const uint64_t STEPS_MAX = 20 * 1000 * 1000;
static const size_t BYTES_MAX = (size_t)256 << 20;

bool jinja_fail(JinjaRun *run, const char *format, ...)
{
    char what[384];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(run->err, ERROR_ARGUMENT, "template line %d: %s", run->line, what);
}

bool jinja_fail_limit(JinjaRun *run, const char *what)
{
    return error_set(run->err, ERROR_LIMIT, "template line %d: over the limit for %s", run->line,
                     what);
}

bool jinja_spend(JinjaRun *run, size_t steps)
{
    run->steps += steps;
    return run->steps <= STEPS_MAX || jinja_fail_limit(run, "work");
}

bool jinja_enter(JinjaRun *run)
{
    if (run->depth >= DEPTH_MAX)
        return jinja_fail_limit(run, "nesting");
    run->depth++;
    return true;
}

void *jinja_alloc(JinjaRun *run, size_t bytes)
{
    size_t charged = bytes > MEM_ALIGN ? bytes : MEM_ALIGN;
    if (charged > BYTES_MAX - run->bytes) {
        jinja_fail_limit(run, "memory");
        return NULL;
    }
    run->bytes += charged;
    return arena_try_alloc(&run->arena, bytes ? bytes : 1, "a template's values", run->err);
}

const char *jinja_format(JinjaRun *run, const char *format, ...)
{
    char text[384];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t n = strlen(text);
    char *copy = jinja_alloc(run, n + 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

void jinja_output_free(JinjaOutput *out)
{
    buf_free(&out->text);
    mem_free(out->untrusted);
    *out = (JinjaOutput){0};
}

static bool copy_output(const JinjaBuilder *b, JinjaOutput *out, Error *err)
{
    if (b->n_spans > out->n_untrusted_max) {
        TextSpan *grown = mem_try_alloc(sizeof *grown * (size_t)b->n_spans, "spans", err);
        if (!grown)
            return false;
        mem_free(out->untrusted);
        out->untrusted = grown;
        out->n_untrusted_max = b->n_spans;
    }
    if (b->n_spans)
        memcpy(out->untrusted, b->spans, sizeof *b->spans * (size_t)b->n_spans);
    out->n_untrusted = b->n_spans;
    buf_append(&out->text, b->data, b->bytes);
    return true;
}

static bool load_globals(JinjaRun *run, json_t *variables)
{
    run->globals = jinja_dict_new(run);
    for (void *it = json_object_iter(variables); it && run->globals;
         it = json_object_iter_next(variables, it)) {
        JinjaPlace place = {.key = json_object_iter_key(it), .value = json_object_iter_value(it)};
        JinjaText *key = jinja_alloc(run, sizeof *key);
        JinjaValue value;
        if (!key || !jinja_from_json(run, place.value, &place, &value))
            return false;
        key->s = str_from(place.key);
        if (!jinja_dict_set(run, run->globals, jinja_string(key), value))
            return false;
    }
    return run->globals != NULL;
}

bool jinja_render(const JinjaTemplate *t, json_t *variables, JinjaTrust *is_trusted,
                  void *trust_context, JinjaOutput *out, Error *err)
{
    JinjaRun run = {.err = err, .is_trusted = is_trusted, .trust_context = trust_context};
    JinjaBuilder b = {.run = &run};
    JinjaScope root = {0};
    JinjaFlow flow = FLOW_NEXT;
    run.out = &b;
    run.scope = &root;
    buf_clear(&out->text);
    out->n_untrusted = 0;
    bool ok = load_globals(&run, variables) && jinja_exec(&run, &t->body, &flow) &&
              copy_output(&b, out, err);
    arena_close(&run.arena);
    return ok;
}
