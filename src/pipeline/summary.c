/* See summary.h. */
#include "pipeline/summary.h"

#include "base/file.h"
#include "train/page.h"
#include "train/run_table.h"
#include "train/yaml.h"

#include <math.h>
#include <string.h>

enum { RESULTS_BYTES_MAX = 256 << 20, RECENT_STEPS = 10 };

/* ---- Figures --------------------------------------------------------------------------------- */

static double last_of(const RunTable *t, const char *name)
{
    const int column = run_table_column(t, name), row = run_table_last(t, column);
    return row < 0 ? (double)NAN : run_table_number(t, row, column);
}

static double recent_mean(const RunTable *t, const char *name)
{
    const int column = run_table_column(t, name), last = run_table_last(t, column);
    double sum = 0;
    int n = 0;
    for (int row = last; row >= 0 && row > last - RECENT_STEPS; row--, n++)
        sum += run_table_number(t, row, column);
    return n > 0 ? sum / n : (double)NAN;
}

static void read_log(StageFigures *f, const char *path)
{
    RunTable t;
    if (run_table_read(&t, path, NULL)) {
        f->steps = last_of(&t, "step");
        f->tokens = last_of(&t, "tokens");
        f->loss = last_of(&t, "loss");
        f->heldout_loss = last_of(&t, "heldout_loss");
        f->reward = recent_mean(&t, "reward");
        f->right_think = last_of(&t, "accuracy_think");
        f->right_plain = last_of(&t, "accuracy_plain");
    }
    run_table_close(&t);
}

/* The mean over tasks of an evaluation. */
static double mean_accuracy(const json_t *results, const char *key)
{
    const char *task;
    const json_t *values;
    double sum = 0;
    int n = 0;
    json_object_foreach((json_t *)(uintptr_t)results, task, values)
    {
        const json_t *value = json_object_get(values, key);
        if (strchr(task, '/') || !json_is_number(value))
            continue;
        sum += json_number_value(value);
        n++;
    }
    return n > 0 ? sum / n : (double)NAN;
}

static void read_results(StageFigures *f, const char *path)
{
    Buf text = {0};
    if (file_read(&text, path, RESULTS_BYTES_MAX, NULL)) {
        json_t *json = json_loadb(text.data, text.bytes, 0, NULL);
        f->right_think = mean_accuracy(json_object_get(json, "results"), "acc,think");
        f->right_plain = mean_accuracy(json_object_get(json, "results"), "acc,plain");
        json_decref(json);
    }
    buf_free(&text);
}

static void count_lines(StageFigures *f, const char *path)
{
    FileMap map;
    if (!file_map(&map, path, NULL))
        return;
    f->documents = 0;
    for (size_t i = 0; i < map.bytes; i++)
        f->documents += map.data[i] == '\n';
    file_unmap(&map);
}

StageFigures stage_figures(const Plan *plan, int stage_i, const PipelineState *state,
                           const char *out)
{
    const char *name = plan->stages[stage_i].name;
    const double none = (double)NAN;
    StageFigures f = {.state = state_of_stage(state, name),
                      .seconds = none,
                      .documents = none,
                      .steps = none,
                      .tokens = none,
                      .loss = none,
                      .heldout_loss = none,
                      .reward = none,
                      .right_think = none,
                      .right_plain = none};
    if (f.state == STAGE_NEW)
        return f;
    char *folder = file_join(out, name), *log = file_join(folder, "log.csv");
    char *results = file_join(folder, "results.json"), *data = file_join(folder, "data.jsonl");
    f.seconds = state_seconds(state, name);
    if (file_exists(log))
        read_log(&f, log);
    if (file_exists(results))
        read_results(&f, results);
    if (file_exists(data))
        count_lines(&f, data);
    mem_free(folder);
    mem_free(log);
    mem_free(results);
    mem_free(data);
    return f;
}

/* ---- The table ------------------------------------------------------------------------------- */

enum { N_FIGURES = 9 };
static const char *const headings[N_FIGURES] = {
    "time, s",  "documents", "steps",           "tokens",      "loss",
    "held out", "reward",    "right, thinking", "right, plain"};
static const char *const states[] = {"to do", "stale", "begun", "done"};

