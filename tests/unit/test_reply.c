/* text/reply: thinking, answer and tool calls out of generated ids, however the text is cut into
 * tokens. */
#include "reply_vocab.h"

#include "base/rng.h"
#include "text/json_scan.h"
#include "text/reply.h"

#include <stdio.h>
#include <string.h>

/* The ids of a text. Tags become their ids, but for one behind a '~', which is spelled out (the '~'
 * goes). With a generator, longer tokens are taken at random where they fit. */
static Ids ids_of(const char *text, Rng *rng)
{
    Ids ids = {0};
    bool is_spelled = false;
    for (const char *c = text; *c;) {
        size_t n = 0;
        if (*c == '~') {
            is_spelled = true;
            c++;
            continue;
        }
        for (int i = 0; i < N_ADDED && n == 0 && !is_spelled; i++) {
            if (strncmp(c, added_tokens[i], strlen(added_tokens[i])) == 0) {
                ids_push(&ids, FIRST_ADDED + i);
                n = strlen(added_tokens[i]);
            }
        }
        for (int i = 0; i < N_LONGER && n == 0 && rng; i++) {
            if (strncmp(c, longer_tokens[i], strlen(longer_tokens[i])) == 0 && rng_below(rng, 2)) {
                ids_push(&ids, 256 + i);
                n = strlen(longer_tokens[i]);
            }
        }
        if (n == 0) {
            ids_push(&ids, (unsigned char)*c);
            n = 1;
        }
        c += n;
        is_spelled = false;
    }
    return ids;
}

/* Events as text, pieces of one kind joined: T thinking, C content, N name, A arguments, E end. */
typedef struct Transcript {
    Buf text;
    ReplyEventKind kind;
    int call_i;
    bool has_any;
} Transcript;

static void take_events(ReplyParser *p, Transcript *t)
{
    ReplyEvent e;
    while (reply_next(p, &e)) {
        assert_int_equal(utf8_valid_prefix(e.text), e.text.bytes);
        bool joins =
            t->has_any && e.kind == t->kind && e.call_i == t->call_i && e.kind != REPLY_TOOL_NAME;
        if (!joins)
            buf_printf(&t->text, "%s%c", t->has_any ? "|" : "", "TCNAE"[e.kind]);
        if (!joins && e.kind >= REPLY_TOOL_NAME)
            buf_printf(&t->text, "%d", e.call_i);
        if (!joins)
            buf_putc(&t->text, ':');
        buf_add(&t->text, e.text);
        t->kind = e.kind;
        t->call_i = e.call_i;
        t->has_any = true;
    }
}

typedef struct Case {
    const char *prompt, *reply, *expected;
    int n_thinking; /* -1: not checked; with one byte a token */
} Case;

static Transcript run_case(const Tokenizer *t, const Case *c, bool no_tools, bool at_end, Rng *rng,
                           int *n_thinking)
{
    Ids prompt = ids_of(c->prompt, rng), reply = ids_of(c->reply, rng);
    ReplyParser *p = reply_new(
        t, &(ReplyOptions){.prompt = prompt.data, .n_prompt = prompt.n, .parse_tools = !no_tools});
    Transcript events = {0};
    for (int i = 0; i < reply.n; i++) {
        reply_push(p, reply.data[i]);
        if (!at_end)
            take_events(p, &events);
    }
    reply_finish(p);
    take_events(p, &events);
    *n_thinking = reply_n_thinking_ids(p);
    reply_free(p);
    ids_free(&prompt);
    ids_free(&reply);
    return events;
}

static void check_cases(const Case *cases, size_t n, bool no_tools)
{
    Tokenizer *t = open_reply_vocab(true);
    Rng rng = {7};
    for (size_t i = 0; i < n; i++) {
        for (int round = 0; round < 12; round++) {
            int n_thinking;
            Transcript got =
                run_case(t, &cases[i], no_tools, round == 1, round < 2 ? NULL : &rng, &n_thinking);
            if (!str_equals(buf_str(&got.text), cases[i].expected))
                fail_msg("%s -> %s\nexpected %s\ngot      %s", cases[i].prompt, cases[i].reply,
                         cases[i].expected, buf_str(&got.text).data);
            if (round < 2 && cases[i].n_thinking >= 0)
                assert_int_equal(n_thinking, cases[i].n_thinking);
            buf_free(&got.text);
        }
    }
    tokenizer_close(t);
}

