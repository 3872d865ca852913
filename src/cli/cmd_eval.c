/* wen eval: tasks asked and judged, with their uncertainty. */
#include "cli/commands.h"

#include "base/mem.h"
#include "cli/model_args.h"
#include "cli/term.h"
#include "eval/compare.h"
#include "eval/evaluate.h"
#include "eval/file_task.h"
#include "eval/fingerprint.h"
#include "eval/table.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 32, AT_ONCE_MAX = 256, N_PROBLEMS = 1000 };

typedef struct Eval {
    ModelArgs model_args;
    const char *path; /* the model */
    ArgList tasks, problems;
    const char *mode, *plain, *budgets, *languages, *by, *aims;
    int64_t n, n_at_once, max_tokens, top_k;
    bool is_json, compares;
    EvalPlan plan;
    EvalSplit split; /* EVAL_SPLIT_NONE: as each task has it */
    wen_model *text; /* the model's tokenizer, when a task needs it; NULL: not yet */
} Eval;

/* ---- Options --------------------------------------------------------------------------------- */

static bool read_modes(Eval *e, Error *err)
{
    static const char *const names[] = {"think", "plain", "both"};
    for (int i = 0; e->mode && i < 3; i++)
        if (strcmp(e->mode, names[i]) == 0)
            e->plan.modes = (EvalModes)(i + 1);
    if (e->mode && !e->plan.modes)
        return error_set(err, ERROR_ARGUMENT, "--mode %.40s: not one of think, plain, both",
                         e->mode);
    e->plan.plain_by_flag = strcmp(e->plain, "flag") == 0;
    if (!e->plan.plain_by_flag && strcmp(e->plain, "switch") != 0)
        return error_set(err, ERROR_ARGUMENT, "--plain %.40s: not one of switch, flag", e->plain);
    static const char *const splits[N_EVAL_SPLITS] = {"", "level", "lang", "kind"};
    for (int i = 1; e->by && i < N_EVAL_SPLITS; i++)
        if (strcmp(e->by, splits[i]) == 0)
            e->split = (EvalSplit)i;
    if (e->by && !e->split)
        return error_set(err, ERROR_ARGUMENT, "--by %.40s: not one of level, lang, kind", e->by);
    return !e->budgets || eval_budgets_read(e->budgets, &e->plan.settings, err);
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

static bool read_aims(Eval *e, const FamilyDraw *draw, Error *err)
{
    EvalPlan *plan = &e->plan;
    plan->aims = aims_open(e->aims, err);
    if (!plan->aims || !aims_add_tasks(plan->aims, &plan->tasks, draw, !e->budgets, err))
        return false;
    const char *budgets = aims_budgets(plan->aims);
    return e->budgets || !budgets || eval_budgets_read(budgets, &plan->settings, err);
}

static bool read_tasks(Eval *e, Error *err)
{
    FamilyDraw draw = {.n = e->n ? (int)e->n : N_PROBLEMS,
                       .seed = e->plan.seed,
                       .count = count_tokens,
                       .count_context = e};
    if (e->tasks.n + e->problems.n == 0 && !e->aims)
        return error_set(err, ERROR_ARGUMENT, "give --tasks, --problems or --aims");
    if (!task_langs_read(e->languages, draw.langs, err))
        return false;
    for (int i = 0; i < e->tasks.n; i++)
        if (!task_list_read(&e->plan.tasks, e->tasks.items[i], &draw, err))
            return false;
    if (e->aims && !read_aims(e, &draw, err))
        return false;
    for (int i = 0; i < e->problems.n; i++)
        if (!file_tasks_add(&e->plan.tasks, e->problems.items[i], (int)e->n, err))
            return false;
    return true;
}

/* "NAME HASH" of each adapter. */
static json_t *identify_adapters(const ModelArgs *args, Error *err)
{
    json_t *list = json_array();
    for (int i = 0; i < args->loras.n; i++) {
        char hash[17], *dir = NULL;
        float scale;
        const bool ok = lora_from_text(args->loras.items[i], &dir, &scale, err) &&
                        model_fingerprint(dir, hash, err);
        mem_free(dir);
        if (!ok) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, json_pack("[s, f]", hash, (double)scale));
    }
    return list;
}

