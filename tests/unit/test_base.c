/* base/: errors, memory, strings, UTF-8, files, the pool, halves. */
#include "support.h"

#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/str.h"
#include "base/utf8.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void error_keeps_place_and_cuts(void **state)
{
    (void)state;
    Error err = {0};
    assert_false(error_set(&err, ERROR_FORMAT, "byte %d", 7));
    assert_false(error_add(&err, "file %s", "x"));
    assert_string_equal(err.message, "file x: byte 7");
    assert_int_equal(err.code, ERROR_FORMAT);
    char longer[2000];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = 0;
    error_set(&err, ERROR_IO, "%s", longer);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_string_equal(err.message + strlen(err.message) - 4, "a...");
}

static void arena_gives_zeroed_aligned_slices(void **state)
{
    (void)state;
    Arena arena = {0};
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 300000; n = n * 3 + 1) {
            unsigned char *p = arena_alloc(&arena, n);
            assert_int_equal((uintptr_t)p % MEM_ALIGN, 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xee, n);
        }
        uint64_t before = mem_count();
        arena_reset(&arena);
        assert_int_equal(mem_count(), before);
    }
    ArenaMark mark = arena_mark(&arena);
    char *a = arena_alloc(&arena, 10);
    arena_rewind(&arena, mark);
    assert_ptr_equal(a, arena_alloc(&arena, 10));
    arena_close(&arena);
}

static void injected_failure_reports(void **state)
{
    (void)state;
    Error err = {0};
    mem_fail_after(2);
    void *first = mem_try_alloc(10, "one", &err);
    assert_non_null(first);
    assert_error(mem_try_alloc(10, "two", &err) != NULL, ERROR_MEMORY, "two");
    mem_fail_after(0);
    mem_free(first);
    assert_error(mem_try_alloc(SIZE_MAX - 3, "absurd", &err) != NULL, ERROR_MEMORY, "absurd");
    size_t product;
    assert_true(mem_product(3, 4, 12, &product));
    assert_false(mem_product(3, 5, 12, &product));
    assert_false(mem_product(SIZE_MAX, 2, SIZE_MAX, &product));
}

static void utf8_accepts_exactly_scalars(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp < 0x110000; cp += cp < 0x3000 ? 1 : 37) {
        if (cp >= 0xD800 && cp < 0xE000)
            continue;
        char bytes[4];
        size_t n = utf8_encode(cp, bytes);
        uint32_t back = 0;
        assert_int_equal(utf8_decode((Str){bytes, n}, &back), n);
        assert_int_equal(back, cp);
        for (size_t cut = 1; cut < n; cut++) {
            size_t tail;
            assert_int_equal(utf8_decode((Str){bytes, cut}, &back), 0);
            assert_true(utf8_is_cut((Str){bytes, cut}, &tail));
            assert_int_equal(tail, cut);
        }
    }
    static const char *const bad[] = {
        "\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x80\x80",
        "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t cp;
        assert_int_equal(utf8_decode(str_from(bad[i]), &cp), 0);
    }
    /* Unicode's own example (table 3-8): one U+FFFD for each maximal ill-formed part. */
    Buf out = {0};
    utf8_append_lossy(&out, STR("a\xF1\x80\x80\xE1\x80\xC2"
                                "b\x80"
                                "c\x80\xBF"
                                "d"));
    assert_string_equal(out.data, "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                                  "b\xEF\xBF\xBD"
                                  "c\xEF\xBF\xBD\xEF\xBF\xBD"
                                  "d");
    buf_free(&out);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    Buf out = {0};
    buf_put_json(&out, STR("a\"\\\n\x01\xC3\xA9\xFF"));
    assert_string_equal(out.data, "\"a\\\"\\\\\\n\\u0001\xC3\xA9\xEF\xBF\xBD\"");
    buf_free(&out);
    out.bytes_max = 4;
    buf_puts(&out, "abc");
    buf_puts(&out, "de");
    assert_true(out.overflowed);
    assert_string_equal(out.data, "abc");
    buf_free(&out);
}

