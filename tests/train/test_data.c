/* train/data: documents from files, what becomes of long ones, and how rows are packed. */
#include "chat_vocab.h"

#include "base/file.h"
#include "base/rng.h"
#include "train/data.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct Fixture {
    Tokenizer *tokenizer;
    ChatTemplate *chat;
    DataText text;
    char *folder;
    TrainConfig config;
    Buf lines; /* what the data said of its sources */
} Fixture;

static void keep_line(void *context, const char *text)
{
    buf_puts(context, text);
    buf_puts(context, "\n");
}

static int open_fixture(void **state)
{
    Error err = {0};
    Buf source = {0};
    Fixture *f = mem_alloc(sizeof *f);
    assert_ok(file_read(&source, "models/chat_template.jinja", 1 << 20, &err));
    f->tokenizer = open_chat_vocab();
    f->chat = chat_template_open(buf_str(&source), (Str){0}, (Str){0}, &err);
    f->folder = mem_strdup(test_temp("cache"));
    f->text = (DataText){.tokenizer = f->tokenizer,
                         .chat = f->chat,
                         .n_vocab = 300,
                         .folder = f->folder,
                         .n_threads = 2,
                         .line = keep_line,
                         .context = &f->lines};
    f->config = (TrainConfig){.rows = 4, .tokens = 16, .seed = 1, .long_documents = LONG_DROP};
    buf_free(&source);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    Fixture *f = *state;
    tokenizer_close(f->tokenizer);
    chat_template_close(f->chat);
    buf_free(&f->lines);
    mem_free(f->folder);
    mem_free(f);
    return 0;
}

/* The next source of the configuration: a file with this in it. */
static void add_source(Fixture *f, const char *name, const char *text, double weight)
{
    char *path = mem_strdup(test_temp(name)); /* as long as the test */
    test_write(path, text, strlen(text));
    f->config.sources[f->config.n_sources++] = (TrainSource){path, weight};
}

static void drop_sources(Fixture *f)
{
    for (int i = 0; i < f->config.n_sources; i++)
        mem_free((char *)(uintptr_t)f->config.sources[i].path);
    f->config.n_sources = 0;
    buf_clear(&f->lines);
}

/* A document of `n` letters is a text of n letters of one kind and the end of text. */
static void add_letters(Buf *lines, char letter, int n)
{
    buf_puts(lines, "{\"text\": \"");
    for (int i = 0; i < n; i++)
        buf_putc(lines, letter);
    buf_puts(lines, "\"}\n");
}

/* ---- Packing --------------------------------------------------------------------------------- */

/* Each document is whole: letters of one kind, then the end; counts letters' documents. */
static void check_rows(const Rows *rows, int tokens, int *seen)
{
    for (int r = 0; r < rows->n_rows; r++) {
        const int first = rows->row_start[r], last = rows->row_start[r + 1];
        assert_true(rows->doc_start[last] - rows->doc_start[first] <= tokens);
        for (int d = first; d < last; d++) {
            const int from = rows->doc_start[d], to = rows->doc_start[d + 1];
            const int32_t letter = rows->ids[from];
            for (int t = from; t < to; t++) {
                assert_int_equal(rows->ids[t], letter);
                assert_int_equal(rows->targets[t], t + 1 < to ? letter : CHAT_TEXT_END);
                assert_true(rows->weights[t] == 1.0f);
            }
            assert_int_equal(to - from, 1 + (letter - 'a') % 16);
            seen[letter - 'a']++;
        }
    }
}

