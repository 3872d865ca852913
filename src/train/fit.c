/* See fit.h. */
#include "train/fit.h"

#include <math.h>
#include <string.h>

enum { RUNS_MAX = 1024 };

/* Normal equations by Cholesky: the problems here are small and well scaled. */
bool fit_least_squares(const double *a, const double *y, int m, int n, double ridge, double *x)
{
    double g[FIT_UNKNOWNS_MAX * FIT_UNKNOWNS_MAX], largest = 0;
    if (n < 1 || n > FIT_UNKNOWNS_MAX || (m < n && ridge == 0))
        return false;
    for (int i = 0; i < n; i++) {
        x[i] = 0;
        for (int r = 0; r < m; r++)
            x[i] += a[r * n + i] * y[r];
        for (int j = 0; j <= i; j++) {
            double sum = i == j ? ridge : 0;
            for (int r = 0; r < m; r++)
                sum += a[r * n + i] * a[r * n + j];
            g[i * n + j] = sum;
        }
        largest = g[i * n + i] > largest ? g[i * n + i] : largest;
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = g[i * n + j];
            for (int k = 0; k < j; k++)
                sum -= g[i * n + k] * g[j * n + k];
            if (i == j && !(sum > 1e-13 * largest))
                return false;
            g[i * n + j] = i == j ? sqrt(sum) : sum / g[j * n + j];
        }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            x[i] -= g[i * n + k] * x[k];
        x[i] /= g[i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            x[i] -= g[k * n + i] * x[k];
        x[i] /= g[i * n + i];
    }
    return true;
}

/* ---- A parabola
 * --------------------------------------------------------------------------------------------- */

bool fit_parabola(const double *x, const double *y, int n, Parabola *out)
{
    enum { SIDE = 2, POINTS_MAX = 2 * SIDE + 1 };
    int finite[1024], n_finite = 0, best = 0;
    for (int i = 0; i < n && n_finite < 1024; i++)
        if (isfinite(y[i])) {
            finite[n_finite] = i;
            best = y[i] < y[finite[best]] ? n_finite : best;
            n_finite++;
        }
    if (n_finite == 0)
        return false;
    const double middle = log(x[finite[best]]);
    *out = (Parabola){x[finite[best]], y[finite[best]], 0, false};
    const int from = best > SIDE ? best - SIDE : 0;
    const int to = best + SIDE < n_finite ? best + SIDE + 1 : n_finite;
    double a[3 * POINTS_MAX], b[POINTS_MAX], c[3];
    for (int i = from; i < to; i++) {
        const double u = log(x[finite[i]]) - middle;
        const double above = y[finite[i]] - out->value;
        const double distance = above / (0.05 * fabs(out->value) + 1e-12);
        const double weight = 1 / sqrt(1 + distance * distance); /* far above says little */
        double *row = a + 3 * (i - from);
        row[0] = weight, row[1] = weight * u, row[2] = weight * u * u;
        b[i - from] = weight * above;
    }
    if (best == 0 || best == n_finite - 1 || !fit_least_squares(a, b, to - from, 3, 0, c) ||
        !(c[2] > 0))
        return true;
    const double u = -c[1] / (2 * c[2]), at = exp(middle + u);
    if (!(at > x[finite[0]] && at < x[finite[n_finite - 1]]))
        return true;
    *out = (Parabola){at, out->value + c[0] - c[2] * u * u, c[2], true};
    return true;
}

/* ---- Power laws
 * --------------------------------------------------------------------------------------------- */

bool fit_power_law(const double *x, const double *y, int n, int n_axes, double *c)
{
    enum { POINTS_MAX = 256, AXES_MAX = 4 };
    double a[POINTS_MAX * (AXES_MAX + 1)], b[POINTS_MAX], found[AXES_MAX + 1];
    int used[AXES_MAX], n_used = 0;
    if (n < 1 || n > POINTS_MAX || n_axes > AXES_MAX)
        return false;
    for (int k = 0; k < n_axes; k++) {
        bool varies = false;
        for (int i = 1; i < n; i++)
            varies |= fabs(log(x[i * n_axes + k] / x[k])) > 1e-9;
        if (varies)
            used[n_used++] = k;
    }
    for (int i = 0; i < n; i++) {
        b[i] = log(y[i]);
        a[i * (n_used + 1)] = 1;
        for (int k = 0; k < n_used; k++)
            a[i * (n_used + 1) + k + 1] = log(x[i * n_axes + used[k]]);
    }
    if (!fit_least_squares(a, b, n, n_used + 1, 0, found))
        return false;
    memset(c, 0, sizeof *c * (size_t)(n_axes + 1));
    c[0] = found[0];
    for (int k = 0; k < n_used; k++)
        c[used[k] + 1] = found[k + 1];
    return true;
}

double power_law_at(const double *c, const double *x, int n_axes)
{
    double sum = c[0];
    for (int k = 0; k < n_axes; k++)
        sum += c[k + 1] * log(x[k]);
    return exp(sum);
}