static void figure_texts(const StageFigures *f, char texts[N_FIGURES][32])
{
    const double values[N_FIGURES] = {f->seconds,
                                      f->documents,
                                      f->steps,
                                      f->tokens,
                                      f->loss,
                                      f->heldout_loss,
                                      f->reward,
                                      f->right_think * 100,
                                      f->right_plain * 100};
    for (int i = 0; i < N_FIGURES; i++) {
        texts[i][0] = 0;
        if (!isfinite(values[i]))
            continue;
        if (i < 4)
            snprintf(texts[i], 32, "%.*f", i == 0 ? 1 : 0, values[i]);
        else if (i < 7)
            snprintf(texts[i], 32, "%.3f", values[i]);
        else
            snprintf(texts[i], 32, "%.1f %%", values[i]);
    }
}

bool summary_print(const Plan *plan, const char *out, Buf *text, Error *err)
{
    PipelineState state;
    char texts[N_FIGURES][32];
    if (!state_open(&state, out, err)) {
        state_close(&state);
        return false;
    }
    buf_printf(text, "%-16s %-18s %-6s", "stage", "command", "");
    for (int i = 0; i < N_FIGURES; i++)
        buf_printf(text, " %*s", i < 7 ? 10 : 15, headings[i]);
    for (int s = 0; s < plan->n; s++) {
        const StageFigures f = stage_figures(plan, s, &state, out);
        figure_texts(&f, texts);
        buf_printf(text, "\n%-16s %-18s %-6s", plan->stages[s].name, plan->stages[s].kind->run,
                   states[f.state]);
        for (int i = 0; i < N_FIGURES; i++)
            buf_printf(text, " %*s", i < 7 ? 10 : 15, texts[i]);
    }
    buf_putc(text, '\n');
    state_close(&state);
    return true;
}

/* ---- The page -------------------------------------------------------------------------------- */

/* The name, with a link to the stage's own report where it has one. */
static void put_name(const Plan *plan, int s, const char *out, Buf *html)
{
    const char *name = plan->stages[s].name;
    char *folder = file_join(out, name), *report = file_join(folder, "report.html");
    if (file_exists(report))
        buf_printf(html, "<a href=\"%s/report.html\">%s</a>", name, name);
    else
        buf_puts(html, name);
    mem_free(folder);
    mem_free(report);
}

static void put_table(const Plan *plan, const PipelineState *state, const char *out, Buf *html)
{
    char texts[N_FIGURES][32];
    buf_puts(html, "<div class=\"wide\"><table><tr><th>stage</th><th>command</th><th></th>");
    for (int i = 0; i < N_FIGURES; i++)
        buf_printf(html, "<th>%s</th>", headings[i]);
    buf_puts(html, "</tr>\n");
    for (int s = 0; s < plan->n; s++) {
        const StageFigures f = stage_figures(plan, s, state, out);
        figure_texts(&f, texts);
        buf_puts(html, "<tr><td>");
        put_name(plan, s, out, html);
        buf_printf(html, "</td><td>%s</td><td>%s</td>", plan->stages[s].kind->run, states[f.state]);
        for (int i = 0; i < N_FIGURES; i++)
            buf_printf(html, "<td>%s</td>", texts[i]);
        buf_puts(html, "</tr>\n");
    }
    buf_puts(html, "</table></div>\n");
}

/* Each stage's configuration as it was written, --set applied. */
static void put_settings(const Plan *plan, Buf *html)
{
    page_heading(html, "Configurations");
    for (int s = 0; s < plan->n; s++) {
        Buf text = {0};
        if (plan->stages[s].settings)
            yaml_write(plan->stages[s].settings, &text);
        if (plan->stages[s].args)
            yaml_write(plan->stages[s].args, &text);
        page_text_block(html, plan->stages[s].name, buf_str(&text), false);
        buf_free(&text);
    }
}

bool summary_write(const Plan *plan, const PipelineState *state, const char *out, Error *err)
{
    Buf html = {0};
    double seconds = 0;
    int n_done = 0;
    char text[48];
    for (int s = 0; s < plan->n; s++) {
        n_done += state_of_stage(state, plan->stages[s].name) == STAGE_FINISHED;
        seconds += state_seconds(state, plan->stages[s].name);
    }
    page_begin(&html, "Pipeline", plan->folder);
    page_tiles_begin(&html);
    snprintf(text, sizeof text, "%d of %d", n_done, plan->n);
    page_tile(&html, "stages done", text);
    snprintf(text, sizeof text, "%d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60) % 60,
             (int)seconds % 60);
    page_tile(&html, "time of all", text);
    page_tiles_end(&html);
    page_heading(&html, "Stages");
    put_table(plan, state, out, &html);
    put_settings(plan, &html);
    page_end(&html);
    char *path = file_join(out, "report.html");
    const bool ok = file_write(path, buf_str(&html), err);
    mem_free(path);
    buf_free(&html);
    return ok;
}
