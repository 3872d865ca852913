/* text/bpe_train: merges against a slow definition, the encoder, and Qwen's own files. */
#include "small_vocab.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/pretokenize.h"
#include "text/qwen_tokens.h"
#include "text/tokenizer_write.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static CharTable table;

static int set_up(void **state)
{
    Error err = {0};
    (void)state;
    return char_table_open(&table, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char_table_close(&table);
    return 0;
}

static PieceCounts count(Str text, uint64_t n)
{
    Error err = {0};
    PieceCounts counts = {0};
    assert_ok(piece_counts_add_text(&counts, &table, text, n, &err));
    return counts;
}

static BpeVocab train(const PieceCounts *counts, int n_tokens, uint64_t min_count)
{
    Error err = {0};
    BpeVocab v;
    const BpeTrainOptions options = {n_tokens, min_count, 128};
    assert_ok(bpe_train(&v, counts, &options, &err));
    return v;
}

static Tokenizer *open_vocab(const BpeVocab *v)
{
    Buf json = {0}, config = {0};
    tokenizer_write_json(v, &json);
    tokenizer_write_config(v, STR("{{ messages[0].content }}"), 4096, &config);
    TokenizerFiles files = no_files();
    files.tokenizer_json = buf_str(&json);
    files.tokenizer_config_json = buf_str(&config);
    Tokenizer *t = open_files(files);
    buf_free(&json);
    buf_free(&config);
    return t;
}

/* Words that share parts, runs of one letter, two scripts, doubled line ends. */
static Buf make_text(uint64_t seed, int n_words)
{
    static const char *const parts[] = {"a",  "aa", "ba", "an", "ana", "nd",   "ch",   "的",
                                        "世", "界", "é",  "'s", "12",  "\n\n", " \t ", "!?"};
    Rng rng = {seed};
    Buf text = {0};
    for (int i = 0; i < n_words; i++) {
        buf_putc(&text, ' ');
        for (uint64_t n = 1 + rng_below(&rng, 6); n > 0; n--)
            buf_puts(&text, parts[rng_below(&rng, sizeof parts / sizeof *parts)]);
    }
    return text;
}

/* ---- The definition: count all pairs anew for each merge --------------------------------------
 */

typedef struct Slow {
    int32_t *symbols; /* all pieces, -1 behind each */
    uint64_t *counts; /* of the piece, for each symbol */
    size_t n;
    uint64_t *table; /* [n_ids, n_ids] */
    int n_ids;
} Slow;

static Slow slow_open(const PieceCounts *counts, int n_ids)
{
    Slow s = {.n_ids = n_ids};
    size_t n = 0;
    for (size_t i = 0; i < counts->n; i++)
        n += counts->items[i].piece.bytes + 1;
    s.symbols = mem_alloc(n * sizeof *s.symbols);
    s.counts = mem_alloc(n * sizeof *s.counts);
    s.table = mem_alloc((size_t)n_ids * (size_t)n_ids * sizeof *s.table);
    for (size_t i = 0; i < counts->n; i++) {
        const Str piece = counts->items[i].piece;
        for (size_t b = 0; b <= piece.bytes; b++, s.n++) {
            s.symbols[s.n] = b < piece.bytes ? byte_alphabet_id((unsigned char)piece.data[b]) : -1;
            s.counts[s.n] = counts->items[i].n;
        }
    }
    return s;
}

static void slow_close(Slow *s)
{
    mem_free(s->symbols);
    mem_free(s->counts);
    mem_free(s->table);
}

/* The most frequent pair; the lowest ids of equals. */
static uint64_t slow_best(Slow *s, BpePair *best)
{
    const size_t n_ids = (size_t)s->n_ids;
    memset(s->table, 0, n_ids * n_ids * sizeof *s->table);
    for (size_t i = 0; i + 1 < s->n; i++)
        if (s->symbols[i] >= 0 && s->symbols[i + 1] >= 0)
            s->table[(size_t)s->symbols[i] * n_ids + (size_t)s->symbols[i + 1]] += s->counts[i];
    uint64_t most = 0;
    for (size_t i = 0; i < n_ids * n_ids; i++) {
        if (s->table[i] <= most)
            continue;
        most = s->table[i];
        *best = (BpePair){(int32_t)(i / n_ids), (int32_t)(i % n_ids)};
    }
    return most;
}

static void slow_merge(Slow *s, BpePair pair, int32_t joined)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++, n++) {
        s->symbols[n] = s->symbols[i];
        s->counts[n] = s->counts[i];
        if (i + 1 < s->n && s->symbols[i] == pair.left && s->symbols[i + 1] == pair.right) {
            s->symbols[n] = joined;
            i++;
        }
    }
    s->n = n;
}

