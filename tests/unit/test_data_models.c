/* data/: journals, questions to a model, labels, synthetic texts, pages of PDF files, reviews. */
#include "support.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/label.h"
#include "data/pages.h"
#include "data/pdf.h"
#include "data/review.h"
#include "data/synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *temp(const char *name) { return mem_strdup(test_temp(name)); }

static char *write_temp(const char *name, const char *text)
{
    char *path = temp(name);
    test_write(path, text, strlen(text));
    return path;
}

static Buf read_file(const char *path)
{
    Error err = {0};
    Buf text = {0};
    assert_ok(file_read(&text, path, 1 << 28, &err));
    return text;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

/* ---- A model that answers by rule -------------------------------------------------------------
 */

typedef struct Fake {
    const char *(*answer)(const json_t *question, int64_t i, bool *is_whole);
    int64_t n_asked, dies_at; /* -1: never */
} Fake;

static bool fake_many(void *context, int64_t first, json_t *const *questions, int n,
                      AskAnswer *answers, Error *err)
{
    Fake *fake = context;
    for (int i = 0; i < n; i++) {
        if (fake->dies_at >= 0 && first + i >= fake->dies_at)
            return error_set(err, ERROR_DEVICE, "the model died");
        answers[i].is_whole = true;
        buf_puts(&answers[i].text, fake->answer(questions[i], first + i, &answers[i].is_whole));
        fake->n_asked++;
    }
    return true;
}

static Asker fake_asker(Fake *fake) { return (Asker){fake_many, fake, 4}; }

/* ---- Journals ---------------------------------------------------------------------------------
 */

static bool sum_lines(void *context, int64_t number, json_t *line, Error *err)
{
    (void)err;
    *(int64_t *)context += (number + 1) * json_integer_value(json_object_get(line, "x"));
    return true;
}

static void journals(void **state)
{
    (void)state;
    Error err = {0};
    Journal j;
    char *out = temp("journal"), *part = temp("journal.part");
    assert_ok(journal_open(&j, out, STR("run 1"), &err));
    for (int i = 1; i <= 3; i++) {
        json_t *line = json_pack("{s: i}", "x", i);
        assert_ok(journal_add(&j, line, &err));
        json_decref(line);
    }
    assert_ok(journal_undo(&j, &err));
    assert_int_equal(j.n, 2);
    journal_close(&j);
    FILE *torn = fopen(part, "a"); /* the process died in the middle of a line */
    fputs("{\"x\": 7", torn);
    fclose(torn);
    assert_error(journal_open(&j, out, STR("run 2"), &err), ERROR_ARGUMENT, "another");
    assert_ok(journal_open(&j, out, STR("run 1"), &err));
    assert_int_equal(j.n, 2);
    int64_t sum = 0;
    assert_ok(journal_read(&j, sum_lines, &sum, &err));
    assert_int_equal(sum, 1 * 1 + 2 * 2);
    assert_ok(journal_undo(&j, &err) && journal_undo(&j, &err));
    assert_error(journal_undo(&j, &err), ERROR_ARGUMENT, "nothing to undo");
    journal_remove(&j);
    assert_false(file_exists(part));
    mem_free(out);
    mem_free(part);
}

/* ---- Labels -----------------------------------------------------------------------------------
 */

static const char label_yaml[] = "prompt: 'Judge. {axes} Now!'\n"
                                 "axes:\n  - {name: value, low: 0, high: 5, about: worth}\n"
                                 "  - {name: field, choices: [maths, code]}\n"
                                 "max_bytes: 20\nmax_failed: 0.5\n";

static LabelConfig read_label_config(const char *text)
{
    Error err = {0};
    LabelConfig c;
    char *path = write_temp("label.yaml", text);
    assert_ok(label_config_read(&c, path, &err));
    mem_free(path);
    return c;
}

static void labels_are_parsed_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *failure; /* NULL: these are labels */
    } cases[] = {
        {"{\"value\": 3, \"field\": \"code\"}", NULL},
        {" {\"field\": \"maths\",\n \"value\": 0}\n", NULL},
        {"", "empty"},
        {"{\"value\": 3}", "\"field\" is missing"},
        {"{\"value\": 6, \"field\": \"code\"}", "\"value\" is not what"},
        {"{\"value\": \"3\", \"field\": \"code\"}", "\"value\" is not what"},
        {"{\"value\": 3.0, \"field\": \"code\"}", "\"value\" is not what"},
        {"{\"value\": 3, \"field\": \"Code\"}", "\"field\" is not what"},
        {"{\"value\": 3, \"field\": \"code\", \"why\": 1}", "no axis"},
        {"{\"value\": 3, \"value\": 4, \"field\": \"code\"}", "not one JSON object"},
        {"Sure: {\"value\": 3, \"field\": \"code\"}", "not one JSON object"},
        {"```json\n{\"value\": 3, \"field\": \"code\"}\n```", "not one JSON object"},
        {"[3]", "not one JSON object"},
    };
    LabelConfig c = read_label_config(label_yaml);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *noted = label_parse(&c, str_from(cases[i].answer), true);
        const char *failed = json_string_value(json_object_get(noted, "failed"));
        if (cases[i].failure ? !failed || !test_contains(failed, cases[i].failure)
                             : !json_object_get(noted, "labels"))
            fail_msg("%s: %s", cases[i].answer, failed ? failed : "labels");
        json_decref(noted);
    }
    json_t *cut = label_parse(&c, str_from(cases[0].answer), false);
    assert_string_equal(json_string_value(json_object_get(cut, "failed")),
                        "the answer was cut off");
    json_decref(cut);
    label_config_close(&c);
}

