/* The real Qwen vocabulary against what others made of it: official vectors, llama.cpp's cases,
 * strings encoded by the reference engine, 116 languages. Skipped where the shared data is not. */
#include "small_vocab.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/pretokenize.h"
#include "text/vocab.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static Tokenizer *qwen; /* from tokenizer.json; NULL without the data */

static Buf read_data(const char *folder, const char *name)
{
    Error err = {0};
    Buf out = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!file_read(&out, test_data(path), (size_t)1 << 28, &err))
        fail_msg("%s", err.message);
    return out;
}

static Tokenizer *open_qwen(void)
{
    Buf json = read_data("tokenizer", "tokenizer.json"),
        config = read_data("tokenizer", "tokenizer_config.json");
    TokenizerFiles files = no_files();
    files.tokenizer_json = buf_str(&json);
    files.tokenizer_config_json = buf_str(&config);
    Tokenizer *t = open_files(files);
    buf_free(&json);
    buf_free(&config);
    return t;
}

static int set_up(void **state)
{
    (void)state;
    if (test_data("tokenizer/tokenizer.json"))
        qwen = open_qwen();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tokenizer_close(qwen);
    return 0;
}

static void assert_json_ids(const Ids *ids, const json_t *expected, const char *what)
{
    int n = (int)json_array_size(expected);
    int32_t *list = mem_alloc((size_t)n * sizeof *list);
    for (int i = 0; i < n; i++)
        list[i] = (int32_t)json_integer_value(json_array_get(expected, (size_t)i));
    assert_ids(ids, list, n, what);
    mem_free(list);
}

static Buf form_c(Str text)
{
    Buf out = {0};
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.bytes, &normal,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    assert_true(n >= 0);
    buf_append(&out, normal, (size_t)n);
    free(normal);
    return out;
}

static void assert_decodes_to_form_c(const Ids *ids, Str text)
{
    Error err = {0};
    Buf back = {0}, expected = form_c(text);
    assert_ok(tokenizer_decode(qwen, ids->data, ids->n, false, &back, &err));
    if (!str_equal(buf_str(&back), buf_str(&expected)))
        fail_msg("%.*s came back as %s", STR_ARG(text), buf_str(&back).data);
    buf_free(&back);
    buf_free(&expected);
}

/* Rows {"text", "ids", "parse_special"}: absent means matched. Returns how many. */
static int check_rows(const char *name, bool round_trips)
{
    Buf file = read_data("tokenizer", name);
    Error err = {0};
    int n = 0;
    for (size_t at = 0; at < file.bytes;) {
        size_t end = at + strcspn(file.data + at, "\n");
        json_t *row = json_loadb(file.data + at, end - at, JSON_ALLOW_NUL, NULL);
        assert_non_null(row);
        const json_t *text = json_object_get(row, "text"),
                     *special = json_object_get(row, "parse_special");
        Str s = {json_string_value(text), json_string_length(text)};
        bool is_plain = special && !json_is_true(special) && json_integer_value(special) == 0;
        Ids ids = {0};
        assert_ok(is_plain ? tokenizer_encode_plain(qwen, s, &ids, &err)
                           : tokenizer_encode_all(qwen, s, &ids, &err));
        assert_json_ids(&ids, json_object_get(row, "ids"), s.data);
        if (round_trips)
            assert_decodes_to_form_c(&ids, s);
        ids_free(&ids);
        json_decref(row);
        at = end + 1;
        n++;
    }
    buf_free(&file);
    return n;
}

static void official_vectors(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    assert_int_equal(check_rows("tokenizer_vectors.jsonl", true), 115);
}

static void strings_of_the_reference_engine(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    assert_int_equal(check_rows("tokenizer_fuzz.jsonl", true), 2200);
}

