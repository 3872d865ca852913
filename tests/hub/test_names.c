/* hub: names of models, and which files of a repository make one up. */
#include "support.h"

#include "hub/repo_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect_name(const char *text, HubSite site, const char *repo, const char *variant)
{
    Error err = {0};
    HubName name;
    assert_ok(hub_name_parse(&name, text, &err));
    assert_int_equal(name.site, site);
    assert_string_equal(name.repo, repo);
    assert_string_equal(name.variant, variant);
}

static void names_are_read(void **state)
{
    (void)state;
    unsetenv("WEN_HUB");
    expect_name("Qwen/Qwen3-0.6B", HUB_HUGGING_FACE, "Qwen/Qwen3-0.6B", "");
    expect_name("Qwen/Qwen3-8B-GGUF:Q4_K_M", HUB_HUGGING_FACE, "Qwen/Qwen3-8B-GGUF", "Q4_K_M");
    expect_name("hf.co/a/b:x.gguf", HUB_HUGGING_FACE, "a/b", "x.gguf");
    expect_name("https://huggingface.co/a/b/", HUB_HUGGING_FACE, "a/b", "");
    expect_name("https://www.modelscope.cn/models/a/b", HUB_MODELSCOPE, "a/b", "");
    expect_name("modelscope.cn/a/b:Q8_0", HUB_MODELSCOPE, "a/b", "Q8_0");
    setenv("WEN_HUB", "modelscope", 1);
    expect_name("a/b", HUB_MODELSCOPE, "a/b", "");
    expect_name("hf.co/a/b", HUB_HUGGING_FACE, "a/b", "");
    unsetenv("WEN_HUB");
}

static void short_names_mean_repositories(void **state)
{
    (void)state;
    unsetenv("WEN_HUB");
    expect_name("qwen3", HUB_HUGGING_FACE, "Qwen/Qwen3-8B-GGUF", "");
    expect_name("qwen3:latest", HUB_HUGGING_FACE, "Qwen/Qwen3-8B-GGUF", "");
    expect_name("qwen3:0.6b", HUB_HUGGING_FACE, "Qwen/Qwen3-0.6B-GGUF", "");
    expect_name("qwen3:30b", HUB_HUGGING_FACE, "Qwen/Qwen3-30B-A3B-GGUF", "");
    expect_name("Qwen3:30B-A3B-q8_0", HUB_HUGGING_FACE, "Qwen/Qwen3-30B-A3B-GGUF", "q8_0");
    expect_name("qwen2.5:7b-instruct-q5_K_M", HUB_HUGGING_FACE, "Qwen/Qwen2.5-7B-Instruct-GGUF",
                "q5_K_M");
    expect_name("qwq", HUB_HUGGING_FACE, "Qwen/QwQ-32B-GGUF", "");
    expect_name("deepseek-r1:14b", HUB_HUGGING_FACE, "unsloth/DeepSeek-R1-Distill-Qwen-14B-GGUF",
                "");
}

static void what_is_no_name_is_refused(void **state)
{
    static const char *const texts[] = {"a/b/c",       "../x",        "a/../b",  "/etc/passwd",
                                        "a/b.gguf",    ".a/b",        "a/",      "a b/c",
                                        "a/b:../../x", "hf.co/qwen3", "a/b:c/d", "a/b:"};
    (void)state;
    Error err = {0};
    HubName name;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (hub_name_parse(&name, texts[i], &err))
            fail_msg("%s was read as %s : %s", texts[i], name.repo, name.variant);
    assert_error(hub_name_parse(&name, "qwen3:9b", &err), ERROR_ARGUMENT, "8b, 0.6b, 1.7b");
    assert_error(hub_name_parse(&name, "hello", &err), ERROR_ARGUMENT, "not a model's name");
    char longer[400];
    memset(longer, 'a', sizeof longer - 1);
    longer[100] = '/';
    longer[sizeof longer - 1] = '\0';
    assert_error(hub_name_parse(&name, longer, &err), ERROR_ARGUMENT, "neither a file");
}

static void names_are_written_as_they_are_read(void **state)
{
    static const char *const texts[] = {"Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B-GGUF:Q4_K_M",
                                        "modelscope.cn/a/b:Q8_0"};
    (void)state;
    unsetenv("WEN_HUB");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Error err = {0};
        HubName name;
        Buf text = {0};
        assert_ok(hub_name_parse(&name, texts[i], &err));
        hub_name_put(&text, &name);
        assert_string_equal(text.data, texts[i]);
        buf_free(&text);
    }
}

