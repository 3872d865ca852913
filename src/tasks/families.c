#include "tasks/families.h"

#include "base/bug.h"

#include <string.h>

static const TaskFamily *const chapters[] = {
    chain_families,        number_families,  calendar_families, algebra_families,
    word_problem_families, graph_families,   search_families,   knight_families,
    logic_families,        letter_families,  string_families,   sorting_families,
    induction_families,    program_families, fact_families,     instruction_families,
    tool_families,         mode_families,    talk_families,     refusal_families,
};
enum { N_CHAPTERS = sizeof chapters / sizeof *chapters };

static int n_in(const TaskFamily *chapter)
{
    int n = 0;
    while (chapter[n].name)
        n++;
    return n;
}

int task_n_families(void)
{
    int n = 0;
    for (int c = 0; c < N_CHAPTERS; c++)
        n += n_in(chapters[c]);
    return n;
}

const TaskFamily *task_family(int i)
{
    for (int c = 0; c < N_CHAPTERS; c++) {
        const int n = n_in(chapters[c]);
        if (i < n)
            return &chapters[c][i];
        i -= n;
    }
    ASSERT(!"no such family");
    return NULL;
}

const TaskFamily *task_find(const char *name)
{
    for (int c = 0; c < N_CHAPTERS; c++)
        for (const TaskFamily *f = chapters[c]; f->name; f++)
            if (strcmp(f->name, name) == 0)
                return f;
    return NULL;
}

static const char *const split_names[N_SPLITS] = {"train", "rl", "eval"};
static const char *const lang_names[N_LANGS] = {"en", "zh", "de", "es"};
static const char *const role_names[] = {"system", "user", "assistant", "tool"};

const char *task_split_name(TaskSplit split) { return split_names[split]; }
const char *task_lang_name(TaskLang lang) { return lang_names[lang]; }
const char *task_role_name(TaskRole role) { return role_names[role]; }

bool task_split_parse(Str name, TaskSplit *split)
{
    for (int i = 0; i < N_SPLITS; i++)
        if (str_equals(name, split_names[i])) {
            *split = (TaskSplit)i;
            return true;
        }
    return false;
}

bool task_lang_parse(Str name, TaskLang *lang)
{
    for (int i = 0; i < N_LANGS; i++)
        if (str_equals(name, lang_names[i])) {
            *lang = (TaskLang)i;
            return true;
        }
    return false;
}
