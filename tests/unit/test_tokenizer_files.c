/* The files that a tokenizer is read from: every layout gives the same ids, and whatever is
 * damaged, hostile or not implemented is one clear error. */
#include "small_vocab.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdio.h>
#include <string.h>

/* The part of the small tokenizer.json between two marks, `from` included. */
static Str cut(const Buf *json, const char *from, const char *to)
{
    ptrdiff_t a = str_find(buf_str(json), str_from(from), 0);
    ptrdiff_t b = str_find(buf_str(json), str_from(to), (size_t)a);
    assert_true(a >= 0 && b > a);
    return str_slice(buf_str(json), (size_t)a, (size_t)b);
}

/* vocab.json and merges.txt of the small vocabulary. */
static void make_vocab_and_merges(Buf *vocab, Buf *merges, const char *head, const char *newline)
{
    Buf json = small_json(&(Small){0});
    Str object = cut(&json, "\"vocab\":", ",\"merges\"");
    buf_add(vocab, str_slice(object, strlen("\"vocab\":"), object.bytes));
    buf_puts(merges, head);
    for (int i = 0; i < N_SMALL_MERGES; i++)
        buf_printf(merges, "%s %s%s", small_merges[i][0], small_merges[i][1], newline);
    buf_free(&json);
}

#define USUAL_TEXT "<think>hello abc  aaa e\xCC\x81<end>"
#define USUAL_IDS THINK, HELLO, SPACE, ABC, SPACE, SPACE_A, AA, SPACE, E_ACUTE, END

static void vocab_and_merges_files(void **state)
{
    (void)state;
    const char *const heads[] = {"#version: 0.2\n", "", "#version: 0.2\r\n"};
    const char *const config =
        "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"eos_token\":\"<end>\",\"pad_token\":"
        "{\"content\":\"<think>\"},\"bos_token\":null,\"add_bos_token\":false,"
        "\"added_tokens_decoder\":{\"270\":{\"content\":\"<end>\",\"special\":true},"
        "\"271\":{\"content\":\"<think>\",\"special\":false}}}";
    for (int i = 0; i < 3; i++) {
        Buf vocab = {0}, merges = {0};
        make_vocab_and_merges(&vocab, &merges, heads[i], i == 2 ? "\r\n" : "\n");
        TokenizerFiles files = no_files();
        files.vocab_json = buf_str(&vocab);
        files.merges_txt = buf_str(&merges);
        files.tokenizer_config_json = str_from(config);
        Tokenizer *t = open_files(files);
        assert_encodes(t, USUAL_TEXT, USUAL_IDS);
        assert_int_equal(tokenizer_eos_id(t), END);
        assert_int_equal(tokenizer_pad_id(t), THINK);
        assert_int_equal(tokenizer_bos_id(t), -1);
        assert_false(tokenizer_adds_bos(t));
        assert_true(tokenizer_is_special(t, END) && !tokenizer_is_special(t, THINK));
        tokenizer_close(t);
        files.tokenizer_config_json = (Str){0};
        files.added_tokens_json = STR("{\"<|end|>\":270,\"<think>\":271}");
        t = open_files(files);
        assert_encodes(t, "a<|end|><think>", A, END, THINK);
        assert_true(tokenizer_is_special(t, END) && !tokenizer_is_special(t, THINK));
        tokenizer_close(t);
        files.tokenizer_config_json = STR("{\"tokenizer_class\":\"GPT2Tokenizer\"}");
        assert_refused(files, ERROR_UNSUPPORTED, "GPT2Tokenizer");
        buf_free(&vocab);
        buf_free(&merges);
    }
}