#define CHECK_CASES(cases, no_tools) check_cases(cases, sizeof(cases) / sizeof *(cases), no_tools)

#define OPENING "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"

static void thought_and_answer(void **state)
{
    (void)state;
    static const Case cases[] = {
        /* The hybrid template: the model opens the thought itself, or does not. */
        {OPENING, "<think>\nhm\n</think>\n\nyes", "T:hm|C:yes", 4},
        {OPENING, "\n <think>\n\n\nh\n\nm\n\n</think>\n\n\nyes\n\nno\n", "T:h\n\nm|C:yes\n\nno", 9},
        {OPENING, "yes", "C:yes", 0},
        {OPENING, "\n\nyes\n", "C:yes", 0},
        {OPENING, "  indented", "C:  indented", 0},
        {OPENING, " \n yes", "C: \n yes", 0},
        {OPENING, "<think>\n\n</think>\n\nyes", "C:yes", 2},
        {OPENING, "<think>\n\n</think>\n\n", "", 2},
        {OPENING, "<think> \n\t</think>a", "C:a", 3},
        {OPENING, "<think></think>", "", 0},
        {OPENING, "<think>\nhm", "T:hm", 3},
        {OPENING, "<think>\nhm\n\n", "T:hm", 5},
        {OPENING, "<think>\n  a\n \n</think>b", "T:  a\n |C:b", -1},
        {OPENING, "", "", 0},
        {OPENING, " \n", "", 0},
        /* The thought is open in the prompt, or closed. */
        {OPENING "<think>\n", "hm\n</think>\n\nyes", "T:hm|C:yes", 3},
        {OPENING "<think>\n", "\nhm", "T:hm", 3},
        {OPENING "<think>\n", "<think>\nhm</think>yes", "T:hm|C:yes", -1},
        {OPENING "<think>\n", "</think>yes", "C:yes", 0},
        {OPENING "<think>", "hm", "T:hm", 2},
        {OPENING "<think>\n\n</think>\n\n", "yes", "C:yes", 0},
        {OPENING "<think>\n\n</think>\n\n", "\nyes <think>no</think>\n", "C:yes <think>no</think>",
         0},
        {OPENING "<think>\n\n</think>\n\n", "", "", 0},
        /* A reply that was begun in the prompt goes on. */
        {OPENING "<think>\nI ", "know\n</think>\n\nyes", "T:know|C:yes", 5},
        {OPENING "<think>\nI\n", "know", "T:know", 4},
        {OPENING "Sure\n", "\nthing", "C:\nthing", 0},
        {OPENING "<think>\nx\n</think>\n\nSure", "\n\nyes", "C:\n\nyes", 0},
        {OPENING "<think>\nx\n</think>\n\n", "\n\nyes", "C:yes", 0},
        {OPENING "\xE6\x97", "\xA5", "C:\xE6\x97\xA5", 0},
        /* Earlier turns say nothing about this one. */
        {"<|im_start|>assistant\n<think>\nq\n<|im_end|>\n" OPENING, "yes", "C:yes", 0},
        {"<|im_start|>assistant\n<think>\nq\n</think>a<|im_end|>\n" OPENING, "<think>b", "T:b", 1},
        {"<|im_start|>user\n<tool_response>\nx<think>", "y", "T:y", -1},
        {"", "<think>b", "T:b", 1},
        {"raw text\n<think>\n", "b", "T:b", 1},
        {"raw <think>text\n</think> more", "b", "C:b", 0},
        {"<|im_start|>assistant", "\nyes", "C:yes", 0},
        /* Tags that open or close nothing, and tags spelled out, are text; special tokens are not.
         */
        {OPENING, "a<think>b</think>c", "C:a<think>b</think>c", 0},
        {OPENING, "~<think>b~</think>c", "C:<think>b</think>c", 0},
        {OPENING, "<think>a~</think>b<think>c</think>d", "T:a</think>b<think>c|C:d", -1},
        {OPENING, "</think>yes", "C:yes", 0},
        {OPENING, "a<|im_start|>b<|im_end|>", "C:ab", 0},
        {OPENING, "<think>a<|im_start|>b</think>c", "T:ab|C:c", 3},
        {OPENING, "<|im_start|><think>a", "T:a", 1},
        {OPENING, "<tool_response>a</tool_call>", "C:<tool_response>a</tool_call>", 0},
        /* Characters in pieces, and pieces that are none. */
        {OPENING, "<think>\xE6\x97\xA5</think>\xF0\x9F\x98\x80!",
         "T:\xE6\x97\xA5|C:\xF0\x9F\x98\x80!", 3},
        {OPENING, "<think>\xE6\x97</think>\xA5x", "T:\xEF\xBF\xBD|C:\xEF\xBF\xBDx", 2},
        {OPENING, "a\xE6\x97", "C:a\xEF\xBF\xBD", 0},
        {OPENING,
         "a\xFF\xFE"
         "b",
         "C:a\xEF\xBF\xBD\xEF\xBF\xBD"
         "b",
         0},
    };
    CHECK_CASES(cases, false);
}

