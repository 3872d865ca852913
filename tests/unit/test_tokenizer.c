/* text/tokenizer with a small vocabulary made here that shows every rule of encoding and decoding.
 * The real vocabulary is in test_tokenizer_data.c. */
#include "small_vocab.h"

#include "base/rng.h"

#include <pthread.h>
#include <string.h>

static void merges_go_by_rank(void **state)
{
    (void)state;
    Tokenizer *t = open_small((Small){0});
    assert_int_equal(tokenizer_n_tokens(t), SMALL_TOKENS);
    assert_encodes(t, "abc", ABC);
    assert_encodes(t, "bc", BC);
    assert_encodes(t, "abcbc", ABC, BC);
    assert_encodes(t, "babc", B, ABC);
    assert_encodes(t, "aaa", AA, A); /* the leftmost of equal pairs */
    assert_encodes(t, "aaaaaaa", AAAA, AA, A);
    assert_encodes(t, "hello hello  hello", HELLO, SPACE_HELLO, SPACE, SPACE_HELLO);
    assert_encodes(t, "a\n", A, NEWLINE);
    assert_encodes(t, "\xC3\xA9", E_ACUTE);
    assert_encodes(t, "e\xCC\x81", E_ACUTE); /* form C */
    Error err = {0};
    Ids none = {0};
    assert_ok(tokenizer_encode_all(t, STR(""), &none, &err));
    assert_int_equal(none.n, 0);
    tokenizer_close(t);
    tokenizer_close(NULL);
}

static void layouts_of_merges_agree(void **state)
{
    (void)state;
    const Small layouts[] = {{0},
                             {.has_pairs = true},
                             {.is_merges_first = true},
                             {.has_pairs = true, .is_merges_first = true}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        Tokenizer *t = open_small(layouts[i]);
        assert_encodes(t, "<think>abc  hello</think>", THINK, ABC, SPACE, SPACE_HELLO, 27, 14, 83,
                       71, 72, 77, 74, 29);
        tokenizer_close(t);
    }
}

static void added_tokens_match_longest_and_first(void **state)
{
    (void)state;
    Tokenizer *t = open_small((Small){0});
    assert_encodes(t, "<think>", THINK);
    assert_encodes(t, "<thi<thi>nk>", 27, 83, 71, 72, THI, 77, 74, 29);
    assert_encodes(t, "a<end><end>ab", A, END, END, AB);
    assert_int_equal(tokenizer_added_id(t, "<end>"), END);
    assert_int_equal(tokenizer_added_id(t, "<en"), -1);
    assert_int_equal(tokenizer_added_id(t, "ab"), -1);
    assert_true(tokenizer_is_special(t, END));
    assert_false(tokenizer_is_special(t, THINK));
    assert_true(tokenizer_is_added(t, THINK));
    assert_false(tokenizer_is_added(t, AB));
    assert_false(tokenizer_is_added(t, -5));
    assert_false(tokenizer_is_special(t, 1 << 30));
    tokenizer_close(t);
}

/* The rule, word for word: the leftmost pair of lowest rank, until none is left. */
static int naive_merge(const char *word, int32_t *ids)
{
    int n = 0;
    for (; word[n]; n++)
        ids[n] = word[n] - 33;
    for (;;) {
        int best = N_SMALL_MERGES, at = 0;
        for (int i = 0; i + 1 < n; i++)
            for (int m = 0; m < best; m++) {
                static const int32_t pairs[N_SMALL_MERGES][2] = {
                    {A, B},   {AB, C},  {B, C},   {SPACE, A},    {SPACE, AB},
                    {71, E},  {75, 75}, {HE, LL}, {HELL, 78},    {SPACE, HELLO},
                    {-1, -1}, {A, A},   {AA, AA}, {SPACE, SPACE}};
                if (ids[i] == pairs[m][0] && ids[i + 1] == pairs[m][1]) {
                    best = m;
                    at = i;
                }
            }
        if (best == N_SMALL_MERGES)
            return n;
        ids[at] = 256 + best;
        memmove(ids + at + 1, ids + at + 2, (size_t)(n - at - 2) * sizeof *ids);
        n--;
    }
}

static void long_and_short_words_merge_alike(void **state)
{
    (void)state;
    Tokenizer *t = open_small((Small){0});
    Rng rng = {3};
    Error err = {0};
    char word[801];
    int32_t expected[801];
    for (int round = 0; round < 3000; round++) {
        size_t n = 1 + rng_below(&rng, round % 10 ? 20 : 800);
        for (size_t i = 0; i < n; i++)
            word[i] = "aaabbchello"[rng_below(&rng, 11)];
        word[n] = '\0';
        Ids ids = {0};
        assert_ok(tokenizer_encode_all(t, str_from(word), &ids, &err));
        assert_ids(&ids, expected, naive_merge(word, expected), word);
        ids_free(&ids);
    }
    tokenizer_close(t);
}

