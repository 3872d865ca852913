/* wen doctor: is this machine ready, and what would make it better. */
#include "cli/commands.h"

#include "cli/args.h"
#include "cli/doctor_checks.h"
#include "cli/term.h"
#include "wen.h"

#include <stdio.h>

static const char *const verdict_names[] = {
    [VERDICT_OK] = "ok", [VERDICT_NOTE] = "note", [VERDICT_BAD] = "bad"};

static void print_finding(const Check *check, const Finding *f)
{
    printf("%-5s %-11s ", verdict_names[f->verdict], check->name);
    fwrite(f->found.data, 1, f->found.bytes, stdout);
    putchar('\n');
    Str rest = buf_str(&f->advice);
    while (rest.bytes > 0) {
        ptrdiff_t end = str_find(rest, STR("\n"), 0);
        Str line = str_slice(rest, 0, end < 0 ? rest.bytes : (size_t)end);
        printf("%18s%.*s\n", "", STR_ARG(line));
        rest = str_slice(rest, end < 0 ? rest.bytes : line.bytes + 1, rest.bytes);
    }
    fflush(stdout);
}

static void put_finding(json_t *list, const Check *check, const Finding *f)
{
    Str found = buf_str(&f->found), advice = buf_str(&f->advice);
    json_array_append_new(list, json_pack("{s:s, s:s, s:s%, s:s%}", "name", check->name, "verdict",
                                          verdict_names[f->verdict], "found", found.data,
                                          found.bytes, "advice", advice.data, advice.bytes));
}

/* All checks; whether none is bad. */
static bool examine(const json_t *about, json_t *list)
{
    bool is_fine = true;
    for (const Check *check = doctor_checks; check->name; check++) {
        Finding finding = {0};
        check->look(about, &finding);
        is_fine = is_fine && finding.verdict != VERDICT_BAD;
        if (list)
            put_finding(list, check, &finding);
        else
            print_finding(check, &finding);
        buf_free(&finding.found);
        buf_free(&finding.advice);
    }
    return is_fine;
}

int cmd_doctor(int argc, char **argv)
{
    bool is_json = false;
    const Arg options[] = {
        {"json", 0, ARG_FLAG, &is_json, NULL, "print one JSON array instead of text", 0, 0},
        {0},
    };
    const ArgSpec spec = {
        .command = "doctor",
        .usage = "[--json]",
        .about =
            "Looks at processor, memory, huge pages, GPU, store, sandbox and terminal, asks the\n"
            "built-in model, and says what to do. \"note\": it works, and could be better;\n"
            "\"bad\": something will not work. Exit status 1 if anything is bad.",
        .options = options,
        .n_words_min = 0,
        .n_words_max = 0,
    };
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    char *text = wen_about();
    json_t *about = json_loads(text, 0, NULL), *list = is_json ? json_array() : NULL;
    wen_free(text);
    bool is_fine = examine(about, list);
    if (list)
        json_dumpf(list, stdout, JSON_INDENT(2));
    if (list)
        putchar('\n');
    json_decref(about);
    json_decref(list);
    return term_finish_output() && is_fine ? 0 : 1;
}
