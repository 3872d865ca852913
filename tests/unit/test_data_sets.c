/* data/: words and n-grams, near duplicates, decontamination, mixtures. */
#include "support.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/decontaminate.h"
#include "data/dedup.h"
#include "data/minhash.h"
#include "data/mix.h"
#include "data/records.h"
#include "data/seen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *temp(const char *name) { return mem_strdup(test_temp(name)); }

static char *write_temp(const char *name, const char *text)
{
    char *path = temp(name);
    test_write(path, text, strlen(text));
    return path;
}

static Buf read_temp(const char *name)
{
    Error err = {0};
    Buf text = {0};
    assert_ok(file_read(&text, test_temp(name), 1 << 28, &err));
    return text;
}

static int n_lines(const Buf *text)
{
    int n = 0;
    for (size_t i = 0; i < text->bytes; i++)
        n += text->data[i] == '\n';
    return n;
}

/* ---- Words ------------------------------------------------------------------------------------
 */

static void split(Units *units, const char *text)
{
    Error err = {0};
    assert_ok(units_split(units, str_from(text), &err));
}

static void words_of_texts(void **state)
{
    (void)state;
    Units a = {0}, b = {0};
    split(&a, "Hello, WORLD! It's 2 Ünder");
    split(&b, "hello world it S 2 ünder\xff");
    assert_int_equal(a.n, 6);
    assert_int_equal(b.n, 6);
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(a.items[i].hash, b.items[i].hash);
    assert_int_equal(units_gram(&a, 1, 3), units_gram(&b, 1, 3));
    assert_true(units_gram(&a, 0, 3) != units_gram(&a, 1, 3));
    split(&a, "我们ab在 กา");
    assert_int_equal(a.n, 6); /* each Han and Thai letter by itself */
    assert_int_equal(a.items[2].from, 6);
    assert_int_equal(a.items[2].to, 8);
    split(&a, " .,\n");
    assert_int_equal(a.n, 0);
    units_free(&a);
    units_free(&b);
}

static void texts_seen_before(void **state)
{
    (void)state;
    Error err = {0};
    Seen seen = {0};
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20000; i++) {
            snprintf(text, sizeof text, "text %d", i);
            int64_t *number = seen_number(&seen, str_from(text), &err);
            assert_non_null(number);
            assert_int_equal(*number, round ? i : -1);
            *number = i;
        }
    seen_close(&seen);
}

/* ---- Signatures -------------------------------------------------------------------------------
 */

static void make_document(Buf *out, Rng *rng, int n_words)
{
    buf_clear(out);
    for (int i = 0; i < n_words; i++)
        buf_printf(out, "w%d ", (int)rng_below(rng, 100000));
}

/* The similarity of the sets of grams of two texts, by comparing all. */
static double jaccard(const Units *a, const Units *b, size_t gram)
{
    size_t n_both = 0;
    for (size_t i = 0; i + gram <= a->n; i++)
        for (size_t k = 0; k + gram <= b->n; k++)
            if (units_gram(a, i, gram) == units_gram(b, k, gram)) {
                n_both++;
                break;
            }
    return (double)n_both / (double)((a->n - gram + 1) + (b->n - gram + 1) - n_both);
}

/* Texts with some words changed: the estimate is right within 4 deviations, on average within a
 * tenth of one. */
static void signatures_estimate_similarity(void **state)
{
    (void)state;
    enum { N = 200, HASHES = 256, GRAM = 3 };
    Rng rng = {3};
    Buf text = {0}, changed = {0};
    Units a = {0}, b = {0};
    double error = 0;
    for (int i = 0; i < N; i++) {
        uint32_t x[HASHES], y[HASHES];
        make_document(&text, &rng, 40 + (int)rng_below(&rng, 400));
        buf_clear(&changed);
        buf_add(&changed, buf_str(&text));
        for (uint64_t n = rng_below(&rng, 12); n > 0; n--)
            changed.data[rng_below(&rng, changed.bytes)] = 'x';
        split(&a, text.data);
        split(&b, changed.data);
        assert_true(minhash_sign(&a, GRAM, x, HASHES) && minhash_sign(&b, GRAM, y, HASHES));
        const double exact = jaccard(&a, &b, GRAM), estimate = minhash_similarity(x, y, HASHES);
        assert_true(fabs(exact - estimate) < 4 * 0.5 / sqrt(HASHES) + 0.02);
        error += estimate - exact;
    }
    assert_true(fabs(error / N) < 0.01);
    units_free(&a);
    units_free(&b);
    buf_free(&text);
    buf_free(&changed);
}

