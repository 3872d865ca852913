/* See report.h. */
#include "train/report.h"

#include "base/file.h"
#include "train/jsonl.h"
#include "train/page.h"
#include "train/plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SERIES_MAX = 64, NAME_BYTES = 128, CONFIG_BYTES_MAX = 16 << 20 };

/* ---- Plots
 * --------------------------------------------------------------------------------------------- */

/* A plot of one column, or two. */
typedef struct PlotSpec {
    const char *title;
    const char *column, *name;        /* drawn faint with its running mean */
    const char *other, *other_name;   /* drawn with marks; NULL: none */
    bool log_y, from_zero, is_smooth; /* is_smooth: nothing to average */
    double y_max;
} PlotSpec;

static const PlotSpec plot_specs[] = {
    {"Loss (nats a token)", "loss", "training", "heldout_loss", "held out", .log_y = false},
    {"Bits a byte", "bpb", "training", "heldout_bpb", "held out", .log_y = false},
    {"Right answers", "accuracy_plain", "not thinking", "accuracy_think", "thinking",
     .from_zero = true, .is_smooth = true, .y_max = 1},
    {"Tokens a reply", "reply_tokens_plain", "not thinking", "reply_tokens_think", "thinking",
     .from_zero = true, .is_smooth = true},
    {"Learning rate", "lr", NULL, NULL, NULL, .from_zero = true, .is_smooth = true},
    {"Norm of the gradient", "grad_norm", NULL, NULL, NULL, .log_y = true},
    {"Tokens a second", "tokens_per_s", NULL, NULL, NULL, .from_zero = true},
    {"Share of the machine's peak", "of_peak", NULL, NULL, NULL, .from_zero = true},
    {"Experts: balance loss (1 is even)", "balance", NULL, NULL, NULL, .log_y = false},
    {"Experts: largest load above the mean", "max_violation", NULL, NULL, NULL, .from_zero = true},
    {"Experts: entropy of the router (nats)", "router_entropy", NULL, NULL, NULL,
     .from_zero = true},
};
enum { N_SPECS = sizeof plot_specs / sizeof *plot_specs };

/* Columns of many series, "PREFIXname". */
static const struct {
    const char *title, *prefix;
    double y_max;
} groups[] = {
    {"Held-out loss by source", "heldout_loss/", 0},
    {"Held-out bits a byte by source", "heldout_bpb/", 0},
    {"Right answers, thinking, by family", "accuracy_think/", 1},
    {"Right answers, not thinking, by family", "accuracy_plain/", 1},
};
enum { N_GROUPS = sizeof groups / sizeof *groups };

/* What a column has numbers for, against the step. */
static PlotSeries series_of(const RunTable *table, int column, Arena *arena)
{
    double *x = ARENA_ARRAY(arena, double, table->n_rows + 1);
    double *y = ARENA_ARRAY(arena, double, table->n_rows + 1);
    int n = 0;
    for (int row = 0; row < table->n_rows; row++) {
        y[n] = run_table_number(table, row, column);
        x[n] = run_table_number(table, row, 0);
        n += isfinite(y[n]) && isfinite(x[n]);
    }
    return (PlotSeries){.x = x, .y = y, .n = n};
}

static void plot_spec(const RunTable *table, const PlotSpec *spec, Buf *html)
{
    Arena arena = {0};
    PlotSeries series[3];
    int n = 0;
    const int column = run_table_column(table, spec->column);
    if (column > 0) {
        PlotSeries s = series_of(table, column, &arena);
        if (!spec->is_smooth && s.n > 20) {
            double *mean = ARENA_ARRAY(&arena, double, s.n);
            plot_smooth(s.y, s.n, s.n / 80 + 1, mean);
            s.look = PLOT_FAINT;
            series[n++] = s;
            s.y = mean;
        }
        s.look = PLOT_LINE;
        s.name = spec->name;
        series[n++] = s;
    }
    const int other = spec->other ? run_table_column(table, spec->other) : -1;
    if (other > 0) {
        series[n] = series_of(table, other, &arena);
        series[n].look = PLOT_MARKS;
        series[n++].name = spec->other_name;
    }
    const Plot plot = {.title = spec->title,
                       .x_name = "step",
                       .log_y = spec->log_y,
                       .from_zero = spec->from_zero,
                       .y_max = spec->y_max,
                       .series = series,
                       .n_series = n};
    plot_write(&plot, html);
    arena_close(&arena);
}

static void plot_group(const RunTable *table, int group, Buf *html)
{
    Arena arena = {0};
    PlotSeries series[SERIES_MAX];
    int n = 0;
    const Str prefix = str_from(groups[group].prefix);
    for (int i = 1; i < table->n_columns && n < SERIES_MAX; i++) {
        if (!str_starts(table->names[i], prefix))
            continue;
        const Str name = str_slice(table->names[i], prefix.bytes, table->names[i].bytes);
        series[n] = series_of(table, i, &arena);
        series[n].look = PLOT_MARKS;
        series[n++].name = arena_strndup(&arena, name.data, name.bytes);
    }
    const Plot plot = {.title = groups[group].title,
                       .x_name = "step",
                       .from_zero = groups[group].y_max > 0,
                       .y_max = groups[group].y_max,
                       .series = series,
                       .n_series = n};
    plot_write(&plot, html);
    arena_close(&arena);
}

