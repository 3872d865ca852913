/* text/grammar: what is accepted, masks against acceptance, forced tokens, tools, errors. */
#include "reply_vocab.h"

#include "base/mem.h"
#include "base/rng.h"
#include "text/grammar.h"

#include <string.h>

typedef struct Rig {
    Tokenizer *tokenizer;
    TokenTrie *trie;
} Rig;

static Rig rig;

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

/* The ids of a text: tags become their tokens, longer tokens where they fit (with `long_ones`). */
static Ids ids_of(const char *text, bool long_ones)
{
    Ids ids = {0};
    while (*text) {
        size_t n = 0;
        for (int i = 0; i < N_ADDED && n == 0; i++) {
            if (strncmp(text, added_tokens[i], strlen(added_tokens[i])) == 0) {
                ids_push(&ids, FIRST_ADDED + i);
                n = strlen(added_tokens[i]);
            }
        }
        for (int i = 0; i < N_LONGER && n == 0 && long_ones; i++) {
            if (strncmp(text, longer_tokens[i], strlen(longer_tokens[i])) == 0) {
                ids_push(&ids, 256 + i);
                n = strlen(longer_tokens[i]);
            }
        }
        if (n == 0) {
            ids_push(&ids, (unsigned char)*text);
            n = 1;
        }
        text += n;
    }
    return ids;
}

static bool accepts(Grammar *g, const char *text)
{
    bool ok[2];
    for (int k = 0; k < 2; k++) {
        Ids ids = ids_of(text, k == 1);
        Matcher *m = matcher_new(g);
        ok[k] = true;
        for (int i = 0; i < ids.n && ok[k]; i++)
            ok[k] = matcher_accept(m, ids.data[i]);
        ok[k] = ok[k] && matcher_may_end(m);
        matcher_free(m);
        ids_free(&ids);
    }
    if (ok[0] != ok[1])
        fail_msg("\"%s\": accepted as bytes %d, as tokens %d", text, ok[0], ok[1]);
    return ok[0];
}

static void assert_accepts(Grammar *g, const char *text)
{
    if (!accepts(g, text))
        fail_msg("refused: %s", text);
}

static void assert_refuses(Grammar *g, const char *text)
{
    if (accepts(g, text))
        fail_msg("accepted: %s", text);
}

static Grammar *gbnf(const char *text)
{
    Error err = {0};
    Grammar *g = grammar_from_gbnf(rig.trie, str_from(text), &err);
    if (!g)
        fail_msg("%s", err.message);
    return g;
}

static Grammar *schema(const char *text)
{
    Error err = {0};
    Grammar *g = grammar_from_schema(rig.trie, str_from(text), &err);
    if (!g)
        fail_msg("%s: %s", text, err.message);
    return g;
}

static Grammar *tools(ToolRules rules)
{
    Error err = {0};
    Grammar *g = grammar_from_tools(rig.trie, &rules, &err);
    if (!g)
        fail_msg("%s", err.message);
    return g;
}

/* ---- Masks ----------------------------------------------------------------------------------- */

/* A bit is set exactly when the token is accepted, all along random texts. */
static void walk(Grammar *g, uint64_t seed)
{
    Rng rng = {seed};
    uint32_t *mask = mem_alloc(sizeof *mask * (size_t)rig.trie->n_words);
    Ids taken = {0};
    Matcher *m = matcher_new(g);
    for (int step = 0; step < 30; step++) {
        int32_t allowed[N_TOKENS];
        int n = 0;
        matcher_mask(m, mask);
        for (int32_t id = 0; id < N_TOKENS; id++) {
            Matcher *trial = matcher_new(g);
            for (int i = 0; i < taken.n; i++)
                assert_true(matcher_accept(trial, taken.data[i]));
            bool ok = matcher_accept(trial, id);
            matcher_free(trial);
            if (ok != (mask[id / 32] >> (id % 32) & 1))
                fail_msg("seed %d step %d: token %d: mask %d, accepted %d", (int)seed, step,
                         (int)id, !ok, ok);
            if (ok)
                allowed[n++] = id;
        }
        assert_true(n > 0 || matcher_must_end(m));
        if (n == 0)
            break;
        int32_t id = allowed[rng_below(&rng, (uint64_t)n)];
        assert_true(matcher_accept(m, id));
        ids_push(&taken, id);
    }
    matcher_free(m);
    ids_free(&taken);
    mem_free(mask);
}