/* Two signatures that are equal in exactly the threshold's share are found; bands by the formula.
 */
static void the_index_finds_the_threshold(void **state)
{
    (void)state;
    enum { HASHES = 128, N = 2000 };
    Error err = {0};
    MinhashIndex index;
    Rng rng = {5};
    uint32_t(*all)[HASHES] = mem_alloc(sizeof *all * N);
    minhash_open(&index, HASHES, 0.8);
    assert_true(index.n_bands * index.n_rows <= HASHES);
    assert_true(1 - pow(1 - pow(0.8, index.n_rows), index.n_bands) >= 0.99);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < HASHES; k++)
            all[i][k] = (uint32_t)rng_next(&rng);
        assert_ok(minhash_add(&index, all[i], &err));
    }
    int n_found = 0;
    for (int i = 0; i < N; i++) {
        double similarity;
        for (int n = 0; n < HASHES / 5;) { /* 25 places that differ: 103 of 128 are equal */
            uint32_t *hash = &all[i][rng_below(&rng, HASHES)];
            n += *hash != 0;
            *hash = 0;
        }
        const int64_t found = minhash_find(&index, all[i], 0.8, &similarity);
        assert_true(found < 0 || found == i);
        assert_true(found < 0 || fabs(similarity - 103.0 / 128) < 1e-9);
        n_found += found == i;
    }
    assert_true(n_found > N * 0.975);
    minhash_close(&index);
    mem_free(all);
}

static DedupOptions dedup_options(const char *const *paths, int n, const char *out,
                                  const char *report)
{
    return (DedupOptions){paths, n, out, report, false, 0.7, 3, 128};
}

static void duplicates_go_the_first_stays(void **state)
{
    (void)state;
    Error err = {0};
    char *a = write_temp("a.jsonl",
                         "{\"text\": \"One two three four five six seven eight nine ten.\"}\n\n"
                         "{\"text\": \"Something else that has nothing to do with counting.\"}\n"
                         "{\"text\": \"\"}\n"),
         *b = write_temp(
             "b.jsonl", "{\"id\": 7, \"text\": \"One two three four five six seven eight nine "
                        "ten.\"}\n{\"text\": \"one, TWO three four five six seven eight nine ten "
                        "eleven\"}\n{\"text\": \"one, TWO three four five six seven eight nine ten "
                        "eleven\"}\n{\"messages\": [{\"role\": \"user\", \"content\": \"Something "
                        "else that has\"}, {\"role\": \"assistant\", \"content\": [{\"text\": "
                        "\"nothing to do with counting!\"}]}]}\n{\"text\": \"\"}\n"),
         *c = write_temp("c.txt", "A text of\nits own."), *out = temp("out.jsonl"),
         *report_path = temp("report.jsonl");
    const char *const paths[] = {a, b, c};
    DedupOptions options = dedup_options(paths, 3, out, report_path);
    DedupReport report;
    assert_ok(dedup_run(&options, &report, &err));
    assert_int_equal(report.n_read, 9);
    assert_int_equal(report.n_kept, 4);
    assert_int_equal(report.n_exact, 3);
    assert_int_equal(report.n_near, 2);
    assert_int_equal(report.n_clusters, 3);
    assert_int_equal(report.largest, 4);
    Buf kept = read_temp("out.jsonl"), log = read_temp("report.jsonl");
    assert_int_equal(n_lines(&kept), 4);
    assert_true(test_contains(kept.data, "{\"text\":\"A text of\\nits own.\"}\n"));
    assert_true(test_contains(log.data, "b.jsonl:1\""));
    assert_true(test_contains(log.data, "a.jsonl:1\",\"kind\":\"near\""));
    assert_true(test_contains(strstr(log.data, "b.jsonl:3"), "a.jsonl:1\",\"kind\":\"exact\""));
    assert_true(test_contains(log.data, "a.jsonl:3\",\"kind\":\"near\""));
    assert_true(test_contains(log.data, "a.jsonl:4\",\"kind\":\"exact\""));
    options.is_exact = true;
    assert_ok(dedup_run(&options, &report, &err));
    assert_int_equal(report.n_kept, 6);
    buf_free(&kept);
    buf_free(&log);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(out);
    mem_free(report_path);
}

