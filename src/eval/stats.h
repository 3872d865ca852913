/* Means with their uncertainty. The standard error of a mean is the sample's standard deviation
 * divided by the square root of n, as lm-evaluation-harness has it; a difference is taken case by
 * case (paired), so that what is hard about a case drops out of it. */
#ifndef WEN_EVAL_STATS_H
#define WEN_EVAL_STATS_H

typedef struct EvalMean {
    int n;              /* NAN values do not count */
    double mean, error; /* NAN without values; the error is NAN below two */
} EvalMean;

EvalMean eval_mean(const double *values, int n);
/* Of a[i] - b[i], where both are there; b NULL: of a. */
EvalMean eval_difference(const double *a, const double *b, int n);
/* A difference of more than two standard errors: 1 up, -1 down, 0 neither. */
int eval_direction(EvalMean difference);

/* Accuracy along rising budgets of thought. */
typedef struct EvalCurve {
    int n_steps;          /* from one budget to the next */
    int n_rises, n_falls; /* by more than two standard errors */
    EvalMean first_to_last;
} EvalCurve;

/* values [n_points][n]: the same n cases at each budget. */
EvalCurve eval_curve(const double *const *values, int n_points, int n);

#endif
