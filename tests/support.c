/* See support.h. */
#include "support.h"

#include "base/bug.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool test_contains(const char *text, const char *part) { return strstr(text, part) != NULL; }

const char *test_data(const char *name)
{
    static char path[1024];
    const char *root = getenv("WEN_DATA");
    snprintf(path, sizeof path, "%s/%s", root ? root : "../shared/data", name);
    return file_exists(path) ? path : NULL;
}

static char temp_dir[64];

static void remove_temp_dir(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", temp_dir);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", temp_dir);
}

const char *test_temp(const char *name)
{
    static char path[1024];
    if (!temp_dir[0]) {
        strcpy(temp_dir, "/tmp/wen-test-XXXXXX");
        ASSERT(mkdtemp(temp_dir));
        atexit(remove_temp_dir);
    }
    snprintf(path, sizeof path, "%s/%s", temp_dir, name);
    return path;
}

void test_write(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    ASSERT(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

int test_main(const char *name, const struct CMUnitTest *tests, size_t n_tests)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests(name, tests, n_tests, NULL, NULL);
}

static size_t guard_span(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page + page;
}

void *guard_alloc(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), span = guard_span(bytes);
    char *base = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT(base != MAP_FAILED);
    ASSERT(mprotect(base + span - page, page, PROT_NONE) == 0);
    return base + span - page - bytes;
}

void guard_free(void *block, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), span = guard_span(bytes);
    char *end = (char *)block + bytes;
    munmap(end + page - span, span);
}
