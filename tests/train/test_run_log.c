/* base/crc32c, train/events, train/run_log, train/run_table: the files that a run's steps are told
 * in. tests/cli/test_train_run reads event files with a reader of its own. */
#include "support.h"

#include "base/crc32c.h"
#include "base/file.h"
#include "train/events.h"
#include "train/run_log.h"
#include "train/run_table.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void crc_has_the_published_values(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(bytes, 32), 0x8a9136aa); /* RFC 3720, appendix B.4, and the next two */
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(bytes, 32), 0x46dd794e);
}

/* The event files of a folder, one after another in the order of names; returns their number. */
static int read_events(const char *folder, Buf *out)
{
    Error err = {0};
    char names[8][256] = {{0}};
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        int i = n;
        if (!str_starts(str_from(entry->d_name), STR("events.")))
            continue;
        assert_true(n < 8);
        for (; i > 0 && strcmp(names[i - 1], entry->d_name) > 0; i--)
            memcpy(names[i], names[i - 1], sizeof names[i]);
        snprintf(names[i], sizeof names[i], "%s", entry->d_name);
        n++;
    }
    closedir(dir);
    for (int i = 0; i < n; i++) {
        char *path = file_join(folder, names[i]);
        assert_ok(file_read(out, path, 1 << 20, &err));
        mem_free(path);
    }
    return n;
}

static Str bytes_of(const char *hex, char *out)
{
    size_t n = 0;
    for (; hex[2 * n]; n++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * n, "%2x", &byte), 1);
        out[n] = (char)byte;
    }
    return (Str){out, n};
}

static void records_begin_as_tensorflow_writes_them(void **state)
{
    (void)state;
    Error err = {0};
    Buf file = {0};
    char raw[64];
    const char *folder = test_temp("events");
    assert_ok(file_make_dir(folder, &err));
    Events *e = events_open(folder, 0, &err);
    assert_non_null(e);
    events_scalar(e, 300, "loss", 0.5);
    assert_ok(events_flush(e, &err));
    events_close(e);
    assert_int_equal(read_events(folder, &file), 1);
    /* The first twelve bytes of every event file of TensorFlow: a record of 24 bytes. */
    const Str start = bytes_of("1800000000000000a37f4b22", raw);
    assert_memory_equal(file.data, start.data, start.bytes);
    assert_memory_equal(file.data + 12 + 9,
                        "\x1a\x0d"
                        "brain.Event:2",
                        15);
    /* Event {step: 300, summary {value {tag: "loss", simple_value: 0.5}}}, without the time. */
    const Str event = bytes_of("10ac022a0d0a0b0a046c6f737315"
                               "0000003f",
                               raw);
    assert_memory_equal(file.data + 12 + 24 + 4 + 12 + 9, event.data, event.bytes);
    buf_free(&file);
}

static int count(const Buf *file, const char *text)
{
    int n = 0;
    for (ptrdiff_t at = 0; (at = str_find(buf_str(file), str_from(text), (size_t)at)) >= 0; at++)
        n++;
    return n;
}

static void a_resumed_run_says_nothing_twice(void **state)
{
    (void)state;
    Error err = {0};
    char *folder = mem_strdup(test_temp("resumed"));
    assert_ok(file_make_dir(folder, &err));
    for (int start = 0; start < 9; start += 3) { /* each does five steps and loses two */
        RunLog *log = run_log_new();
        const int loss = run_log_column(log, "loss", "train/loss", RUN_LOG_EXACT);
        const int late = start > 0 ? run_log_column(log, "held out,\"x\"", NULL, 2) : -1;
        assert_ok(run_log_start(log, folder, start, &err));
        JsonLines *lines = json_lines_open(folder, "samples.jsonl", start, &err);
        assert_non_null(lines);
        for (int step = start + 1; step <= start + 5; step++) {
            json_t *line = json_pack("{s:i, s:i}", "step", step, "from", start);
            run_log_set(log, loss, step + start / 10.0);
            if (late >= 0 && step % 2 == 0)
                run_log_set(log, late, 7);
            run_log_text(log, step, "sample", STR("text"));
            assert_ok(run_log_end_step(log, step, &err));
            assert_ok(json_lines_add(lines, line, &err));
            json_decref(line);
        }
        json_lines_close(lines);
        run_log_close(log);
    }
    Buf file = {0};
    char *path = file_join(folder, "log.csv");
    assert_ok(file_read(&file, path, 1 << 20, &err));
    assert_string_equal(file.data,
                        "step,loss,held_out__x_\n1,1,\n2,2,\n3,3,\n4,4.3,7.00\n5,5.3,\n6,6.3,7.00\n"
                        "7,7.6,\n8,8.6,7.00\n9,9.6,\n10,10.6,7.00\n11,11.6,\n");
    mem_free(path);
    buf_clear(&file);
    path = file_join(folder, "samples.jsonl");
    assert_ok(file_read(&file, path, 1 << 20, &err));
    assert_int_equal(count(&file, "\n"), 11);
    assert_int_equal(count(&file, "\"from\":3"), 3);
    mem_free(path);
    buf_clear(&file);
    assert_int_equal(read_events(folder, &file), 3);
    assert_int_equal(count(&file, "brain.Event:2"), 3);
    assert_int_equal(count(&file, "train/loss"), 11);
    assert_int_equal(count(&file, "sample"), 11);
    buf_free(&file);
    mem_free(folder);
}

static void tables_are_read_back(void **state)
{
    (void)state;
    Error err = {0};
    RunTable table;
    const char *path = test_temp("table.csv");
    assert_ok(file_write(path, STR("step,a,b\n1,2.5,\n2,,x\n3,1\n4,-1e3,7\n5,6,"), &err));
    assert_ok(run_table_read(&table, path, &err));
    assert_int_equal(table.n_rows, 3); /* one row has a cell too few, one has no end */
    const int a = run_table_column(&table, "a"), b = run_table_column(&table, "b");
    assert_int_equal(run_table_column(&table, "c"), -1);
    assert_true(run_table_number(&table, 0, a) == 2.5 && run_table_number(&table, 2, a) == -1000);
    assert_true(isnan(run_table_number(&table, 0, b)) && isnan(run_table_number(&table, 1, b)));
    assert_int_equal(run_table_last(&table, b), 2);
    assert_int_equal(run_table_last(&table, -1), -1);
    run_table_close(&table);
    assert_ok(run_table_read(&table, "/nonexistent/log.csv", &err));
    assert_int_equal(table.n_rows, 0);
    run_table_close(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_has_the_published_values),
        cmocka_unit_test(records_begin_as_tensorflow_writes_them),
        cmocka_unit_test(a_resumed_run_says_nothing_twice),
        cmocka_unit_test(tables_are_read_back),
    };
    return TEST_MAIN("run_log", tests);
}