static void llama_cpp_cases(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    Buf in = read_data("tokenizer", "ggml-vocab-qwen2.gguf.inp"),
        out = read_data("tokenizer", "ggml-vocab-qwen2.gguf.out");
    static const char mark[] = "\n__ggml_vocab_test__\n";
    Error err = {0};
    const char *line = out.data;
    int n_cases = 0;
    for (size_t at = 0; at < in.bytes && *line; n_cases++) {
        ptrdiff_t end = str_find(buf_str(&in), STR("\n__ggml_vocab_test__\n"), at);
        Str text = str_slice(buf_str(&in), at, end < 0 ? in.bytes : (size_t)end);
        Ids ids = {0}, expected = {0};
        for (char *next; *line && *line != '\n'; line = next) {
            long id = strtol(line, &next, 10);
            if (next == line)
                break;
            ids_push(&expected, (int32_t)id);
            next += *next == ' ';
        }
        line += strcspn(line, "\n") + 1;
        assert_ok(tokenizer_encode_plain(qwen, text, &ids, &err));
        assert_ids(&ids, expected.data, expected.n, "llama.cpp case");
        ids_free(&ids);
        ids_free(&expected);
        if (end < 0)
            break;
        at = (size_t)end + sizeof mark - 1;
    }
    assert_in_range(n_cases, 46, 48);
    buf_free(&in);
    buf_free(&out);
}

static void every_token_decodes_and_encodes_to_itself(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    assert_int_equal(tokenizer_n_tokens(qwen), 151669);
    Error err = {0};
    Ids ids = {0};
    int n_text = 0;
    for (int32_t id = 0; id < 151669; id++) {
        Str bytes = tokenizer_bytes(qwen, id);
        assert_true(bytes.bytes > 0 && bytes.bytes <= 128);
        assert_int_equal(tokenizer_is_added(qwen, id), id >= 151643);
        assert_int_equal(tokenizer_is_special(qwen, id), id >= 151643 && id <= 151656);
        if (utf8_valid_prefix(bytes) < bytes.bytes)
            continue;
        n_text++;
        if (id >= 151643) {
            ids.n = 0;
            assert_ok(tokenizer_encode_all(qwen, bytes, &ids, &err));
            assert_ids(&ids, &id, 1, "added token");
        }
    }
    assert_int_equal(151643 - (n_text - 26), 1448); /* not UTF-8 on their own */
    ids_free(&ids);
    assert_int_equal(tokenizer_eos_id(qwen), 151645);
    assert_int_equal(tokenizer_pad_id(qwen), 151643);
    assert_int_equal(tokenizer_bos_id(qwen), -1);
    assert_false(tokenizer_adds_bos(qwen));
    assert_int_equal(tokenizer_suffix_id(qwen), -1);
    assert_int_equal(tokenizer_added_id(qwen, "<think>"), 151667);
}

typedef void LanguageCheck(Str text, const char *name);

static int each_language(LanguageCheck *check)
{
    DIR *folder = opendir(test_data("multilingual"));
    assert_non_null(folder);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!str_ends(str_from(entry->d_name), STR(".txt")))
            continue;
        Buf text = read_data("multilingual", entry->d_name);
        check(buf_str(&text), entry->d_name);
        buf_free(&text);
        n++;
    }
    closedir(folder);
    return n;
}

static void check_round_trip(Str text, const char *name)
{
    (void)name;
    Error err = {0};
    Ids ids = {0};
    assert_ok(tokenizer_encode_all(qwen, text, &ids, &err));
    assert_decodes_to_form_c(&ids, text);
    ids_free(&ids);
}

static void languages_round_trip(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    assert_in_range(each_language(check_round_trip), 100, 200);
}

/* The rule of byte-pair merging, word for word, over merges.txt. */
static json_t *naive_ranks; /* "left right" in bytes -> rank; lengths keep the pair unambiguous */

static bool naive_piece(void *context, Str piece, Error *err)
{
    (void)err;
    Buf *out = context;
    size_t ends[512], n = piece.bytes;
    assert_true(n <= 512);
    for (size_t i = 0; i < n; i++)
        ends[i] = i + 1;
    for (;;) {
        json_int_t best = INT64_MAX;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            char key[600];
            size_t from = i ? ends[i - 1] : 0, middle = ends[i] - from, bytes = ends[i + 1] - from;
            if (bytes > 256)
                continue;
            key[0] = (char)middle;
            memcpy(key + 1, piece.data + from, bytes);
            const json_t *rank = json_object_getn(naive_ranks, key, bytes + 1);
            if (rank && json_integer_value(rank) < best) {
                best = json_integer_value(rank);
                at = i;
            }
        }
        if (best == INT64_MAX)
            break;
        memmove(ends + at, ends + at + 1, (n - at - 1) * sizeof *ends);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        buf_add(out, str_slice(piece, i ? ends[i - 1] : 0, ends[i]));
        buf_puts(out, "\xFF"); /* a byte that no text has */
    }
    return true;
}