#define CALL(inside) "<tool_call>" inside "</tool_call>"
#define WEATHER "\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n"
#define WEATHER_EVENTS(i) "N" i ":weather|A" i ":{\"city\": \"Paris\"}|E" i ":"

static void tool_calls(void **state)
{
    (void)state;
    static const Case cases[] = {
        {OPENING, CALL(WEATHER), WEATHER_EVENTS("0"), 0},
        {OPENING, "Let me see.\n" CALL(WEATHER), "C:Let me see.|" WEATHER_EVENTS("0"), 0},
        {OPENING, "<think>\nhm\n</think>\n\n" CALL(WEATHER), "T:hm|" WEATHER_EVENTS("0"), 4},
        {OPENING, CALL(WEATHER) "\n" CALL(WEATHER) "\n",
         WEATHER_EVENTS("0") "|" WEATHER_EVENTS("1"), 0},
        {OPENING, "a\n\n" CALL(WEATHER) "\n\n" CALL(WEATHER) " b\n",
         "C:a|" WEATHER_EVENTS("0") "|" WEATHER_EVENTS("1") "|C: b", 0},
        {OPENING, "a" CALL(WEATHER) "\nb", "C:a|" WEATHER_EVENTS("0") "|C:\nb", 0},
        {OPENING, CALL(WEATHER) "\nb", WEATHER_EVENTS("0") "|C:b", 0},
        /* The arguments are the model's bytes. */
        {OPENING,
         CALL("{\"name\":\"f\",\"arguments\":{ \"a\" : [1,{\"}\":\"\\\"}{\"}] , "
              "\"b\":\"\\u00e9\xC3\xA9\"} }"),
         "N0:f|A0:{ \"a\" : [1,{\"}\":\"\\\"}{\"}] , \"b\":\"\\u00e9\xC3\xA9\"}|E0:", 0},
        {OPENING, CALL("{\"name\": \"f\", \"arguments\": {}}"), "N0:f|A0:{}|E0:", 0},
        {OPENING, CALL("{\"name\": \"f\"}"), "N0:f|A0:{}|E0:", 0},
        {OPENING, CALL("{\"name\": \"f\", \"arguments\": null}"), "N0:f|A0:{}|E0:", 0},
        {OPENING, CALL("{\"name\": \"f\", \"arguments\": \"\"}"), "N0:f|A0:{}|E0:", 0},
        {OPENING, CALL("{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}"),
         "N0:f|A0:{\"a\": 1}|E0:", 0},
        {OPENING, CALL("{\"name\": \"f\", \"parameters\": {\"a\": 1}}"),
         "N0:f|A0:{\"a\": 1}|E0:", 0},
        {OPENING, CALL("{\"arguments\": {\"name\": \"x\"}, \"name\": \"f\"}"),
         "N0:f|A0:{\"name\": \"x\"}|E0:", 0},
        {OPENING,
         CALL("{\"id\": 7, \"name\": \"f\", \"x\": [{\"name\": 1}, -1.5e3, true], \"arguments\": "
              "{\"b\": null}}"),
         "N0:f|A0:{\"b\": null}|E0:", 0},
        {OPENING, CALL("{\"name\": \"a\\\"\\u65e5\\ud83d\\ude00\\ud83d\"}"),
         "N0:a\"\xE6\x97\xA5\xF0\x9F\x98\x80\xEF\xBF\xBD|A0:{}|E0:", 0},
        /* Tags inside a string are part of it. */
        {OPENING,
         CALL("{\"name\": \"f\", \"arguments\": {\"s\": \"<tool_call></tool_call><think>\"}}"),
         "N0:f|A0:{\"s\": \"<tool_call></tool_call><think>\"}|E0:", 0},
        /* The end tag is missing. */
        {OPENING, "<tool_call>" WEATHER, WEATHER_EVENTS("0"), 0},
        {OPENING, "<tool_call>" WEATHER "<tool_call>" WEATHER,
         WEATHER_EVENTS("0") "|" WEATHER_EVENTS("1"), 0},
        {OPENING, "<tool_call>" WEATHER "<think>x", WEATHER_EVENTS("0") "|C:<think>x", 0},
        /* What is no call comes back, byte for byte. */
        {OPENING, CALL("\nnot json\n"), "C:<tool_call>\nnot json\n</tool_call>", 0},
        {OPENING, CALL(""), "C:<tool_call></tool_call>", 0},
        {OPENING, "a " CALL("\n"), "C:a <tool_call>\n</tool_call>", 0},
        {OPENING, CALL("{\"name\": 5}"), "C:<tool_call>{\"name\": 5}</tool_call>", 0},
        {OPENING, CALL("{\"name\": \"\"}"), "C:<tool_call>{\"name\": \"\"}</tool_call>", 0},
        {OPENING, CALL("{\"arguments\": {}}"), "C:<tool_call>{\"arguments\": {}}</tool_call>", 0},
        {OPENING, CALL("[]"), "C:<tool_call>[]</tool_call>", 0},
        {OPENING, "<tool_call>\n{\"name\": \"we", "C:<tool_call>\n{\"name\": \"we", 0},
        {OPENING, "<tool_call>", "C:<tool_call>", 0},
        {OPENING, "x\n<tool_call>" CALL(WEATHER), "C:x\n<tool_call>|" WEATHER_EVENTS("0"), 0},
        {OPENING, CALL("{\"name\": \"f\", \"arguments\": {\"a\": 01}}") "b",
         "N0:f|A0:{\"a\": 0|C:<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": "
         "01}}</tool_call>b",
         0},
        {OPENING, CALL("{\"name\": \"f\", \"arguments\": {}}}") "\n" CALL(WEATHER),
         "N0:f|A0:{}|C:<tool_call>{\"name\": \"f\", \"arguments\": "
         "{}}}</tool_call>|" WEATHER_EVENTS("1"),
         0},
        {OPENING, CALL("{\"name\": \"f\", \"name\": \"g\"}"),
         "N0:f|C:<tool_call>{\"name\": \"f\", \"name\": \"g\"}</tool_call>", 0},
        {OPENING, CALL("{\"name\": \"f\", \"arguments\": \"x\"}"),
         "N0:f|C:<tool_call>{\"name\": \"f\", \"arguments\": \"x\"}</tool_call>", 0},
        {OPENING, CALL("{\"name\": \"f\", \"arguments\": [1]}"),
         "N0:f|C:<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call>", 0},
        {OPENING, "~<tool_call>" WEATHER "~</tool_call>", "C:<tool_call>" WEATHER "</tool_call>",
         0},
        {OPENING, "<think>a</think><tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"\xE6\x97",
         "T:a|N0:f|A0:{\"a\": \"\xEF\xBF\xBD|C:<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": "
         "\"\xEF\xBF\xBD",
         1},
        /* Inside an open thought: a mention stays there, a call ends it. */
        {OPENING, "<think>\nuse <tool_call> then</think>ok", "T:use <tool_call> then|C:ok", 11},
        {OPENING, "<think>\nI do\n" CALL(WEATHER), "T:I do|" WEATHER_EVENTS("0"), 6},
        {OPENING "<think>\n", CALL(WEATHER) "\nok", WEATHER_EVENTS("0") "|C:ok", 0},
        {OPENING, "<think>a" CALL("{\"name\": <name>}") "b</think>c",
         "T:a<tool_call>{\"name\": <name>}</tool_call>b|C:c", -1},
        {OPENING, "<think>a<tool_call>\n{\"name\": \"we</think>c",
         "T:a<tool_call>\n{\"name\": \"we</think>c", -1},
        {OPENING, "<think>a<tool_call>\n{\"name\": </think>c", "T:a<tool_call>\n{\"name\": |C:c",
         -1},
        {OPENING, "<think>a<tool_call>\n", "T:a<tool_call>", 3},
        {OPENING, "<think>a <tool_call><tool_call>" WEATHER, "T:a <tool_call>|" WEATHER_EVENTS("0"),
         3},
        {OPENING, "<think>a" CALL("{\"name\": \"f\", x}") "b",
         "T:a|N0:f|C:<tool_call>{\"name\": \"f\", x}</tool_call>b", 1},
        /* The prompt's part of a block that is no call is not given back. */
        {OPENING "<think>\na<tool_call>\n{", "x</think>b", "T:x|C:b", 1},
        {OPENING "<tool_call>\n{\"", "na</tool_call>", "C:na</tool_call>", 0},
        /* A call that the prompt left open is reported whole. */
        {OPENING "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\"", ": 1}}</tool_call>",
         "N0:f|A0:{\"a\": 1}|E0:", 0},
        {OPENING CALL(WEATHER) "\n<tool_call>\n{\"name\": \"f\"", "}</tool_call>",
         "N0:f|A0:{}|E0:", 0},
        {OPENING CALL(WEATHER) "\n<tool_call>\n{\"na", "me\": \"f\"}</tool_call>",
         "N0:f|A0:{}|E0:", 0},
    };
    CHECK_CASES(cases, false);
    static const Case untouched[] = {
        {OPENING, "a\n" CALL(WEATHER), "C:a\n<tool_call>" WEATHER "</tool_call>", 0},
        {OPENING, "<think>b" CALL(WEATHER), "T:b<tool_call>" WEATHER "</tool_call>", -1},
        {OPENING, "<tool_call>", "C:<tool_call>", 0},
    };
    CHECK_CASES(untouched, true);
}

