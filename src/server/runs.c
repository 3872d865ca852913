/* See runs.h. */
#include "server/runs.h"

#include "base/file.h"
#include "base/mem.h"
#include "server/json_out.h"
#include "server/server_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 3, RUNS_MAX = 512, PIECE_BYTES = 1 << 20, LINE_BYTES_MAX = 16 << 20 };

static const char *const file_names[] = {"log.csv", "samples.jsonl", "rollouts.jsonl",
                                         "results.json"};
enum { N_FILES = sizeof file_names / sizeof *file_names, FILE_LOG = 0, FILE_RESULTS = 3 };

/* "." and ".." have the name of the folder that they are. */
static void put_name(Buf *name, const char *folder)
{
    char *real = realpath(folder, NULL);
    buf_add(name, file_base_name(real ? real : folder));
    free(real); /* libc's */
}

bool runs_check(const char *const *folders, int n, Error *err)
{
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        Buf name = {0};
        put_name(&name, folders[i]);
        if (!file_is_dir(folders[i]))
            ok = error_set(err, ERROR_ARGUMENT, "--train %s: there is no such folder", folders[i]);
        for (int k = 0; k < i && ok; k++) {
            Buf other = {0};
            put_name(&other, folders[k]);
            if (str_equal(buf_str(&name), buf_str(&other)))
                ok = error_set(err, ERROR_ARGUMENT,
                               "--train %s and %s: two folders of one name cannot be told apart",
                               folders[k], folders[i]);
            buf_free(&other);
        }
        buf_free(&name);
    }
    return ok;
}

/* ---- Finding runs ---------------------------------------------------------------------------- */

typedef struct Finding {
    const char *wanted; /* a run's id: then `found` becomes its open folder. NULL: all are listed */
    int found;          /* -1 */
    Buf *out;
    int n;
} Finding;

/* Size and time of a run's file; false: it has none of this name. */
static bool look_at(int folder, const char *name, struct stat *st)
{
    return fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
}