static void read_naive_ranks(void)
{
    Buf merges = read_data("tokenizer", "merges.txt");
    naive_ranks = json_object();
    json_int_t rank = 0;
    for (size_t at = strcspn(merges.data, "\n") + 1; at < merges.bytes;) {
        size_t end = at + strcspn(merges.data + at, "\n");
        Str line = str_slice(buf_str(&merges), at, end);
        size_t space = (size_t)str_find(line, STR(" "), 0), n_left, n_right;
        char key[600];
        assert_true(byte_alphabet_decode(str_slice(line, 0, space), key + 1, &n_left));
        assert_true(byte_alphabet_decode(str_slice(line, space + 1, line.bytes), key + 1 + n_left,
                                         &n_right));
        key[0] = (char)n_left;
        json_object_setn_new_nocheck(naive_ranks, key, 1 + n_left + n_right, json_integer(rank++));
        at = end + 1;
    }
    assert_int_equal(rank, 151387);
    buf_free(&merges);
}

static const CharTable *naive_table;

static void assert_merges_as_naive(Str text, const char *name)
{
    Error err = {0};
    Str regex = str_from(QWEN_REGEX);
    Pretokenizer *p = pretokenizer_open(naive_table, &regex, 1, &err);
    Buf expected = {0}, got = {0}, normal = form_c(text);
    assert_ok(pretokenizer_split(p, buf_str(&normal), naive_piece, &expected, &err));
    Ids ids = {0};
    assert_ok(tokenizer_encode_plain(qwen, text, &ids, &err));
    for (int i = 0; i < ids.n; i++) {
        buf_add(&got, tokenizer_bytes(qwen, ids.data[i]));
        buf_puts(&got, "\xFF");
    }
    size_t same = 0;
    while (same < got.bytes && same < expected.bytes && got.data[same] == expected.data[same])
        same++;
    if (!str_equal(buf_str(&got), buf_str(&expected)))
        fail_msg("%s: differs at byte %zu: %.60s", name, same,
                 got.data + (same > 20 ? same - 20 : 0));
    ids_free(&ids);
    buf_free(&expected);
    buf_free(&got);
    buf_free(&normal);
    pretokenizer_close(p);
}

static void check_start_as_naive(Str text, const char *name)
{
    size_t n = text.bytes < 2000 ? text.bytes : 2000, tail;
    if (utf8_is_cut(str_slice(text, 0, n), &tail))
        n -= tail;
    assert_merges_as_naive(str_slice(text, 0, n), name);
}

/* Characters at random, many of a script in a row: where starting from whole characters matters. */
static void merges_equal_the_rule(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    Error err = {0};
    CharTable table;
    assert_ok(char_table_open(&table, &err));
    naive_table = &table;
    read_naive_ranks();
    each_language(check_start_as_naive);
    static const uint32_t ranges[][2] = {{0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0x3040, 0x30FF},
                                         {0x400, 0x4FF},   {0xE00, 0xE7F},   {0x5D0, 0x5EA},
                                         {0x621, 0x64A},   {0xC0, 0x17F},    {0x1F300, 0x1F6FF},
                                         {0x20, 0x7E},     {0x2010, 0x27BF}, {0x900, 0x97F}};
    Rng rng = {4};
    for (int round = 0; round < 4000; round++) {
        Buf text = {0};
        for (int part = 0; part < 4; part++) {
            const uint32_t *range = ranges[rng_below(&rng, sizeof ranges / sizeof *ranges)];
            for (uint64_t n = rng_below(&rng, 12); n > 0; n--) {
                char bytes[4];
                uint32_t span =
                    rng_below(&rng, 2) ? range[1] - range[0] : 60; /* the first are common */
                buf_append(&text, bytes,
                           utf8_encode(range[0] + (uint32_t)rng_below(&rng, span), bytes));
            }
        }
        assert_merges_as_naive(buf_str(&text), buf_str(&text).data);
        buf_free(&text);
    }
    json_decref(naive_ranks);
    char_table_close(&table);
}