static void rows_hold_whole_documents(void **state)
{
    Fixture *f = *state;
    Error err = {0};
    Buf lines = {0}, saved = {0};
    Data data, again;
    int seen[26] = {0}, total = 0;
    for (int i = 0; i < 26; i++)
        add_letters(&lines, (char)('a' + i), 1 + i % 16);
    add_source(f, "letters.jsonl", lines.data, 1);
    assert_ok(data_open(&data, &f->config, &f->text, &err));
    assert_ok(data_open(&again, &f->config, &f->text, &err));
    for (int step = 0; step < 40; step++) {
        const Rows *rows = data_next(&data);
        check_rows(rows, f->config.tokens, seen);
        /* Almost full, since many documents wait to be fitted in. */
        assert_true(rows->doc_start[rows->row_start[4]] >= 60);
        if (step == 20)
            data_save(&data, &saved);
    }
    for (int i = 0; i < 26; i++)
        total += seen[i];
    for (int i = 0; i < 26; i++) /* an epoch has each once; some still wait */
        assert_true(abs(seen[i] - total / 26) <= 3);
    /* The other goes on from step 20 and sees the same. */
    assert_true(data_load(&again, buf_str(&saved)));
    for (int step = 21; step < 40; step++)
        data_next(&again);
    assert_int_equal(again.batch.row_start[4], data.batch.row_start[4]);
    assert_memory_equal(again.ids, data.ids,
                        sizeof(int32_t) * (size_t)data.doc_start[data.row_start[4]]);
    assert_false(data_load(&again, (Str){saved.data, saved.bytes - 1}));
    data_close(&data);
    data_close(&again);
    buf_free(&lines);
    buf_free(&saved);
    drop_sources(f);
}

static void sources_are_drawn_by_weight(void **state)
{
    Fixture *f = *state;
    Error err = {0};
    Data data;
    int n_a = 0, n_b = 0;
    add_source(f, "a.jsonl", "{\"text\": \"a\"}\n", 3);
    add_source(f, "b.jsonl", "{\"text\": \"b\"}\n{\"text\": \"b\"}\n", 1);
    assert_ok(data_open(&data, &f->config, &f->text, &err));
    assert_true(fabs(data.bytes_per_token - 1) < 1e-9);
    for (int step = 0; step < 100; step++) {
        const Rows *rows = data_next(&data);
        for (int t = 0; t < rows->doc_start[rows->row_start[4]]; t++) {
            n_a += rows->ids[t] == 'a';
            n_b += rows->ids[t] == 'b';
        }
    }
    assert_int_equal(n_a + n_b, 6400);
    assert_true(abs(n_b - 1600) < 160);
    data_close(&data);
    drop_sources(f);
}

/* ---- Long documents -------------------------------------------------------------------------- */

static void long_documents_are_split_cut_or_dropped(void **state)
{
    Fixture *f = *state;
    static const struct {
        LongDocuments policy;
        int n_documents, n_places;
        const char *said;
    } cases[] = {
        /* 20 letters and the end are 20 places: 16 and 4. */
        {LONG_SPLIT, 3, 16 + 4 + 2, "3 documents, 22 tokens; 1 longer than 16 tokens, in pieces"},
        {LONG_CUT, 2, 16 + 2, "1 longer than 16 tokens, cut"},
        {LONG_DROP, 1, 2, "1 longer than 16 tokens, left out"},
    };
    Error err = {0};
    add_source(
        f, "long.jsonl",
        "{\"text\": \"aaaaaaaaaaaaaaaaaaaa\"}\n \r\n{\"text\": \"bb\"}\r\n{\"text\": \"\"}\n", 1);
    for (int i = 0; i < 3; i++) {
        Data data;
        f->config.long_documents = cases[i].policy;
        buf_clear(&f->lines);
        assert_ok(data_open(&data, &f->config, &f->text, &err));
        const DocumentCounts *c = data_source_counts(&data.sources[0]);
        assert_int_equal(c->n_documents, cases[i].n_documents);
        assert_int_equal(c->n_places, cases[i].n_places);
        assert_int_equal(c->n_scored, cases[i].n_places);
        if (!test_contains(f->lines.data, cases[i].said))
            fail_msg("%s", f->lines.data);
        data_close(&data);
    }
    f->config.long_documents = LONG_DROP;
    drop_sources(f);
}

