/* wen data families: the table of task families, for people and for docs/tasks.md. */
#include "cli/args.h"
#include "cli/data_commands.h"
#include "cli/term.h"

#include "tasks/tasks.h"

#include <stdio.h>

static void put_langs(Buf *out, unsigned langs)
{
    int n = 0;
    for (int l = 0; l < N_LANGS; l++)
        if (langs & (1u << l))
            buf_printf(out, "%s%s", n++ ? " " : "", task_lang_name((TaskLang)l));
}

/* Text in a table's cell: lines become <br>, the bar is escaped. */
static void put_cell(Buf *out, Str text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] == '\n')
            buf_puts(out, "<br>");
        else if (text.data[i] == '|' || text.data[i] == '<' || text.data[i] == '*')
            buf_printf(out, "\\%c", text.data[i]);
        else
            buf_putc(out, text.data[i]);
}

static void put_calls(Buf *out, const TaskMessage *message)
{
    for (int c = 0; c < message->n_calls; c++) {
        put_cell(out, message->calls[c].name);
        buf_putc(out, ' ');
        put_cell(out, message->calls[c].arguments);
    }
}

static void put_example(Buf *out, const Problem *p)
{
    for (int i = 0; i < p->n_messages; i++) {
        buf_puts(out, i ? "<br>" : "");
        put_cell(out, p->messages[i].content);
        put_calls(out, &p->messages[i]);
    }
    for (int column = 0; column < 2; column++) {
        buf_puts(out, " | ");
        for (int i = 0; i < p->n_solution; i++) {
            const TaskMessage *message = &p->solution[i];
            buf_puts(out, i ? "<br>" : "");
            put_cell(out, column ? message->content : message->thinking);
            if (column)
                put_calls(out, message);
        }
    }
}

int data_families(int argc, char **argv)
{
    const Arg table[] = {{0}};
    const ArgSpec spec = {
        .command = "data families",
        .usage = "",
        .about = "Prints the task families as a Markdown table, with an example each.",
        .options = table,
        .n_words_min = 0,
        .n_words_max = 0,
    };
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    Problem p = {0};
    Buf out = {0};
    buf_puts(&out, "| family | domain | levels | languages | about | prompt | thought | reply |\n"
                   "|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < task_n_families(); i++) {
        const TaskFamily *f = task_family(i);
        problem_make(&p, &(ProblemSpec){.family = f,
                                        .split = SPLIT_TRAIN,
                                        .difficulty = f->difficulty_max > 1 ? 2 : 1,
                                        .lang = LANG_EN,
                                        .seed = 3});
        buf_printf(&out, "| `%s` | %s | %d | ", f->name, f->domain, f->difficulty_max);
        put_langs(&out, f->langs);
        buf_printf(&out, " | %s | ", f->about);
        put_example(&out, &p);
        buf_puts(&out, " |\n");
    }
    fwrite(out.data, 1, out.bytes, stdout);
    buf_free(&out);
    problem_close(&p);
    return term_finish_output() ? 0 : 1;
}