static void test_masks(void **state)
{
    (void)state;
    Grammar *grammars[] = {
        schema("{}"),
        schema("{\"type\": \"object\", \"properties\": {\"the\": {\"type\": \"string\", "
               "\"maxLength\": 5}, \"call\": {\"type\": \"integer\", \"minimum\": -3}}, "
               "\"required\": [\"call\"]}"),
        schema("{\"type\": \"string\", \"pattern\": \"^[a-f]*\\u65e5?$\"}"),
        gbnf("root ::= \"(\" root \")\" | [a-c]+ | \" the\" <tool_call> root"),
        tools((ToolRules){.tools = STR("[{\"function\": {\"name\": \"f\"}}]")}),
    };
    for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++) {
        for (uint64_t seed = 0; seed < 3; seed++)
            walk(grammars[i], seed);
        grammar_unref(grammars[i]);
    }
}

static void test_masks_are_kept(void **state)
{
    (void)state;
    Grammar *g = schema("{\"type\": \"array\", \"items\": {\"type\": \"string\"}}");
    uint32_t *mask = mem_alloc(sizeof *mask * (size_t)rig.trie->n_words);
    for (int round = 0; round < 3; round++) {
        Matcher *m = matcher_new(g);
        for (const char *c = "[\"ab\", \"ab\", \"ab\"]"; *c; c++) {
            matcher_mask(m, mask);
            assert_true(matcher_accept(m, (unsigned char)*c));
        }
        matcher_free(m);
    }
    /* 8 places: [ " inside , blank, after an item ... and no more for each item and round. */
    GrammarStats stats = grammar_stats(g);
    assert_in_range(stats.n_masks, 4, 9);
    assert_int_equal(stats.n_masks + stats.n_masks_found, 3 * 18);
    mem_free(mask);
    grammar_unref(g);
}

/* An automaton that has grown past its limit starts over under a running matcher. */
static void test_starts_over(void **state)
{
    (void)state;
    Grammar *g = schema("{\"type\": \"string\", \"minLength\": 400000}");
    uint32_t *mask = mem_alloc(sizeof *mask * (size_t)rig.trie->n_words);
    Matcher *m = matcher_new(g);
    assert_true(matcher_accept(m, '"'));
    size_t most = 0, last = 0;
    for (int i = 0; i < 400000; i++) {
        assert_true(matcher_accept(m, 'x'));
        if (i % 1000 == 0) {
            matcher_mask(m, mask);
            assert_int_equal(mask['"' / 32] >> ('"' % 32) & 1, 0);
            last = grammar_stats(g).n_states;
            most = last > most ? last : most;
        }
    }
    assert_true(last < most);
    assert_true(matcher_accept(m, '"') && matcher_must_end(m));
    matcher_free(m);
    mem_free(mask);
    grammar_unref(g);
}

/* ---- Regex, choices, GBNF -------------------------------------------------------------------- */

static void test_regex_and_choices(void **state)
{
    (void)state;
    Error err = {0};
    Grammar *g = grammar_from_regex(rig.trie, STR("[A-Z]{2}-\\d+"), &err);
    assert_non_null(g);
    assert_accepts(g, "AB-12");
    assert_refuses(g, "AB-");
    assert_refuses(g, "xAB-1");
    grammar_unref(g);
    Str texts[] = {STR("yes"), STR("no"), STR("not sure")};
    g = grammar_from_choices(rig.trie, texts, 3, &err);
    assert_accepts(g, "no");
    assert_accepts(g, "not sure");
    assert_refuses(g, "not");
    assert_refuses(g, "yesno");
    grammar_unref(g);
    assert_error(grammar_from_choices(rig.trie, texts, 0, &err), ERROR_ARGUMENT, "choices");
    assert_error(grammar_from_regex(rig.trie, STR("a(?=b)c"), &err), ERROR_ARGUMENT, "nothing");
}

