/* text/jinja: the recorded behaviour of the real Jinja, provenance of text, limits. */
#include "support.h"

#include "base/mem.h"
#include "text/jinja.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Renders; the caller frees `out`. */
static bool render(const char *source, json_t *variables, JinjaTrust *trust, JinjaOutput *out,
                   Error *err)
{
    JinjaTemplate *t = jinja_parse(str_from(source), err);
    bool ok = t && jinja_render(t, variables, trust, NULL, out, err);
    jinja_free(t);
    return ok;
}

static int check_case(json_t *row, json_t *variables)
{
    const char *template = json_string_value(json_object_get(row, "template"));
    const char *expected = json_string_value(json_object_get(row, "output"));
    const char *error = json_string_value(json_object_get(row, "error"));
    Error err = {0};
    JinjaOutput out = {0};
    bool ok = render(template, variables, NULL, &out, &err);
    Str text = buf_str(&out.text);
    int wrong = 0;
    if (expected && !(ok && str_equals(text, expected))) {
        print_message("# %s\n#   expected %s\n#   got      %s\n", template, expected,
                      ok ? text.data : err.message);
        wrong = 1;
    }
    if (error && ok) {
        print_message("# %s\n#   expected error %s\n#   got %s\n", template, error, text.data);
        wrong = 1;
    }
    if (error && !ok && getenv("WEN_SHOW_ERRORS"))
        print_message("# %s\n#   %s\n#   %s\n", template, error, err.message);
    jinja_output_free(&out);
    return wrong;
}

static void behaves_as_jinja(void **state)
{
    (void)state;
    FILE *f = fopen("tests/cases/jinja.jsonl", "r");
    assert_non_null(f);
    char *line = NULL;
    size_t capacity = 0;
    json_t *variables = NULL;
    int wrong = 0, n = 0;
    while (getline(&line, &capacity, f) > 0) {
        json_error_t why;
        json_t *row = json_loads(line, JSON_ALLOW_NUL, &why);
        if (!row)
            fail_msg("line %d: %s", n + 1, why.text);
        if (!variables)
            variables = json_incref(json_object_get(row, "variables"));
        else
            wrong += check_case(row, variables);
        n++;
        json_decref(row);
    }
    free(line);
    fclose(f);
    json_decref(variables);
    assert_true(n > 400);
    assert_int_equal(wrong, 0);
}

/* Trusts whatever stands under a member called "trusted". */
static bool trusts_by_name(void *context, const JinjaPlace *place)
{
    (void)context;
    for (; place; place = place->parent)
        if (place->key && strcmp(place->key, "trusted") == 0)
            return true;
    return false;
}

/* Renders and puts untrusted spans between < and >. */
static char *marked(const char *source, const char *variables, JinjaTrust *trust)
{
    Error err = {0};
    JinjaOutput out = {0};
    json_error_t why;
    json_t *json = json_loads(variables, 0, &why);
    assert_non_null(json);
    if (!render(source, json, trust, &out, &err))
        fail_msg("%s: %s", source, err.message);
    Buf text = {0};
    size_t at = 0;
    for (int i = 0; i < out.n_untrusted; i++) {
        TextSpan span = out.untrusted[i];
        assert_true(span.from >= at && span.to > span.from && span.to <= out.text.bytes);
        assert_true(i == 0 || span.from > at); /* touching spans are one */
        buf_add(&text, str_slice(buf_str(&out.text), at, span.from));
        buf_putc(&text, '<');
        buf_add(&text, str_slice(buf_str(&out.text), span.from, span.to));
        buf_putc(&text, '>');
        at = span.to;
    }
    buf_add(&text, str_slice(buf_str(&out.text), at, out.text.bytes));
    jinja_output_free(&out);
    json_decref(json);
    return text.data ? text.data : mem_strdup("");
}

