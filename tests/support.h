/* What every test program shares: cmocka with TAP output, the place of the shared data, small
 * helpers. A test program has one main: `return test_main("module", tests, n)`. */
#ifndef WEN_TESTS_SUPPORT_H
#define WEN_TESTS_SUPPORT_H

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Asserts that a call that takes `&err` worked; prints its message when not. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, err.message);                                                \
    } while (0)

/* Asserts that a call failed with this code and a message that contains `part`. */
#define assert_error(call, error_code, part)                                                       \
    do {                                                                                           \
        err = (Error){0};                                                                          \
        if (call)                                                                                  \
            fail_msg("%s worked, but an error was expected", #call);                               \
        if (err.code != (error_code) || !test_contains(err.message, (part)))                       \
            fail_msg("%s: got error %s \"%s\", expected %s with \"%s\"", #call,                    \
                     error_name(err.code), err.message, error_name(error_code), (part));           \
    } while (0)

bool test_contains(const char *text, const char *part);

/* The shared reference data (real tokenizer, templates, configs): "<dir>/name", or NULL when the
 * folder is not on this machine. Its place: $WEN_DATA, else ../shared/data. Valid until the next
 * call. Tests that need it call skip_without_data. */
const char *test_data(const char *name);
#define skip_without_data(name)                                                                    \
    do {                                                                                           \
        if (!test_data(name))                                                                      \
            skip();                                                                                \
    } while (0)

/* A fresh directory for this test program, removed at exit: "<dir>/name". Valid until the next
 * call of test_temp (copy it to keep it). */
const char *test_temp(const char *name);

/* Writes a file without syncing it to the disk: for tests that write thousands. */
void test_write(const char *path, const void *data, size_t bytes);

int test_main(const char *name, const struct CMUnitTest *tests, size_t n_tests);
#define TEST_MAIN(name, tests) test_main(name, tests, sizeof(tests) / sizeof *(tests))

/* A block that ends right before an unreadable page: reads and writes past `bytes` crash. Freed
 * with guard_free. */
void *guard_alloc(size_t bytes);
void guard_free(void *block, size_t bytes);

#endif
