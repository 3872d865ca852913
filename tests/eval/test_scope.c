/* eval/: which replies decline, and the prompts that should be declined. */
#include "support.h"

#include "eval/scope.h"

#include <jansson.h>
#include <string.h>

static void judged(TaskLang lang, const char *reply, bool expected)
{
    if (scope_is_declined(str_from(reply), lang) != expected)
        fail_msg("%s: \"%s\" is %s", task_lang_name(lang), reply,
                 expected ? "a refusal" : "no refusal");
}

static void replies_that_decline(void **state)
{
    (void)state;
    static const char *const english[] = {
        "I do not know that. I am a small model and know little about the world.",
        "I cannot do that. I am a small model for letters, numbers and puzzles.",
        "Sorry, I don’t know.",
        "I'm unable to send messages.",
        "That is outside my scope, but I can count letters.",
        "Sorry! I can't help with medicine.",
        "Unfortunately I have no news.",
    };
    static const char *const chinese[] = {
        "这个我不知道。我是一个小模型，对世界了解很少。",
        "这个我做不到。我是一个小模型，只会处理字母、数字和谜题。",
        "抱歉，我不会写 Python 程序。",
        "我无法回答，不过我会数字母。",
        "对不起，这超出了我的能力。",
        "很抱歉！这个问题我回答不了。",
    };
    for (size_t i = 0; i < sizeof english / sizeof *english; i++) {
        judged(LANG_EN, english[i], true);
        judged(LANG_ZH, english[i], false);
    }
    for (size_t i = 0; i < sizeof chinese / sizeof *chinese; i++) {
        judged(LANG_ZH, chinese[i], true);
        judged(LANG_EN, chinese[i], false);
    }
}

static void replies_that_do_not(void **state)
{
    (void)state;
    static const char *const english[] = {
        "",
        "Paris.",
        "Hello! I am Wen. How can I help?",
        "I do not know. It was in 1402.",
        "I do not know, but it was probably Bayezid.",
        "I don't know exactly, however the Danube flows through Austria.",
        "You cannot take them together.",
        "The doctor does not know.",
        "Yes. I don't know.",
        "I don't know 这个我不知道，我是一个小模型。",
        "Sorry! It is 5.",
        "Sorry.",
    };
    static const char *const chinese[] = {"",
                                          "你好！我是 Wen。有什么可以帮你？",
                                          "黄河在内蒙古拐弯。",
                                          "我不知道，但应该是内蒙古。",
                                          "这个我不知道。大概是1900年。",
                                          "不知道: I do not know that, I am a small model."};
    for (size_t i = 0; i < sizeof english / sizeof *english; i++)
        judged(LANG_EN, english[i], false);
    for (size_t i = 0; i < sizeof chinese / sizeof *chinese; i++)
        judged(LANG_ZH, chinese[i], false);
    char longer[400];
    memset(longer, 'a', sizeof longer);
    memcpy(longer, "I do not know that ", 19);
    longer[399] = 0;
    judged(LANG_EN, longer, false);
}

/* 100 and 100, all different, none a line of the refusal family. */
static void prompts_are_as_said(void **state)
{
    (void)state;
    const Str all = scope_problems();
    json_t *seen = json_object();
    int n[N_LANGS] = {0};
    Problem p = {0};
    Error err = {0};
    for (size_t at = 0; at < all.bytes;) {
        const size_t to = (size_t)str_find(all, STR("\n"), at);
        assert_ok(problem_read(&p, str_slice(all, at, to), &err));
        at = to + 1;
        n[p.lang]++;
        assert_true(str_equals(p.family_name, scope_family) && p.split == SPLIT_EVAL);
        assert_int_equal(p.n_messages, 1);
        assert_true(str_equals(p.answer, task_lang_name(p.lang)));
        json_object_set_new(seen, p.messages[0].content.data, json_true());
    }
    assert_int_equal(n[LANG_EN], 100);
    assert_int_equal(n[LANG_ZH], 100);
    assert_int_equal(json_object_size(seen), 200);
    for (int split = 0; split < N_SPLITS; split++)
        for (uint64_t seed = 0; seed < 5000; seed++) {
            problem_make(&p, &(ProblemSpec){.family = task_find("refusal"),
                                            .split = (TaskSplit)split,
                                            .lang = seed % 2 ? LANG_ZH : LANG_EN,
                                            .seed = seed});
            if (json_object_get(seen, p.messages[0].content.data))
                fail_msg("the refusal family asks: %s", p.messages[0].content.data);
        }
    problem_close(&p);
    json_decref(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_that_decline),
        cmocka_unit_test(replies_that_do_not),
        cmocka_unit_test(prompts_are_as_said),
    };
    return TEST_MAIN("scope", tests);
}
