/* See pages.h. */
#include "data/pages.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { TEXT_BYTES_MAX = 1 << 30, PAGES_MAX = 1 << 20, EDGE_LINES = 3, NEIGHBOURS = 4 };
/* A line joins the next one when it is at least this long, against the longest around. */
#define FULL_LINE 0.7

void pages_close(Pages *pages)
{
    buf_free(&pages->text);
    mem_free(pages->page);
    *pages = (Pages){0};
}

/* ---- The child --------------------------------------------------------------------------------
 */

static bool start_child(const char *path, int output, pid_t *child, Error *err)
{
    Buf safe = {0}; /* a name that begins with a dash is no option */
    buf_printf(&safe, "%s%s", path[0] == '-' ? "./" : "", path);
    char program[] = "pdftotext", quiet[] = "-q", encoding[] = "-enc", utf8[] = "UTF-8",
         line_ends[] = "-eol", lf[] = "unix", to_stdout[] = "-";
    char *const argv[] = {program, quiet,     encoding,  utf8, line_ends,
                          lf,      safe.data, to_stdout, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const int why = posix_spawnp(child, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    buf_free(&safe);
    if (why == ENOENT)
        return error_set(err, ERROR_UNSUPPORTED,
                         "pdftotext is not installed (Debian: apt install poppler-utils)");
    errno = why;
    return why == 0 || error_set_errno(err, "pdftotext");
}

static bool read_all(int fd, Buf *out, const char *path, Error *err)
{
    char block[1 << 16];
    for (;;) {
        const ssize_t n = read(fd, block, sizeof block);
        if (n == 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, "%s: pdftotext", path);
        if (out->bytes + (size_t)n > TEXT_BYTES_MAX)
            return error_set(err, ERROR_LIMIT, "%s: more than %d bytes of text", path,
                             TEXT_BYTES_MAX);
        buf_append(out, block, (size_t)n);
    }
}

static bool check_status(int status, const char *path, Error *err)
{
    /* As pdftotext's manual page lists them. */
    static const char *const meanings[] = {"", "the file cannot be opened as a PDF",
                                           "the output cannot be written",
                                           "the file's permissions forbid it"};
    if (!WIFEXITED(status))
        return error_set(err, ERROR_FORMAT, "%s: pdftotext died", path);
    const int code = WEXITSTATUS(status);
    return code == 0 || error_set(err, ERROR_FORMAT, "%s: pdftotext: %s (exit status %d)", path,
                                  code < 4 ? meanings[code] : "it failed", code);
}

static bool run_child(Buf *out, const char *path, Error *err)
{
    int ends[2];
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set_errno(err, "%s", path);
    bool ok = start_child(path, ends[1], &child, err);
    close(ends[1]);
    if (ok) {
        int status = 0;
        ok = read_all(ends[0], out, path, err);
        close(ends[0]); /* a child that still writes ends by it */
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
        return ok && check_status(status, path, err);
    }
    close(ends[0]);
    return false;
}

/* pdftotext ends every page with a form feed. */
static bool cut_pages(Pages *pages, const char *path, Error *err)
{
    const Str all = buf_str(&pages->text);
    size_t n = 0;
    for (size_t i = 0; i < all.bytes; i++)
        n += all.data[i] == '\f';
    if (n > PAGES_MAX)
        return error_set(err, ERROR_LIMIT, "%s: %zu pages; at most %d", path, n, PAGES_MAX);
    pages->page = mem_alloc((n + 1) * sizeof *pages->page);
    for (size_t at = 0; at < all.bytes;) {
        const char *end = memchr(all.data + at, '\f', all.bytes - at);
        const size_t to = end ? (size_t)(end - all.data) : all.bytes;
        pages->page[pages->n++] = str_slice(all, at, to);
        at = to + 1;
    }
    return true;
}

bool pages_read(Pages *pages, const char *path, Error *err)
{
    Buf raw = {0};
    *pages = (Pages){0};
    bool ok = run_child(&raw, path, err);
    utf8_append_lossy(&pages->text, buf_str(&raw));
    buf_free(&raw);
    ok = ok && cut_pages(pages, path, err);
    if (!ok)
        pages_close(pages);
    return ok;
}

/* ---- Tidying ----------------------------------------------------------------------------------
 */

static Str trim(Str s)
{
    while (s.bytes > 0 && strchr(" \t\r", s.data[s.bytes - 1]))
        s.bytes--;
    while (s.bytes > 0 && strchr(" \t", s.data[0]))
        s = str_slice(s, 1, s.bytes);
    return s;
}

/* The line that begins at *at, trimmed; *at is then behind it. */
static Str next_line(Str page, size_t *at)
{
    const char *end = memchr(page.data + *at, '\n', page.bytes - *at);
    const size_t from = *at, to = end ? (size_t)(end - page.data) : page.bytes;
    *at = to + 1;
    return trim(str_slice(page, from, to));
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Whether two lines are the same but for their numbers. */
static bool is_alike(Str a, Str b)
{
    size_t i = 0, k = 0;
    while (i < a.bytes && k < b.bytes) {
        if (is_digit(a.data[i]) && is_digit(b.data[k])) {
            while (i < a.bytes && is_digit(a.data[i]))
                i++;
            while (k < b.bytes && is_digit(b.data[k]))
                k++;
        } else if (a.data[i++] != b.data[k++]) {
            return false;
        }
    }
    return i == a.bytes && k == b.bytes;
}

/* The first (or last) EDGE_LINES lines of a page that are not blank; returns how many. */
static int edge_lines(Str page, bool is_foot, Str lines[EDGE_LINES])
{
    int n = 0;
    for (size_t at = 0; at < page.bytes;) {
        const Str line = next_line(page, &at);
        if (line.bytes == 0)
            continue;
        if (n < EDGE_LINES) {
            lines[n++] = line;
        } else if (is_foot) {
            memmove(lines, lines + 1, sizeof *lines * (EDGE_LINES - 1));
            lines[EDGE_LINES - 1] = line;
        } else {
            break;
        }
    }
    return n;
}

/* A line at the edge of a page that as good as every neighbour has, too; or a bare number. */
static bool is_furniture(const Pages *pages, int i, Str line, bool is_foot)
{
    int n_alike = 0, n_near = 0;
    if (is_alike(line, STR("1")))
        return true;
    for (int k = i > NEIGHBOURS ? i - NEIGHBOURS : 0; k < pages->n && k <= i + NEIGHBOURS; k++) {
        Str lines[EDGE_LINES];
        bool has = false;
        for (int n = edge_lines(pages->page[k], is_foot, lines); n > 0; n--)
            has |= is_alike(lines[n - 1], line);
        n_alike += has;
        n_near++;
    }
    return n_near > 2 && n_alike > 2 && 3 * n_alike >= 2 * n_near;
}

static bool stands_at_edge(const Pages *pages, int i, Str line)
{
    for (int foot = 0; foot < 2; foot++) {
        Str lines[EDGE_LINES];
        for (int n = edge_lines(pages->page[i], foot, lines); n > 0; n--)
            if (lines[n - 1].data == line.data && is_furniture(pages, i, line, foot))
                return true;
    }
    return false;
}

static bool is_small_letter(Str s) { return s.bytes > 0 && s.data[0] >= 'a' && s.data[0] <= 'z'; }

/* Whether a blank goes between two lines: not where both are of a script without blanks. */
static bool wants_blank(Str before, Str line)
{
    return (unsigned char)before.data[before.bytes - 1] < 0xE0 ||
           (unsigned char)line.data[0] < 0xE0;
}

/* Appends a line behind the one before it. */
static void join(Buf *out, Str before, Str line, double width)
{
    const bool is_cut = before.bytes > 1 && before.data[before.bytes - 1] == '-' &&
                        before.data[before.bytes - 2] != ' ' && is_small_letter(line);
    if (before.bytes == 0)
        buf_puts(out, out->bytes > 0 ? "\n\n" : "");
    else if (is_cut)
        out->bytes--;
    else if ((double)before.bytes < FULL_LINE * width)
        buf_putc(out, '\n');
    else if (wants_blank(before, line))
        buf_putc(out, ' ');
    buf_add(out, line);
}

/* The longest line of this page and its neighbours: how wide the text is set. */
static size_t line_width(const Pages *pages, int i)
{
    size_t width = 0;
    for (int k = i > NEIGHBOURS ? i - NEIGHBOURS : 0; k < pages->n && k <= i + NEIGHBOURS; k++) {
        for (size_t at = 0; at < pages->page[k].bytes;) {
            const Str line = next_line(pages->page[k], &at);
            width = line.bytes > width ? line.bytes : width;
        }
    }
    return width;
}

void pages_tidy(const Pages *pages, int i, Buf *out)
{
    const Str page = pages->page[i];
    const double width = (double)line_width(pages, i);
    Buf text = {0};
    Str before = {"", 0};
    for (size_t at = 0; at < page.bytes;) {
        const Str line = next_line(page, &at);
        if (line.bytes > 0 && stands_at_edge(pages, i, line))
            continue;
        if (line.bytes > 0)
            join(&text, before, line, width);
        before = line;
    }
    buf_add(out, buf_str(&text));
    buf_free(&text);
}