static void untrusted_text_gives_no_added_token(void **state)
{
    (void)state;
    Tokenizer *t = open_small((Small){0});
    const TextSpan all = {0, 7}, inside = {3, 4}, before = {0, 5}, behind = {12, 20},
                   empty = {3, 3};
    assert_encodes_with(t, "<think>", &all, 1, 27, 83, 71, 72, 77, 74, 29);
    assert_encodes_with(t, "<think>", &inside, 1, 27, 83, 71, 72, 77, 74, 29);
    assert_encodes_with(t, "<think>", &empty, 1, THINK);
    /* A match may end where the untrusted bytes begin, and begin where they end. */
    assert_encodes_with(t, "<end><think>", &before, 1, 27, E, 77, 67, 29, THINK);
    assert_encodes_with(t, "<end><think>", &behind, 1, END, THINK);
    const TextSpan gap[] = {{5, 8}, {13, 14}};
    assert_encodes_with(t, "<end>abc<end>a", gap, 2, END, ABC, END, A);
    /* A longer token that would reach into the span gives way to a shorter one. */
    Tokenizer *nested = open_small(
        (Small){.added = "{\"id\":270,\"content\":\"<a>\"},{\"id\":271,\"content\":\"<a>b\"}"});
    const TextSpan last = {3, 4};
    assert_encodes_with(nested, "<a>b", NULL, 0, 271);
    assert_encodes_with(nested, "<a>b", &last, 1, 270, B);
    tokenizer_close(nested);
    Error err = {0};
    Ids ids = {0};
    assert_ok(tokenizer_encode_plain(t, STR("a<end>"), &ids, &err));
    const int32_t plain[] = {A, 27, E, 77, 67, 29};
    assert_ids(&ids, plain, 6, "plain");
    ids_free(&ids);
    tokenizer_close(t);
}

/* An added token that is also a word of the vocabulary: what is special cannot come from text. */
static void text_never_merges_into_a_special_token(void **state)
{
    (void)state;
    const char *const added = "{\"id\":264,\"content\":\"hello\",\"special\":true},"
                              "{\"id\":257,\"content\":\"abc\",\"special\":false}";
    Tokenizer *t = open_small((Small){.added = added});
    Error err = {0};
    Ids ids = {0};
    assert_encodes(t, "hello", HELLO);
    assert_ok(tokenizer_encode_plain(t, STR("hello"), &ids, &err));
    const int32_t expected[] = {HELL, 78};
    assert_ids(&ids, expected, 2, "special word");
    ids.n = 0;
    assert_ok(tokenizer_encode_plain(t, STR("abc"), &ids, &err));
    const int32_t ordinary[] = {ABC};
    assert_ids(&ids, ordinary, 1, "ordinary word");
    ids_free(&ids);
    tokenizer_close(t);
    Tokenizer *whole =
        open_small((Small){.added = added, .model = "\"type\":\"BPE\",\"ignore_merges\":true"});
    assert_ok(tokenizer_encode_plain(whole, STR("hello"), &ids, &err));
    assert_ids(&ids, expected, 2, "special word, whole");
    ids_free(&ids);
    tokenizer_close(whole);
}

static void normalized_added_tokens_match_after_normalizing(void **state)
{
    (void)state;
    const char *const added = "{\"id\":270,\"content\":\"<x>\",\"normalized\":false},"
                              "{\"id\":271,\"content\":\"<\xC3\xA9>\",\"normalized\":true}";
    Tokenizer *t = open_small((Small){.added = added});
    assert_encodes(t, "a<e\xCC\x81>b", A, 271, B);
    /* '>' and U+0338 make U+226F: a token that is matched raw comes first and takes its '>'. */
    assert_encodes(t, "<x>\xCC\xB8", 270, 136, 116);
    const TextSpan mark = {3, 5}, far = {7, 8};
    assert_encodes_with(t, "a<e\xCC\x81>b", &mark, 1, A, 27, E_ACUTE, 29, B);
    assert_encodes_with(t, "a<e\xCC\x81>bb", &far, 1, A, 271, B, B);
    tokenizer_close(t);
}
static void decoding_is_exact(void **state)
{
    (void)state;
    Tokenizer *t = open_small((Small){0});
    Error err = {0};
    Buf out = {0};
    const int32_t ids[] = {THINK, 127, END, HELLO, SPACE_AB};
    assert_ok(tokenizer_decode(t, ids, 5, false, &out, &err));
    assert_string_equal(out.data, "<think>\xC3<end>hello ab");
    buf_clear(&out);
    assert_ok(tokenizer_decode(t, ids, 5, true, &out, &err));
    assert_string_equal(out.data, "<think>\xC3hello ab");
    const int32_t wrong[] = {A, SMALL_TOKENS}, negative[] = {-1};
    assert_error(tokenizer_decode(t, wrong, 2, false, &out, &err), ERROR_ARGUMENT,
                 "id 273 (number 1");
    assert_error(tokenizer_decode(t, negative, 1, false, &out, &err), ERROR_ARGUMENT, "id -1");
    assert_true(str_equals(tokenizer_bytes(t, HELLO), "hello"));
    assert_int_equal(tokenizer_bytes(t, SMALL_TOKENS).bytes, 0);
    assert_int_equal(tokenizer_bytes(t, -1).bytes, 0);
    buf_free(&out);
    tokenizer_close(t);
}