/* tokenizer.json with merges as strings, as Qwen2.5 ships it, and vocab.json with merges.txt. */
static Buf with_merges_as_strings(void)
{
    Buf json = read_data("tokenizer", "tokenizer.json"), out = {0};
    json_t *tree = json_loadb(json.data, json.bytes, 0, NULL);
    assert_non_null(tree);
    json_t *model = json_object_get(tree, "model"), *old = json_object_get(model, "merges"),
           *merges = json_array();
    for (size_t i = 0; i < json_array_size(old); i++) {
        const json_t *pair = json_array_get(old, i);
        json_array_append_new(merges,
                              json_sprintf("%s %s", json_string_value(json_array_get(pair, 0)),
                                           json_string_value(json_array_get(pair, 1))));
    }
    json_object_set_new(model, "merges", merges);
    json_t *added = json_object_get(tree, "added_tokens");
    while (json_array_size(added) > 22)
        json_array_remove(added, 22);
    char *text = json_dumps(tree, JSON_COMPACT | JSON_ENSURE_ASCII);
    buf_puts(&out, text);
    free(text);
    json_decref(tree);
    buf_free(&json);
    return out;
}

static void layouts_give_the_same_ids(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    Buf json = with_merges_as_strings(), vocab = read_data("tokenizer", "vocab.json"),
        merges = read_data("tokenizer", "merges.txt"),
        config = read_data("tokenizer", "tokenizer_config.base.json"),
        added = read_data("tokenizer", "added_tokens.json");
    TokenizerFiles files[3] = {no_files(), no_files(), no_files()};
    files[0].tokenizer_json = buf_str(&json);
    files[0].tokenizer_config_json = buf_str(&config);
    for (int i = 1; i < 3; i++) {
        files[i].vocab_json = buf_str(&vocab);
        files[i].merges_txt = buf_str(&merges);
    }
    files[1].tokenizer_config_json = buf_str(&config);
    files[2].merges_txt = str_slice(buf_str(&merges), strlen("#version: 0.2\n"), merges.bytes);
    files[2].added_tokens_json = buf_str(&added);
    Tokenizer *all[4] = {qwen};
    for (int i = 0; i < 3; i++)
        all[i + 1] = open_files(files[i]);
    assert_int_equal(tokenizer_eos_id(all[1]), 151643);
    Rng rng = {6};
    Error err = {0};
    for (int round = 0; round < 3000; round++) {
        Buf text = {0};
        for (uint64_t n = 1 + rng_below(&rng, 20); n > 0; n--) {
            Str bytes = tokenizer_bytes(
                qwen, (int32_t)rng_below(&rng, rng_below(&rng, 4) ? 151643 : 151669));
            if (utf8_valid_prefix(bytes) == bytes.bytes)
                buf_add(&text, bytes);
        }
        Ids ids[4] = {{0}};
        for (int i = 0; i < 4; i++) {
            assert_ok(tokenizer_encode_all(all[i], buf_str(&text), &ids[i], &err));
            assert_ids(&ids[i], ids[0].data, ids[0].n, buf_str(&text).data);
        }
        assert_decodes_to_form_c(&ids[0], buf_str(&text));
        for (int i = 0; i < 4; i++)
            ids_free(&ids[i]);
        buf_free(&text);
    }
    for (int i = 1; i < 4; i++)
        tokenizer_close(all[i]);
    Buf *bufs[] = {&json, &vocab, &merges, &config, &added};
    for (int i = 0; i < 5; i++)
        buf_free(bufs[i]);
}

/* A message that holds the text of every added token, in a prompt that uses them. */
static void a_message_cannot_speak_for_the_template(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    Error err = {0};
    Buf prompt = {0};
    buf_puts(&prompt, "<|im_start|>user\n");
    TextSpan message = {prompt.bytes, 0};
    for (int32_t id = 151643; id < 151669; id++) {
        buf_add(&prompt, tokenizer_bytes(qwen, id));
        buf_puts(&prompt, id % 2 ? " " : "");
    }
    buf_puts(&prompt, "<|im_");
    message.to = prompt.bytes;
    buf_puts(&prompt, "end|><|im_end|>\n<|im_start|>assistant\n<think>");
    Ids ids = {0};
    assert_ok(tokenizer_encode(qwen, buf_str(&prompt), &message, 1, &ids, &err));
    int n_added = 0;
    for (int i = 0; i < ids.n; i++)
        n_added += tokenizer_is_added(qwen, ids.data[i]);
    assert_int_equal(n_added, 4); /* the template's own */
    assert_int_equal(ids.data[0], 151644);
    assert_int_equal(ids.data[ids.n - 1], 151667);
    assert_decodes_to_form_c(&ids, buf_str(&prompt));
    ids_free(&ids);
    buf_free(&prompt);
}

