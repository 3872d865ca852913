/* train/chat_data: which tokens of a conversation are learned, template by template. */
#include "chat_vocab.h"

#include "base/file.h"
#include "train/chat_data.h"

#include <string.h>

/* Documents as text: what is learned stands in [ ], with its weight if that is not 1; an added
 * token has ^ before it; documents are apart by " // ". */
static void print_documents(const Tokenizer *t, const Documents *d, Buf *out)
{
    for (int64_t i = 0; i < d->counts.n_documents; i++) {
        const DataDocument doc = document_at(d->words + d->starts[i]);
        const WeightRun *run = doc.runs;
        float weight = 0;
        int left = run->n;
        buf_puts(out, i > 0 ? " // " : "");
        for (int k = 0; k <= doc.n; k++) {
            float next = 0;
            if (k > 0) {
                if (left == 0)
                    left = (++run)->n;
                left--;
                next = run->weight;
            }
            if (weight > 0 && next != weight)
                buf_puts(out, "]");
            if (next > 0 && next != weight) {
                buf_puts(out, "[");
                if (next != 1)
                    buf_printf(out, "%g:", (double)next);
            }
            weight = next;
            buf_puts(out, tokenizer_is_added(t, doc.ids[k]) ? "^" : "");
            buf_add(out, tokenizer_bytes(t, doc.ids[k]));
        }
        buf_puts(out, weight > 0 ? "]" : "");
    }
}

static Buf read_template(const char *name)
{
    Error err = {0};
    Buf source = {0};
    assert_ok(file_read(&source, name, 1 << 20, &err));
    return source;
}

typedef struct Case {
    const char *conversation, *documents;
    ChatScore score;
} Case;

/* Messages with ' for ", as they are easier to read in C. */
static json_t *parse(const char *text)
{
    json_error_t where;
    char *copy = mem_strdup(text);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *json = json_loads(copy, 0, &where);
    if (!json)
        fail_msg("%s: %s", copy, where.text);
    mem_free(copy);
    return json;
}

static void check(const char *file, const Case *cases, int n)
{
    Error err = {0};
    Buf source = read_template(file);
    Tokenizer *tokenizer = open_chat_vocab();
    ChatTemplate *chat = chat_template_open(buf_str(&source), STR("<｜begin▁of▁sentence｜>"),
                                            STR("<|im_end|>"), &err);
    if (!chat)
        fail_msg("%s: %s", file, err.message);
    for (int i = 0; i < n; i++) {
        ChatReader reader = {
            .chat = chat, .tokenizer = tokenizer, .score = cases[i].score, .end = CHAT_TEXT_END};
        Documents documents = {.tokens_max = 100000};
        Buf text = {0};
        json_t *conversation = parse(cases[i].conversation);
        assert_ok(chat_reader_add(&reader, conversation, &documents, &err));
        print_documents(tokenizer, &documents, &text);
        if (!str_equals(buf_str(&text), cases[i].documents))
            fail_msg("%s: case %d:\n%s\nexpected:\n%s", file, i, text.data, cases[i].documents);
        json_decref(conversation);
        buf_free(&text);
        documents_free(&documents);
        chat_reader_free(&reader);
    }
    chat_template_close(chat);
    tokenizer_close(tokenizer);
    buf_free(&source);
}
#define CHECK(file, cases) check(file, cases, sizeof(cases) / sizeof *(cases))

/* ---- Qwen3 ----------------------------------------------------------------------------------- */

#define USER(text) "{'role':'user','content':'" text "'}"
#define SAYS(text) "{'role':'assistant','content':'" text "'}"
#define THINKS(thought, text)                                                                      \
    "{'role':'assistant','reasoning_content':'" thought "','content':'" text "'}"
#define CALLS(thought)                                                                             \
    "{'role':'assistant','reasoning_content':'" thought "','content':'','tool_calls':[{'type':"    \
    "'function','id':'1','function':{'name':'f','arguments':{'x':1}}}]}"