/* The value is the number of bytes shown; every third answer is none. */
static const char *label_by_rule(const json_t *question, int64_t i, bool *is_whole)
{
    static char answer[64];
    const char *system = json_string_value(json_object_get(question, "system"));
    (void)is_whole;
    assert_string_equal(system, "Judge. \n\"value\": a whole number from 0 to 5 (worth)\n"
                                "\"field\": one of \"maths\", \"code\" Now!");
    snprintf(answer, sizeof answer, "{\"value\": %d, \"field\": \"maths\"}",
             (int)json_string_length(json_object_get(question, "user")) % 6);
    return i % 3 == 2 ? "I think it is good." : answer;
}

static void labels_on_documents(void **state)
{
    (void)state;
    Error err = {0};
    LabelConfig c = read_label_config(label_yaml);
    Buf lines = {0};
    for (int i = 0; i < 10; i++)
        buf_printf(&lines, "{\"text\": \"%.*s\", \"id\": %d%s}\n", i, "abcdefghij", i,
                   i == 1 ? ", \"labels\": {\"old\": 1, \"value\": 9}" : "");
    char *in = write_temp("in.jsonl", lines.data),
         *text = write_temp("in.txt", "\xc3\xa4 much longer text than is shown"),
         *out = temp("labelled.jsonl"), *part = temp("labelled.jsonl.part");
    const char *const paths[] = {in, text};
    Fake fake = {label_by_rule, 0, 6};
    LabelOptions options = {&c, paths, 2, out, fake_asker(&fake), NULL, NULL};
    AskReport report;
    assert_error(label_run(&options, &report, &err), ERROR_DEVICE, "the model died");
    assert_true(file_exists(part) && !file_exists(out));
    fake.dies_at = -1;
    fake.n_asked = 0;
    err = (Error){0};
    assert_ok(label_run(&options, &report, &err));
    assert_int_equal(fake.n_asked, 7); /* four were there */
    assert_int_equal(report.n_asked, 11);
    assert_int_equal(report.n_resumed, 4);
    assert_int_equal(report.n_failed, 3);
    assert_string_equal(report.first_failure, "the answer is not one JSON object");
    assert_false(file_exists(part));
    Buf got = read_file(out);
    assert_int_equal(count(got.data, "\n"), 11);
    assert_int_equal(count(got.data, "\"labels\""), 8);
    assert_true(test_contains(got.data, "{\"text\": \"ab\", \"id\": 2}\n")); /* failed: as it was */
    assert_true(test_contains(got.data, "\"labels\":{\"old\":1,\"value\":1,\"field\":\"maths\"}"));
    assert_true(test_contains(got.data, "than is shown\",\"labels\":{\"value\":2"));
    buf_free(&got);
    buf_free(&lines);
    label_config_close(&c);
    mem_free(in);
    mem_free(text);
    mem_free(out);
    mem_free(part);
}

