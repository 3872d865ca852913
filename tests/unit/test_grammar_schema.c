/* JSON Schema as a grammar: tests/cases/schemas.jsonl. A line is a schema with instances that it
 * accepts and refuses, spelled as Python's json.dumps does it, or with the words of its error.
 * tests/cli/test_schema_oracle asks another implementation whether the lines are right. */
#include "reply_vocab.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/grammar.h"
#include "text/rx_chars.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static const char cases[] = "tests/cases/schemas.jsonl";

typedef struct Rig {
    Tokenizer *tokenizer;
    TokenTrie *trie;
} Rig;

static Rig rig;

static void put_number(Buf *out, const json_t *number)
{
    char text[64];
    if (json_is_integer(number)) {
        buf_printf(out, "%lld", (long long)json_integer_value(number));
        return;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, json_real_value(number));
        if (strtod(text, NULL) == json_real_value(number))
            break;
    }
    buf_puts(out, text);
}

static void put_value(Buf *out, const json_t *value)
{
    const char *key, *between = "";
    json_t *item;
    size_t i;
    if (json_is_array(value)) {
        buf_putc(out, '[');
        json_array_foreach(value, i, item)
        {
            buf_puts(out, i ? ", " : "");
            put_value(out, item);
        }
        buf_putc(out, ']');
    } else if (json_is_object(value)) {
        buf_putc(out, '{');
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
        {
            buf_printf(out, "%s\"", between);
            between = ", ";
            spell_text(out, str_from(key), SPELL_JSON);
            buf_puts(out, "\": ");
            put_value(out, item);
        }
        buf_putc(out, '}');
    } else if (json_is_string(value)) {
        buf_putc(out, '"');
        spell_text(out, (Str){json_string_value(value), json_string_length(value)}, SPELL_JSON);
        buf_putc(out, '"');
    } else if (json_is_number(value)) {
        put_number(out, value);
    } else {
        buf_puts(out, json_is_null(value) ? "null" : json_is_true(value) ? "true" : "false");
    }
}

static bool accepts(Grammar *g, Str text)
{
    Matcher *m = matcher_new(g);
    bool ok = true;
    for (size_t i = 0; i < text.bytes && ok; i++)
        ok = matcher_accept(m, (uint8_t)text.data[i]);
    ok = ok && matcher_may_end(m);
    matcher_free(m);
    return ok;
}

static void check_instances(int line, Grammar *g, const json_t *list, bool is_valid)
{
    size_t i;
    json_t *value;
    json_array_foreach(list, i, value)
    {
        Buf text = {0};
        put_value(&text, value);
        if (accepts(g, buf_str(&text)) != is_valid)
            fail_msg("line %d: %s %s", line, is_valid ? "refused" : "accepted", text.data);
        buf_free(&text);
    }
}

/* Random texts under the masks always come to an end that may be one, if they come to one; and they
 * are JSON. What they say is the oracle's to judge. */
static void check_walks(int line, Grammar *g)
{
    uint32_t *mask = mem_alloc(sizeof *mask * (size_t)rig.trie->n_words);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        Rng rng = {seed};
        Buf text = {0};
        Matcher *m = matcher_new(g);
        for (int step = 0; step < 200 && !matcher_must_end(m); step++) {
            int32_t allowed[N_TOKENS];
            int n = 0;
            matcher_mask(m, mask);
            for (int32_t id = 0; id < N_TOKENS; id++)
                if (mask[id / 32] >> (id % 32) & 1)
                    allowed[n++] = id;
            if (n == 0 && !matcher_may_end(m))
                fail_msg("line %d: a dead end behind %s", line, text.data);
            if (n == 0 || (matcher_may_end(m) && rng_below(&rng, 4) == 0))
                break;
            int32_t id = allowed[rng_below(&rng, (uint64_t)n)];
            assert_true(matcher_accept(m, id));
            buf_add(&text, tokenizer_bytes(rig.tokenizer, id));
        }
        if (matcher_may_end(m)) {
            json_error_t where;
            json_t *value =
                json_loadb(text.data, text.bytes,
                           JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &where);
            bool is_huge = !value && test_contains(where.text, "real number overflow");
            if (!value && !is_huge)
                fail_msg("line %d: not JSON (%s): %s", line, where.text, text.data);
            json_decref(value);
        }
        matcher_free(m);
        buf_free(&text);
    }
    mem_free(mask);
}

