/* wen eval: tasks asked and judged, with their uncertainty. */
#include "cli/commands.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/model_args.h"
#include "cli/term.h"
#include "eval/aims.h"
#include "eval/compare.h"
#include "eval/eval_run.h"
#include "eval/eval_samples.h"
#include "eval/file_task.h"
#include "eval/fingerprint.h"
#include "eval/results.h"
#include "eval/table.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 32, AT_ONCE_MAX = 256, BACKLOG = 2 };

typedef struct Eval {
    ModelArgs model_args;
    const char *path; /* the model */
    ArgList tasks, problems;
    const char *mode, *plain, *budgets, *languages, *by, *out, *aims_file;
    int64_t n, seed, n_at_once, max_tokens, top_k;
    double temperature, top_p;
    bool is_json, compares;
    /* Read from these. */
    EvalSplit split; /* EVAL_SPLIT_NONE: as each task has it */
    Aims *aims;      /* NULL: none */
    TaskList list;
    wen_model *text; /* the model's tokenizer, when a task needs it; NULL: not yet */
    EvalModes modes;
    EvalSettings settings;
    bool plain_by_flag;
} Eval;

/* ---- Options --------------------------------------------------------------------------------- */

static bool read_modes(Eval *e, Error *err)
{
    static const char *const names[] = {"think", "plain", "both"};
    for (int i = 0; e->mode && i < 3; i++)
        if (strcmp(e->mode, names[i]) == 0)
            e->modes = (EvalModes)(i + 1);
    if (e->mode && !e->modes)
        return error_set(err, ERROR_ARGUMENT, "--mode %.40s: not one of think, plain, both",
                         e->mode);
    e->plain_by_flag = strcmp(e->plain, "flag") == 0;
    if (!e->plain_by_flag && strcmp(e->plain, "switch") != 0)
        return error_set(err, ERROR_ARGUMENT, "--plain %.40s: not one of switch, flag", e->plain);
    static const char *const splits[N_EVAL_SPLITS] = {"", "level", "lang", "kind"};
    for (int i = 1; e->by && i < N_EVAL_SPLITS; i++)
        if (strcmp(e->by, splits[i]) == 0)
            e->split = (EvalSplit)i;
    if (e->by && !e->split)
        return error_set(err, ERROR_ARGUMENT, "--by %.40s: not one of level, lang, kind", e->by);
    return !e->budgets || eval_budgets_read(e->budgets, &e->settings, err);
}

/* Needs the tokenizer only. */
static int count_tokens(void *context, const json_t *messages, Error *err)
{
    Eval *e = context;
    wen_error failure;
    if (!e->text && !(e->text = model_args_open(&e->model_args, e->path, WEN_LOAD_TEXT))) {
        error_set(err, ERROR_IO, "%s: its tokenizer cannot be read", e->path);
        return -1;
    }
    wen_request request = wen_request_defaults();
    char *text = json_dumps(messages, JSON_COMPACT);
    int32_t *ids = NULL;
    int n = -1;
    request.messages = text;
    if (!wen_prompt_ids(e->text, &request, &ids, &n, &failure)) {
        error_set(err, (ErrorCode)failure.code, "%s", failure.message);
        n = -1;
    }
    wen_free(ids);
    free(text);
    return n;
}

static bool read_tasks(Eval *e, Error *err)
{
    FamilyDraw draw = {
        .n = e->n ? (int)e->n : 1000, .seed = e->seed, .count = count_tokens, .count_context = e};
    if (e->tasks.n + e->problems.n == 0 && !e->aims_file)
        return error_set(err, ERROR_ARGUMENT, "give --tasks, --problems or --aims");
    if (!task_langs_read(e->languages, draw.langs, err))
        return false;
    for (int i = 0; i < e->tasks.n; i++)
        if (!task_list_read(&e->list, e->tasks.items[i], &draw, err))
            return false;
    for (int i = 0; i < e->problems.n; i++)
        if (!file_tasks_add(&e->list, e->problems.items[i], (int)e->n, err))
            return false;
    if (!e->aims_file)
        return true;
    e->aims = aims_open(e->aims_file, err);
    if (!e->aims || !aims_add_tasks(e->aims, &e->list, &draw, !e->budgets, err))
        return false;
    return e->budgets || !aims_budgets(e->aims) ||
           eval_budgets_read(aims_budgets(e->aims), &e->settings, err);
}

static bool make_settings(Eval *e, const wen_model *model, Error *err)
{
    wen_error failure;
    char *text = wen_model_info(model, 0, NULL, &failure);
    if (!text)
        return error_set(err, (ErrorCode)failure.code, "%s", failure.message);
    json_t *info = json_loads(text, 0, NULL);
    const char *kind = json_string_value(json_object_get(info, "template"));
    const bool can_switch = kind && strcmp(kind, "hybrid") == 0;
    const bool always = kind && strcmp(kind, "thinking") == 0;
    const EvalModes modes = e->modes     ? e->modes
                            : can_switch ? EVAL_BOTH
                            : always     ? EVAL_THINK
                                         : EVAL_PLAIN;
    const bool ok =
        eval_settings_make(&e->settings, modes, can_switch, always, e->plain_by_flag, err);
    json_decref(info);
    wen_free(text);
    return ok;
}

