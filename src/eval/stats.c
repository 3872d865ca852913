/* See stats.h. */
#include "eval/stats.h"

#include <math.h>
#include <stddef.h>

EvalMean eval_difference(const double *a, const double *b, int n)
{
    EvalMean mean = {.mean = (double)NAN, .error = (double)NAN};
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        const double value = b ? a[i] - b[i] : a[i];
        sum += isnan(value) ? 0 : value;
        mean.n += !isnan(value);
    }
    if (mean.n > 0)
        mean.mean = sum / mean.n;
    for (int i = 0; i < n; i++) {
        const double from_mean = (b ? a[i] - b[i] : a[i]) - mean.mean;
        squares += isnan(from_mean) ? 0 : from_mean * from_mean;
    }
    if (mean.n > 1)
        mean.error = sqrt(squares / (mean.n - 1) / mean.n);
    return mean;
}

EvalMean eval_mean(const double *values, int n) { return eval_difference(values, NULL, n); }

int eval_direction(EvalMean difference)
{
    /* Without any spread (every case changed alike) the error is 0, and any difference counts. */
    if (!(fabs(difference.mean) > 2 * difference.error))
        return 0;
    return difference.mean > 0 ? 1 : -1;
}

EvalCurve eval_curve(const double *const *values, int n_points, int n)
{
    EvalCurve curve = {0};
    for (int i = 1; i < n_points; i++) {
        const int direction = eval_direction(eval_difference(values[i], values[i - 1], n));
        curve.n_steps++;
        curve.n_rises += direction > 0;
        curve.n_falls += direction < 0;
    }
    curve.first_to_last = n_points > 1 ? eval_difference(values[n_points - 1], values[0], n)
                                       : (EvalMean){.mean = (double)NAN, .error = (double)NAN};
    return curve;
}
