/* How far logits are from the oracle's.
 *
 *   distance N_VOCAB ORACLE LOGITS.f32 [MORE.f32 ...]
 *
 * ORACLE holds doubles if its name ends in .f64, else floats. One line for each LOGITS: largest and
 * mean absolute difference of a logit, percentage of positions with the oracle's top id (lowest id
 * on ties), and the mean Kullback-Leibler divergence of the oracle's distribution from it in nats.
 */
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Logits {
    const void *data;
    bool is_double;
    size_t n; /* numbers */
} Logits;

static Logits map_logits(const char *path)
{
    struct stat st;
    const size_t length = strlen(path);
    Logits l = {.is_double = length > 4 && strcmp(path + length - 4, ".f64") == 0};
    const int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
        fprintf(stderr, "distance: %s: cannot open, or empty\n", path);
        exit(1);
    }
    l.n = (size_t)st.st_size / (l.is_double ? sizeof(double) : sizeof(float));
    l.data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (l.data == MAP_FAILED) {
        fprintf(stderr, "distance: %s: cannot map\n", path);
        exit(1);
    }
    close(fd);
    return l;
}

static void read_row(const Logits *l, size_t row, size_t n_vocab, double *out)
{
    for (size_t i = 0; i < n_vocab; i++)
        out[i] = l->is_double ? ((const double *)l->data)[row * n_vocab + i]
                              : (double)((const float *)l->data)[row * n_vocab + i];
}

static size_t top(const double *row, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

static double log_sum_exp(const double *row, size_t n)
{
    const double largest = row[top(row, n)];
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp(row[i] - largest);
    return largest + log(sum);
}

/* False when a logit is not finite. */
static bool compare(const Logits *oracle, const Logits *other, size_t n_vocab)
{
    double *a = malloc(n_vocab * sizeof *a), *b = malloc(n_vocab * sizeof *b);
    double largest = 0, sum = 0, divergence = 0;
    const size_t n_rows = oracle->n / n_vocab;
    size_t n_agree = 0;
    bool is_finite = true;
    for (size_t r = 0; a && b && r < n_rows; r++) {
        read_row(oracle, r, n_vocab, a);
        read_row(other, r, n_vocab, b);
        const double la = log_sum_exp(a, n_vocab), lb = log_sum_exp(b, n_vocab);
        n_agree += top(a, n_vocab) == top(b, n_vocab);
        for (size_t i = 0; i < n_vocab; i++) {
            const double d = fabs(a[i] - b[i]);
            is_finite = is_finite && isfinite(b[i]);
            largest = d > largest ? d : largest;
            sum += d;
            divergence += exp(a[i] - la) * (a[i] - la - b[i] + lb);
        }
    }
    printf("%.6g %.6g %.3f %.6g\n", largest, sum / (double)(n_rows * n_vocab),
           100.0 * (double)n_agree / (double)n_rows, divergence / (double)n_rows);
    free(b);
    free(a);
    return is_finite;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: distance N_VOCAB ORACLE LOGITS.f32 [MORE.f32 ...]\n");
        return 2;
    }
    const size_t n_vocab = strtoul(argv[1], NULL, 10);
    const Logits oracle = map_logits(argv[2]);
    for (int i = 3; i < argc; i++) {
        const Logits other = map_logits(argv[i]);
        if (n_vocab == 0 || oracle.n % n_vocab != 0 || other.n != oracle.n) {
            fprintf(stderr, "distance: %s: %zu logits, %s: %zu, not rows of %zu\n", argv[2],
                    oracle.n, argv[i], other.n, n_vocab);
            return 1;
        }
        if (!compare(&oracle, &other, n_vocab)) {
            fprintf(stderr, "distance: %s: a logit is not finite\n", argv[i]);
            return 1;
        }
    }
    return 0;
}
