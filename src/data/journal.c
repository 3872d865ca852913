/* See journal.h. */
#include "data/journal.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool journal_describe(const json_t *config, const char *const *paths, int n_paths, Buf *out,
                      Error *err)
{
    char *text = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
    buf_puts(out, text ? text : "");
    free(text);
    for (int i = 0; i < n_paths; i++) {
        FileMap map;
        if (!file_map(&map, paths[i], err))
            return false;
        buf_printf(out, "\n%s %zu", paths[i], map.bytes);
        file_unmap(&map);
    }
    return true;
}

/* The first line: which run this is. */
static char *make_head(Str run)
{
    Buf head = {0};
    buf_printf(&head, "{\"run\":\"%016llx\"}\n", (unsigned long long)str_hash(run));
    return head.data;
}

/* The end of the last whole line, and how many lines there are. */
static size_t whole_lines(Str text, int64_t *n)
{
    size_t end = 0;
    *n = 0;
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] == '\n') {
            end = i + 1;
            ++*n;
        }
    return end;
}

static bool start(Journal *j, const char *head, Error *err)
{
    FileMap map;
    if (!file_exists(j->path)) {
        j->file = fopen(j->path, "w+");
        return (j->file && fputs(head, j->file) >= 0) || error_set_errno(err, "%s", j->path);
    }
    if (!file_map(&map, j->path, err))
        return false;
    const Str text = {(const char *)map.data, map.bytes};
    const size_t n_head = strlen(head), end = whole_lines(text, &j->n);
    const bool is_same = end == 0 || (end >= n_head && memcmp(text.data, head, n_head) == 0);
    file_unmap(&map);
    if (!is_same)
        return error_set(err, ERROR_ARGUMENT,
                         "%s: it is from other inputs or another configuration; remove it to start "
                         "over",
                         j->path);
    j->file = fopen(j->path, "r+");
    if (!j->file || ftruncate(fileno(j->file), (off_t)end) != 0 ||
        fseek(j->file, 0, SEEK_END) != 0 || (end == 0 && fputs(head, j->file) < 0))
        return error_set_errno(err, "%s", j->path);
    j->n = end == 0 ? 0 : j->n - 1;
    return true;
}

bool journal_open(Journal *j, const char *out, Str run, Error *err)
{
    Buf path = {0};
    buf_printf(&path, "%s.part", out);
    *j = (Journal){.path = path.data};
    char *head = make_head(run);
    const bool ok = start(j, head, err);
    mem_free(head);
    if (!ok)
        journal_close(j);
    return ok;
}

void journal_close(Journal *j)
{
    if (j->file)
        fclose(j->file);
    mem_free(j->path);
    *j = (Journal){0};
}

bool journal_add(Journal *j, const json_t *line, Error *err)
{
    char *text = json_dumps(line, JSON_COMPACT);
    const bool ok = fputs(text, j->file) >= 0 && fputc('\n', j->file) != EOF;
    free(text);
    j->n++;
    return ok || error_set_errno(err, "%s", j->path);
}

bool journal_flush(Journal *j, Error *err)
{
    return fflush(j->file) == 0 || error_set_errno(err, "%s", j->path);
}

bool journal_read(Journal *j, JournalLine *each, void *context, Error *err)
{
    FileMap map;
    if (!journal_flush(j, err) || !file_map(&map, j->path, err))
        return false;
    const Str all = {(const char *)map.data, map.bytes};
    bool ok = true;
    int64_t number = -1; /* of the head */
    for (size_t at = 0, end; ok && at < all.bytes; at = end + 1, number++) {
        const char *newline = memchr(all.data + at, '\n', all.bytes - at);
        end = newline ? (size_t)(newline - all.data) : all.bytes;
        if (number < 0)
            continue;
        json_t *line = json_loadb(all.data + at, end - at, JSON_ALLOW_NUL, NULL);
        ok = line ? each(context, number, line, err)
                  : error_set(err, ERROR_FORMAT, "%s:%lld: it is not JSON", j->path,
                              (long long)number + 2);
        json_decref(line);
    }
    file_unmap(&map);
    return ok;
}

bool journal_undo(Journal *j, Error *err)
{
    FileMap map;
    if (j->n == 0)
        return error_set(err, ERROR_ARGUMENT, "there is nothing to undo");
    if (!journal_flush(j, err) || !file_map(&map, j->path, err))
        return false;
    size_t end = map.bytes - 1; /* the last line end */
    while (end > 0 && map.data[end - 1] != '\n')
        end--;
    file_unmap(&map);
    if (ftruncate(fileno(j->file), (off_t)end) != 0 || fseek(j->file, 0, SEEK_END) != 0)
        return error_set_errno(err, "%s", j->path);
    j->n--;
    return true;
}

void journal_remove(Journal *j)
{
    unlink(j->path);
    journal_close(j);
}