static void test_gbnf(void **state)
{
    (void)state;
    Grammar *g = gbnf("# arithmetic\n"
                      "root  ::= (expr \"=\" ws term \"\\n\")+\n"
                      "expr  ::= term ([-+*/] term)*\n"
                      "term  ::= ident | num | \"(\" ws expr \")\" ws\n"
                      "ident ::= [a-z] [a-z0-9_]* ws\n"
                      "num   ::= [0-9]+ ws\n"
                      "ws    ::= [ \\t\\n]*\n");
    assert_accepts(g, "x = 5\n");
    assert_accepts(g, "(a+b)*12 -c= 5 \n1=1\n");
    assert_refuses(g, "x = \n");
    assert_refuses(g, "(x = 1\n");
    grammar_unref(g);
    g = gbnf("root ::= \"a\"{2,3} pair{1,2} (\n  \"x\"\n  | [^a-z\"]\n)?\n"
             "pair ::= \"<\" . \">\" |\n \"\\u65e5\\x41\"");
    assert_accepts(g, "aa<b>");
    assert_accepts(g, "aaa<\xE6\x97\xA5>\xE6\x97\xA5"
                      "Ax");
    assert_accepts(g, "aa<b><c>7");
    assert_refuses(g, "a<b>");
    assert_refuses(g, "aa<b><c><d>");
    assert_refuses(g, "aa<b>q");
    grammar_unref(g);
    g = gbnf("root ::= <think> [a-z]* <[275]> \"!\"");
    assert_int_equal(tokenizer_added_id(rig.tokenizer, "</think>"), 273);
    grammar_unref(g);
    /* Ambiguous, and deep: both stay small. */
    g = gbnf("root ::= item*\nitem ::= \"a\" item? | \"a\" item? \"b\"?");
    char text[700];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_accepts(g, text);
    assert_true(grammar_stats(g).n_states < 3 * sizeof text);
    grammar_unref(g);
}

static void test_gbnf_errors(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"x ::= \"a\"", "no rule \"root\""},
        {"root ::= y", "defined nowhere"},
        {"root ::= \"a", "without its partner"},
        {"root ::= [a", "[ without ]"},
        {"root ::= (\"a\"", "( without )"},
        {"root ::= root \"a\" | \"b\"", "left recursion"},
        {"root ::= x root \"a\" | \"b\"\nx ::= \"\"", "left recursion"},
        {"root ::= \"a\"\nroot ::= \"b\"", "there already"},
        {"root = \"a\"", "::="},
        {"root ::= <nope>", "not an added token"},
        {"root ::= \"a\" )", "go on like this"},
        {"root ::= \"a\" root", "nothing satisfies"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Error err = {0};
        assert_null(grammar_from_gbnf(rig.trie, str_from(wrong[i][0]), &err));
        if (!test_contains(err.message, wrong[i][1]))
            fail_msg("%s: %s", wrong[i][0], err.message);
    }
}

/* ---- Forced tokens --------------------------------------------------------------------------- */

static void assert_forced(Grammar *g, const char *before, const char *expected)
{
    Matcher *m = matcher_new(g);
    Ids ids = ids_of(before, true), forced = {0};
    Buf text = {0};
    for (int i = 0; i < ids.n; i++)
        assert_true(matcher_accept(m, ids.data[i]));
    matcher_forced(m, &forced);
    for (int i = 0; i < forced.n; i++) {
        assert_true(matcher_accept(m, forced.data[i]));
        buf_add(&text, tokenizer_bytes(rig.tokenizer, forced.data[i]));
        buf_putc(&text, '|');
    }
    assert_string_equal(text.data ? text.data : "", expected);
    buf_free(&text);
    ids_free(&ids);
    ids_free(&forced);
    matcher_free(m);
}

static void test_forced(void **state)
{
    (void)state;
    Grammar *g = gbnf("root ::= \"x\" (\" the\" | \" tha\") \"call\" [a-z] \"z\"");
    assert_forced(g, "", "x|");            /* " the" may come */
    assert_forced(g, "x the", "c|a|l|l|"); /* no merges here: cut into bytes */
    assert_forced(g, "x thecalla", "z|");
    grammar_unref(g);
    /* What another token could still cover is left open: "\n{\"" begins with the newline. */
    g = gbnf("root ::= \"a\\n\" ([b-z] | \"{\\\"x\")");
    assert_forced(g, "", "a|");
    grammar_unref(g);
    g = gbnf("root ::= \"a\\n\" [b-z]");
    assert_forced(g, "", "a|\n|");
    grammar_unref(g);
}

/* ---- Tools ----------------------------------------------------------------------------------- */

#define WEATHER                                                                                    \
    "{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"parameters\": "              \
    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\": "    \
    "[\"city\"], \"additionalProperties\": false}}}"
#define ODD                                                                                        \
    "{\"type\": \"function\", \"function\": {\"name\": \"odd\", \"parameters\": "                  \
    "{\"type\": \"object\", \"properties\": {\"x\": {\"pattern\": \"(a)\\\\1\"}}}%s}}"