/* Qwen2.5 and the Qwen3 bases: some added tokens are only in tokenizer_config.json. */
static void added_tokens_from_the_config(void **state)
{
    (void)state;
    Buf json = small_json(&(Small){.added = "{\"id\":270,\"content\":\"<end>\",\"special\":true}"});
    TokenizerFiles files = no_files();
    files.tokenizer_json = buf_str(&json);
    files.tokenizer_config_json =
        STR("{\"eos_token\":\"<end>\",\"added_tokens_decoder\":{\"270\":{\"content\":\"<end>\"},"
            "\"271\":{\"content\":\"<think>\",\"special\":false}}}");
    Tokenizer *t = open_files(files);
    assert_encodes(t, USUAL_TEXT, USUAL_IDS);
    assert_true(tokenizer_is_special(t, END)); /* as tokenizer.json says */
    tokenizer_close(t);
    files.tokenizer_config_json =
        STR("{\"added_tokens_decoder\":{\"270\":{\"content\":\"<fin>\"}}}");
    assert_refused(files, ERROR_FORMAT, "270 is given twice: to \"<end>\" and to \"<fin>\"");
    files.tokenizer_config_json =
        STR("{\"added_tokens_decoder\":{\"275\":{\"content\":\"<end>\"}}}");
    assert_refused(files, ERROR_FORMAT, "\"<end>\" is given twice: ids 270 and 275");
    files.tokenizer_config_json = STR("{\"added_tokens_decoder\":{\"x\":{\"content\":\"<fin>\"}}}");
    assert_refused(files, ERROR_FORMAT, "\"x\" is not an id");
    files.tokenizer_config_json = STR("{\"added_tokens_decoder\":{\"1\":{}}}");
    assert_refused(files, ERROR_FORMAT, "without \"content\"");
    files.tokenizer_config_json = STR("{\"eos_token\":\"<no>\"}");
    assert_refused(files, ERROR_FORMAT, "end token \"<no>\" is not in the vocabulary");
    files.tokenizer_config_json = STR("[]");
    assert_refused(files, ERROR_FORMAT, "tokenizer_config.json: not an object");
    files.tokenizer_config_json = STR("{\"a\":");
    assert_refused(files, ERROR_FORMAT, "tokenizer_config.json: byte 5");
    buf_free(&json);
}

static void beginning_and_suffix_tokens(void **state)
{
    (void)state;
    const char *const template =
        "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},"
        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<thi>\",\"type_"
        "id\":0}},"
        "{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"<end>\"}}]}]},";
    Buf json = small_json(&(Small){.more = template});
    TokenizerFiles files = no_files();
    files.tokenizer_json = buf_str(&json);
    Tokenizer *t = open_files(files);
    assert_int_equal(tokenizer_bos_id(t), THI);
    assert_true(tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_suffix_id(t), END);
    assert_encodes(t, "a", A); /* never by itself */
    tokenizer_close(t);
    files.tokenizer_config_json = STR("{\"add_bos_token\":false}");
    t = open_files(files);
    assert_false(tokenizer_adds_bos(t));
    tokenizer_close(t);
    files.tokenizer_config_json = STR("{\"add_bos_token\":true,\"bos_token\":\"<think>\"}");
    assert_refused(files, ERROR_UNSUPPORTED, "puts token 272 in front");
    buf_free(&json);

    json = small_json(&(Small){0});
    files.tokenizer_json = buf_str(&json);
    t = open_files(files); /* DeepSeek-R1-Distill: the configuration says it */
    assert_true(tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_bos_id(t), THINK);
    assert_int_equal(tokenizer_suffix_id(t), -1);
    tokenizer_close(t);
    files.tokenizer_config_json = STR("{\"add_eos_token\":true,\"eos_token\":\"<end>\"}");
    t = open_files(files);
    assert_false(tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_suffix_id(t), END);
    tokenizer_close(t);
    buf_free(&json);
}

/* The arrays of a GGUF, with rows of padding as converters write them. */
typedef struct SmallGguf {
    Buf texts[SMALL_TOKENS + 2], merge_texts[N_SMALL_MERGES];
    Str tokens[SMALL_TOKENS + 2], merges[N_SMALL_MERGES];
    int32_t types[SMALL_TOKENS + 2];
} SmallGguf;

static TokenizerFiles make_gguf(SmallGguf *g)
{
    const char *const added[] = {"<end>", "<think>", "<\xEF\xBD\x9Cthi\xE2\x96\x81>"};
    for (int i = 0; i < SMALL_TOKENS + 2; i++) {
        g->types[i] = 1;
        if (i < 256)
            put_alphabet(&g->texts[i], i);
        else if (i < FIRST_ADDED)
            buf_printf(&g->texts[i], "%s%s", small_merges[i - 256][0], small_merges[i - 256][1]);
        else if (i < SMALL_TOKENS)
            buf_puts(&g->texts[i], added[i - FIRST_ADDED]);
        else
            buf_printf(&g->texts[i], "[PAD%d]", i);
    }
    g->types[END] = 3;
    g->types[THINK] = g->types[THI] = 4;
    g->types[SMALL_TOKENS] = 5;
    g->types[SMALL_TOKENS + 1] = 4; /* older converters call padding user-defined */
    for (int i = 0; i < SMALL_TOKENS + 2; i++)
        g->tokens[i] = buf_str(&g->texts[i]);
    for (int i = 0; i < N_SMALL_MERGES; i++) {
        buf_printf(&g->merge_texts[i], "%s %s", small_merges[i][0], small_merges[i][1]);
        g->merges[i] = buf_str(&g->merge_texts[i]);
    }
    return (TokenizerFiles){.tokens = g->tokens,
                            .n_tokens = SMALL_TOKENS + 2,
                            .token_types = g->types,
                            .merges = g->merges,
                            .n_merges = N_SMALL_MERGES,
                            .pre = STR("qwen2"),
                            .bos_id = END,
                            .eos_id = END,
                            .pad_id = SMALL_TOKENS};
}