static void coder_calls(void **state)
{
    (void)state;
    static const Case cases[] = {
        {OPENING, CALL("\n<function=f>\n<parameter=city>\nParis\n</parameter>\n</function>\n"),
         "N0:f|A0:{\"city\": \"Paris\"}|E0:", 0},
        {OPENING, "ok\n" CALL("\n<function=f>\n</function>\n"), "C:ok|N0:f|A0:{}|E0:", 0},
        {OPENING,
         CALL("<function=f><parameter=a>1</parameter><parameter=b>\n[1, \"x\"]\n</parameter>"
              "<parameter=c>\n007\n</parameter><parameter=d>true</parameter><parameter=e>\n\n a "
              "\"q\" <b>\n\n"
              "</parameter><parameter=f>\n\"s\"\n</parameter><parameter=g>\n</parameter></"
              "function>"),
         "N0:f|A0:{\"a\": 1, \"b\": [1, \"x\"], \"c\": \"007\", \"d\": true, \"e\": \"\\n a "
         "\\\"q\\\" <b>\\n\","
         " \"f\": \"\\\"s\\\"\", \"g\": \"\"}|E0:",
         0},
        {OPENING, CALL("<function=f><parameter=a>x</tool_call>y</parameter></function>"),
         "N0:f|A0:{\"a\": \"x</tool_call>y\"}|E0:", 0},
        {OPENING, "<think>a" CALL("<function=f>\n</function>"), "T:a|N0:f|A0:{}|E0:", 1},
        {OPENING, "<think>a" CALL("<functio>") "</think>", "T:a<tool_call><functio></tool_call>",
         -1},
        {OPENING, CALL("<function=>"), "C:<tool_call><function=></tool_call>", 0},
        {OPENING, CALL("<function=f>x</function>"),
         "N0:f|C:<tool_call><function=f>x</function></tool_call>", 0},
        {OPENING, CALL("<function=f></function>x"),
         "N0:f|A0:{}|C:<tool_call><function=f></function>x</tool_call>", 0},
        {OPENING, CALL("<function=f>"), "N0:f|C:<tool_call><function=f></tool_call>", 0},
    };
    CHECK_CASES(cases, false);
}

