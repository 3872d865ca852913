/* Line plots as inline SVG for reports: no scripts, colours by the page's style (page.h), so that
 * they follow light, dark and print. */
#ifndef WEN_TRAIN_PLOT_H
#define WEN_TRAIN_PLOT_H

#include "base/str.h"

typedef enum PlotLook {
    PLOT_LINE,
    PLOT_FAINT, /* a thin line in the colour of the series that follows; without a name of its own
                 */
    PLOT_MARKS, /* a line with a mark at each point */
    PLOT_DOTS   /* marks alone */
} PlotLook;

typedef struct PlotSeries {
    const char *name; /* NULL: not in the legend */
    const double *x, *y;
    int n; /* points whose x or y is not finite, or not above 0 on a logarithmic axis, are left out
            */
    PlotLook look;
} PlotSeries;

typedef struct Plot {
    const char *title;
    const char *x_name;
    bool log_x, log_y;
    bool from_zero; /* the y axis begins at 0 */
    double y_max;   /* and ends here; 0: where the values do */
    const PlotSeries *series;
    int n_series;
} Plot;

/* Appends a <figure>; nothing when no series has a point. */
void plot_write(const Plot *plot, Buf *html);

/* The mean of each value and up to `reach` on both sides of it; out [n]. All y are finite. */
void plot_smooth(const double *y, int n, int reach, double *out);

#endif
