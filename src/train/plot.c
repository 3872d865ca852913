/* See plot.h. */
#include "train/plot.h"

#include "base/mem.h"
#include "train/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The picture in its own units. */
enum { WIDTH = 640, HEIGHT = 280, LEFT = 62, RIGHT = 14, TOP = 10, BOTTOM = 40 };
enum { MARGIN = 4, TICKS_MAX = 16, BUCKETS = 600, MARKS_MAX = 200, COLOURS = 8 };

typedef struct Axis {
    bool is_log;
    double from, to;      /* in the axis' own measure: of a logarithmic one, the log10 */
    double start, length; /* on the picture; a negative length goes upwards */
} Axis;

static double measure(const Axis *a, double value) { return a->is_log ? log10(value) : value; }

static double place(const Axis *a, double value)
{
    return a->start + a->length * (measure(a, value) - a->from) / (a->to - a->from);
}

static bool is_point(const Plot *p, const PlotSeries *s, int i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]) && (!p->log_x || s->x[i] > 0) &&
           (!p->log_y || s->y[i] > 0);
}

/* ---- Axes
 * --------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The range of all points. Of many values the largest hundredth does not count: the first steps'
 * losses would press the rest flat. */
static void find_range(const Plot *p, bool is_y, Axis *axis)
{
    int n = 0, most = 0;
    for (int i = 0; i < p->n_series; i++)
        most += p->series[i].n;
    double *values = mem_alloc(sizeof *values * (size_t)(most + 1));
    for (int i = 0; i < p->n_series; i++)
        for (int k = 0; k < p->series[i].n; k++)
            if (is_point(p, &p->series[i], k))
                values[n++] = measure(axis, is_y ? p->series[i].y[k] : p->series[i].x[k]);
    qsort(values, (size_t)n, sizeof *values, compare);
    if (n > 0) {
        axis->from = values[0];
        axis->to = values[is_y && n > 100 ? n - 1 - n / 100 : n - 1];
    }
    mem_free(values);
    if (is_y && p->from_zero && !axis->is_log && axis->from > 0)
        axis->from = 0;
    if (is_y && p->y_max > 0)
        axis->to = measure(axis, p->y_max);
    if (!(axis->to > axis->from)) {
        const double room = axis->is_log ? 0.5 : 0.5 * fabs(axis->from) + 1e-9;
        axis->to = axis->from + room;
        axis->from -= is_y && p->from_zero && !axis->is_log ? 0 : room;
    } else if (is_y) {
        const double room = 0.04 * (axis->to - axis->from);
        axis->to += p->y_max > 0 ? 0 : room;
        axis->from -= p->from_zero && !axis->is_log ? 0 : room;
    }
}