static const char *never_a_label(const json_t *question, int64_t i, bool *is_whole)
{
    (void)question, (void)i;
    *is_whole = false;
    return "{}";
}

static void too_many_failures(void **state)
{
    (void)state;
    Error err = {0};
    LabelConfig c = read_label_config(label_yaml);
    char *in = write_temp("one.txt", "a"), *out = temp("none.jsonl");
    const char *const paths[] = {in};
    Fake fake = {never_a_label, 0, -1};
    LabelOptions options = {&c, paths, 1, out, fake_asker(&fake), NULL, NULL};
    AskReport report;
    assert_error(label_run(&options, &report, &err), ERROR_FORMAT, "none.jsonl.part");
    assert_true(test_contains(err.message, "1 of 1 answers cannot be used (the first: the answer "
                                           "was cut off)"));
    assert_false(file_exists(out));
    label_config_close(&c);
    mem_free(in);
    mem_free(out);
}

/* ---- Synthetic texts --------------------------------------------------------------------------
 */

static const char synth_yaml[] =
    "max_failed: 0.6\nlists: {topic: [sun, moon, sea], who: [you]}\nprompts:\n"
    "  - {name: book, count: 6, user: 'About {topic} for {who} {x y}', min_bytes: 3}\n"
    "  - {name: qa, count: 3, system: 'On {topic}', user: '{\"q\": 1}', makes: dialogue}\n"
    "  - {name: code, count: 2, user: go, makes: code, max_bytes: 10}\n";

static SynthConfig read_synth_config(const char *text)
{
    Error err = {0};
    SynthConfig c;
    char *path = write_temp("synth.yaml", text);
    assert_ok(synth_config_read(&c, path, &err));
    mem_free(path);
    return c;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void prompts_are_filled_in(void **state)
{
    (void)state;
    SynthConfig c = read_synth_config(synth_yaml);
    int n_sun = 0;
    for (int64_t i = 0; i < 11; i++) {
        json_t *question = synth_question(&c, i), *again = synth_question(&c, i);
        assert_true(json_equal(question, again));
        const char *topic = text_of(json_object_get(question, "values"), "topic");
        char expected[64];
        n_sun += strcmp(topic, "sun") == 0;
        snprintf(expected, sizeof expected, "About %s for you {x y}", topic);
        assert_string_equal(text_of(question, "user"), i < 6   ? expected
                                                       : i < 9 ? "{\"q\": 1}"
                                                               : "go");
        snprintf(expected, sizeof expected, "On %s", topic);
        assert_string_equal(text_of(question, "system"), i >= 6 && i < 9 ? expected : "");
        json_decref(question);
        json_decref(again);
    }
    assert_true(n_sun > 0 && n_sun < 11);
    assert_null(synth_question(&c, 11));
    synth_config_close(&c);
}

static void answers_make_documents(void **state)
{
    (void)state;
    static const struct {
        int64_t i;
        const char *answer, *made; /* "!...": a failure that says so */
    } cases[] = {
        {0, "  some text\n", "\"text\":\"some text\""},
        {0, "ab", "!2 bytes; 3 to"},
        {6, "{\"question\": \"Why?\", \"answer\": \"So.\"}",
         "\"messages\":[{\"role\":\"user\",\"content\":\"Why?\"},{\"role\":\"assistant\","
         "\"content\":\"So.\"}]"},
        {6, "{\"question\": \"Why?\"}", "!not one object"},
        {6, "{\"question\": \"\", \"answer\": \"So.\"}", "!not one object"},
        {6, "{\"question\": \"Why?\", \"answer\": \"So.\", \"x\": 1}", "!not one object"},
        {9, "Here:\n```python\nx = 1\n```\n", "\"text\":\"x = 1\\n\""},
        {9, "x = 1", "!exactly one block"},
        {9, "```\na\n```\n```\nb\n```", "!exactly one block"},
        {9, "```\nx = 123456789\n```", "!14 bytes; 1 to 10"},
    };
    SynthConfig c = read_synth_config(synth_yaml);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        json_t *made = synth_document(&c, cases[k].i, str_from(cases[k].answer), true);
        char *text = json_dumps(made, JSON_COMPACT);
        const bool fails = cases[k].made[0] == '!';
        if (!test_contains(text, cases[k].made + fails) ||
            fails != (json_object_get(made, "failed") != NULL))
            fail_msg("%s: %s", cases[k].answer, text);
        free(text);
        json_decref(made);
    }
    synth_config_close(&c);
}