/* What makes replies what they are: the same in all runs into one folder. */
static json_t *identity(const Eval *e, Error *err)
{
    char hash[17];
    if (!model_fingerprint(e->path, hash, err))
        return NULL;
    json_t *adapters = json_array();
    for (int i = 0; i < e->model_args.loras.n; i++)
        json_array_append_new(adapters, json_string(e->model_args.loras.items[i]));
    return json_pack("{s:s, s:s, s:o, s:s?, s:s?, s:s?, s:I, s:I, s:s, s:s, s:I, s:f, s:f, s:I}",
                     "model", e->path, "model_hash", hash, "lora", adapters, "yarn",
                     e->model_args.yarn, "template", e->model_args.template_file, "kv_type",
                     e->model_args.kv_type, "context", (json_int_t)e->model_args.context, "seed",
                     (json_int_t)e->seed, "languages", e->languages, "plain", e->plain,
                     "max_tokens", (json_int_t)e->max_tokens, "temperature", e->temperature,
                     "top_p", isnan(e->top_p) ? -1.0 : e->top_p, "top_k", (json_int_t)e->top_k);
}

/* ---- Running --------------------------------------------------------------------------------- */

static volatile int is_stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    is_stopped = 1;
}

static void show_progress(void *context, const EvalRecords *r, int64_t n_done, int64_t n_all)
{
    char line[96];
    (void)context, (void)r;
    snprintf(line, sizeof line, "%lld of %lld replies", (long long)n_done, (long long)n_all);
    term_progress(line);
}