static void provenance_follows_every_operation(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"x{{ s }}y", "x<a-b-c>y"},
        {"{{ 'q' + s + 'r' }}{{ s ~ 1 ~ s }}", "q<a-b-c>r<a-b-c>1<a-b-c>"},
        {"{{ s + s }}|{{ s * 2 }}|{{ 'x' * 2 }}", "<a-b-ca-b-c>|<a-b-ca-b-c>|xx"},
        {"{{ ('x' + s + 'y')[1:3] }} {{ ('x' + s + 'y')[::-1] }} {{ ('x' + s)[0] }}{{ ('x' + s)[1] "
         "}}",
         "<a-> y<c-b-a>x x<a>"},
        {"{{ ('xx' + s + 'xx').strip('x') }} {{ ('  ' ~ s ~ ' ')|trim }} {{ ('n' + s).lstrip('na') "
         "}}",
         "<a-b-c> <a-b-c> <-b-c>"},
        {"{{ ('k' + s + 'k').split('-')|join('+') }}", "k<a>+<b>+<c>k"},
        {"{{ ('a.b' ~ s).replace('.', '') }}{{ '%s' % ('x' ~ s) }}{{ ('x' ~ s)[::1] }}",
         "ab<a-b-c>x<a-b-c>x<a-b-c>"},
        {"{{ s.split('-')[-1] }}{{ (s ~ '!').rsplit('-', 1) }}", "<c>['<a-b>', '<c>!']"},
        {"{{ s.replace('-', '_') }} {{ 'a.b'.replace('.', s) }} {{ s|replace('a', s) }}",
         "<a>_<b>_<c> a<a-b-c>b <a-b-c-b-c>"},
        {"{{ ('x' ~ s)|upper }} {{ (s ~ 'x').title() }} {{ s|capitalize }} {{ ('q' ~ s)|title }}",
         "X<A-B-C> <A-B-C>x <A-b-c> Q<a-B-C>"},
        {"{{ [s, 'x', o]|tojson }}", "[\"<a-b-c>\", \"x\", {\"<k>\": \"<v\\\"\\n>\"}]"},
        {"{{ o|tojson(indent=1) }}", "{\n \"<k>\": \"<v\\\"\\n>\"\n}"},
        {"{{ [s, 'x'] }} {{ o }}", "['<a-b-c>', 'x'] {'<k>': '<v\"\\n>'}"},
        {"{{ '%s/%s/%5s|%.1s' % (s, 'x', 'y', s) }}", "<a-b-c>/x/    y|<a>"},
        {"{{ '{}/{x}'.format(s, x='y') }} {{ (s ~ '{}').format('z') }} {{ '%s'|format(s) }}",
         "<a-b-c>/y <a-b-c>z <a-b-c>"},
        {"{{ s.join(['1', '2']) }} {{ [s, 1]|join('-') }} {{ 'ab'|join(s) }}",
         "1<a-b-c>2 <a-b-c>-1 a<a-b-c>b"},
        {"{% for k, v in o.items() %}{{ k }}={{ v|length }}{% endfor %}{% for c in s %}{{ c }}.{% "
         "endfor %}",
         "<k>=3<a>.<->.<b>.<->.<c>."},
        {"{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(s) }}{{ m('t') }}", "[<a-b-c>][t]"},
        {"{% set b %}p{{ s }}q{% endset %}{{ b }}{{ b[1:] }}{% filter upper %}r{{ s }}{% endfilter "
         "%}",
         "p<a-b-c>q<a-b-c>qR<A-B-C>"},
        {"{% set ns = namespace(v=s) %}{% set ns.w = 'w' ~ ns.v %}{{ ns.w }}", "w<a-b-c>"},
        {"{{ s|string }}{{ n }}{{ n|string }}{{ 'x' if s else 'y' }}{{ s and 'z' }}",
         "<a-b-c>55xz"},
        {"{{ s|list }}{{ s|first }}{{ s|reverse }}{{ s|sort|join }}",
         "['<a>', '<->', '<b>', '<->', '<c>']<ac-b-a--abc>"},
        {"{{ ('x\n' ~ s ~ '\ny')|indent(1) }}{{ ('1\n' ~ s).splitlines() }}",
         "x\n <a-b-c>\n y['1', '<a-b-c>']"},
        {"{{ s.partition('-') }}{{ ('z' ~ s).removeprefix('za') }}{{ s.ljust(6) }}|",
         "('<a>', '<->', '<b-c>')<-b-ca-b-c> |"},
        {"{{ strftime_now('a')[0] }}{{ u }}{{ u[1:3]|upper }}",
         "a<h\xC3\xA9\xE6\x97\xA5><\xC3\x89\xE6\x97\xA5>"},
        {"{{ trusted }}{{ s }}{{ deep.trusted.x }}{{ deep.y }}", "T<a-b-c>DT<y>"},
        {"{{ s is defined }}{{ undefined_thing ~ s }}{{ s|default('d') }}{{ no|default(s, true) }}",
         "True<a-b-ca-b-ca-b-c>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = marked(
            cases[i][0],
            "{\"s\": \"a-b-c\", \"o\": {\"k\": \"v\\\"\\n\"}, \"n\": 5, \"u\": \"h\\u00e9\\u65e5\","
            " \"trusted\": \"T\", \"deep\": {\"trusted\": {\"x\": \"DT\"}, \"y\": \"y\"}, \"no\": "
            "null}",
            trusts_by_name);
        /* Touching untrusted pieces are one span: the mark between them is not there. */
        char *expected = mem_strdup(cases[i][1]);
        for (char *hit; (hit = strstr(expected, "><")) != NULL;)
            memmove(hit, hit + 2, strlen(hit + 2) + 1);
        assert_string_equal(got, expected);
        mem_free(expected);
        mem_free(got);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor "
         "%}{% endfor %}{% endfor %}",
         "limit for memory"},
        {"{% set ns = namespace(x='aaaaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x * 9 "
         "%}{% endfor %}",
         "over the limit"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% "
         "endfor %}{{ ns.x == ns.x }}",
         "limit for work"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% "
         "endfor %}{{ ns.x|tojson }}",
         "limit for work"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% "
         "endfor "
         "%}{{ ns.x }}",
         "limit for nesting"},
        {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "limit for nesting"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "limit for nesting"},
        {"{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "limit for nesting"},
        {"{{ 'a' * 999999999999 }}", "limit for the length of a repetition"},
        {"{{ [0] * 999999999 }}", "limit for the length of a repetition"},
        {"{{ 'a'.ljust(99999999999) }}", "limit for a string's width"},
        {"{{ ('a' * 100000).replace('', 'b' * 100000) }}", "limit for memory"},
        {"{% for i in range(100000) %}{{ ('a' * 100000)[i:] == ('a' * 100000) }}{% endfor %}",
         "over the limit"},
        {"{% for i in range(100000) %}{{ ('a' * 100000).strip('b' * 100000) }}{% endfor %}",
         "over the limit"},
        {"{{ ('a' * 100000).rfind('b' + 'a' * 50000) }}{% for i in range(100000) %}{{ ('a' * "
         "100000).rfind('b' + 'a' * 50000) }}{% endfor %}",
         "limit for work"},
    };
    json_t *nothing = json_object();
    JinjaOutput out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Error err = {0};
        assert_error(render(cases[i][0], nothing, NULL, &out, &err), ERROR_LIMIT, cases[i][1]);
        assert_int_equal(out.text.bytes, 0);
    }
    /* What is nested too deeply to parse is refused without recursion running away. */
    static const char *const openers[] = {
        "{{ (",   "{{ [",  "{{ not ", "{{ -",          "{% if 1 %}", "{{ a if b else ",
        "{{ {1:", "{{ x[", "{{ f(",   "{{ 'a' is in ("};
    for (size_t i = 0; i < sizeof openers / sizeof *openers; i++) {
        Buf source = {0};
        buf_puts(&source, openers[i]);
        const char *again = openers[i][1] == '{' ? openers[i] + 3 : openers[i];
        for (int n = 0; n < 50000; n++)
            buf_puts(&source, again);
        Error err = {0};
        assert_false(render(source.data, nothing, NULL, &out, &err));
        assert_int_equal(err.code, ERROR_FORMAT);
        buf_free(&source);
    }
    /* Long but shallow is fine. */
    Buf source = {0};
    buf_puts(&source, "{{ 1");
    for (int n = 0; n < 150; n++)
        buf_puts(&source, " + 1");
    buf_puts(&source, " }}{{ 1");
    for (int n = 0; n < 5000; n++)
        buf_puts(&source, " ~ 1");
    buf_puts(&source, " }}");
    Error err = {0};
    assert_ok(render(source.data, nothing, NULL, &out, &err));
    assert_int_equal(out.text.bytes, 3 + 5001);
    buf_free(&source);
    jinja_output_free(&out);
    json_decref(nothing);
}