static const char *write_by_rule(const json_t *question, int64_t i, bool *is_whole)
{
    (void)question;
    *is_whole = i != 1;
    return i < 9 ? "A text." : "```\nx\n```";
}

static void synthetic_documents(void **state)
{
    (void)state;
    Error err = {0};
    SynthConfig c = read_synth_config(synth_yaml);
    char *out = temp("synth.jsonl");
    Fake fake = {write_by_rule, 0, -1};
    const SynthOptions options = {&c, out, fake_asker(&fake), NULL, NULL};
    AskReport report;
    assert_ok(synth_run(&options, &report, &err));
    assert_int_equal(report.n_asked, 11);
    assert_int_equal(report.n_failed, 4); /* one cut off, three that are no dialogue */
    Buf got = read_file(out);
    assert_int_equal(count(got.data, "\n"), 7);
    assert_true(test_contains(got.data, "{\"id\":\"book-0\",\"prompt\":\"book\",\"values\":"));
    assert_false(test_contains(got.data, "book-1\""));
    assert_true(test_contains(got.data, "\"id\":\"code-1\""));
    buf_free(&got);
    synth_config_close(&c);
    mem_free(out);
}

static void configurations_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        int kind; /* 0 label, 1 synth, 2 pdf */
        const char *text, *message;
    } cases[] = {
        {0, "prompt: x\n", "prompt: a text with {axes}"},
        {0, "prompt: '{axes}'\n", "axes: a list of 1 to 32"},
        {0, "prompt: '{axes}'\naxes: [{name: a}]\n", "axes[0]: give either low and high"},
        {0, "prompt: '{axes}'\naxes: [{name: a, low: 2, high: 1}]\n", "axes[0]: give either"},
        {0, "prompt: '{axes}'\naxes: [{name: a, choices: [1]}]\n", "axes[0]: give either"},
        {0, "prompt: '{axes}'\naxis: 1\n", "axis: there is no such key"},
        {1, "prompts: []\n", "prompts: a list"},
        {1, "prompts: [{name: a}]\n", "prompts[0]: its name or user"},
        {1, "prompts: [{name: a, user: 'on {topic}'}]\n", "{topic}: there is no such list"},
        {1, "lists: {a: [1]}\nprompts: [{name: a, user: b}]\n", "lists.a: it is not"},
        {1, "prompts: [{name: a, user: b, makes: poems}]\n", "makes: it is text, dialogue"},
        {1, "seed: x\nprompts: [{name: a, user: b}]\n", "seed: it is not a whole number"},
        {2, "max_tokens: 3\n", "prompt is missing"},
        {2, "prompt: a\nmin_ratio: 2\n", "min_ratio: it is not a number in 0 .. 1"},
        {2, "- a\n", "it is not a mapping"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Error err = {0};
        LabelConfig label = {0};
        SynthConfig synth = {0};
        PdfConfig pdf = {0};
        char *path = write_temp("wrong.yaml", cases[i].text);
        assert_false(cases[i].kind == 0   ? label_config_read(&label, path, &err)
                     : cases[i].kind == 1 ? synth_config_read(&synth, path, &err)
                                          : pdf_config_read(&pdf, path, &err));
        if (!test_contains(err.message, cases[i].message) ||
            !test_contains(err.message, "wrong.yaml"))
            fail_msg("%s: %s", cases[i].text, err.message);
        label_config_close(&label);
        synth_config_close(&synth);
        pdf_config_close(&pdf);
        mem_free(path);
    }
}

/* The configurations that come with the program. */
static void our_configurations(void **state)
{
    (void)state;
    Error err = {0};
    LabelConfig label;
    SynthConfig synth;
    PdfConfig pdf;
    assert_ok(label_config_read(&label, "configs/prompts/label.yaml", &err));
    assert_ok(synth_config_read(&synth, "configs/prompts/synth.yaml", &err));
    assert_ok(pdf_config_read(&pdf, "configs/prompts/pdf.yaml", &err));
    assert_int_equal(label.n_axes, 6);
    label_config_close(&label);
    synth_config_close(&synth);
    pdf_config_close(&pdf);
}

/* ---- Pages ------------------------------------------------------------------------------------
 */