static void plain_text_is_kept_whole(void **state)
{
    (void)state;
    Tokenizer *t = open_reply_vocab(true);
    Ids prompt = ids_of("<|im_start|>assistant\n<think>\n", NULL);
    Ids ids = ids_of("\n\n a<think>" CALL(WEATHER) "<|im_end|>\n\n", NULL);
    ReplyParser *p = reply_new(
        t, &(ReplyOptions){
               .prompt = prompt.data, .n_prompt = prompt.n, .parse_tools = true, .plain = true});
    Transcript got = {0};
    for (int i = 0; i < ids.n; i++)
        reply_push(p, ids.data[i]);
    reply_finish(p);
    take_events(p, &got);
    assert_string_equal(got.text.data, "C:\n\n a<think>" CALL(WEATHER) "\n\n");
    reply_free(p);
    reply_free(NULL);
    buf_free(&got.text);
    /* A prompt without turns is one that is to be continued. */
    Ids raw = ids_of("Q: why?\nA:", NULL);
    p = reply_new(t, &(ReplyOptions){.prompt = raw.data, .n_prompt = raw.n, .parse_tools = true});
    got = (Transcript){0};
    for (int i = 0; i < ids.n; i++)
        reply_push(p, ids.data[i]);
    reply_finish(p);
    take_events(p, &got);
    assert_string_equal(got.text.data, "C:\n\n a<think>" CALL(WEATHER) "\n\n");
    ids_free(&raw);
    reply_free(p);
    buf_free(&got.text);
    ids_free(&prompt);
    ids_free(&ids);
    tokenizer_close(t);
    /* A model without the tags: nothing is one. */
    t = open_reply_vocab(false);
    p = reply_new(t, &(ReplyOptions){.parse_tools = true});
    got = (Transcript){0};
    reply_push(p, THINK);
    reply_push(p, 'a');
    reply_finish(p);
    take_events(p, &got);
    assert_string_equal(got.text.data, "C:x<think>a");
    buf_free(&got.text);
    reply_free(p);
    tokenizer_close(t);
}