static void check_line(int line, const json_t *test)
{
    Error err = {0};
    char *schema = json_dumps(json_object_get(test, "schema"), JSON_ENCODE_ANY);
    const char *expected = json_string_value(json_object_get(test, "error"));
    Grammar *g = grammar_from_schema(rig.trie, str_from(schema), &err);
    if (g && expected)
        fail_msg("line %d: compiled; expected \"%s\"", line, expected);
    if (!g && (!expected || !test_contains(err.message, expected)))
        fail_msg("line %d: %s", line, err.message);
    if (g) {
        check_instances(line, g, json_object_get(test, "valid"), true);
        check_instances(line, g, json_object_get(test, "invalid"), false);
        check_walks(line, g);
    }
    grammar_unref(g);
    free(schema);
}

static void test_cases(void **state)
{
    (void)state;
    Error err = {0};
    Buf file = {0};
    assert_ok(file_read(&file, cases, 1 << 24, &err));
    int line = 0;
    for (char *at = file.data; *at; line++) {
        char *end = strchr(at, '\n');
        json_t *test = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
        assert_non_null(test);
        check_line(line + 1, test);
        json_decref(test);
        at = end + 1;
    }
    assert_true(line >= 100);
    buf_free(&file);
}

static Grammar *schema(const char *text)
{
    Error err = {0};
    Grammar *g = grammar_from_schema(rig.trie, str_from(text), &err);
    if (!g)
        fail_msg("%s: %s", text, err.message);
    return g;
}

static void test_space_and_order(void **state)
{
    (void)state;
    Grammar *g = schema("{\"type\": \"object\", \"properties\": {\"b\": {}, \"a\": {\"items\": "
                        "{\"type\": \"integer\"}}}, \"required\": [\"z\"]}");
    assert_true(accepts(g, STR("{\"b\":1,\"a\":[1,2],\"z\":0}")));
    assert_true(accepts(g, STR("{\n  \"b\": 1,\n  \"a\": [\n    1,\n    2\n  ],\n  \"z\" : 0\n}")));
    assert_false(accepts(g, STR("{\"a\": 1, \"b\": 1, \"z\": 0}")));
    assert_false(accepts(g, STR("{\"z\": 1, \"b\": 1}")));
    assert_false(accepts(g, STR("{\n\n\n\"z\": 1}")));
    assert_false(accepts(g, STR(" {\"z\": 1}")));
    assert_false(accepts(g, STR("{\"z\": 1}\n")));
    assert_false(accepts(g, STR("{\"z\": 1, \"b\\u0062\": 1}")));
    grammar_unref(g);
}

static void test_malformed(void **state)
{
    (void)state;
    Error err = {0};
    assert_error(grammar_from_schema(rig.trie, STR("{\"type\": "), &err), ERROR_FORMAT, "not JSON");
    assert_error(grammar_from_schema(rig.trie, STR(""), &err), ERROR_FORMAT, "not JSON");
    assert_error(grammar_from_schema(rig.trie, STR("{\"pattern\": \"[\"}"), &err),
                 ERROR_UNSUPPORTED, "#/pattern");
    /* Numbers past 64 bits are numbers. */
    Grammar *g = schema("{\"type\": \"integer\", \"maximum\": 18446744073709551616}");
    assert_true(accepts(g, STR("18446744073709551616")));
    assert_false(accepts(g, STR("28446744073709551616")));
    grammar_unref(g);
}

/* A recursive schema with overlapping branches stays small however deep the text goes. */
static void test_deep(void **state)
{
    (void)state;
    Grammar *g = schema("{\"anyOf\": [{\"type\": \"null\"}, {\"type\": \"object\", \"properties\": "
                        "{\"c\": {\"$ref\": \"#\"}}}, {\"type\": \"object\", \"properties\": "
                        "{\"c\": {\"$ref\": \"#\"}, \"d\": {\"type\": \"integer\"}}}]}");
    Buf text = {0};
    for (int i = 0; i < 300; i++)
        buf_puts(&text, "{\"c\":");
    buf_puts(&text, "null");
    for (int i = 0; i < 300; i++)
        buf_puts(&text, i % 2 ? "}" : ",\"d\":1}");
    assert_true(accepts(g, buf_str(&text)));
    assert_true(grammar_stats(g).n_states < 20000);
    buf_free(&text);
    grammar_unref(g);
}

static int open_rig(void **state)
{
    (void)state;
    Error err = {0};
    rig.tokenizer = open_reply_vocab(true);
    assert_ok(rig.trie = token_trie_open(rig.tokenizer, &err));
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    token_trie_close(rig.trie);
    tokenizer_close(rig.tokenizer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_space_and_order),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_deep),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("grammar_schema", tests, open_rig, close_rig);
}
