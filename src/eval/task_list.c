/* See task_list.h. */
#include "eval/task_list.h"

#include "eval/card_task.h"
#include "eval/file_task.h"
#include "eval/scope.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

void task_list_add(TaskList *list, EvalTask *task)
{
    list->items = mem_more(list->items, sizeof(EvalTask *), (size_t)list->n, &list->capacity);
    list->items[list->n++] = task;
}

void task_list_close(TaskList *list)
{
    for (int i = 0; i < list->n; i++)
        eval_task_close(list->items[i]);
    mem_free(list->items);
    *list = (TaskList){0};
}

bool task_list_has(const TaskList *list, const char *name)
{
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->items[i]->name, name) == 0)
            return true;
    return false;
}

/* NULL is an error that was set. */
static bool add_task(TaskList *list, EvalTask *task)
{
    if (task && task_list_has(list, task->name))
        eval_task_close(task);
    else if (task)
        task_list_add(list, task);
    return task != NULL;
}

/* A group's families, but for those that have none of the languages. */
static bool add_group(TaskList *list, const char *domain, const FamilyDraw *draw, Error *err)
{
    for (int i = 0; i < task_n_families(); i++) {
        const TaskFamily *family = task_family(i);
        bool is_in = !domain || strcmp(family->domain, domain) == 0, has_lang = false;
        for (int l = 0; l < N_LANGS; l++)
            has_lang |= draw->langs[l] && (family->langs & (1u << l));
        if (is_in && has_lang && !add_task(list, family_task_open(family, 0, 0, draw, err)))
            return false;
    }
    return true;
}

static bool is_domain(const char *word)
{
    for (int i = 0; i < task_n_families(); i++)
        if (strcmp(task_family(i)->domain, word) == 0)
            return true;
    return false;
}

/* ":2" or ":2-4"; NULL and "": all levels. */
static bool read_levels(const char *text, const TaskFamily *family, int *from, int *to, Error *err)
{
    char *end = NULL;
    *from = *to = 0;
    if (!text)
        return true;
    const long low = strtol(text, &end, 10);
    long high = low;
    bool ok = end != text;
    if (ok && *end == '-') {
        const char *second = end + 1;
        high = strtol(second, &end, 10);
        ok = end != second;
    }
    if (!ok || *end || low < 1 || high < low || high > family->difficulty_max)
        return error_set(err, ERROR_ARGUMENT, "%s:%.20s: levels go from 1 to %d, such as %s:1-%d",
                         family->name, text, family->difficulty_max, family->name,
                         family->difficulty_max);
    *from = (int)low;
    *to = (int)high;
    return true;
}

/* The length behind "@". */
static EvalTask *open_long(const TaskFamily *family, const char *text, const FamilyDraw *draw,
                           Error *err)
{
    char *end;
    const long n_tokens = strtol(text, &end, 10);
    if (end != text && !*end && n_tokens > 0 && n_tokens <= INT_MAX && draw->count)
        return family_task_open_long(family, (int)n_tokens, draw, err);
    error_set(err, ERROR_ARGUMENT, "%s@%.20s: not a length in tokens, such as %s@2048",
              family->name, text, family->name);
    return NULL;
}

static bool add_out_of_scope(TaskList *list, Error *err)
{
    return task_list_has(list, scope_family) ||
           text_tasks_add(list, "out_of_scope.jsonl", scope_problems(), 0, err);
}

static bool add_word(TaskList *list, char *word, const FamilyDraw *draw, Error *err)
{
    const size_t bytes = strcspn(word, ":@");
    char *name = mem_strndup(word, bytes);
    const TaskFamily *family = task_find(name);
    const char *rest = word[bytes] ? word + bytes + 1 : NULL;
    int from, to;
    bool ok;
    if (family && word[bytes] == '@')
        ok = add_task(list, open_long(family, rest, draw, err));
    else if (family)
        ok = read_levels(rest, family, &from, &to, err) &&
             add_task(list, family_task_open(family, from, to, draw, err));
    else if (strcmp(word, "all") == 0 || is_domain(word))
        ok = add_group(list, strcmp(word, "all") == 0 ? NULL : word, draw, err);
    else if (strcmp(word, scope_family) == 0)
        ok = add_out_of_scope(list, err);
    else if (strcmp(word, "card") == 0)
        ok = add_task(list, card_task_open());
    else
        ok = error_set(err, ERROR_ARGUMENT,
                       "no task %.60s; there are the families of \"wen data families\" "
                       "(chain:2-4), their domains, all, out_of_scope and card",
                       word);
    mem_free(name);
    return ok;
}

bool task_list_read(TaskList *list, const char *words, const FamilyDraw *draw, Error *err)
{
    char *copy = mem_strdup(words), *rest = copy;
    bool ok = true;
    for (char *word; ok && (word = strsep(&rest, ","));)
        ok = *word ? add_word(list, word, draw, err)
                   : error_set(err, ERROR_ARGUMENT, "--tasks %.60s: an empty name", words);
    mem_free(copy);
    return ok;
}

bool task_langs_read(const char *words, bool langs[N_LANGS], Error *err)
{
    char *copy = mem_strdup(words), *rest = copy;
    const bool is_all = strcmp(words, "all") == 0;
    bool ok = true;
    for (int l = 0; l < N_LANGS; l++)
        langs[l] = is_all;
    for (char *word; ok && !is_all && (word = strsep(&rest, ","));) {
        TaskLang lang;
        ok = task_lang_parse(str_from(word), &lang) ||
             error_set(err, ERROR_ARGUMENT, "--languages %.40s: en, zh, de, es or all", words);
        if (ok)
            langs[lang] = true;
    }
    mem_free(copy);
    return ok;
}