static void put_run(Finding *f, int folder, const char *id)
{
    int64_t modified = 0;
    struct stat st;
    out_open(f->out, NULL, '{');
    out_str(f->out, "id", str_from(id));
    out_open(f->out, "files", '{');
    for (int i = 0; i < N_FILES; i++) {
        if (!look_at(folder, file_names[i], &st))
            continue;
        out_int(f->out, file_names[i], st.st_size);
        modified = st.st_mtime > modified ? st.st_mtime : modified;
    }
    out_close(f->out, '}');
    out_int(f->out, "modified", modified);
    out_close(f->out, '}');
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static void find_below(Finding *f, int folder, const char *id, int depth);

static void find_in(Finding *f, int folder, const char *id, int depth)
{
    struct stat st;
    if (look_at(folder, file_names[FILE_LOG], &st) ||
        look_at(folder, file_names[FILE_RESULTS], &st)) {
        f->n++;
        if (!f->wanted)
            put_run(f, folder, id);
        else if (strcmp(f->wanted, id) == 0)
            f->found = dup(folder);
    }
    if (depth < DEPTH_MAX)
        find_below(f, folder, id, depth);
}

static void find_below(Finding *f, int folder, const char *id, int depth)
{
    struct dirent **entries = NULL;
    int n = scandirat(folder, ".", &entries, is_shown, by_name);
    for (int i = 0; i < n; i++) {
        int below = f->n < RUNS_MAX && f->found < 0 && entries[i]->d_type != DT_REG
                        ? openat(folder, entries[i]->d_name,
                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                        : -1;
        if (below >= 0) {
            Buf name = {0};
            buf_printf(&name, "%s/%s", id, entries[i]->d_name);
            find_in(f, below, name.data, depth + 1);
            buf_free(&name);
            close(below);
        }
        free(entries[i]); /* libc's */
    }
    free(entries);
}

static void find_all(Finding *f, const ServerOptions *o)
{
    for (int i = 0; i < o->n_run_folders; i++) {
        int folder = open(o->run_folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
            continue;
        Buf name = {0};
        put_name(&name, o->run_folders[i]);
        find_in(f, folder, name.data, 0);
        buf_free(&name);
        close(folder);
    }
}

void handle_runs(HttpCall *call)
{
    Buf out = {0};
    Finding f = {.found = -1, .out = &out};
    out_open(&out, NULL, '{');
    out_str(&out, "object", STR("list"));
    out_open(&out, "data", '[');
    find_all(&f, &call->server->options);
    out_close(&out, ']');
    out_close(&out, '}');
    http_send_json(call, 200, &out);
}

/* ---- Reading a file -------------------------------------------------------------------------- */

/* Reads [from, from + bytes) as far as it is there. */
static bool read_at(int file, int64_t from, size_t bytes, Buf *text)
{
    char block[1 << 14];
    buf_clear(text);
    while (text->bytes < bytes) {
        size_t want = bytes - text->bytes < sizeof block ? bytes - text->bytes : sizeof block;
        ssize_t n = pread(file, block, want, from + (off_t)text->bytes);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        buf_append(text, block, (size_t)n);
    }
    return true;
}

static size_t whole_lines(const Buf *text)
{
    size_t n = text->bytes;
    while (n > 0 && text->data[n - 1] != '\n')
        n--;
    return n;
}

/* The lines at *from in `text`; *from becomes where the next ones begin. */
static bool read_lines(int file, int64_t size, int64_t *from, Buf *text)
{
    bool is_tail = *from < 0;
    int64_t start = is_tail ? (size + *from > 0 ? size + *from : 0) : *from;
    if (!read_at(file, start, PIECE_BYTES, text))
        return false;
    if (whole_lines(text) == 0 && text->bytes == PIECE_BYTES && /* a long line */
        !read_at(file, start, LINE_BYTES_MAX, text))
        return false;
    size_t end = whole_lines(text), begin = 0;
    if (end == 0 && text->bytes == LINE_BYTES_MAX)
        begin = end = text->bytes; /* longer than any of ours: passed over */
    if (is_tail && start > 0) {    /* the end of a line */
        ptrdiff_t first = str_find(buf_str(text), STR("\n"), 0);
        begin = first < 0 || (size_t)first >= end ? end : (size_t)first + 1;
    }
    Buf lines = {0};
    buf_add(&lines, str_slice(buf_str(text), begin, end));
    buf_free(text);
    *text = lines;
    *from = start + (int64_t)end;
    return true;
}

static void send_file(HttpCall *call, int file, bool has_lines, int64_t from)
{
    Fault fault = {0};
    Buf text = {0};
    struct stat st;
    if (fstat(file, &st) != 0 || !S_ISREG(st.st_mode)) {
        fault_set(&fault, 404, NULL, "there is no such file of this run");
    } else if (from > st.st_size) {
        fault_set(&fault, 416, "from", "from: the file has %lld bytes", (long long)st.st_size);
    } else if (!(has_lines ? read_lines(file, st.st_size, &from, &text)
                           : read_at(file, 0, LINE_BYTES_MAX, &text))) {
        fault_set(&fault, 500, NULL, "the file cannot be read: %s", strerror(errno));
    } else {
        http_add_header(call, "Wen-Next", "%lld",
                        has_lines ? (long long)from : (long long)text.bytes);
        http_add_header(call, "Wen-File", "%llx-%llx", (unsigned long long)st.st_dev,
                        (unsigned long long)st.st_ino);
        http_add_header(call, "X-Content-Type-Options", "nosniff");
        http_add_header(call, "Cache-Control", "no-store");
        http_send(call, 200, "text/plain; charset=utf-8", &text);
        return;
    }
    buf_free(&text);
    http_send_fault(call, &fault);
}

/* "ID/FILE" -> an open file, or -1. */
static int open_file(const HttpCall *call, int *which)
{
    const char *slash = strrchr(call->path_rest, '/');
    *which = -1;
    for (int i = 0; i < N_FILES && slash; i++)
        if (strcmp(slash + 1, file_names[i]) == 0)
            *which = i;
    if (*which < 0)
        return -1;
    Buf id = {0};
    buf_append(&id, call->path_rest, (size_t)(slash - call->path_rest));
    buf_putc(&id, '\0');
    Finding f = {.wanted = id.data, .found = -1};
    find_all(&f, &call->server->options);
    buf_free(&id);
    if (f.found < 0)
        return -1;
    int file = openat(f.found, file_names[*which], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(f.found);
    return file;
}

void handle_run_file(HttpCall *call)
{
    int which;
    Fault fault;
    const char *given = http_query(call, "from");
    char *end = NULL;
    errno = 0;
    int64_t from = given ? strtoll(given, &end, 10) : 0;
    if (given && (end == given || *end || errno)) {
        fault_set(&fault, 400, "from", "from: \"%.40s\" is no whole number", given);
        http_send_fault(call, &fault);
        return;
    }
    int file = open_file(call, &which);
    if (file < 0) {
        fault_set(&fault, 404, NULL, "there is no %.200s among the runs; GET /v1/runs lists them",
                  call->path_rest);
        http_send_fault(call, &fault);
        return;
    }
    send_file(call, file, which != FILE_RESULTS, from);
    close(file);
}
