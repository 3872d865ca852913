/* See sweep.h: the page about a sweep. */
#include "train/sweep.h"

#include "base/file.h"
#include "train/page.h"
#include "train/plot.h"
#include "train/yaml.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CURVE_POINTS = 60, NAME_BYTES = 96 };

/* ---- Figures and words
 * --------------------------------------------------------------------------------------------- */

/* A source's file without its folder. */
static const char *source_name(const Sweep *s, int k)
{
    const char *path = s->config->target.sources[k].path, *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void put_choice(const Sweep *s, Buf *html)
{
    char text[32];
    page_tiles_begin(html);
    page_number(s->rate, text);
    page_tile(html, "learning rate", text);
    snprintf(text, sizeof text, "%d", s->rows);
    page_tile(html, "rows a batch", text);
    snprintf(text, sizeof text, "%d", s->n_trials);
    page_tile(html, "trials", text);
    if (s->has_loss_law) {
        const bool by_size = s->config->n_shapes >= s->config->n_tokens;
        page_number(saturation_at(&s->loss_law, by_size ? s->target_parameters : s->target_tokens),
                    text);
        page_tile(html, "loss that the law says", text);
    }
    for (int k = 0; s->has_mixture && k < s->config->target.n_sources; k++) {
        snprintf(text, sizeof text, "%.1f %%", 100 * s->weights[k]);
        page_tile(html, source_name(s, k), text);
    }
    page_tiles_end(html);
    for (int i = 0; i < s->n_notes; i++) {
        buf_puts(html, "<p>");
        page_escape(html, str_from(s->notes[i]));
        buf_puts(html, "</p>\n");
    }
}

/* "177k parameters, 1M tokens, 8 rows", as far as it varies. */
static void name_row(const Sweep *s, const SweepRow *row, char text[NAME_BYTES])
{
    const SweepConfig *c = s->config;
    char size[32], tokens[32];
    page_number((double)s->trials[row->first].n_parameters, size);
    page_number((double)c->tokens[row->tokens], tokens);
    int n = snprintf(text, NAME_BYTES, "%d rows", c->rows[row->rows]);
    if (c->n_shapes > 1)
        n += snprintf(text + n, (size_t)(NAME_BYTES - n), ", %s parameters", size);
    if (c->n_tokens > 1)
        snprintf(text + n, (size_t)(NAME_BYTES - n), ", %s tokens", tokens);
}

/* ---- Rates
 * --------------------------------------------------------------------------------------------- */

/* Measured losses as marks and the parabola through the best of them. */
static void plot_rates(const Sweep *s, Buf *html)
{
    const SweepConfig *c = s->config;
    Arena arena = {0};
    PlotSeries *series = ARENA_ARRAY(&arena, PlotSeries, 2 * s->n_table);
    int n = 0;
    for (int i = 0; i < s->n_table; i++) {
        const SweepRow *row = &s->table[i];
        double *losses = ARENA_ARRAY(&arena, double, c->n_rates);
        char *name = arena_alloc(&arena, NAME_BYTES);
        name_row(s, row, name);
        for (int k = 0; k < c->n_rates; k++)
            losses[k] = s->trials[row->first + k].loss;
        if (row->is_known && row->best.is_inside) {
            double *x = ARENA_ARRAY(&arena, double, CURVE_POINTS);
            double *y = ARENA_ARRAY(&arena, double, CURVE_POINTS);
            const double reach = 1.2; /* to both sides of the optimum, in logarithms */
            for (int k = 0; k < CURVE_POINTS; k++) {
                const double u = reach * (2.0 * k / (CURVE_POINTS - 1) - 1);
                x[k] = row->best.at * exp(u);
                y[k] = row->best.value + row->best.bend * u * u;
                if (x[k] < c->rates[0] || x[k] > c->rates[c->n_rates - 1])
                    y[k] = (double)NAN;
            }
            series[n++] = (PlotSeries){.x = x, .y = y, .n = CURVE_POINTS, .look = PLOT_FAINT};
        }
        series[n++] = (PlotSeries){
            .name = name, .x = c->rates, .y = losses, .n = c->n_rates, .look = PLOT_MARKS};
    }
    const Plot plot = {.title = "Loss over the learning rate",
                       .x_name = "learning rate",
                       .log_x = true,
                       .series = series,
                       .n_series = n};
    plot_write(&plot, html);
    arena_close(&arena);
}

/* Best rates and losses over size or length. */
static void plot_law(const Sweep *s, bool is_loss, Buf *html)
{
    enum { POINTS_MAX = SWEEP_LIST_MAX * SWEEP_LIST_MAX * SWEEP_LIST_MAX };
    const SweepConfig *c = s->config;
    const bool by_size = c->n_shapes >= c->n_tokens;
    double x[POINTS_MAX], y[POINTS_MAX];
    const double target_x = by_size ? s->target_parameters : s->target_tokens;
    const double target_y = is_loss ? saturation_at(&s->loss_law, target_x) : s->rate;
    int n = 0;
    for (int i = 0; i < s->n_table; i++)
        if (s->table[i].is_known) {
            x[n] = by_size ? (double)s->trials[s->table[i].first].n_parameters
                           : (double)c->tokens[s->table[i].tokens];
            y[n++] = is_loss ? s->table[i].best.value : s->table[i].best.at;
        }
    const PlotSeries series[] = {
        {.name = "trials", .x = x, .y = y, .n = n, .look = PLOT_DOTS},
        {.name = "carried to the base", .x = &target_x, .y = &target_y, .n = 1, .look = PLOT_DOTS}};
    const Plot plot = {.title = is_loss ? "Best loss" : "Best learning rate",
                       .x_name = by_size ? "parameters" : "tokens",
                       .log_x = true,
                       .log_y = true,
                       .series = series,
                       .n_series = 2};
    plot_write(&plot, html);
}

static void put_cell(double value, const char *tag, Buf *html)
{
    char text[32] = "diverged";
    if (isfinite(value))
        page_number(value, text);
    buf_printf(html, "<td>%s%s%s</td>", tag[0] ? "<b>" : "", text, tag[0] ? "</b>" : "");
}

/* A row for each shape, number of tokens and batch; a column for each rate. */
static void put_grid(const Sweep *s, Buf *html)
{
    const SweepConfig *c = s->config;
    char text[NAME_BYTES];
    buf_puts(html, "<div class=\"wide\"><table><tr><th>loss at rate</th>");
    for (int k = 0; k < c->n_rates; k++) {
        page_number(c->rates[k], text);
        buf_printf(html, "<th>%s</th>", text);
    }
    buf_puts(html, "<th>best rate</th><th>its loss</th></tr>\n");
    for (int i = 0; i < s->n_table; i++) {
        const SweepRow *row = &s->table[i];
        name_row(s, row, text);
        buf_printf(html, "<tr><td>%s</td>", text);
        for (int k = 0; k < c->n_rates; k++)
            put_cell(s->trials[row->first + k].loss, "", html);
        put_cell(row->is_known ? row->best.at : (double)NAN, "b", html);
        put_cell(row->is_known ? row->best.value : (double)NAN, "b", html);
        buf_puts(html, "</tr>\n");
    }
    buf_puts(html, "</table></div>\n");
}

/* ---- Mixtures
 * --------------------------------------------------------------------------------------------- */

static double total_of(const Sweep *s, const double *losses)
{
    const EvalOptions *eval = &s->config->target.eval;
    double sum = 0, weights = 0;
    for (int j = 0; j < eval->n_sources; j++) {
        sum += eval->sources[j].weight * losses[j];
        weights += eval->sources[j].weight;
    }
    return sum / weights;
}

static double predicted(const Sweep *s, const double *w)
{
    const EvalOptions *eval = &s->config->target.eval;
    double importance[TRAIN_SOURCES_MAX], weights = 0;
    for (int j = 0; j < eval->n_sources; j++)
        weights += importance[j] = eval->sources[j].weight;
    return mixture_at(&s->mixture_law, importance, w) / weights;
}

static void put_mixture_row(const Sweep *s, const char *name, const double *w, double measured,
                            Buf *html)
{
    const bool is_chosen = w == s->weights;
    buf_printf(html, "<tr><td>%s</td>", name);
    for (int k = 0; k < s->config->target.n_sources; k++)
        buf_printf(html, "<td>%.3f</td>", w[k]);
    if (is_chosen)
        buf_puts(html, "<td></td>");
    else
        put_cell(measured, "", html);
    put_cell(predicted(s, w), is_chosen ? "b" : "", html);
    buf_puts(html, "</tr>\n");
}

static void put_mixtures(const Sweep *s, Buf *html)
{
    const int n = s->n_trials - s->n_grid;
    Arena arena = {0};
    double *x = ARENA_ARRAY(&arena, double, n), *y = ARENA_ARRAY(&arena, double, n);
    page_heading(html, "Mixtures");
    for (int i = 0; i < n; i++) {
        const Trial *t = &s->trials[s->n_grid + i];
        x[i] = isfinite(t->loss) ? total_of(s, t->heldout) : (double)NAN;
        y[i] = predicted(s, t->mixture);
    }
    const PlotSeries series[] = {{.x = x, .y = y, .n = n, .look = PLOT_DOTS}};
    const Plot plot = {.title = "Held-out loss: what the law says, over what was measured",
                       .x_name = "measured",
                       .series = series,
                       .n_series = 1};
    buf_puts(html, "<div class=\"plots\">");
    plot_write(&plot, html);
    buf_puts(html, "</div><div class=\"wide\"><table><tr><th>weights</th>");
    for (int k = 0; k < s->config->target.n_sources; k++) {
        buf_puts(html, "<th>");
        page_escape(html, str_from(source_name(s, k)));
        buf_puts(html, "</th>");
    }
    buf_puts(html, "<th>loss</th><th>by the law</th></tr>\n");
    put_mixture_row(s, "<b>chosen</b>", s->weights, (double)NAN, html);
    for (int i = 0; i < n; i++)
        put_mixture_row(s, i == 0 ? "the base's" : s->trials[s->n_grid + i].name,
                        s->trials[s->n_grid + i].mixture, x[i], html);
    buf_puts(html, "</table></div>\n");
    arena_close(&arena);
}

/* ---- The page
 * --------------------------------------------------------------------------------------------- */

bool sweep_report_write(const Sweep *s, Error *err)
{
    Buf html = {0}, config = {0};
    page_begin(&html, "Sweep", s->config->base);
    put_choice(s, &html);
    page_heading(&html, "Learning rate and batch");
    buf_puts(&html, "<div class=\"plots\">");
    if (s->config->n_rates > 1)
        plot_rates(s, &html);
    if (s->has_law)
        plot_law(s, false, &html);
    if (s->has_loss_law)
        plot_law(s, true, &html);
    buf_puts(&html, "</div>\n");
    put_grid(s, &html);
    if (s->has_mixture)
        put_mixtures(s, &html);
    page_heading(&html, "Configuration");
    yaml_write(s->config->json, &config);
    page_text_block(&html, "config.yaml", buf_str(&config), true);
    page_end(&html);
    char *path = file_join(s->options->trial.out, "report.html");
    const bool ok = file_write(path, buf_str(&html), err);
    mem_free(path);
    buf_free(&html);
    buf_free(&config);
    return ok || error_add(err, "report.html");
}