static void state_and_pieces_come_in_time(void **state)
{
    (void)state;
    Tokenizer *t = open_reply_vocab(true);
    ReplyParser *p = reply_new(t, &(ReplyOptions){.parse_tools = true});
    static const struct {
        const char *text;
        ReplyState after;
        const char *events;
    } steps[] = {
        {"\n", REPLY_UNDECIDED, ""},
        {"<think>", REPLY_IN_THINKING, ""},
        {"\n", REPLY_IN_THINKING, ""},
        {"h", REPLY_IN_THINKING, "T:h"},
        {"\n", REPLY_IN_THINKING, ""},
        {"m", REPLY_IN_THINKING, "T:\nm"},
        {"<tool_call>", REPLY_IN_THINKING, ""},
        {"{", REPLY_IN_THINKING, ""},
        {"!", REPLY_IN_THINKING, "T:<tool_call>{!"},
        {"</think>", REPLY_IN_TEXT, ""},
        {"\n\n", REPLY_IN_TEXT, ""},
        {"a", REPLY_IN_TEXT, "C:a"},
        {"\n", REPLY_IN_TEXT, ""},
        {"<tool_call>", REPLY_IN_TOOL, ""},
        {"\n{\"name\": \"f", REPLY_IN_TOOL, ""},
        {"\"", REPLY_IN_TOOL, "N0:f"},
        {", \"arguments\": {", REPLY_IN_TOOL, "A0:{"},
        {"\"a\": 1", REPLY_IN_TOOL, "A0:\"a\": 1"},
        {"}", REPLY_IN_TOOL, "A0:}"},
        {"}\n", REPLY_IN_TOOL, ""},
        {"</tool_call>", REPLY_IN_TEXT, "E0:"},
        {"\n", REPLY_IN_TEXT, ""},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        Ids ids = ids_of(steps[i].text, NULL);
        Transcript got = {0};
        for (int k = 0; k < ids.n; k++)
            reply_push(p, ids.data[k]);
        take_events(p, &got);
        assert_string_equal(buf_str(&got.text).data, steps[i].events);
        assert_int_equal(reply_state(p), steps[i].after);
        buf_free(&got.text);
        ids_free(&ids);
    }
    assert_int_equal(reply_n_calls(p), 1);
    reply_finish(p);
    ReplyEvent none;
    assert_false(reply_next(p, &none));
    reply_free(p);
    tokenizer_close(t);
}

