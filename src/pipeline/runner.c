/* See runner.h. */
#include "pipeline/runner.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "pipeline/command.h"
#include "pipeline/state.h"
#include "pipeline/summary.h"
#include "train/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_TRIES = 100, LOCK_WAIT_MS = 100, WORDS_MAX = 16 };

typedef struct Run {
    const Plan *plan;
    const PipelineOptions *options;
    char *out; /* absolute: commands resume only with the paths that they began with */
    int first, last;
    PipelineState state;
    uint64_t keys[PLAN_STAGES_MAX];
    bool has_to[PLAN_STAGES_MAX]; /* run */
    int lock;
} Run;

/* ---- Saying ---------------------------------------------------------------------------------- */

/* To the terminal and, with the time, to OUT/pipeline.log. */
static void say(const Run *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(const Run *r, const char *format, ...)
{
    char text[1024], stamp[32];
    va_list args;
    struct tm tm;
    const time_t now = time(NULL);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *path = file_join(r->out, "pipeline.log");
    FILE *file = fopen(path, "a");
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
    if (file) {
        fprintf(file, "%s  %s\n", stamp, text);
        fclose(file);
    }
    mem_free(path);
    if (r->options->line)
        r->options->line(r->options->context, text);
}

/* "2 h 05 min", "3 min 20 s", "4.1 s" */
static void put_time(double s, char text[32])
{
    if (s >= 3600)
        snprintf(text, 32, "%d h %02d min", (int)(s / 3600), (int)(s / 60) % 60);
    else if (s >= 60)
        snprintf(text, 32, "%d min %02d s", (int)(s / 60), (int)s % 60);
    else
        snprintf(text, 32, "%.1f s", s);
}

/* ---- The folder ------------------------------------------------------------------------------ */

/* Commands inherit the lock: it is free when the last of them has ended, too. */
static bool lock_folder(Run *r, Error *err)
{
    char *path = file_join(r->out, "lock");
    const struct timespec moment = {0, LOCK_WAIT_MS * 1000000L};
    r->lock = open(path, O_RDWR | O_CREAT, 0666);
    bool ok = r->lock >= 0;
    if (!ok)
        error_set_errno(err, "%s", path);
    for (int i = 0; ok && flock(r->lock, LOCK_EX | LOCK_NB) != 0; i++) {
        ok = i < LOCK_TRIES || error_set(err, ERROR_ARGUMENT,
                                         "%s: another pipeline is at work in this folder", r->out);
        nanosleep(&moment, NULL);
    }
    mem_free(path);
    return ok;
}

static bool open_folder(Run *r, Error *err)
{
    const char *const parts[] = {"", "configs", "logs"};
    for (int i = 0; i < 3; i++) {
        char *path = file_join(r->options->out, parts[i]);
        const bool ok = file_make_dir(i ? path : r->options->out, err);
        mem_free(path);
        if (!ok)
            return false;
    }
    char *absolute = realpath(r->options->out, NULL);
    if (!absolute)
        return error_set_errno(err, "%s", r->options->out);
    r->out = mem_strdup(absolute);
    free(absolute);
    return lock_folder(r, err) && state_open(&r->state, r->out, err);
}

static char *stage_path(const Run *r, const char *below, const char *name, const char *ending)
{
    Buf path = {0};
    buf_printf(&path, "%s%s%s/%s%s", r->out, below[0] ? "/" : "", below, name, ending);
    return path.data;
}

/* ---- Before anything runs -------------------------------------------------------------------- */

static bool find_range(Run *r, Error *err)
{
    const PipelineOptions *o = r->options;
    r->last = r->plan->n - 1;
    if (o->from && (r->first = plan_find(r->plan, o->from)) < 0)
        return error_set(err, ERROR_ARGUMENT, "--from %s: there is no such stage", o->from);
    if (o->until && (r->last = plan_find(r->plan, o->until)) < 0)
        return error_set(err, ERROR_ARGUMENT, "--until %s: there is no such stage", o->until);
    return r->first <= r->last ||
           error_set(err, ERROR_ARGUMENT, "--until %s comes before --from %s", o->until, o->from);
}

/* Writes OUT/configs/NAME.yaml and has it read as its command will. */
static bool check_stage(const Run *r, int i, Error *err)
{
    const PlanStage *s = &r->plan->stages[i];
    Buf text = {0};
    if (s->kind->check_args && !s->kind->check_args(s->args, err))
        return error_add(err, "stage %s", s->name);
    if (!s->settings)
        return true;
    json_t *resolved = plan_resolve(r->plan, i, s->settings, r->out);
    char *path = stage_path(r, "configs", s->name, ".yaml");
    yaml_write(resolved, &text);
    const bool ok =
        file_write(path, buf_str(&text), err) && (!s->kind->check || s->kind->check(path, err));
    json_decref(resolved);
    buf_free(&text);
    mem_free(path);
    return ok || error_add(err, "stage %s (%s/%s)", s->name, r->plan->folder, s->config);
}

static const char *changed_need(const Run *r, int i)
{
    for (int k = 0; k < i; k++)
        if (r->plan->stages[i].needs[k] && r->has_to[k])
            return r->plan->stages[k].name;
    return NULL;
}

/* Says why a stage that was finished or begun is made again. */
static void say_why(const Run *r, int i, StageState state)
{
    const PlanStage *s = &r->plan->stages[i];
    const char *need = changed_need(r, i);
    Buf differences = {0};
    state_differences(&r->state, s, &differences);
    if (state == STAGE_FINISHED ||
        (state == STAGE_BEGUN && state_key(&r->state, s->name) != r->keys[i]))
        say(r, "%s is made again: %s%s", s->name,
            differences.bytes                             ? differences.data
            : need                                        ? "so is "
            : r->keys[i] != state_key(&r->state, s->name) ? "a file that it reads has changed"
                                                          : "--from",
            !differences.bytes && need ? need : "");
    buf_free(&differences);
}

static bool plan_work(Run *r, Error *err)
{
    const Plan *p = r->plan;
    for (int i = 0; i <= r->last; i++) {
        const PlanStage *s = &p->stages[i];
        const StageState state = state_of_stage(&r->state, s->name);
        r->keys[i] = i < r->first ? state_key(&r->state, s->name) : stage_key(s, r->keys, i);
        if (i < r->first && state != STAGE_FINISHED)
            return error_set(err, ERROR_ARGUMENT, "--from %s: stage %s before it is not finished",
                             r->options->from, s->name);
        r->has_to[i] = i >= r->first &&
                       (state != STAGE_FINISHED || r->keys[i] != state_key(&r->state, s->name) ||
                        changed_need(r, i) || (i == r->first && r->options->from));
        if (r->has_to[i])
            say_why(r, i, state);
    }
    return true;
}

/* ---- A stage --------------------------------------------------------------------------------- */

/* Its folder as its command may find it: empty, or what the same command has left there. */
static bool prepare(Run *r, int i, bool goes_on, Error *err)
{
    const PlanStage *s = &r->plan->stages[i];
    const StageState state = state_of_stage(&r->state, s->name);
    char *path = stage_path(r, "", s->name, "");
    bool ok =
        state != STAGE_NEW || !file_exists(path) ||
        error_set(err, ERROR_ARGUMENT,
                  "%s: this pipeline has not made it; move it away, or use another --out", path);
    for (int k = i + 1; ok && !goes_on && k < r->plan->n; k++)
        if (r->plan->stages[k].needs[i])
            state_spoil(&r->state, r->plan->stages[k].name);
    ok = ok && (goes_on || file_remove_tree(path, err)) &&
         state_note(&r->state, s, STAGE_BEGUN, r->keys[i],
                    goes_on ? state_seconds(&r->state, s->name) : 0, err) &&
         file_make_dir(path, err);
    mem_free(path);
    return ok;
}

typedef struct Words {
    char **items; /* owned */
    int n;
} Words;

/* Takes the text over. */
static void add_word(Words *w, char *text) { w->items[w->n++] = text; }

static Words words_of(const Run *r, int i)
{
    const PlanStage *s = &r->plan->stages[i];
    const size_t n_args = json_array_size(s->args);
    Words w = {.items = mem_alloc(sizeof *w.items * (n_args + WORDS_MAX))};
    const char *space = strchr(s->kind->run, ' ');
    json_t *args = s->args ? plan_resolve(r->plan, i, s->args, r->out) : NULL;
    add_word(&w, mem_strndup(s->kind->run, strcspn(s->kind->run, " ")));
    if (space)
        add_word(&w, mem_strdup(space + 1));
    if (s->config)
        add_word(&w, stage_path(r, "configs", s->name, ".yaml"));
    for (size_t k = 0; k < n_args; k++)
        add_word(&w, mem_strdup(json_string_value(json_array_get(args, k))));
    if (s->kind->takes_threads && r->options->n_threads > 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", r->options->n_threads);
        add_word(&w, mem_strdup("--threads"));
        add_word(&w, mem_strdup(number));
    }
    if (s->kind->out != OUT_LAST)
        add_word(&w, mem_strdup("--out"));
    add_word(&w, stage_path(r, "", s->name, s->kind->out == OUT_FOLDER ? "" : s->kind->outputs[0]));
    json_decref(args);
    return w;
}

static void free_words(Words *w)
{
    for (int i = 0; i < w->n; i++)
        mem_free(w->items[i]);
    mem_free(w->items);
}

/* A command can end well without having made anything: one that was stopped by somebody else. */
static bool check_made(const Run *r, int i, const char *log, Error *err)
{
    const StageKind *kind = r->plan->stages[i].kind;
    bool is_there = false;
    for (int k = 0; k < KIND_OUTPUTS_MAX && kind->outputs[k] && !is_there; k++) {
        char *path = stage_path(r, "", r->plan->stages[i].name,
                                kind->proof ? kind->proof : kind->outputs[k]);
        is_there = file_exists(path);
        mem_free(path);
    }
    return is_there || error_set(err, ERROR_ARGUMENT, "it ended before it was done; see %s", log);
}

static bool run_command(const Run *r, int i, double *seconds, Error *err)
{
    const PlanStage *s = &r->plan->stages[i];
    char title[128];
    char *log = stage_path(r, "logs", s->name, ".log");
    Words words = words_of(r, i);
    snprintf(title, sizeof title, "[%d/%d] %s", i + 1, r->plan->n, s->name);
    const StageCommand command = {.program = r->options->program,
                                  .words = words.items,
                                  .n = words.n,
                                  .log = log,
                                  .title = title,
                                  .stop = r->options->stop,
                                  .progress = r->options->progress,
                                  .context = r->options->context};
    const double start = clock_seconds();
    const bool ok = command_run(&command, err) && check_made(r, i, log, err);
    *seconds += clock_seconds() - start;
    free_words(&words);
    mem_free(log);
    return ok;
}

static bool run_stage_of(Run *r, int i, Error *err)
{
    const PlanStage *s = &r->plan->stages[i];
    char text[32];
    const bool goes_on = state_of_stage(&r->state, s->name) == STAGE_BEGUN &&
                         state_key(&r->state, s->name) == r->keys[i];
    if (!prepare(r, i, goes_on, err))
        return error_add(err, "stage %s", s->name);
    double seconds = state_seconds(&r->state, s->name);
    say(r, "[%d/%d] %s: %s%s", i + 1, r->plan->n, s->name, s->kind->run,
        goes_on ? ", goes on" : "");
    const bool ok = run_command(r, i, &seconds, err);
    put_time(seconds, text);
    if (!state_note(&r->state, s, ok ? STAGE_FINISHED : STAGE_BEGUN, r->keys[i], seconds,
                    ok ? err : NULL))
        return false;
    if (ok) {
        say(r, "[%d/%d] %s: done in %s", i + 1, r->plan->n, s->name, text);
        return true;
    }
    return error_add(err, "stage %s", s->name);
}

/* ---- All ------------------------------------------------------------------------------------- */

static bool run_all(Run *r, Error *err)
{
    int n_skipped = 0;
    for (int i = 0; i <= r->last; i++)
        n_skipped += !r->has_to[i];
    if (n_skipped > 0)
        say(r, "%d of %d stages are finished", n_skipped, r->plan->n);
    for (int i = r->first; i <= r->last; i++) {
        if (r->has_to[i] && r->options->stop && *r->options->stop)
            return error_set(err, ERROR_CANCELLED, "stopped before stage %s",
                             r->plan->stages[i].name);
        if (r->has_to[i] && !run_stage_of(r, i, err))
            return false;
    }
    return true;
}

bool pipeline_run(const Plan *plan, const PipelineOptions *options, Error *err)
{
    Run r = {.plan = plan, .options = options, .lock = -1};
    bool ok = find_range(&r, err) && open_folder(&r, err);
    for (int i = r.first; ok && i < plan->n; i++)
        ok = check_stage(&r, i, err);
    ok = ok && plan_work(&r, err);
    if (ok) {
        ok = run_all(&r, err);
        ok = summary_write(plan, &r.state, r.out, ok ? err : NULL) && ok;
    }
    if (r.lock >= 0)
        close(r.lock);
    state_close(&r.state);
    mem_free(r.out);
    return ok;
}