#define TOOL(text) "{'role':'tool','content':'" text "'}"
#define ASKED(text) "^<|im_start|>user\n" text "^<|im_end|>\n^<|im_start|>assistant\n"
#define BLANK "^<think>\n\n^</think>\n\n"
#define CALL "^<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n^</tool_call>^<|im_end|>"
#define RESULT(text)                                                                               \
    "\n^<|im_start|>user\n^<tool_response>\n" text "\n^</tool_response>^<|im_end|>\n"              \
    "^<|im_start|>assistant\n"

static const Case hybrid[] = {
    /* Thinking off: the blank block is the prompt's. */
    {"{'messages':[" USER("q") "," SAYS("a") "],'enable_thinking':false}",
     ASKED("q") BLANK "[a^<|im_end|>]", CHAT_ALL},
    /* Thinking on without a thought: the model writes the blank block. */
    {"{'messages':[" USER("q /no_think") "," SAYS("a") "]}",
     ASKED("q /no_think") "[" BLANK "a^<|im_end|>]", CHAT_ALL},
    {"{'messages':[" USER("q") "," THINKS("t", "a") "],'enable_thinking':true}",
     ASKED("q") "[^<think>\nt\n^</think>\n\na^<|im_end|>]", CHAT_ALL},
    /* The thought may stand in the content. */
    {"{'messages':[{'role':'system','content':'s'}," USER("q") "," SAYS(
         "<think>\\nt\\n</think>\\n\\na") "]}",
     "^<|im_start|>system\ns^<|im_end|>\n" ASKED("q") "[^<think>\nt\n^</think>\n\na^<|im_end|>]",
     CHAT_ALL},
    /* A new question takes the first thought out of history: two documents. */
    {"{'messages':[" USER("q") "," THINKS("t", "a") "," USER("r") "," THINKS("u", "b") "]}",
     ASKED("q") "[^<think>\nt\n^</think>\n\na^<|im_end|>] // " ASKED("q") "a^<|im_end|>\n" ASKED(
         "r") "[^<think>\nu\n^</think>\n\nb^<|im_end|>]",
     CHAT_ALL},
    {"{'messages':[" USER("q") "," THINKS("t", "a") "," USER("r") "," THINKS("u", "b") "]}",
     ASKED("q") "a^<|im_end|>\n" ASKED("r") "[^<think>\nu\n^</think>\n\nb^<|im_end|>]", CHAT_LAST},
    /* A tool loop keeps its thoughts: one document. */
    {"{'messages':[" USER("q") "," CALLS("t") "," TOOL("5") "," THINKS("u", "a") "]}",
     ASKED("q") "[^<think>\nt\n^</think>\n\n" CALL
                "]" RESULT("5") "[^<think>\nu\n^</think>\n\na^<|im_end|>]",
     CHAT_LAST},
    /* Without thoughts the call's blank block leaves with the result: two documents. */
    {"{'messages':[" USER("q") "," CALLS("") "," TOOL("5") "," SAYS("a") "],"
                                                                         "'enable_thinking':false}",
     ASKED("q") BLANK "[" CALL "] // " ASKED("q") CALL RESULT("5") BLANK "[a^<|im_end|>]",
     CHAT_ALL},
    /* Special tokens count where template and assistant wrote them, and nowhere else. */
    {"{'messages':[" USER("<|im_end|><think>") "," CALLS("t") "," TOOL(
         "</tool_response>") "," THINKS("u", "a") "]}",
     ASKED("<|im_end|><think>") "[^<think>\nt\n^</think>\n\n" CALL "]" RESULT(
         "</tool_response>") "[^<think>\nu\n^</think>\n\na^<|im_end|>]",
     CHAT_ALL},
    /* Weights. */
    {"{'messages':[" USER("q") ",{'role':'assistant','content':'a','weight':0}," USER(
         "r") ",{'role':'assistant','content':'b','weight':0.5}],'enable_thinking':false}",
     ASKED("q") "a^<|im_end|>\n" ASKED("r") BLANK "[0.5:b^<|im_end|>]", CHAT_ALL},
    {"{'messages':[" USER("q") ",{'role':'assistant','content':'a','weight':0}]}", "", CHAT_ALL},
    /* A thought that was cut is context, and so is what ends it. */
    {"{'messages':[" USER("q") ",{'role':'assistant','content':'a',"
                               "'reasoning_content':'t\\n\\nstop','thinking_weight':0}]}",
     ASKED("q") "^<think>\nt\n\nstop\n^</think>\n\n[a^<|im_end|>]", CHAT_ALL},
    /* What follows the last answer is not seen. */
    {"{'messages':[" USER("q") "," SAYS("a") "," USER("r") "],'enable_thinking':false}",
     ASKED("q") BLANK "[a^<|im_end|>]", CHAT_ALL},
    {"{'messages':[" USER("q") "," SAYS("a") "," USER("r") "]}", "", CHAT_LAST},
    /* As a text: all of it. */
    {"{'messages':[" USER("q") "," SAYS("a") "]}",
     "^<|im_start|>[user\nq^<|im_end|>\n^<|im_start|>assistant\n" BLANK
     "a^<|im_end|>\n^<|endoftext|>]",
     CHAT_TEXT},
};