static void free_gguf(SmallGguf *g)
{
    for (int i = 0; i < SMALL_TOKENS + 2; i++)
        buf_free(&g->texts[i]);
    for (int i = 0; i < N_SMALL_MERGES; i++)
        buf_free(&g->merge_texts[i]);
}

static void gguf_arrays(void **state)
{
    (void)state;
    SmallGguf g = {0};
    TokenizerFiles files = make_gguf(&g);
    Tokenizer *t = open_files(files);
    assert_encodes(t, USUAL_TEXT, USUAL_IDS);
    assert_encodes(t, "<\xEF\xBD\x9Cthi\xE2\x96\x81>a", THI, A);
    assert_encodes(t, "[PAD274]", 58, 47, 32, 35, 17, 22, 19, 60);
    assert_int_equal(tokenizer_n_tokens(t), SMALL_TOKENS);
    assert_int_equal(tokenizer_eos_id(t), END);
    assert_int_equal(tokenizer_pad_id(t), -1); /* a row without text */
    assert_false(tokenizer_adds_bos(t));
    assert_true(tokenizer_is_special(t, END) && !tokenizer_is_special(t, THINK));
    tokenizer_close(t);
    files.pre = STR("deepseek-r1-qwen");
    files.add_bos = true;
    t = open_files(files);
    assert_true(tokenizer_adds_bos(t));
    tokenizer_close(t);
    files.pre = STR("llama-bpe");
    assert_refused(files, ERROR_UNSUPPORTED, "llama-bpe");
    files.pre = (Str){0};
    files.eos_id = 1 << 30;
    assert_refused(files, ERROR_FORMAT, "end token's id 1073741824");
    files.eos_id = -7;
    assert_refused(files, ERROR_FORMAT, "id -7");
    files.eos_id = -1;
    g.types[3] = 2;
    assert_refused(files, ERROR_UNSUPPORTED, "tokenizer.ggml.tokens[3]: token type 2");
    g.types[3] = 1;
    g.merges[2] = STR("b");
    assert_refused(files, ERROR_FORMAT, "tokenizer.ggml.merges[2]");
    files.n_merges = 0;
    g.tokens[9] = g.tokens[8];
    assert_refused(files, ERROR_FORMAT, "tokenizer.ggml.tokens[9]: token \")\" is given twice");
    files.n_tokens = 8;
    assert_refused(files, ERROR_UNSUPPORTED, "no token for byte 0x00");
    files.n_tokens = 0;
    assert_refused(files, ERROR_FORMAT, "no tokenizer");
    free_gguf(&g);
}