/* Whether a plot above shows the column, or none should. */
static bool is_shown(Str name)
{
    static const char *const silent[] = {"step", "tokens", "seconds", "skipped"};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        if (str_equals(name, silent[i]))
            return true;
    for (int i = 0; i < N_SPECS; i++)
        if (str_equals(name, plot_specs[i].column) ||
            (plot_specs[i].other && str_equals(name, plot_specs[i].other)))
            return true;
    for (int i = 0; i < N_GROUPS; i++)
        if (str_starts(name, str_from(groups[i].prefix)))
            return true;
    return false;
}

void report_plots(const RunTable *table, Buf *html)
{
    buf_puts(html, "<div class=\"plots\">\n");
    for (int i = 0; i < N_SPECS; i++)
        plot_spec(table, &plot_specs[i], html);
    for (int i = 0; i < N_GROUPS; i++)
        plot_group(table, i, html);
    for (int i = 0; i < table->n_columns; i++) /* what a stage appended */
        if (!is_shown(table->names[i])) {
            char name[NAME_BYTES];
            snprintf(name, sizeof name, "%.*s", STR_ARG(table->names[i]));
            plot_spec(table, &(PlotSpec){.title = name, .column = name}, html);
        }
    buf_puts(html, "</div>\n");
}

/* ---- Figures
 * --------------------------------------------------------------------------------------------- */

/* The last value of a column. */
static void put_last(const RunTable *table, const char *column, const char *name, Buf *html)
{
    const int at = run_table_column(table, column);
    const int row = at > 0 ? run_table_last(table, at) : -1;
    char value[32];
    if (row < 0)
        return;
    page_number(run_table_number(table, row, at), value);
    page_tile(html, name, value);
}

static void put_percent(const RunTable *table, const char *column, const char *name, Buf *html)
{
    const int at = run_table_column(table, column);
    const int row = at > 0 ? run_table_last(table, at) : -1;
    char value[32];
    if (row < 0)
        return;
    snprintf(value, sizeof value, "%.1f %%", 100 * run_table_number(table, row, at));
    page_tile(html, name, value);
}

static void put_tiles(const RunTable *table, const ReportFact *facts, int n_facts, Buf *html)
{
    page_tiles_begin(html);
    for (int i = 0; i < n_facts; i++)
        page_tile(html, facts[i].name, facts[i].value);
    put_last(table, "loss", "loss, last step", html);
    put_last(table, "bpb", "bits a byte, last step", html);
    put_last(table, "heldout_loss", "held-out loss", html);
    put_last(table, "heldout_bpb", "held-out bits a byte", html);
    put_percent(table, "accuracy_think", "right, thinking", html);
    put_percent(table, "accuracy_plain", "right, not thinking", html);
    page_tiles_end(html);
}

static void put_accuracy(const RunTable *table, const char *mode, Str family, Buf *html)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "accuracy_%s%s%.*s", mode, family.bytes ? "/" : "",
             STR_ARG(family));
    const int column = run_table_column(table, name);
    const int row = column > 0 ? run_table_last(table, column) : -1;
    if (row < 0) {
        buf_puts(html, "<td></td>");
        return;
    }
    const double percent = 100 * run_table_number(table, row, column);
    buf_printf(html, "<td>%.1f %%<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span></td>",
               percent, percent);
}

/* Right answers at the last evaluation. */
static void put_accuracies(const RunTable *table, Buf *html)
{
    const Str prefix = STR("accuracy_plain/");
    const bool has_thought = run_table_column(table, "accuracy_think") > 0;
    const int all = run_table_column(table, "accuracy_plain");
    if (all < 0 || run_table_last(table, all) < 0)
        return;
    page_heading(html, "Right answers at the last evaluation");
    buf_printf(html, "<div class=\"wide\"><table><tr><th>family</th>%s<th>%s</th></tr>\n",
               has_thought ? "<th>thinking</th>" : "", has_thought ? "not thinking" : "");
    for (int i = 0; i <= table->n_columns; i++) {
        const bool is_total = i == table->n_columns;
        if (!is_total && !str_starts(table->names[i], prefix))
            continue;
        const Str family = is_total
                               ? (Str){"", 0}
                               : str_slice(table->names[i], prefix.bytes, table->names[i].bytes);
        buf_puts(html, "<tr><td>");
        page_escape(html, is_total ? STR("all problems") : family);
        buf_puts(html, "</td>");
        if (has_thought)
            put_accuracy(table, "think", family, html);
        put_accuracy(table, "plain", family, html);
        buf_puts(html, "</tr>\n");
    }
    buf_puts(html, "</table></div>\n");
}

/* ---- Samples
 * --------------------------------------------------------------------------------------------- */

static bool keep_sample(void *samples, json_t *value, const char *place, Error *err)
{
    (void)place;
    (void)err;
    json_array_append(samples, value);
    return true;
}