static void errors_give_the_line(void **state)
{
    (void)state;
    json_t *nothing = json_object();
    JinjaOutput out = {0};
    Error err = {0};
    assert_error(render("a\n\n{{ 1 }}\n{{ x.y }}", nothing, NULL, &out, &err), ERROR_ARGUMENT,
                 "template line 4: 'x' is undefined");
    assert_error(render("\n{% for x in y %}\n{% nosuch %}", nothing, NULL, &out, &err),
                 ERROR_FORMAT, "template line 3: unknown statement 'nosuch'");
    assert_error(render("{#\n\n#}{{ 1|nosuch }}", nothing, NULL, &out, &err), ERROR_ARGUMENT,
                 "template line 3: there is no filter 'nosuch'");
    assert_error(render("{{ 1 is\nnosuch }}", nothing, NULL, &out, &err), ERROR_ARGUMENT,
                 "line 2: there is no test 'nosuch'");
    assert_error(render("\xff", nothing, NULL, &out, &err), ERROR_FORMAT, "byte 0: not UTF-8");
    assert_error(render("{{ raise_exception('Only ' ~ 1) }}", nothing, NULL, &out, &err),
                 ERROR_ARGUMENT, "Only 1");
    assert_string_equal(err.message, "Only 1");
    /* A filter that does not exist does no harm where it is not reached. */
    assert_ok(render("{% if 0 %}{{ 1|nosuch }}{% endif %}ok", nothing, NULL, &out, &err));
    assert_string_equal(out.text.data, "ok");
    jinja_output_free(&out);
    json_decref(nothing);
}