/* Without blanks and without the two thinking tags, which may go silently. */
static void bare(Buf *out, Str s)
{
    for (size_t i = 0; i < s.bytes; i++) {
        Str rest = str_slice(s, i, s.bytes);
        if (str_starts(rest, STR("<think>")))
            i += strlen("<think>") - 1;
        else if (str_starts(rest, STR("</think>")))
            i += strlen("</think>") - 1;
        else if (s.data[i] != ' ' && !(s.data[i] >= '\t' && s.data[i] <= '\r'))
            buf_putc(out, s.data[i]);
    }
}

/* Runs ids without a prompt. `text` gets what came as thinking and answer; returns the calls. */
static int run_ids(const Tokenizer *t, const Ids *ids, bool parse_tools, bool at_end,
                   Transcript *got, Buf *text)
{
    ReplyParser *p = reply_new(t, &(ReplyOptions){.parse_tools = parse_tools});
    for (int i = 0; i < ids->n; i++) {
        reply_push(p, ids->data[i]);
        if (!at_end)
            take_events(p, got);
    }
    reply_finish(p);
    take_events(p, got);
    int n_calls = reply_n_calls(p);
    reply_free(p);
    p = reply_new(t, &(ReplyOptions){.parse_tools = parse_tools});
    for (int i = 0; i < ids->n; i++)
        reply_push(p, ids->data[i]);
    reply_finish(p);
    for (ReplyEvent e; reply_next(p, &e);)
        if (e.kind == REPLY_THINKING || e.kind == REPLY_TEXT)
            buf_add(text, e.text);
    reply_free(p);
    return n_calls;
}

/* All text of the ids but special tokens. */
static void decode(const Tokenizer *t, const Ids *ids, Buf *out)
{
    StreamDecoder decoder = {0};
    for (int i = 0; i < ids->n; i++) {
        if (ids->data[i] >= THINK && ids->data[i] < TOOL_CALL + 2)
            stream_decoder_flush(&decoder, out);
        if (!tokenizer_is_special(t, ids->data[i]))
            stream_decoder_push(&decoder, tokenizer_bytes(t, ids->data[i]), out);
    }
    stream_decoder_flush(&decoder, out);
}

static Ids random_ids(Rng *rng, bool is_wild)
{
    static const char *const fragments[] = {
        CALL(WEATHER),
        "<tool_call>",
        "</tool_call>",
        "<think>",
        "</think>",
        "{\"name\": \"",
        "f",
        "\"",
        ", ",
        "\"arguments\": ",
        "{",
        "}",
        "\\",
        "\n",
        "\n\n",
        " ",
        "\xE6\x97\xA5",
        "\xE6",
        "\xA5",
        "<|im_end|>",
        "<function=f>",
        "<parameter=a>",
        "</parameter>",
        "</function>",
        "word",
        "~<think>",
        "1",
        "[",
        "]",
        ":",
    };
    Buf text = {0};
    int n = (int)rng_below(rng, 24);
    for (int i = 0; i < n; i++)
        buf_puts(&text, fragments[rng_below(rng, sizeof fragments / sizeof *fragments)]);
    Ids ids = ids_of(buf_str(&text).data, rng);
    for (int i = 0; i < 3 && ids.n > 0 && is_wild; i++)
        ids.data[rng_below(rng, (uint64_t)ids.n)] = (int32_t)rng_below(rng, N_TOKENS + 2) - 1;
    buf_free(&text);
    return ids;
}