static void assert_is_definition(const PieceCounts *counts, const BpeVocab *v, int n_wanted,
                                 uint64_t min_count)
{
    Slow s = slow_open(counts, (int)v->vocab.n);
    for (int i = 0;; i++) {
        BpePair best = {0, 0};
        const uint64_t n = slow_best(&s, &best);
        if (i == v->n_merges) {
            assert_true(n < min_count || v->n_merges + 256 == n_wanted);
            break;
        }
        assert_true(n >= min_count);
        assert_int_equal(v->merges[i].left, best.left);
        assert_int_equal(v->merges[i].right, best.right);
        slow_merge(&s, best, 256 + i);
    }
    uint64_t n_tokens = 0;
    for (size_t i = 0; i < s.n; i++)
        n_tokens += s.symbols[i] >= 0 ? s.counts[i] : 0;
    assert_int_equal(v->n_tokens, n_tokens);
    slow_close(&s);
}

static void merges_are_the_definition(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        Buf text = make_text(seed, 60 + 100 * (int)seed);
        PieceCounts counts = count(buf_str(&text), seed);
        BpeVocab v = train(&counts, 256 + 90 * (int)seed, 2 * seed);
        assert_is_definition(&counts, &v, 256 + 90 * (int)seed, 2 * seed);
        bpe_vocab_close(&v);
        piece_counts_close(&counts);
        buf_free(&text);
    }
}

static void runs_of_one_letter(void **state)
{
    (void)state;
    PieceCounts counts = count(STR("aaaaaaa aaaa aaa aa aaaaaaaaaaaaaaaaaaa"), 3);
    BpeVocab v = train(&counts, 300, 1);
    assert_is_definition(&counts, &v, 300, 1);
    assert_true(v.n_merges >= 6);
    bpe_vocab_close(&v);
    piece_counts_close(&counts);
}

/* Two pairs that occur twice, and their order in the text turned round. */
static void ties_go_to_the_lower_ids(void **state)
{
    (void)state;
    static const char *const texts[] = {"xy\nab\nxy\nab", "ab\nxy\nab\nxy"};
    for (int i = 0; i < 2; i++) {
        PieceCounts counts = count(str_from(texts[i]), 1);
        BpeVocab v = train(&counts, 258, 1);
        assert_int_equal(v.merges[0].left, byte_alphabet_id('a'));
        assert_int_equal(v.merges[1].left, byte_alphabet_id('x'));
        bpe_vocab_close(&v);
        piece_counts_close(&counts);
    }
}

static void limits(void **state)
{
    (void)state;
    Error err = {0};
    Buf text = make_text(9, 500);
    PieceCounts counts = count(buf_str(&text), 1);
    BpeVocab v = train(&counts, 1000, 20);
    assert_true(v.n_merges > 10 && v.n_merges < 744); /* pairs ran out */
    assert_is_definition(&counts, &v, 1000, 20);
    bpe_vocab_close(&v);
    BpeTrainOptions options = {500, 1, 3};
    assert_ok(bpe_train(&v, &counts, &options, &err));
    for (int32_t id = 0; id < (int32_t)v.vocab.n; id++)
        assert_true(vocab_bytes(&v.vocab, id).bytes <= 3);
    bpe_vocab_close(&v);
    options.n_tokens = 255;
    assert_error(bpe_train(&v, &counts, &options, &err), ERROR_ARGUMENT, "256");
    assert_error(piece_counts_add_text(&counts, &table, STR("ab\xff"), 1, &err), ERROR_FORMAT,
                 "byte 2");
    piece_counts_close(&counts);
    counts = (PieceCounts){0};
    v = train(&counts, 300, 1); /* nothing to learn from */
    assert_int_equal(v.n_merges, 0);
    bpe_vocab_close(&v);
    buf_free(&text);
}

static void no_memory(void **state)
{
    (void)state;
    Buf text = make_text(5, 300);
    bool is_done = false;
    for (uint64_t n = 1; !is_done; n++) {
        Error err = {0};
        PieceCounts counts = {0};
        BpeVocab v = {0};
        const BpeTrainOptions options = {400, 1, 128};
        mem_fail_after(n);
        is_done = piece_counts_add_text(&counts, &table, buf_str(&text), 1, &err) &&
                  bpe_train(&v, &counts, &options, &err);
        mem_fail_after(0);
        assert_true(is_done || err.code == ERROR_MEMORY);
        bpe_vocab_close(&v);
        piece_counts_close(&counts);
    }
    buf_free(&text);
}

