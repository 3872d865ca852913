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
    char *name;  /* of the file */
    FileMap map; /* empty: a text of the caller's */
    Str text;
    Line *lines; /* [n_cases] */
    size_t capacity;
} State;

static bool read_line(const State *s, const Line *line, Problem *p, Error *err)
{
    const Str text = str_slice(s->text, line->from, line->from + line->bytes);
    return problem_read(p, text, err) ||
           error_add(err, "%s:%lld", s->name, (long long)line->number);
}

static bool open_case(const EvalTask *task, int i, EvalCase *c, Error *err)
{
    const State *s = task->state;
    return read_line(s, &s->lines[i], problem_case_new(c), err) &&
           (problem_case_begin(c, err) ||
            error_add(err, "%s:%lld", s->name, (long long)s->lines[i].number));
}

static void close_task(EvalTask *task)
{
    State *s = task->state;
    file_unmap(&s->map);
    mem_free(s->name);
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

/* What tasks are being made of. */
typedef struct Source {
    TaskList *list;
    int first; /* of its tasks in the list */
    const char *name;
    Str text;
    bool is_file;
    int n_max; /* problems a family; 0: all */
} Source;

static EvalTask *add_task(const Source *from, const Problem *p, Error *err)
{
    EvalTask *task = mem_alloc(sizeof *task);
    State *s = mem_alloc(sizeof *s);
    *task = (EvalTask){.state = s, .open_case = open_case, .close = close_task};
    snprintf(task->name, sizeof task->name, "%.*s", STR_ARG(p->family_name));
    snprintf(task->about, sizeof task->about, "%.60s of a file",
             p->family ? p->family->about : "problems");
    problem_task_set(task, p->family);
    s->name = mem_strdup(from->name);
    s->text = from->text;
    task_list_add(from->list, task);
    if (from->is_file && !file_map(&s->map, from->name, err))
        return NULL;
    if (from->is_file)
        s->text = (Str){(const char *)s->map.data, s->map.bytes};
    return task;
}

static EvalTask *task_of(const Source *from, const Problem *p, Error *err)
{
    for (int i = from->first; i < from->list->n; i++)
        if (str_equals(p->family_name, from->list->items[i]->name))
            return from->list->items[i];
    char *name = mem_strndup(p->family_name.data, p->family_name.bytes);
    const bool is_asked = task_list_has(from->list, name);
    mem_free(name);
    if (!is_asked)
        return add_task(from, p, err);
    error_set(err, ERROR_ARGUMENT, "problems of \"%.*s\" are asked from elsewhere too",
              STR_ARG(p->family_name));
    return NULL;
}

static bool add_line(const Source *from, const Problem *p, const Line *line, Error *err)
{
    if (p->family_name.bytes == 0 || p->family_name.bytes >= EVAL_NAME_BYTES)
        return error_set(err, ERROR_FORMAT, "the family's name is empty or too long");
    EvalTask *task = task_of(from, p, err);
    if (!task || (from->n_max > 0 && task->n_cases == from->n_max))
        return task != NULL;
    State *s = task->state;
    task->has_own_mode |= problem_has_flags(p);
    s->lines = mem_more(s->lines, sizeof *s->lines, (size_t)task->n_cases, &s->capacity);
    s->lines[task->n_cases++] = *line;
    return true;
}

static bool add_all(const Source *from, Error *err)
{
    const Str all = from->text;
    Problem p = {0};
    Line line = {0};
    bool ok = true;
    for (size_t at = 0; ok && at < all.bytes; at += line.bytes + 1) {
        const char *newline = memchr(all.data + at, '\n', all.bytes - at);
        line.from = at;
        line.bytes = (newline ? (size_t)(newline - all.data) : all.bytes) - at;
        line.number++;
        const Str text = str_slice(all, at, at + line.bytes);
        if (is_blank(text))
            continue;
        ok = (problem_read(&p, text, err) && add_line(from, &p, &line, err)) ||
             error_add(err, "%s:%lld", from->name, (long long)line.number);
    }
    problem_close(&p);
    return ok && (from->list->n > from->first ||
                  error_set(err, ERROR_FORMAT, "%s: there is no problem in it", from->name));
}

bool text_tasks_add(TaskList *list, const char *name, Str text, int n, Error *err)
{
    return add_all(&(Source){list, list->n, name, text, false, n}, err);
}

bool file_tasks_add(TaskList *list, const char *path, int n, Error *err)
{
    FileMap map;
    if (!file_map(&map, path, err))
        return false;
    const Str text = {(const char *)map.data, map.bytes};
    const bool ok = add_all(&(Source){list, list->n, path, text, true, n}, err);
    file_unmap(&map);
    return ok;
}