/* With the exponent given, floor and scale are a linear fit. */
static double fit_with_exponent(const double *x, const double *y, int n, Saturation *s)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, error = 0;
    for (int i = 0; i < n; i++) {
        const double u = pow(x[i] / x[0], -s->exponent);
        sx += u, sy += y[i], sxx += u * u, sxy += u * y[i];
    }
    s->scale = (sxy - sx * sy / n) / (sxx - sx * sx / n);
    s->floor = (sy - s->scale * sx) / n;
    if (s->floor < 0) {
        s->floor = 0;
        s->scale = sxy / sxx;
    }
    for (int i = 0; i < n; i++) {
        const double e = s->floor + s->scale * pow(x[i] / x[0], -s->exponent) - y[i];
        error += e * e;
    }
    s->scale *= pow(x[0], s->exponent);
    return error;
}

bool fit_saturation(const double *x, const double *y, int n, Saturation *out)
{
    double least = (double)INFINITY;
    if (n < 3)
        return false;
    for (double exponent = 0.01; exponent <= 3; exponent *= 1.01) {
        Saturation s = {.exponent = exponent};
        const double error = fit_with_exponent(x, y, n, &s);
        if (s.scale > 0 && error < least) {
            least = error;
            *out = s;
        }
    }
    return isfinite(least);
}

double saturation_at(const Saturation *s, double x)
{
    return s->floor + s->scale * pow(x, -s->exponent);
}

/* ---- Mixtures
 * --------------------------------------------------------------------------------------------- */

/* The best t for one floor; returns the sum of squared errors, INFINITY when there is none. */
static double fit_above(const double *weights, const double *losses, int n, int n_weights,
                        double floor_, double *t)
{
    const double ridge = 1e-6; /* enough to tell weights apart that always came together */
    double y[RUNS_MAX], error = 0;
    for (int i = 0; i < n; i++)
        y[i] = log(losses[i] - floor_);
    if (!fit_least_squares(weights, y, n, n_weights, ridge, t))
        return (double)INFINITY;
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k < n_weights; k++)
            sum += t[k] * weights[i * n_weights + k];
        const double e = floor_ + exp(sum) - losses[i];
        error += e * e;
    }
    return error;
}

bool fit_mixture(const double *weights, const double *losses, int n, int n_weights, int n_losses,
                 MixtureLaw *out)
{
    enum { FLOORS = 100 };
    double one[RUNS_MAX], t[FIT_UNKNOWNS_MAX];
    if (n < n_weights || n > RUNS_MAX || n_weights > FIT_UNKNOWNS_MAX ||
        n_losses > FIT_UNKNOWNS_MAX)
        return false;
    out->n_weights = n_weights;
    out->n_losses = n_losses;
    for (int j = 0; j < n_losses; j++) {
        double least = (double)INFINITY, smallest = (double)INFINITY;
        for (int i = 0; i < n; i++) {
            one[i] = losses[i * n_losses + j];
            smallest = one[i] < smallest ? one[i] : smallest;
        }
        /* A floor is one number more: it takes one run more. */
        for (int k = 0; k < (n > n_weights ? FLOORS : 1); k++) {
            const double floor_ = 0.98 * smallest * k / FLOORS;
            const double error = fit_above(weights, one, n, n_weights, floor_, t);
            if (error < least) {
                least = error;
                out->floor[j] = floor_;
                memcpy(out->t + j * n_weights, t, sizeof *t * (size_t)n_weights);
            }
        }
        if (!isfinite(least))
            return false;
    }
    return true;
}

/* What a source's loss has above its floor. */
static double excess_at(const MixtureLaw *law, int j, const double *w)
{
    double sum = 0;
    for (int k = 0; k < law->n_weights; k++)
        sum += law->t[j * law->n_weights + k] * w[k];
    return exp(sum);
}

double mixture_at(const MixtureLaw *law, const double *importance, const double *w)
{
    double sum = 0;
    for (int j = 0; j < law->n_losses; j++)
        sum += importance[j] * (law->floor[j] + excess_at(law, j, w));
    return sum;
}

/* Exponentiated gradient on the simplex of what the weights have above `least`. */
void mixture_best(const MixtureLaw *law, const double *importance, double least, double *w)
{
    enum { ROUNDS = 20000 };
    const int n = law->n_weights;
    const double room = 1 - least * n, rate = 1.0;
    double share[FIT_UNKNOWNS_MAX];
    for (int k = 0; k < n; k++)
        share[k] = 1.0 / n;
    for (int round = 0; round <= ROUNDS; round++) {
        double gradient[FIT_UNKNOWNS_MAX] = {0}, sum = 0, mean = 0;
        for (int k = 0; k < n; k++)
            w[k] = least + room * share[k];
        for (int j = 0; j < law->n_losses; j++) {
            const double excess = importance[j] * excess_at(law, j, w);
            for (int k = 0; k < n; k++)
                gradient[k] += excess * law->t[j * n + k];
        }
        for (int k = 0; k < n; k++)
            mean += share[k] * gradient[k];
        for (int k = 0; k < n; k++) {
            share[k] *= exp(-rate * (gradient[k] - mean));
            sum += share[k];
        }
        for (int k = 0; k < n; k++)
            share[k] /= sum;
    }
}