static Pages make_pages(const char *const *texts, int n)
{
    Pages p = {.page = mem_alloc(sizeof(Str) * (size_t)n), .n = n};
    for (int i = 0; i < n; i++)
        p.page[i] = str_from(texts[i]);
    return p;
}

static void pages_become_running_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        ("A Study of Bridges  12\n\nThe first bridge was made of seven large stones and it car-\n"
         "ried carts for a hundred years before the river took it in\none night.\n\n"
         "Nobody built it again, and the road went another way from\nthen on.\n\n  1  \n"),
        "A Study of Bridges  13\nSecond page\n- one\n- two\n2\n",
        ("A Study of Bridges  14\n\xe6\x88\x91\xe4\xbb\xac\xe6\x9c\x89\xe4\xb8\x80\n"
         "\xe5\xba\xa7\xe6\xa1\xa5\xe4\xb8\x8a\n3"),
        "\n4\n",
    };
    static const char *const expected[] = {
        "The first bridge was made of seven large stones and it carried carts for a hundred years "
        "before the river took it in one night.\n\nNobody built it again, and the road went "
        "another way from then on.",
        "Second page\n- one\n- two",
        "\xe6\x88\x91\xe4\xbb\xac\xe6\x9c\x89\xe4\xb8\x80\n\xe5\xba\xa7\xe6\xa1\xa5\xe4\xb8\x8a",
        "",
    };
    Pages p = make_pages(texts, 4);
    for (int i = 0; i < 4; i++) {
        Buf text = {0};
        pages_tidy(&p, i, &text);
        assert_string_equal(text.data ? text.data : "", expected[i]);
        buf_free(&text);
    }
    pages_close(&p);
}

/* A program of that name that is found first; the real one is met in tests/cli/test_data_tools. */
static void put_pdftotext(const char *script)
{
    char *folder = temp("bin"), *path = file_join(folder, "pdftotext");
    Error err = {0};
    Buf search = {0};
    assert_ok(file_make_dir(folder, &err));
    test_write(path, script, strlen(script));
    chmod(path, 0755);
    buf_printf(&search, "%s:/usr/bin:/bin", folder);
    setenv("PATH", search.data, 1);
    buf_free(&search);
    mem_free(folder);
    mem_free(path);
}

static const char *clean_by_rule(const json_t *question, int64_t i, bool *is_whole)
{
    const char *page = text_of(question, "user");
    *is_whole = true;
    assert_string_equal(text_of(question, "system"), "Clean");
    return i == 1 ? "a much longer answer than any page could be" : page[0] == 'O' ? "ONE" : page;
}

static void documents_from_pdf_files(void **state)
{
    (void)state;
    Error err = {0};
    char *before = mem_strdup(getenv("PATH")), *out = temp("pdf.jsonl"),
         *a = write_temp("a.pdf", "One\fTwo\f\fThree\f"), *b = write_temp("b.pdf", "\f\f"),
         *config_path = write_temp("pdf.yaml", "prompt: Clean\n");
    const char *const paths[] = {a, b};
    PdfOptions options = {.paths = paths, .n_paths = 2, .out = out};
    PdfReport report;
    put_pdftotext("#!/bin/sh\n[ \"$*\" = \"-q -enc UTF-8 -eol unix $6 -\" ] && cat \"$6\"\n");
    assert_ok(pdf_run(&options, &report, &err));
    assert_int_equal(report.n_pages, 6);
    assert_int_equal(report.n_blank, 3);
    assert_int_equal(report.n_written, 1);
    assert_int_equal(report.n_without_text, 1);
    Buf got = read_file(out);
    assert_true(test_contains(got.data, "{\"text\":\"One\\n\\nTwo\\n\\nThree\",\"source\":"));
    assert_true(test_contains(got.data, "\"pages\":4}\n"));
    buf_free(&got);

    PdfConfig config;
    Fake fake = {clean_by_rule, 0, -1};
    assert_ok(pdf_config_read(&config, config_path, &err));
    options.config = &config;
    options.asker = fake_asker(&fake);
    assert_ok(pdf_run(&options, &report, &err));
    assert_int_equal(report.asked.n_asked, 3);
    assert_int_equal(report.asked.n_failed, 1);
    got = read_file(out);
    assert_true(test_contains(got.data, "{\"text\":\"ONE\\n\\nTwo\\n\\nThree\""));
    buf_free(&got);
    options.config = NULL;

    put_pdftotext("#!/bin/sh\nexit 1\n");
    assert_error(pdf_run(&options, &report, &err), ERROR_FORMAT,
                 "a.pdf: pdftotext: the file cannot be opened as a PDF");
    put_pdftotext("#!/bin/sh\nkill -9 $$\n");
    assert_error(pdf_run(&options, &report, &err), ERROR_FORMAT, "pdftotext died");
    setenv("PATH", "/nowhere", 1);
    assert_error(pdf_run(&options, &report, &err), ERROR_UNSUPPORTED, "apt install poppler-utils");
    setenv("PATH", before, 1);
    pdf_config_close(&config);
    mem_free(before);
    mem_free(out);
    mem_free(a);
    mem_free(b);
    mem_free(config_path);
}