#define CALL(name, arguments)                                                                      \
    "<tool_call>\n{\"name\": \"" name "\", \"arguments\": " arguments "}\n</tool_call>"

static void test_tools(void **state)
{
    (void)state;
    char list[1024];
    snprintf(list, sizeof list, "[" WEATHER ", " ODD "]", "");
    Grammar *g = tools((ToolRules){.tools = str_from(list), .choice = TOOL_CHOICE_REQUIRED});
    assert_accepts(g, CALL("weather", "{\"city\": \"Oslo\"}"));
    assert_accepts(g, CALL("weather", "{\"city\": \"Oslo\"}") "\n" CALL("odd", "{\"y\": [1]}"));
    assert_refuses(g, "text " CALL("weather", "{\"city\": \"Oslo\"}"));
    assert_refuses(g, CALL("weather", "{\"town\": \"Oslo\"}"));
    assert_refuses(g, CALL("other", "{}"));
    assert_refuses(g, CALL("odd", "7"));
    assert_refuses(g, "");
    assert_forced(g, "", "<tool_call>|\n|{|\"|n|a|m|e|\"|:| |\"|");
    grammar_unref(g);
    g = tools((ToolRules){.tools = str_from(list),
                          .choice = TOOL_CHOICE_REQUIRED,
                          .name = "weather",
                          .is_single = true});
    assert_accepts(g, CALL("weather", "{\"city\": \"Oslo\"}"));
    assert_refuses(g, CALL("odd", "{}"));
    assert_refuses(g,
                   CALL("weather", "{\"city\": \"a\"}") "\n" CALL("weather", "{\"city\": \"a\"}"));
    grammar_unref(g);
    g = tools((ToolRules){.tools = str_from(list)});
    assert_accepts(g, "");
    assert_accepts(g, "just <text>");
    assert_accepts(g, "wait " CALL("weather", "{\"city\": \"Oslo\"}") " and " CALL("odd", "{}"));
    assert_refuses(g, "wait <tool_call>");
    assert_refuses(g, "wait " CALL("weather", "{}"));
    assert_refuses(g, "<think>");
    grammar_unref(g);
    g = tools((ToolRules){.tools = str_from(list), .choice = TOOL_CHOICE_NONE});
    assert_accepts(g, "text");
    assert_refuses(g, CALL("odd", "{}"));
    grammar_unref(g);
    g = tools(
        (ToolRules){.tools = str_from(list), .answer_schema = STR("{\"type\": \"integer\"}")});
    assert_accepts(g, "42");
    assert_accepts(g, CALL("odd", "{}"));
    assert_refuses(g, "hello");
    assert_refuses(g, "42" CALL("odd", "{}"));
    grammar_unref(g);
}

static void test_tool_errors(void **state)
{
    (void)state;
    Error err = {0};
    char list[1024];
    snprintf(list, sizeof list, "[" WEATHER ", " ODD "]", ", \"strict\": true");
    ToolRules rules = {.tools = str_from(list), .choice = TOOL_CHOICE_REQUIRED};
    assert_error(grammar_from_tools(rig.trie, &rules, &err), ERROR_UNSUPPORTED, "tool \"odd\"");
    assert_true(test_contains(err.message, "back reference"));
    rules.name = "nobody";
    assert_error(grammar_from_tools(rig.trie, &rules, &err), ERROR_ARGUMENT, "nobody");
    rules.tools = STR("[");
    assert_error(grammar_from_tools(rig.trie, &rules, &err), ERROR_FORMAT, "not JSON");
    Tokenizer *bare = open_reply_vocab(false);
    TokenTrie *trie = token_trie_open(bare, &err);
    rules = (ToolRules){.tools = STR("[" WEATHER "]"), .choice = TOOL_CHOICE_REQUIRED};
    assert_error(grammar_from_tools(trie, &rules, &err), ERROR_UNSUPPORTED, "<tool_call>");
    token_trie_close(trie);
    tokenizer_close(bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks),       cmocka_unit_test(test_masks_are_kept),
        cmocka_unit_test(test_starts_over), cmocka_unit_test(test_regex_and_choices),
        cmocka_unit_test(test_gbnf),        cmocka_unit_test(test_gbnf_errors),
        cmocka_unit_test(test_forced),      cmocka_unit_test(test_tools),
        cmocka_unit_test(test_tool_errors),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("grammar", tests, open_rig, close_rig);
}