static void bad_lines(void **state)
{
    (void)state;
    Error err = {0};
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"text\": \"a\"}\n\n{\"text\": 1}\n", "bad.jsonl:3: neither"},
        {"{\"text\": \"a\"}\n{\"text\"\n", "bad.jsonl:2: "},
        {"{\"text\": \"a\"}\n[1]\n", "bad.jsonl:2: the line is not an object"},
    };
    char *out = temp("never");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *bad = write_temp("bad.jsonl", cases[i].text);
        const char *const paths[] = {bad};
        const DedupOptions options = dedup_options(paths, 1, out, NULL);
        DedupReport report;
        assert_error(dedup_run(&options, &report, &err), ERROR_FORMAT, cases[i].message);
        assert_false(file_exists(out));
        mem_free(bad);
    }
    const char *const other[] = {"data.parquet"};
    const DedupOptions options = dedup_options(other, 1, out, NULL);
    DedupReport report;
    assert_error(dedup_run(&options, &report, &err), ERROR_UNSUPPORTED, ".txt or .jsonl");
    mem_free(out);
}

/* ---- Decontamination --------------------------------------------------------------------------
 */

static const char item[] = "A farmer has seven cows and buys five more of them at the market "
                           "before he sells three; how many cows has he now?";

static DecontaminateReport clean(const char *training, const char *evaluation,
                                 const DecontaminateOptions *like)
{
    Error err = {0};
    char *data = write_temp("train.jsonl", training), *set = write_temp("set.jsonl", evaluation),
         *out = temp("clean.jsonl"), *log = temp("clean_report.jsonl");
    const char *const paths[] = {data}, *const against[] = {set};
    DecontaminateOptions options = *like;
    DecontaminateReport report;
    options.paths = paths;
    options.against = against;
    options.n_paths = options.n_against = 1;
    options.out = out;
    options.report = log;
    assert_ok(decontaminate_run(&options, &report, &err));
    mem_free(data);
    mem_free(set);
    mem_free(out);
    mem_free(log);
    return report;
}

static void passages_of_evaluation_sets(void **state)
{
    (void)state;
    Buf set = {0}, data = {0};
    buf_printf(&set,
               "{\"question\": \"%s\", \"answer\": \"nine\", \"short\": \"red green blue "
               "yellow black\"}\n",
               item);
    /* 13 words of it in other clothes, 12 words of it, and nothing. */
    buf_puts(&data, "{\"text\": \"xx A FARMER has seven; cows and buys (five) more of them at the "
                    "MARKET, then\"}\n"
                    "{\"text\": \"farmer has seven cows and buys five more of them at the shop\"}\n"
                    "{\"text\": \"Rain fell over the hills all day long and nobody went out.\"}\n"
                    "{\"text\": \"red green blue yellow black\"}\n");
    DecontaminateOptions options = {.gram = 13, .short_words = 13};
    DecontaminateReport r = clean(data.data, set.data, &options);
    assert_int_equal(r.n_read, 4);
    assert_int_equal(r.n_dropped, 1);
    assert_int_equal(r.n_kept, 3);
    assert_int_equal(r.n_texts, 1);
    Buf log = read_temp("clean_report.jsonl"), kept = read_temp("clean.jsonl");
    assert_true(test_contains(log.data, "train.jsonl:1\""));
    assert_true(test_contains(log.data, "set.jsonl:1\""));
    assert_true(test_contains(log.data, "\"A FARMER has seven; cows and buys (five) more of them "
                                        "at the\""));
    assert_int_equal(n_lines(&kept), 3);
    buf_free(&log);
    buf_free(&kept);
    options.gram = 8;
    assert_int_equal(clean(data.data, set.data, &options).n_dropped, 2);
    options.gram = 13;
    options.short_words = 5; /* the short text counts as a whole */
    assert_int_equal(clean(data.data, set.data, &options).n_dropped, 2);
    options.share = 0.5; /* 1 of 10 grams is not half of the text */
    assert_int_equal(clean(data.data, set.data, &options).n_dropped, 1);
    const char *const keys[] = {"answer", "short"};
    options = (DecontaminateOptions){.gram = 13, .short_words = 5, .keys = keys, .n_keys = 2};
    assert_int_equal(clean(data.data, set.data, &options).n_dropped, 1);
    buf_free(&set);
    buf_free(&data);
}