static void writer_is_atomic(void **state)
{
    (void)state;
    Error err = {0};
    char path[256];
    snprintf(path, sizeof path, "%s", test_temp("file"));
    assert_ok(file_write(path, STR("old"), &err));
    FileWriter *w = file_writer_open(path, &err);
    assert_non_null(w);
    assert_ok(file_writer_write(w, "xxxx", 4, &err));
    assert_ok(file_writer_patch(w, 1, "NN", 2, &err));
    FileMap map;
    assert_ok(file_map(&map, path, &err));
    assert_memory_equal(map.data, "old", 3);
    file_unmap(&map);
    assert_ok(file_writer_commit(w, &err));
    assert_ok(file_map(&map, path, &err));
    assert_int_equal(map.bytes, 4);
    assert_memory_equal(map.data, "xNNx", 4);
    file_unmap(&map);
    assert_error(file_map(&map, test_temp("none"), &err), ERROR_IO, "No such file");
    FileWriter *full = file_writer_open("/dev/full", &err);
    if (full) /* the temporary is /dev/full.PID.part, an ordinary file: nothing to see */
        file_writer_cancel(full);
}

static int files_in(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void killed_writer_leaves_nothing(void **state)
{
    (void)state;
    Error err = {0};
    char dir[256];
    snprintf(dir, sizeof dir, "%s", test_temp("killed"));
    assert_ok(file_make_dir(dir, &err));
    int fd = open(dir, O_TMPFILE | O_WRONLY, 0600);
    if (fd < 0)
        skip(); /* this file system has no files without names */
    close(fd);
    char *path = file_join(dir, "out");
    pid_t child = fork();
    if (child == 0) {
        FileWriter *w = file_writer_open(path, &err);
        if (!w || !file_writer_write(w, "half", 4, &err) || !file_writer_patch(w, 0, "H", 1, &err))
            _exit(1);
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(files_in(dir), 0);
    assert_ok(file_write(path, STR("whole"), &err));
    assert_int_equal(files_in(dir), 1);
    mem_free(path);
}

static void pool_task(void *context, int task, int worker)
{
    (void)worker;
    ((int *)context)[task] += task + 1;
}

static void pool_runs_every_task_once(void **state)
{
    (void)state;
    Error err = {0};
    int counts[1000];
    for (int n_threads = 1; n_threads <= 4; n_threads++) {
        Pool *pool = pool_open(n_threads, &err);
        assert_non_null(pool);
        for (int round = 0; round < 200; round++) {
            memset(counts, 0, sizeof counts);
            pool_run(pool, 1 + round * 4, pool_task, counts);
            for (int i = 0; i < 1000; i++)
                assert_int_equal(counts[i], i < 1 + round * 4 ? i + 1 : 0);
        }
        pool_close(pool);
    }
    assert_error(pool_open(-1, &err) != NULL, ERROR_ARGUMENT, "threads");
}

static void halves_round_to_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = half_to_float((uint16_t)h);
        if (!isnan(f)) {
            assert_int_equal(half_from_float(f), h);
        }
        float b = bf16_to_float((uint16_t)h);
        if (!isnan(b))
            assert_int_equal(bf16_from_float(b), h);
    }
    Rng rng = {1};
    for (int i = 0; i < 200000; i++) {
        float f = float_from_bits((uint32_t)rng_next(&rng));
        if (isnan(f)) {
            assert_true(isnan(half_to_float(half_from_float(f))));
            continue;
        }
        /* The nearest half, computed with exact doubles: 10 bits after the leading one. */
        double unit = ldexp(1, (fabsf(f) < 0x1p-14f ? -14 : ilogb((double)f)) - 10);
        double expected = rint((double)f / unit) * unit;
        if (fabs(expected) > 65504)
            expected = copysign((double)INFINITY, (double)f);
        assert_true((double)half_to_float(half_from_float(f)) == expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_keeps_place_and_cuts),
        cmocka_unit_test(arena_gives_zeroed_aligned_slices),
        cmocka_unit_test(injected_failure_reports),
        cmocka_unit_test(utf8_accepts_exactly_scalars),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(writer_is_atomic),
        cmocka_unit_test(killed_writer_leaves_nothing),
        cmocka_unit_test(pool_runs_every_task_once),
        cmocka_unit_test(halves_round_to_even),
    };
    return TEST_MAIN("base", tests);
}