/* A long conversation that is split keeps the pieces with something to learn. */
static void weights_stay_with_their_tokens(void **state)
{
    Fixture *f = *state;
    Error err = {0};
    Data data;
    int n_scored = 0;
    add_source(f, "chat.jsonl",
               "{\"messages\": [{\"role\": \"user\", \"content\": \"0123456789\"}, {\"role\": "
               "\"assistant\", \"content\": \"abc\", \"weight\": 0.5}], \"enable_thinking\": "
               "false}\n",
               1);
    f->config.long_documents = LONG_SPLIT;
    f->config.score = CHAT_ALL;
    assert_ok(data_open(&data, &f->config, &f->text, &err));
    assert_int_equal(data_source_counts(&data.sources[0])->n_scored, 4);
    assert_int_equal(data_source_counts(&data.sources[0])->n_bytes, 3);
    const Rows *rows = data_next(&data);
    for (int t = 0; t < rows->doc_start[1]; t++) {
        const int32_t target = rows->targets[t];
        const bool is_answer = (target >= 'a' && target <= 'c') || target == CHAT_TEXT_END + 2;
        if (rows->weights[t] != 0) {
            assert_true(rows->weights[t] == 0.5f && is_answer);
            n_scored++;
        }
    }
    assert_true(n_scored >= 1 && n_scored <= 4);
    data_close(&data);
    f->config.long_documents = LONG_DROP;
    drop_sources(f);
}

/* ---- What is kept ---------------------------------------------------------------------------- */

/* The one file of documents in the fixture's folder, its bytes without the time of the source. */
static Buf read_cache(const Fixture *f, const char *name)
{
    Error err = {0};
    Buf bytes = {0};
    struct dirent *entry;
    DIR *dir = opendir(f->folder);
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, name, strlen(name)) == 0) {
            char *path = file_join(f->folder, entry->d_name);
            assert_int_equal(bytes.bytes, 0);
            assert_ok(file_read(&bytes, path, SIZE_MAX, &err));
            mem_free(path);
        }
    closedir(dir);
    memset(bytes.data + 8 + 24, 0, 8);
    return bytes;
}

/* Many blocks: the same file whatever the number of threads. */
static void threads_do_not_change_a_byte(void **state)
{
    Fixture *f = *state;
    Error err = {0};
    Buf text = {0}, first = {0};
    Ids ids = {0};
    Data data;
    for (int i = 0; text.bytes < 2500000; i++)
        buf_printf(&text, "line %d of a long text, \xC3\xA9%s", i, i % 7 ? "\n" : "\n\n\n\n");
    assert_ok(tokenizer_encode_plain(f->tokenizer, buf_str(&text), &ids, &err));
    add_source(f, "blocks.txt", text.data, 1);
    f->config.long_documents = LONG_SPLIT;
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        f->text.n_threads = n_threads;
        f->text.key = (uint64_t)n_threads; /* made anew */
        assert_ok(data_open(&data, &f->config, &f->text, &err));
        const DocumentCounts *c = data_source_counts(&data.sources[0]);
        assert_int_equal(c->n_places, ids.n); /* the first is not predicted, the end is */
        assert_int_equal(c->n_bytes, text.bytes);
        assert_int_equal(c->n_documents, (ids.n + 15) / 16);
        for (int64_t i = 0; i < c->n_documents; i++) { /* pieces follow one another */
            const DataDocument doc = data_source_document(&data.sources[0], i);
            assert_memory_equal(doc.ids, ids.data + 16 * i, sizeof *ids.data * (size_t)doc.n);
        }
        data_close(&data);
        Buf bytes = read_cache(f, "blocks.txt");
        memset(bytes.data + 8 + 8, 0, 8); /* the key */
        if (n_threads > 1) {
            assert_int_equal(bytes.bytes, first.bytes);
            assert_memory_equal(bytes.data, first.data, first.bytes);
            buf_free(&bytes);
        } else {
            first = bytes;
        }
    }
    buf_free(&first);
    buf_free(&text);
    ids_free(&ids);
    f->text.n_threads = 2;
    f->text.key = 0;
    f->config.long_documents = LONG_DROP;
    drop_sources(f);
}

/* The path of a source's cache is not known here; whether it was made anew shows in its time. */
static int64_t cache_time(const Fixture *f, const char *name)
{
    struct dirent *entry;
    int64_t time = 0;
    DIR *dir = opendir(f->folder);
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, name, strlen(name)) == 0) {
            char *path = file_join(f->folder, entry->d_name);
            time = file_time(path);
            mem_free(path);
        }
    closedir(dir);
    return time;
}