static void knows_the_names_it_reads(void **state)
{
    (void)state;
    Error err = {0};
    JinjaTemplate *t =
        jinja_parse(STR("{% if a.b %}{{ c('enable') }}{% set q = 1 %}{% endif %}"), &err);
    assert_non_null(t);
    assert_true(jinja_mentions(t, "a") && jinja_mentions(t, "c"));
    assert_false(jinja_mentions(t, "b") || jinja_mentions(t, "enable") || jinja_mentions(t, "q"));
    jinja_free(t);
    jinja_free(NULL);
}

/* Every allocation sized by the template or its data may fail: an error each time, nothing lost. */
static void survives_failing_allocations(void **state)
{
    (void)state;
    json_t *variables = json_pack("{s:s, s:[i,i]}", "s", "text", "l", 1, 2);
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        JinjaOutput out = {0};
        Error err = {0};
        mem_fail_after(n);
        done = render("{% for x in l %}{{ (s ~ x)|upper|tojson }}{{ s.split('e') }}{% endfor %}",
                      variables, NULL, &out, &err);
        mem_fail_after(0);
        if (!done)
            assert_int_equal(err.code, ERROR_MEMORY);
        jinja_output_free(&out);
        assert_true(n < 1000);
    }
    json_decref(variables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_jinja),
        cmocka_unit_test(provenance_follows_every_operation),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(errors_give_the_line),
        cmocka_unit_test(knows_the_names_it_reads),
        cmocka_unit_test(survives_failing_allocations),
    };
    return TEST_MAIN("jinja", tests);
}