static bool write_results(const Eval *e, const json_t *results, Error *err)
{
    char *path = file_join(e->out, "results.json");
    char *text = json_dumps(results, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    const bool ok = file_write(path, str_from(text), err);
    free(text);
    mem_free(path);
    return ok;
}

static bool report(const Eval *e, const EvalRecords *r, const json_t *identified, Error *err)
{
    json_t *results = eval_results(r, identified);
    json_t *aims = e->aims ? aims_check(e->aims, r) : NULL;
    if (aims)
        json_object_set(results, "aims", aims);
    const bool ok = !e->out || write_results(e, results, err);
    if (ok && e->is_json) {
        json_dumpf(results, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
        putchar('\n');
    } else if (ok) {
        Buf table = {0};
        eval_table(r, e->split, &table);
        if (aims) {
            buf_putc(&table, '\n');
            aims_table(aims, &table);
        }
        fwrite(table.data, 1, table.bytes, stdout);
        buf_free(&table);
    }
    json_decref(aims);
    json_decref(results);
    for (int t = 0; t < r->tasks->n; t++)
        if (ok && r->left_out[t].n > 0)
            term_note("%s: %d prompts do not fit and are left out (%s)", r->tasks->items[t]->name,
                      r->left_out[t].n, r->left_out[t].why);
    if (ok && r->n_asked > 0)
        fprintf(stderr, "%lld replies, %lld tokens, %.1f s, %.0f tokens/s", (long long)r->n_asked,
                (long long)r->n_tokens, r->seconds, (double)r->n_tokens / r->seconds);
    if (ok && r->n_kept > 0)
        fprintf(stderr, "%s%lld replies were there before", r->n_asked > 0 ? "; " : "",
                (long long)r->n_kept);
    if (ok)
        fputc('\n', stderr);
    return ok;
}

static bool run(Eval *e, wen_model *model, wen_engine *engine, Error *err)
{
    EvalRecords records;
    json_t *identified = identity(e, err);
    if (!identified)
        return false;
    bool ok =
        make_settings(e, model, err) && (!e->out || eval_samples_folder(e->out, identified, err));
    if (ok) {
        const struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);
        const EvalSampling sampling = {e->temperature, e->top_p, (int)e->top_k, (int)e->max_tokens};
        EvalAsker asker = eval_live_open(engine, &sampling, BACKLOG * (int)e->n_at_once);
        const EvalJob job = {
            .dir = e->out, .seed = e->seed, .progress = show_progress, .stop = &is_stopped};
        eval_records_open(&records, &e->list, &e->settings);
        ok = eval_run(&job, &asker, &records, err);
        term_progress(NULL);
        ok = ok && report(e, &records, identified, err);
        eval_records_close(&records);
        eval_live_close(&asker);
    }
    json_decref(identified);
    return ok;
}

/* `wen eval --compare DIR...`: the words are folders. */
static int compare(const ArgWords *words)
{
    Buf table = {0};
    Error err = {0};
    const bool ok = eval_compare(words->words, words->n, &table, &err);
    if (ok)
        fwrite(table.data, 1, table.bytes, stdout);
    else
        term_note("%s", err.message);
    buf_free(&table);
    return term_finish_output() && ok ? 0 : 1;
}

int cmd_eval(int argc, char **argv)
{
    Eval e = {.model_args = model_args_defaults(),
              .plain = "switch",
              .languages = "en,zh",
              .seed = 1,
              .n_at_once = 64,
              .max_tokens = 1024,
              .top_k = -1,
              .top_p = (double)NAN};
    Arg options[OPTIONS_MAX] = {
        {"tasks", 't', ARG_LIST, &e.tasks, "NAME[:LEVELS],...",
         "families, such as chain:2-4,letters; domains; all; out_of_scope; card", 0, 0},
        {"problems", 'p', ARG_LIST, &e.problems, "FILE", "problems of a file, an object a line", 0,
         0},
        {"aims", 0, ARG_TEXT, &e.aims_file, "FILE",
         "the tasks that FILE has aims for, and whether they are met", 0, 0},
        {"n", 'n', ARG_INT, &e.n, "N", "problems a family (1000; of a file: all)", 1, 1 << 24},
        {"seed", 0, ARG_INT, &e.seed, "S", "another seed gives other problems (1)", 0,
         4294967295.0},
        {"languages", 0, ARG_TEXT, &e.languages, "LANG,...", "en, zh, de, es or all (en,zh)", 0, 0},
        {"mode", 0, ARG_TEXT, &e.mode, "MODE", "think, plain or both (what the model can)", 0, 0},
        {"plain", 0, ARG_TEXT, &e.plain, "HOW",
         "not thinking by the template's switch or by a flag, /no_think (switch)", 0, 0},
        {"budgets", 0, ARG_TEXT, &e.budgets, "N,...,inf",
         "accuracy against tokens of thought: 0,16,32,64,128,256,inf", 0, 0},
        {"at-once", 0, ARG_INT, &e.n_at_once, "N", "conversations side by side (64)", 1,
         AT_ONCE_MAX},
        {"max-tokens", 0, ARG_INT, &e.max_tokens, "N", "of a reply, its thought included (1024)", 1,
         1 << 24},
        {"temperature", 0, ARG_REAL, &e.temperature, "X", "0 is greedy (0)", 0, 100},
        {"top-p", 0, ARG_REAL, &e.top_p, "X", "with a temperature (the model's own)", 0, 1},
        {"top-k", 0, ARG_INT, &e.top_k, "N", "with a temperature (the model's own)", 0, 1 << 20},
        {"by", 0, ARG_TEXT, &e.by, "WHAT", "rows by level, lang or kind too", 0, 0},
        {"out", 'o', ARG_TEXT, &e.out, "DIR",
         "keep results.json and all replies there; the same command goes on", 0, 0},
        {"json", 0, ARG_FLAG, &e.is_json, NULL, "print results.json instead of tables", 0, 0},
        {"compare", 0, ARG_FLAG, &e.compares, NULL,
         "instead: a table of results, a column for each DIR or NAME=DIR", 0, 0},
    };
    int n_options = 0;
    while (options[n_options].name)
        n_options++;
    model_args_put(&e.model_args, MODEL_ARGS_ALL, options, n_options);
    const ArgSpec spec = {
        .command = "eval",
        .usage = "[MODEL] --tasks NAME[:LEVELS],... [--out DIR] | --compare DIR...",
        .about =
            "Asks a model held-out problems of the task families (\"wen data families\" lists\n"
            "them) or of a file, thinking and not thinking, and prints accuracies with their\n"
            "standard errors as Markdown. Answers are greedy unless a temperature is given.",
        .options = options,
        .n_words_min = 0,
        .n_words_max = COMPARE_MAX,
    };
    ArgWords words;
    Error err = {0};
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (e.compares && words.n > 0)
        return compare(&words);
    if (e.compares)
        return term_usage("eval", "give the folders to compare");
    if (words.n > 1)
        return term_usage("eval", "give one MODEL");
    e.path = words.n > 0 ? words.words[0] : "builtin";
    if (!model_args_check(&e.model_args, &err) || !read_modes(&e, &err))
        return term_usage("eval", err.message);
    if (!read_tasks(&e, &err)) {
        wen_model_close(e.text);
        task_list_close(&e.list);
        aims_close(e.aims);
        return err.code == ERROR_ARGUMENT ? term_usage("eval", err.message)
                                          : (term_note("%s", err.message), 1);
    }
    wen_model *model = model_args_open(&e.model_args, e.path, WEN_LOAD_ALL);
    wen_engine *engine =
        model ? model_args_open_engine(&e.model_args, model, (int)e.n_at_once) : NULL;
    const bool ok = engine && run(&e, model, engine, &err);
    if (engine && !ok)
        term_note("%s", err.message);
    wen_engine_close(engine);
    wen_model_close(model);
    wen_model_close(e.text);
    task_list_close(&e.list);
    aims_close(e.aims);
    return term_finish_output() && ok ? 0 : 1;
}