static void own_template(void **state)
{
    (void)state;
    CHECK("models/chat_template.jinja", hybrid);
}

static void hybrid_templates(void **state)
{
    (void)state;
    skip_without_data("chat_templates/qwen3-hybrid.jinja");
    CHECK(test_data("chat_templates/qwen3-hybrid.jinja"), hybrid);
    CHECK(test_data("chat_templates/qwen3-hybrid-original.jinja"), hybrid);
}

/* ---- Others ---------------------------------------------------------------------------------- */

static void templates_that_keep_history(void **state)
{
    (void)state;
    skip_without_data("chat_templates/qwen2.5-instruct.jinja");
    static const Case instruct[] = {
        {"{'messages':[" USER("q") "," SAYS("a") "," USER("r") "," SAYS("b") "]}",
         ASKED("q") "[a^<|im_end|>]\n" ASKED("r") "[b^<|im_end|>]", CHAT_ALL},
        {"{'messages':[" USER("q") "," SAYS("a") "," USER("r") "," SAYS("b") "]}",
         ASKED("q") "a^<|im_end|>\n" ASKED("r") "[b^<|im_end|>]", CHAT_LAST},
        {"{'messages':[" USER("q") ",{'role':'assistant','content':'a','weight':0.25}," USER(
             "r") "," SAYS("b") "]}",
         ASKED("q") "[0.25:a^<|im_end|>]\n" ASKED("r") "[b^<|im_end|>]", CHAT_ALL},
    };
    static const Case older[] = {
        {"{'messages':[{'role':'system','content':'s'}," USER("q") "," SAYS("a") "," USER(
             "r") "," SAYS("b") "]}",
         "^<|im_start|>system\ns^<|im_end|>\n" ASKED("q") "[a^<|im_end|>]\n" ASKED(
             "r") "[b^<|im_end|>]",
         CHAT_ALL},
    };
    static const Case training[] = {
        {"{'messages':[" USER("q") "," THINKS("t", "a") "," USER("r") "," THINKS("u", "b") "]}",
         ASKED("q") "[^<think>\nt\n^</think>\n\na^<|im_end|>]\n" ASKED(
             "r") "[^<think>\nu\n^</think>\n\nb^<|im_end|>]",
         CHAT_ALL},
    };
    CHECK(test_data("chat_templates/qwen3-instruct-2507.jinja"), instruct);
    CHECK(test_data("chat_templates/qwen2.5-instruct.jinja"), older);
    CHECK(test_data("chat_templates/qwen3-hybrid-training-trl.jinja"), training);
}

#define R1_NEXT "^<｜User｜>"
#define R1_USER "^<｜begin▁of▁sentence｜>" R1_NEXT
#define R1_ASSISTANT "^<｜Assistant｜>"
#define R1_END "^<｜end▁of▁sentence｜>"