/* 1, 2 or 5 times a power of ten, of which about `wanted` fit into the range. */
static double tick_step(double range, int wanted)
{
    const double raw = range / wanted, power = pow(10, floor(log10(raw)));
    const double digit = raw / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

/* Values to mark; on a logarithmic axis decades, with 2 and 5 where there are few. */
static int find_ticks(const Axis *a, int wanted, double ticks[TICKS_MAX])
{
    int n = 0;
    if (!a->is_log) {
        const double step = tick_step(a->to - a->from, wanted);
        for (double k = ceil(a->from / step - 1e-9);
             n < TICKS_MAX && k * step <= a->to * (1 + 1e-12) + 1e-300; k++)
            ticks[n++] = k == 0 ? 0 : k * step; /* not -0 */
        return n;
    }
    static const double digits[] = {1, 2, 5};
    const double decades = a->to - a->from;
    const int n_digits = decades < 2.5 ? 3 : 1;
    const double stride = decades > wanted ? ceil(decades / wanted) : 1;
    for (double e = floor(a->from); e <= a->to && n < TICKS_MAX; e += stride)
        for (int i = 0; i < n_digits && n < TICKS_MAX; i++) {
            const double at = e + log10(digits[i]);
            if (at >= a->from - 1e-9 && at <= a->to + 1e-9)
                ticks[n++] = pow(10, e) * digits[i];
        }
    return n;
}

static void put_axes(const Plot *p, const Axis *x, const Axis *y, Buf *out)
{
    double ticks[TICKS_MAX];
    char text[32];
    int n = find_ticks(y, 5, ticks);
    for (int i = 0; i < n; i++) {
        const double at = place(y, ticks[i]);
        page_number(ticks[i], text);
        buf_printf(out,
                   "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                   "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">%s</text>\n",
                   LEFT, WIDTH - RIGHT, at, at, LEFT - 8, at + 4, text);
    }
    n = find_ticks(x, 6, ticks);
    for (int i = 0; i < n; i++) {
        const double at = place(x, ticks[i]);
        page_number(ticks[i], text);
        buf_printf(out,
                   "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                   "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n",
                   at, at, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 4, at, HEIGHT - BOTTOM + 17, text);
    }
    buf_printf(out,
               "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>"
               "<text class=\"tick\" text-anchor=\"end\" x=\"%d\" y=\"%d\">",
               LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - 6);
    page_escape(out, str_from(p->x_name));
    buf_puts(out, "</text>\n");
}

/* ---- Series
 * --------------------------------------------------------------------------------------------- */

/* Points to draw: all, or of many the lowest and highest of each stretch, in order. */
static int thin_out(const Plot *p, const PlotSeries *s, int *kept)
{
    int n = 0, n_points = 0;
    for (int i = 0; i < s->n; i++)
        if (is_point(p, s, i))
            kept[n_points++] = i;
    if (n_points <= 2 * BUCKETS)
        return n_points;
    for (int b = 0; b < BUCKETS; b++) {
        const int from = (int)((int64_t)n_points * b / BUCKETS);
        const int to = (int)((int64_t)n_points * (b + 1) / BUCKETS);
        int low = kept[from], high = kept[from];
        for (int i = from; i < to; i++) {
            low = s->y[kept[i]] < s->y[low] ? kept[i] : low;
            high = s->y[kept[i]] > s->y[high] ? kept[i] : high;
        }
        const int first = low < high ? low : high, last = low < high ? high : low;
        kept[n++] = first; /* never overtakes `from`: two of a stretch of two or more */
        if (last != first)
            kept[n++] = last;
    }
    return n;
}

static void put_series(const Plot *p, const PlotSeries *s, int colour, const Axis *x, const Axis *y,
                       Buf *out)
{
    int *kept = mem_alloc(sizeof *kept * (size_t)(s->n + 1));
    const int n = thin_out(p, s, kept);
    if (s->look != PLOT_DOTS && n > 1) {
        buf_printf(out, "<path class=\"series c%d%s\" d=\"", colour,
                   s->look == PLOT_FAINT ? " faint" : "");
        for (int i = 0; i < n; i++)
            buf_printf(out, "%c%.1f %.1f", i ? 'L' : 'M', place(x, s->x[kept[i]]),
                       place(y, s->y[kept[i]]));
        buf_puts(out, "\"/>\n");
    }
    const bool has_marks = s->look == PLOT_MARKS || s->look == PLOT_DOTS || n == 1;
    for (int i = 0; has_marks && n <= MARKS_MAX && i < n; i++)
        buf_printf(out, "<circle class=\"mark c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", colour,
                   place(x, s->x[kept[i]]), place(y, s->y[kept[i]]));
    mem_free(kept);
}

static void put_legend(const Plot *p, Buf *out)
{
    int n_named = 0, colour = 0;
    for (int i = 0; i < p->n_series; i++)
        n_named += p->series[i].name != NULL;
    buf_puts(out, "<figcaption><b>");
    page_escape(out, str_from(p->title));
    buf_puts(out, "</b>");
    for (int i = 0; i < p->n_series; i++) {
        if (p->series[i].name && n_named > 1) {
            buf_printf(out, " <span class=\"key c%d\">", colour % COLOURS);
            page_escape(out, str_from(p->series[i].name));
            buf_puts(out, "</span>");
        }
        colour += p->series[i].look != PLOT_FAINT;
    }
    buf_puts(out, "</figcaption>\n");
}

static bool has_points(const Plot *p)
{
    for (int i = 0; i < p->n_series; i++)
        for (int k = 0; k < p->series[i].n; k++)
            if (is_point(p, &p->series[i], k))
                return true;
    return false;
}

void plot_write(const Plot *p, Buf *out)
{
    Axis x = {p->log_x, 0, 0, LEFT, WIDTH - LEFT - RIGHT};
    Axis y = {p->log_y, 0, 0, HEIGHT - BOTTOM, -(HEIGHT - TOP - BOTTOM)};
    int colour = 0;
    if (!has_points(p))
        return;
    find_range(p, false, &x);
    find_range(p, true, &y);
    buf_puts(out, "<figure>");
    put_legend(p, out);
    buf_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    page_escape(out, str_from(p->title));
    buf_puts(out, "\">\n");
    put_axes(p, &x, &y, out);
    /* Cuts off what lies outside, but for half a mark. */
    const int x0 = LEFT - MARGIN, y0 = TOP - MARGIN;
    const int width = WIDTH - LEFT - RIGHT + 2 * MARGIN;
    const int height = HEIGHT - TOP - BOTTOM + 2 * MARGIN;
    buf_printf(out, "<svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" viewBox=\"%d %d %d %d\">\n",
               x0, y0, width, height, x0, y0, width, height);
    for (int i = 0; i < p->n_series; i++) {
        put_series(p, &p->series[i], colour % COLOURS, &x, &y, out);
        colour += p->series[i].look != PLOT_FAINT;
    }
    buf_puts(out, "</svg></svg></figure>\n");
}

void plot_smooth(const double *y, int n, int reach, double *out)
{
    double sum = 0;
    int from = 0, to = 0; /* of the stretch that `sum` is of */
    for (int i = 0; i < n; i++) {
        const int near = i < n - 1 - i ? i : n - 1 - i; /* the same on both sides: no lag */
        const int side = reach < near ? reach : near;
        while (to <= i + side)
            sum += y[to++];
        while (from < i - side)
            sum -= y[from++];
        while (to > i + side + 1)
            sum -= y[--to];
        out[i] = sum / (to - from);
    }
}