static void nothing_to_compare_with(void **state)
{
    (void)state;
    Error err = {0};
    char *set = write_temp("set.json", "{\"a\": [\"one two\"]}"), *out = temp("none.jsonl");
    const char *against[] = {set};
    DecontaminateOptions options = {
        .against = against, .n_against = 1, .out = out, .gram = 13, .short_words = 8};
    DecontaminateReport report;
    assert_error(decontaminate_run(&options, &report, &err), ERROR_FORMAT, "8 words");
    against[0] = "set.parquet";
    assert_error(decontaminate_run(&options, &report, &err), ERROR_UNSUPPORTED, "set.parquet");
    test_write(set, "{\"a\":\n\n [}", 10);
    against[0] = set;
    assert_error(decontaminate_run(&options, &report, &err), ERROR_FORMAT,
                 "set.json:3: it is not JSON");
    test_write(set, "{\"a\":\n [\"b", 11);
    assert_error(decontaminate_run(&options, &report, &err), ERROR_FORMAT,
                 "set.json:2: a string does not end");
    test_write(set, "{\"a\":\n [1e999,", 14);
    assert_error(decontaminate_run(&options, &report, &err), ERROR_FORMAT,
                 "set.json:2: it ends too early");
    mem_free(set);
    mem_free(out);
}

/* Every problem of a real benchmark is found in it. */
static void a_real_benchmark(void **state)
{
    (void)state;
    skip_without_data("eval/gsm8k/test.jsonl");
    Error err = {0};
    Buf all = {0}, text = {0};
    assert_ok(file_read(&all, test_data("eval/gsm8k/test.jsonl"), 1 << 26, &err));
    int n_long = 0;
    for (size_t at = 0, end; at < all.bytes; at = end + 1) {
        end = at + strcspn(all.data + at, "\n");
        json_t *row = json_loadb(all.data + at, end - at, 0, NULL);
        json_t *line = json_pack("{s: O}", "text", json_object_get(row, "question"));
        char *dump = json_dumps(line, 0);
        buf_printf(&text, "%s\n", dump);
        free(dump);
        json_decref(line);
        json_decref(row);
        n_long++;
    }
    char *data = write_temp("gsm.jsonl", text.data), *set = mem_strdup(test_data("eval/gsm8k")),
         *out = temp("gsm_clean.jsonl");
    const char *const paths[] = {data}, *const against[] = {set};
    const DecontaminateOptions options = {.paths = paths,
                                          .n_paths = 1,
                                          .against = against,
                                          .n_against = 1,
                                          .out = out,
                                          .gram = 13,
                                          .short_words = 8};
    DecontaminateReport report;
    assert_ok(decontaminate_run(&options, &report, &err));
    assert_int_equal(report.n_read, n_long);
    assert_int_equal(report.n_kept, 0);
    mem_free(data);
    mem_free(set);
    mem_free(out);
    buf_free(&all);
    buf_free(&text);
}

/* ---- Mixtures ---------------------------------------------------------------------------------
 */

static char *write_numbers(const char *name, int n, const char *labels)
{
    Buf text = {0};
    for (int i = 0; i < n; i++)
        buf_printf(&text, "{\"text\": \"%s %d\"%s%d}}\n", name, i, labels, i % 6);
    char *path = write_temp(name, text.data);
    buf_free(&text);
    return path;
}

static MixReport run_mix(const char *config, const char *name)
{
    Error err = {0};
    char *path = write_temp("mix.yaml", config), *out = temp(name);
    MixReport report;
    assert_ok(mix_run(path, out, &report, &err));
    mem_free(path);
    mem_free(out);
    return report;
}

