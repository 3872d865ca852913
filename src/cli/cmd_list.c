/* wen list: the models that are here. */
#include "cli/commands.h"

#include "base/mem.h"
#include "cli/args.h"
#include "cli/hub_show.h"
#include "cli/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const places[] = {"store", "Hugging Face cache", "ModelScope cache",
                                     "unfinished", "store"};
static const char *const place_words[] = {"store", "huggingface", "modelscope", "unfinished",
                                          "made"};

static void print_json(const HubList *list)
{
    Buf out = {0};
    buf_puts(&out, "[");
    for (int i = 0; i < list->n; i++) {
        const HubModel *m = &list->models[i];
        Buf name = {0};
        hub_name_put(&name, &m->name);
        buf_printf(&out, "%s{\"name\": ", i ? ",\n " : "");
        buf_put_json(&out, buf_str(&name));
        buf_printf(&out, ", \"bytes\": %llu, \"type\": ", (unsigned long long)m->bytes);
        buf_put_json(&out, str_from(m->type));
        buf_printf(&out, ", \"where\": \"%s\", \"path\": ", place_words[m->place]);
        buf_put_json(&out, str_from(m->path));
        buf_puts(&out, "}");
        buf_free(&name);
    }
    buf_puts(&out, "]\n");
    fwrite(out.data, 1, out.bytes, stdout);
    buf_free(&out);
}

static void print_table(const HubList *list)
{
    int width = 4;
    Buf *names = mem_alloc(sizeof *names * (size_t)(list->n + 1));
    for (int i = 0; i < list->n; i++) {
        hub_name_put(&names[i], &list->models[i].name);
        width = (int)names[i].bytes > width ? (int)names[i].bytes : width;
    }
    if (list->n > 0)
        printf("%-*s  %9s  %-10s  %s\n", width, "NAME", "SIZE", "TYPE", "WHERE");
    for (int i = 0; i < list->n; i++) {
        const HubModel *m = &list->models[i];
        char size[SHOWN_MAX];
        printf("%-*s  %9s  %-10s  %s\n", width, names[i].data, show_bytes(m->bytes, size),
               m->type[0] ? m->type : "-", places[m->place]);
        buf_free(&names[i]);
    }
    mem_free(names);
}

int cmd_list(int argc, char **argv)
{
    bool is_json = false;
    const Arg options[] = {
        {"json", 0, ARG_FLAG, &is_json, NULL, "print a JSON array, with paths", 0, 0},
        {0},
    };
    const ArgSpec spec = {
        .command = "list",
        .usage = "",
        .about = "Lists the models that \"wen run NAME\" finds without the network: those in the\n"
                 "store, and those that huggingface_hub and modelscope left in their caches. An\n"
                 "unfinished one goes on where it stopped: \"wen pull NAME\"; or \"wen rm NAME\".",
        .options = options,
        .n_words_min = 0,
        .n_words_max = 0,
    };
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    HubList list = {0};
    hub_list(&list);
    if (is_json)
        print_json(&list);
    else
        print_table(&list);
    if (list.n == 0 && !is_json)
        term_note("no models yet: \"wen pull qwen3:0.6b\" fetches one");
    hub_list_free(&list);
    return term_finish_output() ? 0 : 1;
}
