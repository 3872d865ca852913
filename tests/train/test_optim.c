/* train/optim: Muon's update against the same iteration in double, from the published formula. */
#include "rig.h"

#include "train/optim.h"

#include <math.h>

/* c [m, n] = a [m, k] times b [k, n] */
static void times(int m, int n, int k, const double *a, const double *b, double *c)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int p = 0; p < k; p++)
                sum += a[i * k + p] * b[p * n + j];
            c[i * n + j] = sum;
        }
}

/* x [m, n]: five times a x + (b A + c A A) x with A = x x^T. */
static void iterate(int m, int n, double *x)
{
    double *transposed = mem_alloc(sizeof(double) * (size_t)(m * n));
    double *gram = mem_alloc(sizeof(double) * (size_t)(m * m));
    double *square = mem_alloc(sizeof(double) * (size_t)(m * m));
    double *change = mem_alloc(sizeof(double) * (size_t)(m * n));
    double norm = 0;
    for (int i = 0; i < m * n; i++)
        norm += x[i] * x[i];
    for (int i = 0; i < m * n; i++)
        x[i] /= sqrt(norm);
    for (int step = 0; step < 5; step++) {
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++)
                transposed[j * m + i] = x[i * n + j];
        times(m, m, n, x, transposed, gram);
        times(m, m, m, gram, gram, square);
        for (int i = 0; i < m * m; i++)
            square[i] = -4.7750 * gram[i] + 2.0315 * square[i];
        times(m, n, m, square, x, change);
        for (int i = 0; i < m * n; i++)
            x[i] = 3.4445 * x[i] + change[i];
    }
    mem_free(transposed);
    mem_free(gram);
    mem_free(square);
    mem_free(change);
}

/* How far the first step of this parameter, from masters of zero, is from the double's, relative.
 */
static double distance(const Param *p, const float *grads, const float *masters, double rate)
{
    const int m = p->n_rows, n = p->n_cols;
    const double size = rate * 0.2 * sqrt(m > n ? m : n);
    double *x = mem_alloc(sizeof(double) * (size_t)(m * n)), far = 0, all = 0;
    for (int i = 0; i < m * n; i++)
        x[i] = (double)grads[p->offset + (size_t)i];
    iterate(m, n, x);
    for (int i = 0; i < m * n; i++) {
        const double expected = -size * x[i];
        const double d = (double)masters[p->offset + (size_t)i] - expected;
        far += d * d;
        all += expected * expected;
    }
    mem_free(x);
    return sqrt(far / all);
}

static void muon_is_the_published_iteration(void **state)
{
    (void)state;
    static const DType types[] = {DTYPE_F32, DTYPE_BF16};
    static const double tolerance[] = {1e-5, 0.05};
    for (int i = 0; i < 2; i++) {
        Rig rig;
        Error err = {0};
        Optim o;
        OptimReport report;
        Rng rng = {5};
        int n_inner = 0;
        rig_open(&rig, rig_dense, types[i], 2, 16, false);
        const OptimOptions options = {
            .kind = OPTIM_MUON, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .momentum = 0.95};
        assert_ok(optim_open(&o, &rig.params, &options, 1, &err));
        for (size_t j = 0; j < rig.params.size; j++)
            rig.flat[j] = (float)rng_normal(&rng);
        assert_ok(optim_step(&o, rig.flat, NULL, 0.5, &report, &err));
        for (int k = 0; k < rig.params.n; k++) {
            const Param *p = &rig.params.items[k];
            if (!p->weight || p->is_embedding)
                continue;
            const double far = distance(p, rig.flat, o.masters, 0.5);
            n_inner++;
            if (!(far < tolerance[i]))
                fail_msg("%s in %s: %g away", p->name, dtype_name(types[i]), far);
        }
        assert_int_equal(n_inner, 7 * rig.config.n_layers);
        optim_close(&o);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(muon_is_the_published_iteration)};
    return TEST_MAIN("optim", tests);
}
