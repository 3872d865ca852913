/* tasks/: documents of mixtures: modes, flags, cut thoughts, what the trainer makes of them. */
#include "support.h"

#include "base/file.h"
#include "tasks/mixture.h"
#include "train/chat_data.h"
#include "train/chat_vocab.h"
#include "train/yaml.h"

#include <stdlib.h>
#include <string.h>

enum { N_DOCUMENTS = 4000 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static json_t *document(const Mixture *mix, DocumentMaker *maker, int64_t i, Buf *line)
{
    buf_clear(line);
    mixture_document(mix, maker, i, line);
    json_t *json = json_loads(line->data, 0, NULL);
    if (!json || memchr(line->data, '\n', line->bytes - 1))
        fail_msg("document %d is not one line of JSON: %s", (int)i, line->data);
    return json;
}

/* The mode that a turn is in: what the last flag up to it says. */
static bool thinks_at(const json_t *messages, size_t end)
{
    for (size_t i = end; i-- > 0;) {
        const json_t *message = json_array_get(messages, i);
        const Str content = str_from(text_of(message, "content"));
        const char *role = text_of(message, "role");
        if (strcmp(role, "user") != 0 && strcmp(role, "system") != 0)
            continue;
        if (str_ends(content, STR(" /think")))
            return true;
        if (str_ends(content, STR(" /no_think")))
            return false;
    }
    return true;
}

static bool is_learned(const json_t *message)
{
    const json_t *weight = json_object_get(message, "weight");
    return strcmp(text_of(message, "role"), "assistant") == 0 &&
           (!weight || json_number_value(weight) > 0);
}

static void every_answer_follows_the_last_flag(void **state)
{
    (void)state;
    static Mixture mix;
    DocumentMaker maker = {0};
    Buf line = {0};
    mixture_all(&mix);
    mix.cut = 0.1;
    mix.multi_turn = 0.4;
    mix.idle_tools = 0.1;
    int n_thoughts = 0, n_answers = 0, n_cut = 0, n_kept = 0, n_off = 0, n_tools = 0;
    for (int i = 0; i < N_DOCUMENTS; i++) {
        json_t *json = document(&mix, &maker, i, &line);
        const json_t *messages = json_object_get(json, "messages");
        const bool is_off = json_is_false(json_object_get(json, "enable_thinking"));
        const size_t n = json_array_size(messages);
        for (size_t k = 0; k < n; k++) {
            const json_t *message = json_array_get(messages, k);
            if (!is_learned(message))
                continue;
            const bool has_thought = text_of(message, "reasoning_content")[0] != 0;
            if (has_thought != (!is_off && thinks_at(messages, k)))
                fail_msg("document %d, message %d: the wrong mode: %s", i, (int)k, line.data);
            n_answers++;
            n_thoughts += has_thought;
            if (json_object_get(message, "thinking_weight")) {
                const Str thought = str_from(text_of(message, "reasoning_content"));
                assert_true(str_ends(thought, STR("\n\nConsidering the limited time by the user, I "
                                                  "have to give the solution based on the thinking "
                                                  "directly now.")));
                n_cut++;
            }
        }
        const char *last_user = "";
        for (size_t k = 0; k < n; k++)
            if (strcmp(text_of(json_array_get(messages, k), "role"), "user") == 0)
                last_user = text_of(json_array_get(messages, k), "content");
        n_kept += !is_off && !thinks_at(messages, n) && !test_contains(last_user, "/no_think");
        n_off += is_off;
        n_tools += json_array_size(json_object_get(json, "tools")) > 0;
        assert_true(is_learned(json_array_get(messages, n - 1)));
        json_decref(json);
    }
    assert_in_range(n_thoughts, n_answers / 2, n_answers * 4 / 5);
    assert_true(n_cut > 50 && n_kept > 50 && n_off > 50 && n_tools > 200);
    document_maker_close(&maker);
    buf_free(&line);
}

/* What the model will read is what was written: the rendering goes through ids and back. */
static void documents_survive_the_tokenizer(void **state)
{
    (void)state;
    static Mixture mix;
    DocumentMaker maker = {0};
    Error err = {0};
    Buf line = {0}, source = {0}, back = {0};
    Tokenizer *tokenizer = open_chat_vocab();
    assert_ok(file_read(&source, "models/chat_template.jinja", 1 << 20, &err));
    ChatTemplate *chat = chat_template_open(buf_str(&source), (Str){0}, STR("<|im_end|>"), &err);
    assert_non_null(chat);
    ChatReader reader = {.chat = chat, .tokenizer = tokenizer, .end = CHAT_TEXT_END};
    Documents documents = {.tokens_max = 100000};
    mixture_all(&mix);
    mix.cut = 0.1;
    for (int i = 0; i < N_DOCUMENTS / 4; i++) {
        json_t *json = document(&mix, &maker, i, &line);
        if (!chat_reader_add(&reader, json, &documents, &err))
            fail_msg("document %d: %s: %s", i, err.message, line.data);
        const json_t *messages = json_object_get(json, "messages");
        for (size_t k = 0; k < json_array_size(messages); k++) {
            const Str content = str_from(text_of(json_array_get(messages, k), "content"));
            Ids ids = {0};
            buf_clear(&back);
            assert_ok(tokenizer_encode_plain(tokenizer, content, &ids, &err));
            assert_ok(tokenizer_decode(tokenizer, ids.data, ids.n, false, &back, &err));
            assert_true(str_equal(buf_str(&back), content));
            ids_free(&ids);
        }
        json_decref(json);
    }
    assert_true(documents.counts.n_documents >= N_DOCUMENTS / 4);
    assert_int_equal(documents.counts.n_blank, 0);
    documents_free(&documents);
    chat_reader_free(&reader);
    chat_template_close(chat);
    tokenizer_close(tokenizer);
    document_maker_close(&maker);
    buf_free(&line);
    buf_free(&source);
    buf_free(&back);
}

static void documents_are_functions_of_their_number(void **state)
{
    (void)state;
    static Mixture mix;
    DocumentMaker first = {0}, second = {0};
    Buf a = {0}, b = {0};
    mixture_all(&mix);
    for (int kind = 0; kind < 3; kind++) {
        mix.kind = (MixtureKind)kind;
        mix.seed = 1;
        for (int i = 0; i < 200; i++) {
            buf_clear(&a);
            buf_clear(&b);
            mixture_document(&mix, &first, i, &a);
            mixture_document(&mix, &second, 199 - i, &b);
            buf_clear(&b);
            mixture_document(&mix, &second, i, &b);
            assert_string_equal(a.data, b.data);
        }
        mix.seed = 2;
        buf_clear(&b);
        mixture_document(&mix, &second, 199, &b);
        assert_string_not_equal(a.data, b.data);
    }
    document_maker_close(&first);
    document_maker_close(&second);
    buf_free(&a);
    buf_free(&b);
}

static void configurations_say_what_is_wrong(void **state)
{
    (void)state;
    static Mixture mix;
    Error err = {0};
    static const char *const cases[][2] = {
        {"[1]", "a mixture is a mapping"},
        {"kind: letters", "kind: expected one of chat, text, problems"},
        {"split: test", "split: expected one of train, rl, eval"},
        {"thinking: 2", "thinking: expected a share"},
        {"documents: -1", "documents: expected a whole number"},
        {"languages: {fr: 1}", "no language \"fr\""},
        {"colour: red", "no such key \"colour\""},
        {"families: []", "families: expected a list"},
        {"families: [{family: nope}]", "no family \"nope\""},
        {"families: [{family: chain, difficulty: 99}]", "chain: difficulty"},
        {"families: [{family: chain, size: 3}]", "chain: no such key \"size\""},
        {"families: [{family: chain, weight: 0}]", "a weight above 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *config = yaml_read(str_from(cases[i][0]), "test", &err);
        assert_non_null(config);
        assert_error(mixture_read(&mix, config, &err), ERROR_FORMAT, cases[i][1]);
        json_decref(config);
    }
    json_t *config = yaml_read(STR("kind: text\nsplit: rl\nseed: 7\nthinking: 0.25\n"
                                   "languages: {zh: 1}\nfamilies:\n"
                                   "  - {family: chain, weight: 2, difficulty: [2, 3]}\n"
                                   "  - {family: letters, thinking: 1}\n"),
                               "test", &err);
    assert_ok(mixture_read(&mix, config, &err));
    assert_true(mix.kind == MIXTURE_TEXT && mix.split == SPLIT_RL && mix.seed == 7);
    assert_true(mix.n_entries == 2 && mix.entries[0].weight == 2);
    assert_true(mix.entries[0].difficulty_min == 2 && mix.entries[0].difficulty_max == 3);
    assert_true(mix.entries[0].thinking == 0.25 && mix.entries[1].thinking == 1);
    assert_true(mix.entries[0].langs[LANG_EN] == 0 && mix.entries[0].langs[LANG_ZH] == 1);
    json_decref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_follows_the_last_flag),
        cmocka_unit_test(documents_survive_the_tokenizer),
        cmocka_unit_test(documents_are_functions_of_their_number),
        cmocka_unit_test(configurations_say_what_is_wrong),
    };
    return TEST_MAIN("mixture", tests);
}