static void invalid_text_is_refused_with_its_place(void **state)
{
    (void)state;
    Tokenizer *t = open_small((Small){0});
    Error err = {0};
    Ids ids = {0};
    ids_push(&ids, 7);
    assert_error(tokenizer_encode_all(t, STR("hello hello \xC3("), &ids, &err), ERROR_FORMAT,
                 "byte 12");
    assert_error(tokenizer_encode_all(t, STR("\xED\xA0\x80"), &ids, &err), ERROR_FORMAT, "byte 0");
    assert_int_equal(ids.n, 1); /* nothing was appended */
    ids_free(&ids);
    tokenizer_close(t);
}

static void other_expressions_split_otherwise(void **state)
{
    (void)state;
    /* GPT-2's: digits stay together, no optional character before letters. */
    Tokenizer *t =
        open_small((Small){.pre_tokenizer = "{\"type\":\"ByteLevel\",\"use_regex\":true}"});
    assert_encodes(t, "hello hello", HELLO, SPACE_HELLO);
    assert_encodes(t, "ab.ab", AB, 13, AB);
    tokenizer_close(t);
    t = open_small(
        (Small){.pre_tokenizer =
                    "{\"type\":\"Sequence\",\"pretokenizers\":["
                    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"b\"},\"behavior\":\"Isolated\"},"
                    "{\"type\":\"ByteLevel\",\"use_regex\":false}]}"});
    assert_encodes(t, "abc<end>aa", A, B, C, END, AA);
    tokenizer_close(t);
}

static void without_a_normalizer_text_stays(void **state)
{
    (void)state;
    Tokenizer *t = open_small((Small){.normalizer = "null"});
    assert_encodes(t, "e\xCC\x81", E, 136, 223);
    tokenizer_close(t);
}

/* "abc" from (b, c) and (a, bc), while its own bytes merge to ab + c: as a piece it is not whole.
 */
static void a_token_that_merging_does_not_reach(void **state)
{
    (void)state;
    TokenizerFiles files = no_files();
    Buf json = small_json(&(Small){0});
    ptrdiff_t rule = str_find(buf_str(&json), STR("ab c"), 0);
    assert_true(rule > 0);
    memcpy(json.data + rule, "a bc", 4); /* needs "bc", whose rank is higher than that of "ab" */
    ptrdiff_t bc = str_find(buf_str(&json), STR("\"b c\""), 0);
    memcpy(json.data + bc, "\"a a\"", 5);
    ptrdiff_t aa = str_find(buf_str(&json), STR("\"a a\",\"aa aa\""), 0);
    memcpy(json.data + aa, "\"b c\"", 5);
    files.tokenizer_json = buf_str(&json);
    Tokenizer *t = open_files(files);
    assert_encodes(t, "abc", AB, C);
    assert_encodes(t, "bc", BC);
    tokenizer_close(t);
    buf_free(&json);
}