static void gguf_files_have_labels(void **state)
{
    static const char *const pairs[][2] = {
        {"Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"},
        {"x/qwen2.5-7b-instruct-q5_0.gguf", "Q5_0"},
        {"Qwen3-235B-A22B-Q4_K_M-00002-of-00005.gguf", "Q4_K_M"},
        {"Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"},
        {"m.IQ3_XXS.gguf", "IQ3_XXS"},
        {"m-bf16.gguf", "BF16"},
        {"m-fp16.gguf", "FP16"},
        {"m-MXFP4_MOE.gguf", "MXFP4_MOE"},
        {"Model.gguf", "Model"},
        {"QwQ-32B.gguf", "QwQ-32B"},
    };
    char label[HUB_VARIANT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_true(repo_gguf_label(pairs[i][0], label, sizeof label));
        assert_string_equal(label, pairs[i][1]);
    }
    assert_false(repo_gguf_label("mmproj-Qwen3-VL-F16.gguf", label, sizeof label));
    assert_false(repo_gguf_label("config.json", label, sizeof label));
    assert_false(repo_gguf_label(".gguf", label, sizeof label));
}

/* Chooses among files (separated by blanks); the variant and what is kept, or the error. */
static void expect_choice(const char *paths, const char *variant, const char *expected)
{
    RepoFiles files = {0};
    Error err = {0};
    Buf text = {0};
    char chosen[HUB_VARIANT_MAX], *copy = strdup(paths), *rest = copy;
    snprintf(chosen, sizeof chosen, "%s", variant);
    for (char *path; (path = strsep(&rest, " "));)
        repo_files_add(&files, path, 1);
    if (repo_choose(&files, chosen, &err)) {
        buf_printf(&text, "%s:", chosen);
        for (int i = 0; i < files.n; i++)
            buf_printf(&text, " %s", files.items[i].path);
    } else {
        buf_puts(&text, err.message);
    }
    assert_string_equal(text.data, expected);
    buf_free(&text);
    repo_files_free(&files);
    free(copy);
}

static void one_model_is_chosen(void **state)
{
    (void)state;
    expect_choice("config.json model.safetensors pytorch_model.bin onnx/model.json LICENSE", "",
                  "safetensors: config.json model.safetensors LICENSE");
    expect_choice("a-Q8_0.gguf", "", "Q8_0: a-Q8_0.gguf");
    expect_choice("a-Q8_0.gguf a-Q4_K_M.gguf README.md", "", "Q4_K_M: a-Q4_K_M.gguf");
    expect_choice("a-Q8_0.gguf a-UD-Q4_K_M.gguf a-Q4_K_M.gguf", "q4_k_m", "Q4_K_M: a-Q4_K_M.gguf");
    expect_choice("a-fp16.gguf a-q8_0.gguf", "F16", "FP16: a-fp16.gguf");
    expect_choice("a-Q8_0.gguf a-Q6_K.gguf", "a-Q6_K.gguf", "Q6_K: a-Q6_K.gguf");
    expect_choice("config.json model.safetensors a-Q8_0.gguf", "Q8_0", "Q8_0: a-Q8_0.gguf");
    expect_choice("d/a-Q8_0-00001-of-00002.gguf d/a-Q8_0-00002-of-00002.gguf", "",
                  "Q8_0: d/a-Q8_0-00001-of-00002.gguf d/a-Q8_0-00002-of-00002.gguf");
    expect_choice("a-Q8_0.gguf a-Q6_K.gguf", "",
                  "has several models: say which, NAME:Q6_K (there "
                  "is Q6_K, Q8_0)");
    expect_choice(
        "a-Q8_0.gguf b-Q8_0.gguf", "Q8_0",
        "has several models of Q8_0 (a-Q8_0, b-Q8_0): fetch the file of one, and give its "
        "path");
    expect_choice("a-Q8_0.gguf", "Q2_K", "has no Q2_K; there is Q8_0");
    expect_choice("model.bin", "", "has neither safetensors with config.json nor GGUF files");
    expect_choice("a-Q8_0-00001-of-00003.gguf a-Q8_0-00003-of-00003.gguf", "",
                  "a-Q8_0-00002-of-00003.gguf is missing: part 2 of 3");
    expect_choice("config.json model-00002-of-00002.safetensors", "",
                  "model-00001-of-00002.safetensors is missing: part 1 of 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(short_names_mean_repositories),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(names_are_written_as_they_are_read),
        cmocka_unit_test(gguf_files_have_labels),
        cmocka_unit_test(one_model_is_chosen),
    };
    return TEST_MAIN("hub names", tests);
}