/* ---- The encoder ------------------------------------------------------------------------------
 */

/* What training predicted of its own text, and every token from its own bytes. */
static void check_encoder(const BpeVocab *v, Str text)
{
    Error err = {0};
    Tokenizer *t = open_vocab(v);
    Ids ids = {0};
    Buf back = {0};
    assert_int_equal(tokenizer_n_tokens(t), v->vocab.n + QWEN_TOKENS);
    assert_ok(tokenizer_encode_plain(t, text, &ids, &err));
    assert_int_equal(ids.n, v->n_tokens);
    assert_ok(tokenizer_decode(t, ids.data, ids.n, false, &back, &err));
    NfcResult normal = {0};
    assert_ok(nfc_normalize(&table, text, &normal, &err));
    assert_true(str_equal(buf_str(&back), buf_str(&normal.text)));
    nfc_result_free(&normal);
    for (int32_t id = 0; id < (int32_t)v->vocab.n; id++) {
        const Str bytes = vocab_bytes(&v->vocab, id);
        if (utf8_valid_prefix(bytes) < bytes.bytes)
            continue;
        ids.n = 0;
        assert_ok(tokenizer_encode_plain(t, bytes, &ids, &err));
        assert_int_equal(ids.n, 1);
        assert_int_equal(ids.data[0], id);
    }
    for (int i = 0; i < QWEN_TOKENS; i++) {
        const int32_t id = (int32_t)v->vocab.n + i;
        assert_int_equal(tokenizer_added_id(t, qwen_tokens[i].text), id);
        assert_int_equal(tokenizer_is_special(t, id), qwen_tokens[i].is_special);
    }
    assert_int_equal(tokenizer_eos_id(t), tokenizer_added_id(t, "<|im_end|>"));
    assert_int_equal(tokenizer_pad_id(t), tokenizer_added_id(t, "<|endoftext|>"));
    ids_free(&ids);
    buf_free(&back);
    tokenizer_close(t);
}

static void the_encoder_agrees(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed < 14; seed++) {
        Buf text = make_text(seed, 2000);
        PieceCounts counts = count(buf_str(&text), 1);
        BpeVocab v = train(&counts, 256 + 300 * (int)(seed - 10), 1);
        check_encoder(&v, buf_str(&text));
        bpe_vocab_close(&v);
        piece_counts_close(&counts);
        buf_free(&text);
    }
}

/* All languages in one vocabulary, each of them back byte for byte. */
static void languages_come_back(void **state)
{
    (void)state;
    skip_without_data("multilingual/eng_Latn.txt");
    Error err = {0};
    Buf all = {0};
    DIR *dir = opendir(test_data("multilingual"));
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char name[300];
        Buf text = {0};
        if (!str_ends(str_from(entry->d_name), STR(".txt")))
            continue;
        snprintf(name, sizeof name, "multilingual/%s", entry->d_name);
        assert_ok(file_read(&text, test_data(name), 1 << 24, &err));
        buf_add(&all, buf_str(&text));
        buf_free(&text);
    }
    closedir(dir);
    PieceCounts counts = count(buf_str(&all), 1);
    BpeVocab v = train(&counts, 8192, 2);
    assert_int_equal(v.vocab.n, 8192);
    check_encoder(&v, buf_str(&all));
    bpe_vocab_close(&v);
    piece_counts_close(&counts);
    buf_free(&all);
}

/* ---- Files ------------------------------------------------------------------------------------
 */

static void byte_alphabet_there_and_back(void **state)
{
    (void)state;
    for (int id = 0; id < 256; id++) {
        const unsigned char byte = byte_alphabet_byte(id);
        const char text[] = {(char)byte};
        Buf shown = {0};
        char back[4];
        size_t n;
        assert_int_equal(byte_alphabet_id(byte), id);
        byte_alphabet_encode((Str){text, 1}, &shown);
        assert_true(byte_alphabet_decode(buf_str(&shown), back, &n));
        assert_int_equal(n, 1);
        assert_int_equal((unsigned char)back[0], byte);
        buf_free(&shown);
    }
}

static Buf read_data(const char *name)
{
    Error err = {0};
    Buf text = {0};
    assert_ok(file_read(&text, test_data(name), (size_t)1 << 28, &err));
    return text;
}