static void stream_decoding_gives_whole_characters(void **state)
{
    (void)state;
    Rng rng = {5};
    static const char *const parts[] = {"a",    "\xC3\xA9",     "\xE4\xB8\xAD", "\xF0\x9F\x98\x80",
                                        "\xC3", "\x80",         "\xF0\x9F",     "\xE4\xB8",
                                        "\xFF", "\xED\xA0\x80", "\xF4\x90",     "\xC0\xAF"};
    for (int round = 0; round < 20000; round++) {
        Buf text = {0}, lossy = {0}, streamed = {0};
        for (uint64_t n = rng_below(&rng, 8); n > 0; n--)
            buf_puts(&text, parts[rng_below(&rng, sizeof parts / sizeof *parts)]);
        utf8_append_lossy(&lossy, buf_str(&text));
        StreamDecoder d = {0};
        for (size_t at = 0; at < text.bytes;) {
            size_t n = rng_below(&rng, 5);
            n = n < text.bytes - at ? n : text.bytes - at;
            size_t before = streamed.bytes;
            stream_decoder_push(&d, str_slice(buf_str(&text), at, at + n), &streamed);
            Str piece = str_slice(buf_str(&streamed), before, streamed.bytes);
            assert_int_equal(utf8_valid_prefix(piece), piece.bytes);
            assert_true(str_starts(buf_str(&lossy), buf_str(&streamed)));
            at += n;
        }
        stream_decoder_flush(&d, &streamed);
        assert_true(str_equal(buf_str(&streamed), buf_str(&lossy)));
        buf_free(&text);
        buf_free(&lossy);
        buf_free(&streamed);
    }
    /* What is certainly ill-formed does not wait. */
    StreamDecoder d = {0};
    Buf out = {0};
    stream_decoder_push(&d, STR("\xE4"), &out);
    assert_int_equal(out.bytes, 0);
    stream_decoder_push(&d, STR("a"), &out);
    assert_string_equal(out.data, "\xEF\xBF\xBD"
                                  "a");
    buf_free(&out);
}

typedef struct Worker {
    const Tokenizer *t;
    Ids ids;
    bool ok;
} Worker;

static void *encode_many(void *context)
{
    Worker *w = context;
    w->ok = true;
    for (int i = 0; i < 200; i++) {
        Error err = {0};
        w->ids.n = 0;
        w->ok =
            w->ok && tokenizer_encode_all(w->t, STR("<think>hello abcabc aaaa e\xCC\x81 bcbc<end>"),
                                          &w->ids, &err);
    }
    return NULL;
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    const char *const rules[] = {NULL, "{\"type\":\"ByteLevel\",\"use_regex\":true}"};
    for (int r = 0; r < 2; r++) {
        Tokenizer *t = open_small((Small){.pre_tokenizer = rules[r]});
        Worker workers[4] = {{0}};
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            workers[i].t = t;
            assert_int_equal(pthread_create(&threads[i], NULL, encode_many, &workers[i]), 0);
        }
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < 4; i++) {
            assert_true(workers[i].ok && workers[i].ids.n > 5);
            assert_ids(&workers[i].ids, workers[0].ids.data, workers[0].ids.n, "thread");
        }
        for (int i = 0; i < 4; i++)
            ids_free(&workers[i].ids);
        tokenizer_close(t);
    }
}

/* The cache of merged pieces begins with texts of some kilobytes: it must not change the ids. */
static void a_long_text_encodes_as_its_parts(void **state)
{
    (void)state;
    Tokenizer *t = open_small((Small){0});
    Rng rng = {11};
    Error err = {0};
    Buf text = {0};
    Ids parts = {0}, whole = {0};
    for (int i = 0; i < 20000; i++) {
        char word[40] = " ";
        size_t n = 1 + rng_below(&rng, 38);
        for (size_t j = 1; j < n; j++)
            word[j] = "abcabchello"[rng_below(&rng, rng_below(&rng, 2) ? 3 : 11)];
        word[n] = '\0';
        buf_printf(&text, "%s.", word);
        assert_ok(tokenizer_encode_all(t, str_from(word), &parts, &err));
        ids_push(&parts, 13);
    }
    assert_ok(tokenizer_encode_all(t, buf_str(&text), &whole, &err));
    assert_ids(&whole, parts.data, parts.n, "long text");
    buf_free(&text);
    ids_free(&parts);
    ids_free(&whole);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_go_by_rank),
        cmocka_unit_test(layouts_of_merges_agree),
        cmocka_unit_test(added_tokens_match_longest_and_first),
        cmocka_unit_test(long_and_short_words_merge_alike),
        cmocka_unit_test(untrusted_text_gives_no_added_token),
        cmocka_unit_test(text_never_merges_into_a_special_token),
        cmocka_unit_test(normalized_added_tokens_match_after_normalizing),
        cmocka_unit_test(decoding_is_exact),
        cmocka_unit_test(invalid_text_is_refused_with_its_place),
        cmocka_unit_test(other_expressions_split_otherwise),
        cmocka_unit_test(without_a_normalizer_text_stays),
        cmocka_unit_test(a_token_that_merging_does_not_reach),
        cmocka_unit_test(stream_decoding_gives_whole_characters),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(a_long_text_encodes_as_its_parts),
    };
    return TEST_MAIN("tokenizer", tests);
}