/* What makes replies what they are, beside the plan. NULL with an error. */
static json_t *identify(const Eval *e, Error *err)
{
    char model[17], template[17] = "";
    const ModelArgs *args = &e->model_args;
    if (!model_fingerprint(e->path, model, err) ||
        (args->template_file && !model_fingerprint(args->template_file, template, err)))
        return NULL;
    json_t *adapters = identify_adapters(args, err);
    if (!adapters)
        return NULL;
    return json_pack("{s:s, s:s, s:o, s:s, s:s?, s:s?, s:I, s:s}", "model", e->path, "model_hash",
                     model, "adapters", adapters, "template_hash", template, "yarn", args->yarn,
                     "kv_type", args->kv_type, "context", (json_int_t)args->context, "languages",
                     e->languages);
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

static void print_tables(const Eval *e, const EvalRecords *r, const json_t *results)
{
    const json_t *aims = json_object_get(results, "aims");
    Buf table = {0};
    eval_table(r, e->split, &table);
    if (aims) {
        buf_putc(&table, '\n');
        aims_table(aims, &table);
    }
    fwrite(table.data, 1, table.bytes, stdout);
    buf_free(&table);
}

/* What was done, on standard error. */
static void print_work(const EvalRecords *r)
{
    for (int t = 0; t < r->tasks->n; t++)
        if (r->left_out[t].n > 0)
            term_note("%s: %d prompts do not fit and are left out (%s)", r->tasks->items[t]->name,
                      r->left_out[t].n, r->left_out[t].why);
    if (r->n_asked > 0)
        fprintf(stderr, "%lld replies, %lld tokens, %.1f s, %.0f tokens/s", (long long)r->n_asked,
                (long long)r->n_tokens, r->seconds, (double)r->n_tokens / r->seconds);
    if (r->n_kept > 0)
        fprintf(stderr, "%s%lld replies were there before", r->n_asked > 0 ? "; " : "",
                (long long)r->n_kept);
    fputc('\n', stderr);
}

static bool run(Eval *e, const wen_model *model, wen_engine *engine, Error *err)
{
    const struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    EvalRecords records;
    json_t *results;
    e->plan.sampling.top_k = (int)e->top_k;
    e->plan.sampling.max_tokens = (int)e->max_tokens;
    e->plan.n_at_once = (int)e->n_at_once;
    e->plan.progress = show_progress;
    e->plan.stop = &is_stopped;
    e->plan.identity = identify(e, err);
    if (!e->plan.identity)
        return false;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    const bool ok = evaluate(&e->plan, model, engine, &records, &results, err);
    term_progress(NULL);
    if (ok && e->is_json) {
        json_dumpf(results, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
        putchar('\n');
    } else if (ok) {
        print_tables(e, &records, results);
    }
    if (ok)
        print_work(&records);
    json_decref(results);
    eval_records_close(&records);
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
              .plan = eval_plan_defaults()};
    e.n_at_once = e.plan.n_at_once;
    e.max_tokens = e.plan.sampling.max_tokens;
    e.top_k = e.plan.sampling.top_k;
    Arg options[OPTIONS_MAX] = {
        {"tasks", 't', ARG_LIST, &e.tasks, "NAME[:LEVELS],...",
         "families, such as chain:2-4,letters; domains; all; out_of_scope; card", 0, 0},
        {"problems", 'p', ARG_LIST, &e.problems, "FILE", "problems of a file, an object a line", 0,
         0},
        {"aims", 0, ARG_TEXT, &e.aims, "FILE",
         "the tasks that FILE has aims for, and whether they are met", 0, 0},
        {"n", 'n', ARG_INT, &e.n, "N", "problems a family (1000; of a file: all)", 1, 1 << 24},
        {"seed", 0, ARG_INT, &e.plan.seed, "S", "another seed gives other problems (1)", 0,
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
        {"temperature", 0, ARG_REAL, &e.plan.sampling.temperature, "X", "0 is greedy (0)", 0, 100},
        {"top-p", 0, ARG_REAL, &e.plan.sampling.top_p, "X", "with a temperature (the model's own)",
         0, 1},
        {"top-k", 0, ARG_INT, &e.top_k, "N", "with a temperature (the model's own)", 0, 1 << 20},
        {"by", 0, ARG_TEXT, &e.by, "WHAT", "rows by level, lang or kind too", 0, 0},
        {"out", 'o', ARG_TEXT, &e.plan.dir, "DIR",
         "keep results.json and all replies there; the same command goes on", 0, 0},
        {"json", 0, ARG_FLAG, &e.is_json, NULL, "print results.json instead of tables", 0, 0},
        {"compare", 0, ARG_FLAG, &e.compares, NULL,
         "instead: a table of results, a column for each DIR or NAME=DIR,DIR,...", 0, 0},
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
        eval_plan_close(&e.plan);
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
    eval_plan_close(&e.plan);
    return term_finish_output() && ok ? 0 : 1;
}
