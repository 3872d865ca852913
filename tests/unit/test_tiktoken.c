/* formats/tiktoken: the merges that follow from ranks, against the official files of the same
 * vocabulary; a folder that has nothing else; files that are wrong. */
#include "support.h"

#include "base/file.h"
#include "base/mem.h"
#include "engine/assets.h"
#include "formats/tiktoken.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void put_token(Buf *out, const char *bytes, size_t n, int rank)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)(uint8_t)bytes[i] << 16;
        v |= i + 1 < n ? (uint32_t)(uint8_t)bytes[i + 1] << 8 : 0;
        v |= i + 2 < n ? (uint32_t)(uint8_t)bytes[i + 2] : 0;
        for (size_t k = 0; k < 4; k++)
            buf_putc(out, i + k > n ? '=' : digits[v >> (18 - 6 * k) & 63]);
    }
    buf_printf(out, " %d\n", rank);
}

static void put_bytes(Buf *out)
{
    for (int b = 0; b < 256; b++) {
        const char byte = (char)(255 - b); /* any order */
        put_token(out, &byte, 1, b);
    }
}

static void merges_follow_from_ranks(void **state)
{
    Error err = {0};
    Buf file = {0}, vocab = {0}, merges = {0}, added = {0};
    (void)state;
    put_bytes(&file);
    put_token(&file, "bc", 2, 256);
    put_token(&file, "ab", 2, 257);
    put_token(&file, "abc", 3, 258); /* bc comes before ab: a, bc */
    put_token(&file, " a", 2, 259);
    put_token(&file, "\xff\xad", 2, 260);
    assert_ok(tiktoken_read(buf_str(&file), &vocab, &merges, &added, &err));
    assert_string_equal(merges.data, "b c\na b\na bc\n\xC4\xA0 a\n\xC3\xBF \xC5\x83\n");
    json_t *ids = json_loads(vocab.data, 0, NULL), *extra = json_loads(added.data, 0, NULL);
    assert_int_equal(json_object_size(ids), 261);
    assert_int_equal(json_integer_value(json_object_get(ids, "abc")), 258);
    assert_int_equal(json_integer_value(json_object_get(ids, "\xC4\xA0"
                                                             "a")),
                     259);
    assert_int_equal(json_object_size(extra), 208);
    assert_int_equal(json_integer_value(json_object_get(extra, "<|im_end|>")), 263);
    assert_int_equal(json_integer_value(json_object_get(extra, "<|extra_204|>")), 468);
    json_decref(ids);
    json_decref(extra);
    buf_free(&file);
    buf_free(&vocab);
    buf_free(&merges);
    buf_free(&added);
}

static void expect_error(const char *more, const char *part)
{
    Error err = {0};
    Buf file = {0}, out[3] = {{0}};
    put_bytes(&file);
    buf_puts(&file, more);
    assert_error(tiktoken_read(buf_str(&file), &out[0], &out[1], &out[2], &err), ERROR_FORMAT,
                 part);
    buf_free(&file);
    for (int i = 0; i < 3; i++)
        buf_free(&out[i]);
}

static void wrong_files_are_refused(void **state)
{
    Error err = {0};
    Buf out[3] = {{0}};
    (void)state;
    expect_error("YWI= 257\n", "line 257: rank 256 is expected");
    expect_error("YWI=\n", "line 257: not a token");
    expect_error("Y!I= 256\n", "line 257: not a token");
    expect_error("YW 256\n", "line 257: not a token");
    expect_error("==== 256\n", "line 257: not a token");
    expect_error("YWI= 256 \n", "rank 256 is expected");
    expect_error("YQ== 256\n", "line 257: the token of line 159 again");
    expect_error("YWJj 256\n", "line 257: its token is no merge of two before it");
    assert_error(tiktoken_read(STR("YQ== 0\n"), &out[0], &out[1], &out[2], &err), ERROR_FORMAT,
                 "byte 0 is not among");
    assert_error(tiktoken_read(STR(""), &out[0], &out[1], &out[2], &err), ERROR_FORMAT, "byte 0");
}

/* The same vocabulary in its other two forms. */
static void official_vocabulary(void **state)
{
    Error err = {0};
    Buf file = {0}, vocab = {0}, merges = {0}, added = {0}, other = {0};
    (void)state;
    if (!test_data("tokenizer/qwen.tiktoken"))
        skip();
    assert_ok(file_read(&file, test_data("tokenizer/qwen.tiktoken"), (size_t)1 << 28, &err));
    assert_ok(tiktoken_read(buf_str(&file), &vocab, &merges, &added, &err));
    assert_ok(file_read(&other, test_data("tokenizer/merges.txt"), (size_t)1 << 28, &err));
    const char *official = other.data;
    if (strncmp(official, "#version", 8) == 0)
        official = strchr(official, '\n') + 1;
    assert_true(strcmp(official, merges.data) == 0);
    json_t *ours = json_loads(vocab.data, 0, NULL),
           *theirs = json_load_file(test_data("tokenizer/vocab.json"), 0, NULL);
    assert_true(ours && theirs && json_equal(ours, theirs));
    json_decref(ours);
    json_decref(theirs);
    buf_free(&file);
    buf_free(&vocab);
    buf_free(&merges);
    buf_free(&added);
    buf_free(&other);
}

/* A folder with this file and nothing else tokenizes, its added tokens are special, and it can be
 * opened again out of a broken state. */
static void folder_with_it(void **state)
{
    Error err = {0};
    Buf file = {0};
    char path[600];
    (void)state;
    char *dir = mem_strdup(test_temp("tiktoken"));
    assert_int_equal(mkdir(dir, 0700), 0);
    put_bytes(&file);
    put_token(&file, "ab", 2, 256);
    snprintf(path, sizeof path, "%s/qwen.tiktoken", dir);
    assert_ok(file_write(path, buf_str(&file), &err));
    Package *package = package_open(dir, false, &err);
    assert_ok(package);
    Tokenizer *t = assets_tokenizer(package, &err);
    assert_ok(t);
    Ids ids = {0};
    assert_ok(tokenizer_encode_all(t, STR("abb<|im_end|>"), &ids, &err));
    assert_int_equal(ids.n, 3);
    assert_int_equal(ids.data[0], 256);
    assert_int_equal(ids.data[1], 255 - 'b');
    assert_int_equal(ids.data[2], 259);
    assert_true(tokenizer_is_special(t, 259));
    ids_free(&ids);
    tokenizer_close(t);
    package_close(package);
    buf_puts(&file, "?");
    assert_ok(file_write(path, buf_str(&file), &err));
    assert_error(package_open(dir, false, &err), ERROR_FORMAT, "qwen.tiktoken: line 258");
    buf_free(&file);
    mem_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_follow_from_ranks),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(official_vocabulary),
        cmocka_unit_test(folder_with_it),
    };
    return TEST_MAIN("tiktoken", tests);
}