static void what_is_not_implemented_is_named(void **state)
{
    (void)state;
    static const struct {
        Small small;
        const char *part;
    } rows[] = {
        {{.normalizer = "{\"type\":\"Lowercase\"}"}, "normalizer \"Lowercase\""},
        {{.normalizer =
              "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"NFKC\"}]}"},
         "normalizer \"NFKC\""},
        {{.pre_tokenizer = "{\"type\":\"Whitespace\"}"}, "pre-tokenizer \"Whitespace\""},
        {{.pre_tokenizer = "null"}, "without pre-tokenizer \"ByteLevel\""},
        {{.pre_tokenizer = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"},
         "add_prefix_space"},
        {{.pre_tokenizer =
              "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Removed\"}"},
         "behavior \"Removed\""},
        {{.pre_tokenizer =
              "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Isolated\"}"},
         "Split without \"Regex\""},
        {{.more = "\"post_processor\":{\"type\":\"BertProcessing\"},"},
         "post-processor \"BertProcessing\""},
        {{.more = "\"decoder\":{\"type\":\"WordPiece\"},"}, "decoder \"WordPiece\""},
        {{.model = "\"type\":\"Unigram\""}, "model \"Unigram\""},
        {{.model = "\"type\":\"BPE\",\"byte_fallback\":true"}, "byte_fallback"},
        {{.model = "\"type\":\"BPE\",\"dropout\":0.1"}, "dropout"},
        {{.model = "\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\""}, "end_of_word_suffix"},
        {{.added = "{\"id\":270,\"content\":\"<m>\",\"lstrip\":true}"},
         "added token \"<m>\" with lstrip"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_small_refused(rows[i].small, ERROR_UNSUPPORTED, rows[i].part);
    Tokenizer *t =
        open_small((Small){.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[]}",
                           .more = "\"decoder\":{\"type\":\"ByteLevel\"},\"post_processor\":null,",
                           .model = "\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                                    "\"end_of_word_suffix\":\"\",\"byte_fallback\":false"});
    assert_encodes(t, "e\xCC\x81", E, 136, 223);
    tokenizer_close(t);
}

static void hostile_json_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        ErrorCode code;
        const char *part;
    } rows[] = {
        {"[]", ERROR_FORMAT, "tokenizer.json: byte 0: expected an object"},
        {"{}", ERROR_FORMAT, "no \"model\""},
        {"{\"model\":{}}", ERROR_FORMAT, "no vocab"},
        {"{\"model\":{\"vocab\":[]}}", ERROR_FORMAT, "byte 18: expected an object, not an array"},
        {"{\"model\":{\"vocab\":{\"a\":-1}}}", ERROR_FORMAT,
         "byte 23: -1 is not a whole number from 0"},
        {"{\"model\":{\"vocab\":{\"a\":1e3}}}", ERROR_FORMAT, "1e3 is not"},
        {"{\"model\":{\"vocab\":{\"a\":\"1\"}}}", ERROR_FORMAT, "expected a number, not a string"},
        {"{\"model\":{\"vocab\":{\"a\":99999999999999999999}}}", ERROR_FORMAT,
         "is not a whole number"},
        {"{\"model\":{\"vocab\":{\"a\":2097151}}}", ERROR_FORMAT, "from 0 to 2097150"},
        {"{\"model\":{\"vocab\":{\"\":1}}}", ERROR_LIMIT, "token 1 has 0 bytes"},
        {"{\"model\":{\"vocab\":{\"a\":1,\"b\":1}}}", ERROR_FORMAT, "byte 25: id 1 is given twice"},
        {"{\"model\":{\"vocab\":{\"a\":1,\"a\":2}}}", ERROR_FORMAT,
         "byte 25: token \"a\" is given twice"},
        {"{\"model\":{\"vocab\":{},\"vocab\":{}}}", ERROR_FORMAT, "a second vocab"},
        {"{\"model\":{\"vocab\":{}},\"model\":{}}", ERROR_FORMAT, "a second model"},
        {"{\"model\":{\"vocab\":{},\"merges\":[],\"merges\":[]}}", ERROR_FORMAT,
         "a second list of merges"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", ERROR_FORMAT,
         "byte 36: merge 0 (\"a\" \"b\"): the right part is not a token"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"a\"]]}}", ERROR_FORMAT,
         "what it makes is not"},
        {"{\"model\":{\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a a\",[\"a\",\"a\"]]}}",
         ERROR_FORMAT, "merge 1 (\"a\" \"a\") is merge 0 again"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}}", ERROR_FORMAT, "not two parts"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a a a\"]}}", ERROR_FORMAT, "not two parts"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\" a\"]}}", ERROR_FORMAT, "not two parts"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[7]}}", ERROR_FORMAT,
         "a merge cannot be a number"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", ERROR_FORMAT,
         "expected a string"},
        {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"\xE4\xB8\xAD a\"]}}", ERROR_FORMAT,
         "byte alphabet"},
        {"{\"model\":{\"vocab\":{\"\xFF\":0}}}", ERROR_FORMAT, "byte 20: not UTF-8"},
        {"{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", ERROR_LIMIT,
         "deep"},
        {"{\"model\":{\"vocab\":{", ERROR_FORMAT, "byte 19: the JSON ends here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_json_refused(rows[i].json, rows[i].code, rows[i].part);
    static const struct {
        const char *added;
        ErrorCode code;
        const char *part;
    } added[] = {
        {"7", ERROR_FORMAT, "added_tokens: item 0: an added token without \"id\""},
        {"{\"id\":270}", ERROR_FORMAT, "item 0: an added token without \"content\""},
        {"{\"id\":-1,\"content\":\"<x>\"}", ERROR_LIMIT, "id -1"},
        {"{\"id\":99999999999,\"content\":\"<x>\"}", ERROR_LIMIT, "id 99999999999"},
        {"{\"id\":0,\"content\":\"<x>\"}", ERROR_FORMAT, "id 0 is given twice"},
        {"{\"id\":270,\"content\":\"ab\"}", ERROR_FORMAT,
         "\"ab\" has id 270, but 256 in the vocabulary"},
        {"{\"id\":270,\"content\":\"<x>\"},{\"id\":271,\"content\":\"<x>\"}", ERROR_FORMAT,
         "ids 270 and 271"},
        {"{\"id\":270,\"content\":\"\"}", ERROR_LIMIT, "0 bytes"},
    };
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        assert_small_refused((Small){.added = added[i].added}, added[i].code, added[i].part);
}

