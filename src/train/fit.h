/* Small fits for sweeps: least squares, a parabola over the logarithm, power laws, mixtures. */
#ifndef WEN_TRAIN_FIT_H
#define WEN_TRAIN_FIT_H

#include <stdbool.h>

enum { FIT_UNKNOWNS_MAX = 64 };

/* x [n] minimizes |A x - y|^2 + ridge |x|^2; A [m, n] by rows. False when it is not determined. */
bool fit_least_squares(const double *a, const double *y, int m, int n, double ridge, double *x);

/* y = value + bend (ln x - ln at)^2 by the best point and up to two neighbours on each side; points
 * that lie more than a twentieth above the best count less. */
typedef struct Parabola {
    double at, value, bend;
    bool is_inside; /* a minimum between the smallest and the largest x; else `at` and `value` are
                       the best point's, and bend is 0 */
} Parabola;
/* Points whose y is not finite (runs that diverged) do not count; false when none is left. The x
 * are positive, in rising order. */
bool fit_parabola(const double *x, const double *y, int n, Parabola *out);

/* ln y = c[0] + sum_k c[k + 1] ln x_k, points [n] of n_axes coordinates each, all positive. An axis
 * on which all points are the same gets the exponent 0. c [n_axes + 1]. */
bool fit_power_law(const double *x, const double *y, int n, int n_axes, double *c);
double power_law_at(const double *c, const double *x, int n_axes);

/* y = floor + scale x^-exponent, exponent from 0.01 to 3, floor >= 0; n >= 3. */
typedef struct Saturation {
    double floor, scale, exponent;
} Saturation;
bool fit_saturation(const double *x, const double *y, int n, Saturation *out);
double saturation_at(const Saturation *s, double x);

/* Losses as functions of a mixture's weights w, which sum to 1 (Ye et al. 2024, arXiv 2403.16952):
 * loss_j = floor_j + exp(t_j . w). */
typedef struct MixtureLaw {
    int n_weights, n_losses;
    double floor[FIT_UNKNOWNS_MAX];
    double t[FIT_UNKNOWNS_MAX * FIT_UNKNOWNS_MAX]; /* [n_losses, n_weights] */
} MixtureLaw;
/* weights [n, n_weights], losses [n, n_losses]; n >= n_weights. */
bool fit_mixture(const double *weights, const double *losses, int n, int n_weights, int n_losses,
                 MixtureLaw *out);
/* sum_j importance_j loss_j(w). */
double mixture_at(const MixtureLaw *law, const double *importance, const double *w);
/* The weights, none below `least`, that minimize it: a convex problem. */
void mixture_best(const MixtureLaw *law, const double *importance, double least, double *w);

#endif
