/* A template and its variables: JSON, a NUL, the template. Whatever renders must be UTF-8 with
 * spans that are in order, come out the same again, and have no untrusted byte when all is trusted.
 */
#include "replay.h"

#include "base/bug.h"
#include "base/utf8.h"
#include "text/jinja.h"

static bool trusts_all(void *context, const JinjaPlace *place)
{
    (void)context;
    return place != NULL;
}

static void check_spans(const JinjaOutput *out)
{
    Str text = buf_str(&out->text);
    ASSERT(utf8_valid_prefix(text) == text.bytes);
    size_t at = 0;
    for (int i = 0; i < out->n_untrusted; i++) {
        TextSpan span = out->untrusted[i];
        ASSERT((i == 0 || span.from > at) && span.to > span.from && span.to <= text.bytes);
        Str inside = str_slice(text, span.from, span.to);
        ASSERT(utf8_valid_prefix(inside) == inside.bytes);
        at = span.to;
    }
}

static void check_template(const JinjaTemplate *t, json_t *variables)
{
    JinjaOutput out = {0}, again = {0};
    Error err = {0}, err_again = {0};
    bool ok = jinja_render(t, variables, NULL, NULL, &out, &err);
    ASSERT(ok || (err.code != ERROR_NONE && err.message[0]));
    check_spans(&out);
    bool ok_again = jinja_render(t, variables, trusts_all, NULL, &again, &err_again);
    /* Memory for spans counts, so only the untrusted rendering may reach the limit. */
    ASSERT(ok == ok_again || err.code == ERROR_LIMIT);
    ASSERT(!ok || (str_equal(buf_str(&out.text), buf_str(&again.text)) && again.n_untrusted == 0));
    jinja_output_free(&out);
    jinja_output_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Str input = {(const char *)data, n};
    ptrdiff_t end = str_find(input, STR("\0"), 0);
    size_t json_bytes = end < 0 ? 0 : (size_t)end;
    json_t *variables = json_loadb(input.data, json_bytes, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(variables)) {
        json_decref(variables);
        variables = json_object();
    }
    Error err = {0};
    JinjaTemplate *t = jinja_parse(str_slice(input, end < 0 ? 0 : json_bytes + 1, n), &err);
    if (t)
        check_template(t, variables);
    else
        ASSERT(err.code != ERROR_NONE && err.message[0]);
    jinja_free(t);
    json_decref(variables);
    return 0;
}
