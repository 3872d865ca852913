/* See file_task.h. */
#include "eval/file_task.h"

#include "base/file.h"
#include "eval/problem_case.h"

#include <stdio.h>
#include <string.h>

typedef struct Line {
    size_t from, bytes;
    int64_t number; /* from 1 */
} Line;

typedef struct State {
    char *path;
    FileMap map;
    Line *lines; /* [n_cases] */
    size_t capacity;
} State;

static bool read_line(const State *s, const Line *line, Problem *p, Error *err)
{
    const Str text = {(const char *)s->map.data + line->from, line->bytes};
    return problem_read(p, text, err) ||
           error_add(err, "%s:%lld", s->path, (long long)line->number);
}

static bool open_case(const EvalTask *task, int i, EvalCase *c, Error *err)
{
    const State *s = task->state;
    return read_line(s, &s->lines[i], problem_case_new(c), err) &&
           (problem_case_begin(c, err) ||
            error_add(err, "%s:%lld", s->path, (long long)s->lines[i].number));
}

static void close_task(EvalTask *task)
{
    State *s = task->state;
    file_unmap(&s->map);
    mem_free(s->path);
    mem_free(s->lines);
    mem_free(s);
}

static bool is_blank(Str text)
{
    size_t i = 0;
    while (i < text.bytes && strchr(" \t\r", text.data[i]))
        i++;
    return i == text.bytes;
}

static EvalTask *add_task(TaskList *list, const char *path, const Problem *p, Error *err)
{
    EvalTask *task = mem_alloc(sizeof *task);
    State *s = mem_alloc(sizeof *s);
    *task = (EvalTask){.state = s, .open_case = open_case, .close = close_task};
    snprintf(task->name, sizeof task->name, "%.*s", STR_ARG(p->family_name));
    snprintf(task->about, sizeof task->about, "%.60s of a file",
             p->family ? p->family->about : "problems");
    problem_task_set(task, p->family);
    task->has_own_mode = problem_has_flags(p);
    s->path = mem_strdup(path);
    task_list_add(list, task);
    return file_map(&s->map, path, err) ? task : NULL;
}

static EvalTask *task_of(TaskList *list, int first, const char *path, const Problem *p, Error *err)
{
    for (int i = first; i < list->n; i++)
        if (str_equals(p->family_name, list->items[i]->name))
            return list->items[i];
    return add_task(list, path, p, err);
}

static bool add_line(TaskList *list, int first, const char *path, const Problem *p, int n,
                     const Line *line, Error *err)
{
    if (p->family_name.bytes == 0 || p->family_name.bytes >= EVAL_NAME_BYTES)
        return error_set(err, ERROR_FORMAT, "the family's name is empty or too long");
    EvalTask *task = task_of(list, first, path, p, err);
    if (!task || (n > 0 && task->n_cases == n))
        return task != NULL;
    State *s = task->state;
    s->lines = mem_more(s->lines, sizeof *s->lines, (size_t)task->n_cases, &s->capacity);
    s->lines[task->n_cases++] = *line;
    return true;
}

bool file_tasks_add(TaskList *list, const char *path, int n, Error *err)
{
    FileMap map;
    if (!file_map(&map, path, err))
        return false;
    const Str all = {(const char *)map.data, map.bytes};
    const int first = list->n;
    Problem p = {0};
    bool ok = true;
    Line line = {0};
    for (size_t at = 0; ok && at < all.bytes; at += line.bytes + 1) {
        const char *newline = memchr(all.data + at, '\n', all.bytes - at);
        line.from = at;
        line.bytes = (newline ? (size_t)(newline - all.data) : all.bytes) - at;
        line.number++;
        const Str text = str_slice(all, at, at + line.bytes);
        if (is_blank(text))
            continue;
        ok = (problem_read(&p, text, err) && add_line(list, first, path, &p, n, &line, err)) ||
             error_add(err, "%s:%lld", path, (long long)line.number);
    }
    problem_close(&p);
    file_unmap(&map);
    return ok &&
           (list->n > first || error_set(err, ERROR_FORMAT, "%s: there is no problem in it", path));
}