static void shares_seeds_and_labels(void **state)
{
    (void)state;
    char *a = write_numbers("a.jsonl", 3000, ", \"labels\": {\"value\": "),
         *b = write_numbers("b.jsonl", 1000, ", \"labels\": {\"other\": ");
    Buf config = {0};
    buf_printf(&config, "documents: 2000\nsources: [{path: %s, share: 3}, {path: %s, share: 1}]\n",
               a, b);
    MixReport r = run_mix(config.data, "m1.jsonl");
    assert_true(fabs((double)r.sources[0].n_written - 1500) < 80);
    assert_true(fabs((double)r.sources[1].n_written - 500) < 60);
    mix_report_free(&r);
    r = run_mix(config.data, "m2.jsonl");
    Buf one = read_temp("m1.jsonl"), two = read_temp("m2.jsonl");
    assert_true(str_equal(buf_str(&one), buf_str(&two)));
    mix_report_free(&r);
    buf_free(&two);
    buf_puts(&config, "seed: 2\n");
    r = run_mix(config.data, "m2.jsonl");
    two = read_temp("m2.jsonl");
    assert_false(str_equal(buf_str(&one), buf_str(&two)));
    mix_report_free(&r);
    buf_free(&one);
    buf_free(&two);
    /* Value 5 counts three times, 0 never; the share stays. */
    buf_puts(&config, "rules:\n  - {label: value, low: 5, times: 3}\n"
                      "  - {label: value, is: [0], times: 0}\n");
    r = run_mix(config.data, "m3.jsonl");
    assert_true(fabs((double)r.sources[0].n_written - 1500) < 80);
    one = read_temp("m3.jsonl");
    int n_five = 0, n_one = 0;
    for (const char *at = one.data; (at = strstr(at, "\"value\": ")); at += 9) {
        assert_true(at[9] != '0');
        n_five += at[9] == '5';
        n_one += at[9] == '1';
    }
    assert_true(n_five > 2.4 * n_one && n_five < 3.6 * n_one);
    mix_report_free(&r);
    buf_free(&one);
    buf_free(&config);
    mem_free(a);
    mem_free(b);
}

static void without_a_total_nothing_repeats(void **state)
{
    (void)state;
    char *a = write_numbers("a.jsonl", 300, ", \"labels\": {\"value\": "),
         *b = write_numbers("b.jsonl", 100, ", \"labels\": {\"value\": ");
    Buf config = {0};
    buf_printf(&config, "sources: [{path: %s}, {path: %s}]\n", a, b);
    MixReport r = run_mix(config.data, "m.jsonl");
    assert_int_equal(r.sources[1].n_written, 100); /* all of the smaller one, each once */
    assert_true(r.sources[0].n_written > 70 && r.sources[0].n_written < 130);
    mix_report_free(&r);
    buf_clear(&config);
    buf_printf(&config, "bytes: 8000\nrepeats: 4\nsources: [{path: %s}, {path: %s}]\n", a, b);
    r = run_mix(config.data, "m.jsonl");
    assert_true(fabs((double)r.sources[0].bytes_written - 4000) < 1000);
    assert_true(fabs((double)r.sources[1].bytes_written - 4000) < 1000);
    mix_report_free(&r);
    buf_free(&config);
    mem_free(a);
    mem_free(b);
}

static void mixtures_that_cannot_be(void **state)
{
    (void)state;
    Error err = {0};
    char *a = write_numbers("a.jsonl", 10, ", \"labels\": {\"value\": "), *out = temp("x.jsonl");
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"documents: 30\n", "needs each document 3.00 times"},
        {"documents: 3\nbytes: 7\n", "not both"},
        {"dokuments: 3\n", "dokuments: there is no such key"},
        {"seed: -1\n", "seed: it is not a whole number in 0"},
        {"rules: [{label: value, times: 2}]\n", "rules[0]: give either low or high"},
        {"rules: [{label: value, low: 1}]\n", "rules[0]: times is missing"},
        {"rules: [{label: value, low: 0, times: 0}]\n", "that the rules leave any weight"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Buf config = {0};
        MixReport report;
        buf_printf(&config, "%ssources: [{path: %s}]\n", cases[i].text, a);
        char *path = write_temp("mix.yaml", config.data);
        err = (Error){0};
        assert_false(mix_run(path, out, &report, &err));
        if (!test_contains(err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].text, err.message);
        assert_false(file_exists(out));
        mix_report_free(&report);
        mem_free(path);
        buf_free(&config);
    }
    mem_free(a);
    mem_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_texts),
        cmocka_unit_test(texts_seen_before),
        cmocka_unit_test(signatures_estimate_similarity),
        cmocka_unit_test(the_index_finds_the_threshold),
        cmocka_unit_test(duplicates_go_the_first_stays),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(passages_of_evaluation_sets),
        cmocka_unit_test(nothing_to_compare_with),
        cmocka_unit_test(a_real_benchmark),
        cmocka_unit_test(shares_seeds_and_labels),
        cmocka_unit_test(without_a_total_nothing_repeats),
        cmocka_unit_test(mixtures_that_cannot_be),
    };
    return TEST_MAIN("data_sets", tests);
}