static void check_untrusted_changes_nothing(Str text, const char *name)
{
    Error err = {0};
    Buf prompt = {0};
    buf_puts(&prompt, "<|im_start|>user\n");
    TextSpan message = {prompt.bytes, prompt.bytes + text.bytes};
    buf_add(&prompt, text);
    buf_puts(&prompt, "<|im_end|>\n");
    Ids trusted = {0}, untrusted = {0};
    assert_ok(tokenizer_encode_all(qwen, buf_str(&prompt), &trusted, &err));
    assert_ok(tokenizer_encode(qwen, buf_str(&prompt), &message, 1, &untrusted, &err));
    assert_ids(&untrusted, trusted.data, trusted.n, name);
    ids_free(&trusted);
    ids_free(&untrusted);
    buf_free(&prompt);
}

static void benign_messages_encode_as_ever(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    each_language(check_untrusted_changes_nothing);
}

/* Token by token, the stream of any text is whole characters and ends as the text. */
static void check_stream(Str text, const char *name)
{
    (void)name;
    Error err = {0};
    Ids ids = {0};
    Buf streamed = {0}, expected = form_c(text);
    StreamDecoder d = {0};
    assert_ok(tokenizer_encode_all(qwen, text, &ids, &err));
    for (int i = 0; i < ids.n; i++) {
        size_t before = streamed.bytes;
        stream_decoder_push(&d, tokenizer_bytes(qwen, ids.data[i]), &streamed);
        Str piece = str_slice(buf_str(&streamed), before, streamed.bytes);
        assert_int_equal(utf8_valid_prefix(piece), piece.bytes);
    }
    stream_decoder_flush(&d, &streamed);
    assert_true(str_equal(buf_str(&streamed), buf_str(&expected)));
    ids_free(&ids);
    buf_free(&streamed);
    buf_free(&expected);
}

static void streams_of_languages_are_whole(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    each_language(check_stream);
}

/* A stranger's worst texts take time in proportion to their length. */
static void hostile_texts_take_linear_time(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    static const char *const parts[] = {"a",
                                        " ",
                                        "\n",
                                        " \n",
                                        "<",
                                        "<|",
                                        "<|im_start|>",
                                        "'",
                                        "'s",
                                        "\xCC\x81",
                                        "e\xCC\x81\xCC\xA3",
                                        "\xE4\xB8\xAD",
                                        "1",
                                        "\xE1\x84\x80\xE1\x85\xA1"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        Error err = {0};
        Buf text = {0};
        Ids ids = {0};
        while (text.bytes < 1000000)
            buf_puts(&text, parts[i]);
        double start = clock_seconds();
        assert_ok(tokenizer_encode_all(qwen, buf_str(&text), &ids, &err));
        assert_decodes_to_form_c(&ids, buf_str(&text));
        if (clock_seconds() - start > 20) /* quadratic would be minutes; sanitizers are slow */
            fail_msg("%s: %.1f s", parts[i], clock_seconds() - start);
        ids_free(&ids);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_vectors),
        cmocka_unit_test(strings_of_the_reference_engine),
        cmocka_unit_test(llama_cpp_cases),
        cmocka_unit_test(every_token_decodes_and_encodes_to_itself),
        cmocka_unit_test(languages_round_trip),
        cmocka_unit_test(merges_equal_the_rule),
        cmocka_unit_test(layouts_give_the_same_ids),
        cmocka_unit_test(a_message_cannot_speak_for_the_template),
        cmocka_unit_test(benign_messages_encode_as_ever),
        cmocka_unit_test(streams_of_languages_are_whole),
        cmocka_unit_test(hostile_texts_take_linear_time),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("tokenizer_data", tests, set_up, tear_down);
}