/* Long texts of tokens stay within their buffers. */
static void long_tokens_have_a_limit(void **state)
{
    (void)state;
    for (int n = 4000; n <= 16400; n += 4100) {
        Buf json = {0};
        buf_puts(&json, "{\"model\":{\"vocab\":{\"");
        for (int i = 0; i < n; i++)
            buf_putc(&json, 'a');
        buf_puts(&json, "\":0,\"b\":1},\"merges\":[[\"b\",\"");
        for (int i = 0; i < n; i++)
            buf_putc(&json, 'a');
        buf_puts(&json, "\"]]}}");
        assert_json_refused(json.data, n <= 4096 ? ERROR_FORMAT : ERROR_LIMIT,
                            n <= 4096 ? "merge 0" : "byte");
        buf_free(&json);
    }
}

/* Every prefix of the file, and files with a byte changed: an error or a tokenizer, never more. */
static void damaged_files_are_an_error_or_a_tokenizer(void **state)
{
    (void)state;
    Buf json = small_json(&(Small){0});
    Error err = {0};
    TokenizerFiles files = no_files();
    for (size_t n = 1; n < json.bytes; n += 1 + n % 7) {
        files.tokenizer_json = str_slice(buf_str(&json), 0, n);
        assert_null(tokenizer_open(&files, &err));
    }
    Rng rng = {9};
    for (int i = 0; i < 1500; i++) {
        size_t at = rng_below(&rng, json.bytes);
        char before = json.data[at];
        json.data[at] = (char)rng_below(&rng, 256);
        files.tokenizer_json = buf_str(&json);
        Tokenizer *t = tokenizer_open(&files, &err);
        Ids ids = {0};
        if (t)
            assert_ok(tokenizer_encode_all(t, STR("hello <think> abc aa 12"), &ids, &err));
        ids_free(&ids);
        tokenizer_close(t);
        json.data[at] = before;
    }
    buf_free(&json);
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    Buf json = small_json(&(Small){.normalizer = NULL});
    TokenizerFiles files = no_files();
    files.tokenizer_json = buf_str(&json);
    int n_failed = 0;
    for (uint64_t n = 1;; n++) {
        Error err = {0};
        mem_fail_after(n);
        Tokenizer *t = tokenizer_open(&files, &err);
        bool ok = t != NULL;
        Ids ids = {0};
        Buf text = {0};
        for (int i = 0; i < 400; i++)
            buf_puts(&text, i % 2 ? "ab" : "e\xCC\x81\xCC\xA3");
        ok = ok && tokenizer_encode_all(t, buf_str(&text), &ids, &err);
        mem_fail_after(0);
        tokenizer_close(t);
        ids_free(&ids);
        buf_free(&text);
        if (ok)
            break;
        assert_int_equal(err.code, ERROR_MEMORY);
        n_failed++;
    }
    assert_true(n_failed > 10);
    buf_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vocab_and_merges_files),
        cmocka_unit_test(added_tokens_from_the_config),
        cmocka_unit_test(beginning_and_suffix_tokens),
        cmocka_unit_test(gguf_arrays),
        cmocka_unit_test(what_is_not_implemented_is_named),
        cmocka_unit_test(hostile_json_is_refused),
        cmocka_unit_test(long_tokens_have_a_limit),
        cmocka_unit_test(damaged_files_are_an_error_or_a_tokenizer),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return TEST_MAIN("tokenizer_files", tests);
}