static void set_time(const char *path, int seconds)
{
    const struct timespec times[] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void what_was_read_is_kept(void **state)
{
    Fixture *f = *state;
    Error err = {0};
    Data data;
    Buf saved = {0};
    static const struct {
        const char *text;
        int time, tokens;
        bool is_anew;
    } steps[] = {
        {"{\"text\": \"aa\"}\n", 1000, 16, true},
        {"{\"text\": \"aa\"}\n", 1000, 16, false}, /* nothing changed */
        {"{\"text\": \"aa\"}\n", 2000, 16, false}, /* only touched */
        {"{\"text\": \"bb\"}\n", 3000, 16, true},  /* another text of the same size */
        {"{\"text\": \"bb\"}\n", 3000, 18, true},  /* another configuration */
    };
    add_source(f, "kept.jsonl", "", 1);
    const char *path = f->config.sources[0].path;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const int64_t before = cache_time(f, "kept.jsonl");
        test_write(path, steps[i].text, strlen(steps[i].text));
        set_time(path, steps[i].time);
        f->config.tokens = steps[i].tokens;
        assert_ok(data_open(&data, &f->config, &f->text, &err));
        assert_int_equal(cache_time(f, "kept.jsonl") != before, steps[i].is_anew);
        assert_int_equal(data_source_document(&data.sources[0], 0).ids[0],
                         (unsigned char)steps[i].text[10]);
        /* A run goes on with the documents that it began with, and with no others. */
        if (i > 0)
            assert_int_equal(data_load(&data, buf_str(&saved)), !steps[i].is_anew);
        buf_clear(&saved);
        data_save(&data, &saved);
        data_close(&data);
    }
    buf_free(&saved);
    f->config.tokens = 16;
    drop_sources(f);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void bad_data_is_named(void **state)
{
    Fixture *f = *state;
    static const struct {
        const char *name, *text, *message;
        ErrorCode code;
    } bad[] = {
        {"d.csv", "x", "data is .txt or .jsonl", ERROR_UNSUPPORTED},
        {"d.jsonl", "", "no document", ERROR_FORMAT},
        {"d.jsonl", "{\"text\": \"a\"}\n{\"text\": 1}\n", "d.jsonl:2: neither", ERROR_FORMAT},
        {"d.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \"a\n", "d.jsonl:3: column", ERROR_FORMAT},
        {"d.jsonl", "{\"messages\": [{\"role\": \"bot\"}]}\n", "d.jsonl:1: messages[0].role",
         ERROR_FORMAT},
        {"d.jsonl", "{\"text\": \"aaaaaaaaaaaaaaaaaaaaaaaa\"}\n", "longer than batch.tokens (16)",
         ERROR_LIMIT},
        {"d.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}\n",
         "no document in it to learn from", ERROR_FORMAT},
    };
    Error err = {0};
    Data data;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        add_source(f, bad[i].name, bad[i].text, 1);
        f->config.score = CHAT_ALL;
        assert_error(data_open(&data, &f->config, &f->text, &err), bad[i].code, bad[i].message);
        drop_sources(f);
    }
    DataText no_chat = f->text;
    no_chat.chat = NULL;
    no_chat.key = 1;
    add_source(f, "d.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}\n", 1);
    assert_error(data_open(&data, &f->config, &no_chat, &err), ERROR_UNSUPPORTED,
                 "no chat template");
    no_chat.n_vocab = 100;
    assert_error(data_open(&data, &f->config, &no_chat, &err), ERROR_ARGUMENT,
                 "vocabulary only 100");
    drop_sources(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_hold_whole_documents),
        cmocka_unit_test(sources_are_drawn_by_weight),
        cmocka_unit_test(long_documents_are_split_cut_or_dropped),
        cmocka_unit_test(weights_stay_with_their_tokens),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(what_was_read_is_kept),
        cmocka_unit_test(bad_data_is_named),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("data", tests, open_fixture, close_fixture);
}
