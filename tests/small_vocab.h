/* A small vocabulary for tests, made in memory, and the helpers to use it. */
#ifndef WEN_TESTS_SMALL_VOCAB_H
#define WEN_TESTS_SMALL_VOCAB_H

#include "support.h"

#include "base/utf8.h"
#include "text/tokenizer.h"

#include <string.h>

static inline TokenizerFiles no_files(void)
{
    return (TokenizerFiles){.bos_id = -1, .eos_id = -1, .pad_id = -1};
}

static inline Tokenizer *open_files(TokenizerFiles files)
{
    Error err = {0};
    Tokenizer *t = tokenizer_open(&files, &err);
    if (!t)
        fail_msg("%s", err.message);
    return t;
}

static inline void assert_ids(const Ids *ids, const int32_t *expected, int n, const char *what)
{
    bool is_equal = ids->n == n;
    for (int i = 0; is_equal && i < n; i++)
        is_equal = ids->data[i] == expected[i];
    if (is_equal)
        return;
    Buf text = {0};
    buf_printf(&text, "%s: got", what);
    for (int i = 0; i < ids->n && i < 40; i++)
        buf_printf(&text, " %d", ids->data[i]);
    buf_puts(&text, ", expected");
    for (int i = 0; i < n && i < 40; i++)
        buf_printf(&text, " %d", expected[i]);
    fail_msg("%s", text.data);
}

/* Encodes, added tokens kept out of the spans given, and compares. */
#define assert_encodes_with(t, text, spans, n_spans, ...)                                          \
    do {                                                                                           \
        Error encode_err = {0};                                                                    \
        Ids got = {0};                                                                             \
        const int32_t wanted[] = {__VA_ARGS__};                                                    \
        if (!tokenizer_encode(t, STR(text), spans, n_spans, &got, &encode_err))                    \
            fail_msg("%s: %s", #text, encode_err.message);                                         \
        assert_ids(&got, wanted, sizeof wanted / sizeof *wanted, #text);                           \
        ids_free(&got);                                                                            \
    } while (0)
#define assert_encodes(t, text, ...) assert_encodes_with(t, text, NULL, 0, __VA_ARGS__)

/* The vocabulary: ids 0..255: the bytes in the alphabet's order ("a" 64, "b" 65, space 220, newline
 * 198). Then what the merges make, then added tokens. */
typedef struct Small {
    const char *model, *normalizer, *pre_tokenizer, *added, *more; /* JSON; NULL: the usual */
    bool has_pairs;                                                /* merges as ["a", "b"] */
    bool is_merges_first;
} Small;

#define SP "\xC4\xA0" /* a space in the byte alphabet */
static const char *const small_merges[][2] = {
    {"a", "b"},   {"ab", "c"},   {"b", "c"},    {SP, "a"},  {SP, "ab"}, {"h", "e"},   {"l", "l"},
    {"he", "ll"}, {"hell", "o"}, {SP, "hello"}, {"Ã", "©"}, {"a", "a"}, {"aa", "aa"}, {SP, SP},
};
enum {
    N_SMALL_MERGES = sizeof small_merges / sizeof *small_merges,
    AB = 256,
    ABC,
    BC,
    SPACE_A,
    SPACE_AB,
    HE,
    LL,
    HELL,
    HELLO,
    SPACE_HELLO,
    E_ACUTE,
    AA,
    AAAA,
    SPACE_SPACE,
    FIRST_ADDED, /* <end> special, <think> not, <thi> */
    END = FIRST_ADDED,
    THINK,
    THI,
    SMALL_TOKENS,
};
enum { A = 64, B = 65, C = 66, E = 68, SPACE = 220, NEWLINE = 198 };

static inline void put_alphabet(Buf *out, int id)
{
    int byte = id < 94 ? id + 33 : id < 106 ? id - 94 + 161 : id < 188 ? id - 106 + 174 : -1;
    char bytes[4];
    buf_append(out, bytes, utf8_encode((uint32_t)(byte >= 0 ? byte : id - 188 + 0x100), bytes));
}

static inline void put_small_merges(Buf *out, const Small *small)
{
    for (int i = 0; i < N_SMALL_MERGES; i++)
        buf_printf(out, small->has_pairs ? "%s\n[ \"%s\" , \"%s\"]" : "%s\"%s %s\"", i ? "," : "",
                   small_merges[i][0], small_merges[i][1]);
}

static inline Buf small_json(const Small *small)
{
    Buf out = {0}, vocab = {0}, merges = {0};
    for (int id = 0; id < 256; id++) {
        Buf text = {0};
        put_alphabet(&text, id);
        buf_puts(&vocab, id ? "," : "");
        buf_put_json(&vocab, buf_str(&text));
        buf_printf(&vocab, ":%d", id);
        buf_free(&text);
    }
    for (int i = 0; i < N_SMALL_MERGES; i++)
        buf_printf(&vocab, ",\"%s%s\":%d", small_merges[i][0], small_merges[i][1], 256 + i);
    put_small_merges(&merges, small);
    buf_printf(
        &out, "{\"added_tokens\":[%s],\"normalizer\":%s,\"pre_tokenizer\":%s,%s\"model\":{%s,",
        small->added ? small->added
                     : "{\"id\":270,\"content\":\"<end>\",\"special\":true},"
                       "{\"id\":271,\"content\":\"<think>\",\"special\":false},"
                       "{\"id\":272,\"content\":\"<thi>\",\"special\":false}",
        small->normalizer ? small->normalizer : "{\"type\":\"NFC\"}",
        small->pre_tokenizer
            ? small->pre_tokenizer
            : "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
              "{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?"
              "\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+"
              "|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":false},"
              "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}",
        small->more ? small->more : "", small->model ? small->model : "\"type\":\"BPE\"");
    if (small->is_merges_first)
        buf_printf(&out, "\"merges\":[%s],\"vocab\":{%s}}}", merges.data, vocab.data);
    else
        buf_printf(&out, "\"vocab\":{%s},\"merges\":[%s]}}", vocab.data, merges.data);
    buf_free(&vocab);
    buf_free(&merges);
    return out;
}

static inline Tokenizer *open_small(Small small)
{
    Buf json = small_json(&small);
    TokenizerFiles files = no_files();
    files.tokenizer_json = buf_str(&json);
    Tokenizer *t = open_files(files);
    buf_free(&json);
    return t;
}

/* Opening fails with this code and these words. */
static inline void assert_refused(TokenizerFiles files, ErrorCode code, const char *part)
{
    Error err = {0};
    Tokenizer *t = tokenizer_open(&files, &err);
    if (t)
        fail_msg("opened; expected \"%s\"", part);
    if (err.code != code || !test_contains(err.message, part) || strchr(err.message, '\n'))
        fail_msg("got %s \"%s\", expected %s \"%s\"", error_name(err.code), err.message,
                 error_name(code), part);
}

static inline void assert_json_refused(const char *json, ErrorCode code, const char *part)
{
    TokenizerFiles files = no_files();
    files.tokenizer_json = str_from(json);
    assert_refused(files, code, part);
}

static inline void assert_small_refused(Small small, ErrorCode code, const char *part)
{
    Buf json = small_json(&small);
    assert_json_refused(json.data, code, part);
    buf_free(&json);
}

#endif