static json_int_t integer(const json_t *sample, const char *key)
{
    return json_integer_value(json_object_get(sample, key));
}

static Str text_of(const json_t *object, const char *key)
{
    const json_t *text = json_object_get(object, key);
    return json_is_string(text) ? (Str){json_string_value(text), json_string_length(text)}
                                : (Str){"", 0};
}

static void put_prompt(const json_t *sample, Buf *html)
{
    const json_t *messages = json_object_get(sample, "messages");
    buf_puts(html, "<div class=\"asked\">");
    page_escape(html, text_of(sample, "prompt"));
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        if (json_array_size(messages) > 1) {
            buf_puts(html, i ? "\n" : "");
            page_escape(html, text_of(message, "role"));
            buf_puts(html, ": ");
        }
        page_escape(html, text_of(message, "content"));
    }
    buf_puts(html, "</div>");
}

static void put_reply(const json_t *sample, Buf *html)
{
    const bool is_chat = json_object_get(sample, "messages") != NULL;
    const Str thought = text_of(sample, "thinking");
    buf_printf(html,
               "<div class=\"note\">step %" JSON_INTEGER_FORMAT "%s, %" JSON_INTEGER_FORMAT
               " tokens%s</div>",
               integer(sample, "step"),
               !is_chat                                       ? ""
               : str_equals(text_of(sample, "mode"), "think") ? ", thinking"
                                                              : ", not thinking",
               integer(sample, "tokens"),
               str_equals(text_of(sample, "finish"), "length") ? ", cut" : "");
    if (thought.bytes > 0) {
        buf_puts(html, "<div class=\"said thought\">");
        page_escape(html, thought);
        buf_puts(html, "</div>");
    }
    buf_puts(html, "<div class=\"said\">");
    page_escape(html, text_of(sample, "content"));
    buf_puts(html, "</div>\n");
}

/* One prompt: the newest replies, and the older ones folded away. */
static void put_samples_of(const json_t *samples, json_int_t prompt_i, json_int_t last, Buf *html)
{
    Buf older = {0};
    bool is_first = true;
    buf_puts(html, "<div class=\"sample\">");
    for (size_t i = 0; i < json_array_size(samples); i++) {
        const json_t *sample = json_array_get(samples, i);
        if (integer(sample, "prompt_i") != prompt_i)
            continue;
        if (is_first)
            put_prompt(sample, html);
        is_first = false;
        if (integer(sample, "step") == last)
            put_reply(sample, html);
        else
            buf_printf(&older, "step %" JSON_INTEGER_FORMAT ", %.*s: %.*s\n",
                       integer(sample, "step"), STR_ARG(text_of(sample, "mode")),
                       STR_ARG(text_of(sample, "content")));
    }
    if (older.bytes > 0)
        page_text_block(html, "earlier", buf_str(&older), false);
    buf_free(&older);
    buf_puts(html, "</div>\n");
}

static bool put_samples(const char *folder, Buf *html, Error *err)
{
    char *path = file_join(folder, "samples.jsonl");
    json_t *samples = json_array();
    const bool ok = !file_exists(path) || jsonl_read(path, keep_sample, samples, err);
    json_int_t last = 0, n_prompts = 0;
    for (size_t i = 0; ok && i < json_array_size(samples); i++) {
        const json_t *sample = json_array_get(samples, i);
        last = integer(sample, "step") > last ? integer(sample, "step") : last;
        n_prompts =
            integer(sample, "prompt_i") >= n_prompts ? integer(sample, "prompt_i") + 1 : n_prompts;
    }
    if (n_prompts > 0)
        page_heading(html, "Samples");
    for (json_int_t i = 0; i < n_prompts; i++)
        put_samples_of(samples, i, last, html);
    json_decref(samples);
    mem_free(path);
    return ok;
}

/* ---- The page
 * --------------------------------------------------------------------------------------------- */

static bool put_config(const char *folder, Buf *html, Error *err)
{
    char *path = file_join(folder, "config.yaml");
    Buf text = {0};
    const bool ok = file_read(&text, path, CONFIG_BYTES_MAX, err);
    if (ok) {
        page_heading(html, "Configuration");
        page_text_block(html, "config.yaml", buf_str(&text), true);
    }
    buf_free(&text);
    mem_free(path);
    return ok;
}

bool report_write(const char *folder, const char *title, const char *status,
                  const ReportFact *facts, int n_facts, Error *err)
{
    Buf html = {0};
    RunTable table = {0};
    char *log = file_join(folder, "log.csv"), *path = file_join(folder, "report.html");
    bool ok = run_table_read(&table, log, err);
    if (ok) {
        page_begin(&html, title, status);
        put_tiles(&table, facts, n_facts, &html);
        page_heading(&html, "Step by step");
        report_plots(&table, &html);
        put_accuracies(&table, &html);
        ok = put_samples(folder, &html, err) && put_config(folder, &html, err);
        page_end(&html);
        ok = ok && file_write(path, buf_str(&html), err);
    }
    run_table_close(&table);
    buf_free(&html);
    mem_free(log);
    mem_free(path);
    return ok || error_add(err, "report.html");
}