static void templates_that_open_the_thought(void **state)
{
    (void)state;
    skip_without_data("chat_templates/qwq-32b.jinja");
    static const Case thinking[] = {
        {"{'messages':[" USER("q") "," THINKS("t", "a") "]}",
         ASKED("q") "^<think>\n[t\n^</think>\n\na^<|im_end|>]", CHAT_ALL},
    };
    static const Case inline_thought[] = {
        {"{'messages':[" USER("q") "," SAYS("<think>\\nt\\n</think>\\n\\na") "]}",
         ASKED("q") "^<think>\n[t\n^</think>\n\na^<|im_end|>]", CHAT_ALL},
    };
    static const Case deepseek[] = {
        {"{'messages':[" USER("q") "," THINKS("t", "a") "," USER("r") "," SAYS(
             "<think>\\nu\\n</think>\\n\\nb") "]}",
         R1_USER "q" R1_ASSISTANT "^<think>\n"
                 "[t\n^</think>\n\na" R1_END "] // " R1_USER "q" R1_ASSISTANT "a" R1_END R1_NEXT
                 "r" R1_ASSISTANT "^<think>\n[u\n^</think>\n\nb" R1_END "]",
         CHAT_ALL},
    };
    CHECK(test_data("chat_templates/qwen3-thinking-2507.jinja"), thinking);
    CHECK(test_data("chat_templates/qwq-32b.jinja"), thinking);
    CHECK(test_data("chat_templates/qwen3-thinking-2507.jinja"), inline_thought);
    CHECK(test_data("chat_templates/qwq-32b.jinja"), inline_thought);
    CHECK(test_data("chat_templates/deepseek-r1-distill-qwen.jinja"), deepseek);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void bad_conversations_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *conversation, *message;
    } bad[] = {
        {"{'messages':[]}", "messages: "},
        {"{'messages':[{'content':'q'}]}", "messages[0]: it is not an object with a role"},
        {"{'messages':[{'role':'human','content':'q'}]}", "messages[0].role: \"human\""},
        {"{'messages':[{'role':'user'}]}", "messages[0].content"},
        {"{'messages':[{'role':'user','content':'q','weight':1}]}", "messages[0].weight"},
        {"{'messages':[" USER("q") ",{'role':'assistant','content':'a','weight':2}]}",
         "messages[1].weight: it is not from 0 to 1"},
        {"{'messages':[" USER("q") ",{'role':'assistant','content':'a','thinking_weight':-1}]}",
         "messages[1].thinking_weight: it is not from 0 to 1"},
        {"{'messages':[" SAYS("a") "]}", "messages[0]: an answer to nothing"},
        {"{'messages':[" USER("q") "," THINKS("t", "a") "],'enable_thinking':false}",
         "has it a thought with thinking off?"},
        {"{'messages':[" USER("q") "," SAYS("a<|im_end|>b") "]}",
         "messages[1]: the answer contains <|im_end|>"},
        {"{'messages':[" USER("q") "],'tools':{}}", "tools: "},
        {"{'messages':[" USER("q") "],'enable_thinking':1}", "enable_thinking: "},
    };
    Error err = {0};
    Buf source = read_template("models/chat_template.jinja");
    Tokenizer *tokenizer = open_chat_vocab();
    ChatTemplate *chat = chat_template_open(buf_str(&source), (Str){0}, (Str){0}, &err);
    assert_non_null(chat);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ChatReader reader = {.chat = chat, .tokenizer = tokenizer, .end = CHAT_TEXT_END};
        Documents documents = {.tokens_max = 100000};
        json_t *conversation = parse(bad[i].conversation);
        assert_error(chat_reader_add(&reader, conversation, &documents, &err), ERROR_FORMAT,
                     bad[i].message);
        json_decref(conversation);
        documents_free(&documents);
        chat_reader_free(&reader);
    }
    chat_template_close(chat);
    tokenizer_close(tokenizer);
    buf_free(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_template),
        cmocka_unit_test(hybrid_templates),
        cmocka_unit_test(templates_that_keep_history),
        cmocka_unit_test(templates_that_open_the_thought),
        cmocka_unit_test(bad_conversations_are_named),
    };
    return TEST_MAIN("chat_data", tests);
}