/* Adds what one line of merges.txt makes. */
static void add_merge(BpeVocab *v, Str line)
{
    Error err = {0};
    char bytes[1024];
    size_t n_left, n_right;
    const ptrdiff_t space = str_find(line, STR(" "), 0);
    assert_true(space > 0);
    assert_true(byte_alphabet_decode(str_slice(line, 0, (size_t)space), bytes, &n_left));
    assert_true(byte_alphabet_decode(str_slice(line, (size_t)space + 1, line.bytes), bytes + n_left,
                                     &n_right));
    v->merges[v->n_merges] = (BpePair){vocab_find(&v->vocab, (Str){bytes, n_left}),
                                       vocab_find(&v->vocab, (Str){bytes + n_left, n_right})};
    assert_ok(vocab_add(&v->vocab, 256 + v->n_merges++, (Str){bytes, n_left + n_right},
                        TOKEN_ORDINARY, &err));
}

static void assert_file(const char *name, Buf *got)
{
    Buf expected = read_data(name);
    assert_int_equal(got->bytes, expected.bytes);
    assert_memory_equal(got->data, expected.data, got->bytes);
    buf_free(&expected);
    buf_free(got);
}

/* Qwen3's own four files, made again from its merges and its template. */
static void qwens_files_byte_for_byte(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    Error err = {0};
    Buf merges = read_data("tokenizer/merges.txt"), got = {0};
    BpeVocab v = {.merges = mem_alloc(200000 * sizeof(BpePair))};
    for (int id = 0; id < 256; id++) {
        const char byte = (char)byte_alphabet_byte(id);
        assert_ok(vocab_add(&v.vocab, id, (Str){&byte, 1}, TOKEN_ORDINARY, &err));
    }
    size_t at = strcspn(merges.data, "\n") + 1; /* behind the line with the version */
    for (size_t end; at < merges.bytes; at = end + 1) {
        end = at + strcspn(merges.data + at, "\n");
        add_merge(&v, str_slice(buf_str(&merges), at, end));
    }
    assert_int_equal(v.n_merges, 151387);
    tokenizer_write_merges(&v, &got);
    assert_file("tokenizer/merges.txt", &got);
    tokenizer_write_vocab(&v, &got);
    assert_file("tokenizer/vocab.json", &got);
    tokenizer_write_json(&v, &got);
    assert_file("tokenizer/tokenizer.json", &got);
    Buf chat = read_data("chat_templates/qwen3-hybrid.jinja");
    tokenizer_write_config(&v, buf_str(&chat), 131072, &got);
    assert_file("tokenizer/tokenizer_config.json", &got);
    buf_free(&chat);
    buf_free(&merges);
    bpe_vocab_close(&v);
}

/* vocab.json + merges.txt + tokenizer_config.json say the same as tokenizer.json. */
static void both_kinds_of_files_agree(void **state)
{
    (void)state;
    Error err = {0};
    Buf text = make_text(3, 1000), vocab = {0}, merges = {0}, config = {0};
    PieceCounts counts = count(buf_str(&text), 1);
    BpeVocab v = train(&counts, 512, 1);
    tokenizer_write_vocab(&v, &vocab);
    tokenizer_write_merges(&v, &merges);
    tokenizer_write_config(&v, STR("\"\\\n\x7f"), 4096, &config);
    TokenizerFiles files = no_files();
    files.vocab_json = buf_str(&vocab);
    files.merges_txt = buf_str(&merges);
    files.tokenizer_config_json = buf_str(&config);
    Tokenizer *a = open_files(files), *b = open_vocab(&v);
    Ids ids = {0}, others = {0};
    buf_puts(&text, "<|im_start|>user\n<think>");
    assert_ok(tokenizer_encode_all(a, buf_str(&text), &ids, &err));
    assert_ok(tokenizer_encode_all(b, buf_str(&text), &others, &err));
    assert_ids(&ids, others.data, others.n, "the same text");
    tokenizer_close(a);
    tokenizer_close(b);
    ids_free(&ids);
    ids_free(&others);
    bpe_vocab_close(&v);
    piece_counts_close(&counts);
    buf_free(&text);
    buf_free(&vocab);
    buf_free(&merges);
    buf_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_are_the_definition),
        cmocka_unit_test(runs_of_one_letter),
        cmocka_unit_test(ties_go_to_the_lower_ids),
        cmocka_unit_test(limits),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(the_encoder_agrees),
        cmocka_unit_test(languages_come_back),
        cmocka_unit_test(byte_alphabet_there_and_back),
        cmocka_unit_test(qwens_files_byte_for_byte),
        cmocka_unit_test(both_kinds_of_files_agree),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("bpe_train", tests, set_up, tear_down);
}