/* ---- Reviews ----------------------------------------------------------------------------------
 */

static const Record *current(Review *r)
{
    Error err = {0};
    const Record *record;
    assert_ok(review_current(r, &record, &err));
    return record;
}

static void a_review(void **state)
{
    (void)state;
    Error err = {0};
    char *in = write_temp("review.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \"b\"}\n"
                                          "{\"messages\": []}\n{\"text\": \"d\"}\n"),
         *out = temp("reviewed.jsonl");
    Review *r = review_open(in, out, &err);
    assert_non_null(r);
    assert_int_equal(review_n_documents(r), 4);
    ReviewReport report;
    assert_error(review_finish(r, &report, &err), ERROR_ARGUMENT, "0 of 4");
    assert_ok(review_decide(r, REVIEW_DROP, NULL, &err));
    assert_ok(review_undo(r, &err));
    assert_ok(review_decide(r, REVIEW_KEEP, NULL, &err));
    review_close(r);
    r = review_open(in, out, &err); /* another day */
    assert_non_null(r);
    assert_int_equal(review_n_decided(r), 1);
    const Record *record = current(r);
    assert_int_equal(record->number, 3);
    Buf text = {0};
    review_to_text(record->json, &text);
    assert_string_equal(text.data, "b");
    json_t *edited = review_from_text(record->json, STR("better"), &err);
    assert_ok(review_decide(r, REVIEW_EDIT, edited, &err));
    json_decref(edited);
    record = current(r);
    buf_clear(&text);
    review_to_text(record->json, &text);
    edited = review_from_text(record->json, buf_str(&text), &err);
    assert_true(json_equal(edited, record->json));
    json_decref(edited);
    assert_error(review_from_text(record->json, STR("{\n]"), &err), ERROR_FORMAT, "line 2");
    assert_error(review_from_text(record->json, STR("{}"), &err), ERROR_FORMAT, "messages");
    assert_ok(review_decide(r, REVIEW_DROP, NULL, &err));
    assert_ok(review_decide(r, REVIEW_KEEP, NULL, &err));
    assert_null(current(r));
    assert_ok(review_finish(r, &report, &err));
    assert_int_equal(report.n_kept, 2);
    assert_int_equal(report.n_edited, 1);
    assert_int_equal(report.n_dropped, 1);
    review_close(r);
    Buf got = read_file(out);
    assert_string_equal(got.data, "{\"text\": \"a\"}\n{\"text\":\"better\"}\n{\"text\": \"d\"}\n");
    test_write(in, "{\"text\": \"a\"}\n{\n", 16);
    assert_null(review_open(in, out, &err));
    assert_true(test_contains(err.message, "review.jsonl:2: "));
    buf_free(&got);
    buf_free(&text);
    mem_free(in);
    mem_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journals),
        cmocka_unit_test(labels_are_parsed_strictly),
        cmocka_unit_test(labels_on_documents),
        cmocka_unit_test(too_many_failures),
        cmocka_unit_test(prompts_are_filled_in),
        cmocka_unit_test(answers_make_documents),
        cmocka_unit_test(synthetic_documents),
        cmocka_unit_test(configurations_that_are_wrong),
        cmocka_unit_test(our_configurations),
        cmocka_unit_test(pages_become_running_text),
        cmocka_unit_test(documents_from_pdf_files),
        cmocka_unit_test(a_review),
    };
    return TEST_MAIN("data_models", tests);
}
