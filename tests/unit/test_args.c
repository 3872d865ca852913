/* cli/args: options from a table. */
#include "support.h"

#include "cli/args.h"

#include <string.h>

typedef struct Options {
    bool json;
    int think;
    const char *system, *model;
    ArgList stop;
    int64_t max_tokens, seed;
    double temperature;
} Options;

static Options o;
static const Arg table[] = {
    {"json", 0, ARG_FLAG, &o.json, NULL, "machine-readable", 0, 0},
    {"think", 0, ARG_ON, &o.think, NULL, "think first", 0, 0},
    {"no-think", 0, ARG_OFF, &o.think, NULL, "answer at once", 0, 0},
    {"system", 's', ARG_TEXT, &o.system, "TEXT", "the system message", 0, 0},
    {"model", 'm', ARG_TEXT, &o.model, "MODEL", "the model", 0, 0},
    {"stop", 0, ARG_LIST, &o.stop, "TEXT", "end before TEXT", 0, 0},
    {"max-tokens", 'n', ARG_INT, &o.max_tokens, "N", "at most N", 1, 1000},
    {"seed", 0, ARG_INT, &o.seed, "N", "the seed", 0, 0},
    {"temperature", 't', ARG_REAL, &o.temperature, "X", "0: the likeliest", 0, 2},
    {0},
};
static const ArgSpec spec = {"run", "[MODEL] [PROMPT]", "Runs.", table, 0, 3};

enum { WORDS_MAX = 80 };
static char *argv_copy[WORDS_MAX];

/* Reads "run" and these words. */
static bool read_words(const char *const *words, ArgWords *out, bool *wants_help, Error *err)
{
    int n = 1;
    static char command[] = "run";
    argv_copy[0] = command;
    for (; words[n - 1]; n++)
        argv_copy[n] = (char *)words[n - 1];
    o = (Options){.think = -1};
    return args_read(&spec, n, argv_copy, out, wants_help, err);
}
#define READ(...) read_words((const char *const[]){__VA_ARGS__, NULL}, &words, &wants_help, &err)

static void options_and_words_mix(void **state)
{
    (void)state;
    ArgWords words;
    bool wants_help;
    Error err = {0};
    assert_ok(READ("m.gguf", "--json", "--think", "-s", "be brief", "hello", "--stop", "a",
                   "--stop=b=c", "--no-think", "--max-tokens", "7", "--seed=-3", "-t", "0.5", "-"));
    assert_int_equal(words.n, 3);
    assert_string_equal(words.words[0], "m.gguf");
    assert_string_equal(words.words[1], "hello");
    assert_string_equal(words.words[2], "-");
    assert_true(o.json);
    assert_int_equal(o.think, 0); /* the last one wins */
    assert_string_equal(o.system, "be brief");
    assert_int_equal(o.stop.n, 2);
    assert_string_equal(o.stop.items[1], "b=c");
    assert_int_equal(o.max_tokens, 7);
    assert_int_equal(o.seed, -3);
    assert_true(o.temperature == 0.5);
    assert_null(o.model);
}

static void values_may_begin_with_a_dash(void **state)
{
    (void)state;
    ArgWords words;
    bool wants_help;
    Error err = {0};
    assert_ok(READ("--system", "--json", "--seed", "-1"));
    assert_string_equal(o.system, "--json");
    assert_false(o.json);
    assert_int_equal(o.seed, -1);
    assert_ok(READ("--", "--json", "-x", "--"));
    assert_int_equal(words.n, 3);
    assert_false(o.json);
    assert_ok(READ("--system="));
    assert_string_equal(o.system, "");
}

static void wrong_usage_is_explained(void **state)
{
    (void)state;
    ArgWords words;
    bool wants_help;
    Error err = {0};
    assert_error(READ("--max-token", "5"), ERROR_ARGUMENT,
                 "unknown option --max-token; did you mean --max-tokens?");
    assert_error(READ("--temp", "5"), ERROR_ARGUMENT, "did you mean --temperature?");
    assert_error(READ("--nothink"), ERROR_ARGUMENT, "did you mean --no-think?");
    assert_error(READ("--quite-different"), ERROR_ARGUMENT, "\"wen help run\" lists them");
    assert_error(READ("-x"), ERROR_ARGUMENT, "unknown option -x");
    assert_error(READ("-mx"), ERROR_ARGUMENT, "unknown option -mx");
    assert_error(READ("--max-tokens"), ERROR_ARGUMENT, "--max-tokens needs a value (N)");
    assert_error(READ("--max-tokens", "0"), ERROR_ARGUMENT,
                 "a whole number from 1 to 1000, not \"0\"");
    assert_error(READ("--max-tokens", "5x"), ERROR_ARGUMENT, "not \"5x\"");
    assert_error(READ("--max-tokens="), ERROR_ARGUMENT, "not \"\"");
    assert_error(READ("--seed", "1.5"), ERROR_ARGUMENT, "needs a whole number, not \"1.5\"");
    assert_error(READ("--seed", "99999999999999999999"), ERROR_ARGUMENT, "needs a whole number");
    assert_error(READ("--temperature", "nan"), ERROR_ARGUMENT, "a number from 0 to 2");
    assert_error(READ("--temperature", "-0.1"), ERROR_ARGUMENT, "a number from 0 to 2");
    assert_error(READ("--json=1"), ERROR_ARGUMENT, "--json takes no value");
    assert_error(READ("a", "b", "c", "d"), ERROR_ARGUMENT,
                 "too many words; usage: wen run [MODEL]");
    assert_false(READ("--json", "-h", "--nonsense"));
    assert_true(wants_help);
    const char *many[2 * ARG_LIST_MAX + 3] = {0};
    assert_true(ARG_LIST_MAX + 2 < WORDS_MAX);
    for (int i = 0; i <= ARG_LIST_MAX; i++)
        many[i] = "--stop=x";
    assert_error(read_words(many, &words, &wants_help, &err), ERROR_LIMIT, "more than 64 times");
}

static void the_nearest_name(void **state)
{
    (void)state;
    const char *const names[] = {"run", "serve", "tokenize", "quantize"};
    assert_string_equal(args_nearest("tokenise", names, sizeof *names, 4), "tokenize");
    assert_string_equal(args_nearest("tok", names, sizeof *names, 4), "tokenize");
    assert_string_equal(args_nearest("rnu", names, sizeof *names, 4), "run");
    assert_null(args_nearest("xyz", names, sizeof *names, 4));
    assert_null(args_nearest("", names, sizeof *names, 4));
    char longer[200];
    memset(longer, 'r', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_null(args_nearest(longer, names, sizeof *names, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_words_mix),
        cmocka_unit_test(values_may_begin_with_a_dash),
        cmocka_unit_test(wrong_usage_is_explained),
        cmocka_unit_test(the_nearest_name),
    };
    return TEST_MAIN("args", tests);
}