/* Random streams, from single bytes to whole calls: taken one by one or at the end the events are
 * the same, and where there is no call the text is all there. */
static void random_streams_lose_nothing(void **state)
{
    (void)state;
    Tokenizer *t = open_reply_vocab(true);
    Rng rng = {11};
    int n_checked = 0;
    for (int round = 0; round < 4000; round++) {
        Ids ids = random_ids(&rng, round % 2);
        bool parse_tools = rng_below(&rng, 3) > 0;
        Transcript one_by_one = {0}, at_end = {0};
        Buf pieces = {0}, again = {0}, whole = {0}, expected = {0}, found = {0};
        int n_calls = run_ids(t, &ids, parse_tools, false, &one_by_one, &pieces);
        assert_int_equal(run_ids(t, &ids, parse_tools, true, &at_end, &again), n_calls);
        assert_string_equal(buf_str(&one_by_one.text).data, buf_str(&at_end.text).data);
        if (n_calls == 0) {
            decode(t, &ids, &whole);
            bare(&expected, buf_str(&whole));
            bare(&found, buf_str(&pieces));
            assert_string_equal(buf_str(&found).data, buf_str(&expected).data);
            n_checked++;
        }
        Buf *all[] = {&one_by_one.text, &at_end.text, &pieces, &again, &whole, &expected, &found};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            buf_free(all[i]);
        ids_free(&ids);
    }
    assert_true(n_checked > 1000);
    tokenizer_close(t);
}

static bool scans(const char *text)
{
    JsonScan scan = {0};
    for (const char *c = text; *c; c++)
        if (json_scan_byte(&scan, *c) == SCAN_BROKEN)
            return false;
    return json_scan_is_whole(&scan);
}

static void json_is_checked_strictly(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "[]",
        " [ ] ",
        "{\"a\":1}",
        "[1,-0,0.5,1e5,1E-5,-1.25e+3,true,false,null,\"\"]",
        "0",
        "-1.5e3",
        "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00eF\"",
        "{\"a\":{\"b\":[{}]},\"c\":[]}",
        "true",
        "[[[]]]",
        " 1 ",
    };
    static const char *const bad[] = {
        "",        "{",           "}",        "[",     "]",          "{]",
        "[}",      "{\"a\"}",     "{\"a\":}", "{a:1}", "{\"a\":1,}", "[1,]",
        "[,1]",    "01",          "-",        "1.",    ".5",         "1e",
        "1e+",     "+1",          "tru",      "truee", "nul",        "\"",
        "\"\\x\"", "\"\\u12g4\"", "\"\n\"",   "[1 2]", "{\"a\" 1}",  "{\"a\":1 \"b\":2}",
        "1 2",     "{} {}",       "[1]x",     "{,}",   "--1",        "1..2",
        "NaN",     "'a'",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!scans(good[i]))
            fail_msg("refused %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (scans(bad[i]))
            fail_msg("accepted %s", bad[i]);
    JsonScan deep = {0};
    for (int i = 0; i < JSON_SCAN_DEPTH_MAX; i++)
        assert_int_not_equal(json_scan_byte(&deep, i % 2 ? '[' : '['), SCAN_BROKEN);
    assert_int_equal(json_scan_byte(&deep, '['), SCAN_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thought_and_answer),
        cmocka_unit_test(tool_calls),
        cmocka_unit_test(coder_calls),
        cmocka_unit_test(plain_text_is_kept_whole),
        cmocka_unit_test(state_and_pieces_come_in_time),
        cmocka_unit_test(random_streams_lose_nothing),
        cmocka_unit_test(json_is_checked_strictly),
    };
    return TEST_MAIN("reply", tests);
}
