/* How far models are from the one that they were quantized from, on a text.
 *
 *   divergence TEXT REFERENCE MODEL...
 *
 * The text is cut into sequences of 256 tokens, each of which starts anew. For each MODEL a line:
 * its bytes of weights, the mean over all positions of the Kullback-Leibler divergence of its next
 * token's distribution from the reference's (nats), that of the worst hundredth of the positions,
 * the share of positions where both put the same token first, and both perplexities. */
#include "base/file.h"
#include "engine/assets.h"
#include "model_logits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCE = 256, TEXT_BYTES_MAX = 64 << 20 };

typedef struct Loaded {
    Package *package;
    Model *model;
} Loaded;

typedef struct Sums {
    int n_vocab, n_tokens; /* of the sequence */
    const int32_t *ids;
    float *reference; /* [SEQUENCE, n_vocab] logits */
    double *divergences;
    int n, n_same;
    double loss, reference_loss;
} Sums;

static bool load(Loaded *l, const char *path, Backend *backend, Error *err)
{
    l->package = package_open(path, true, err);
    l->model = l->package ? model_open(l->package, backend, NULL, err) : NULL;
    return l->model != NULL;
}

static void unload(Loaded *l)
{
    model_close(l->model);
    package_close(l->package);
}

static void keep(void *context, int position, const float *logits)
{
    Sums *s = context;
    memcpy(s->reference + (size_t)position * (size_t)s->n_vocab, logits,
           sizeof *logits * (size_t)s->n_vocab);
}

/* The largest logit's place, and the logarithm of the sum of exponentials. */
static int normalizer(const float *logits, int n, double *log_sum)
{
    int best = 0;
    double sum = 0;
    for (int i = 1; i < n; i++)
        best = logits[i] > logits[best] ? i : best;
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)logits[best]);
    *log_sum = (double)logits[best] + log(sum);
    return best;
}

static void compare(void *context, int position, const float *logits)
{
    Sums *s = context;
    const float *reference = s->reference + (size_t)position * (size_t)s->n_vocab;
    double log_p, log_q, divergence = 0;
    s->n_same +=
        normalizer(reference, s->n_vocab, &log_p) == normalizer(logits, s->n_vocab, &log_q);
    for (int i = 0; i < s->n_vocab; i++) {
        const double p = (double)reference[i] - log_p, q = (double)logits[i] - log_q;
        divergence += exp(p) * (p - q);
    }
    s->divergences[s->n++] = divergence;
    if (position + 1 < s->n_tokens) {
        const int32_t next = s->ids[position + 1];
        s->reference_loss -= (double)reference[next] - log_p;
        s->loss -= (double)logits[next] - log_q;
    }
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_line(const char *path, const Model *m, Sums *s, int n_predicted)
{
    double sum = 0, worst = 0;
    qsort(s->divergences, (size_t)s->n, sizeof *s->divergences, by_size);
    const int n_worst = s->n / 100 > 0 ? s->n / 100 : 1;
    for (int i = 0; i < s->n; i++) {
        sum += s->divergences[i];
        worst += i >= s->n - n_worst ? s->divergences[i] : 0;
    }
    printf("%s %zu bytes, divergence %.6f, worst hundredth %.4f, same first token %.2f %%, "
           "perplexity %.4f (%.4f)\n",
           path, m->weight_bytes, sum / s->n, worst / n_worst, 100.0 * s->n_same / s->n,
           exp(s->loss / n_predicted), exp(s->reference_loss / n_predicted));
    fflush(stdout);
}

static bool judge(const Loaded *reference, const char *path, Backend *backend, const Ids *ids,
                  Error *err)
{
    Loaded other = {0};
    Sums s = {.n_vocab = reference->model->config.n_vocab};
    int n_predicted = 0;
    bool ok = load(&other, path, backend, err);
    if (ok && other.model->config.n_vocab != s.n_vocab)
        ok = error_set(err, ERROR_ARGUMENT, "%s: another vocabulary", path);
    s.divergences = mem_alloc(sizeof *s.divergences * (size_t)ids->n);
    s.reference = mem_alloc(sizeof *s.reference * SEQUENCE * (size_t)s.n_vocab);
    for (int from = 0; ok && from < ids->n; from += SEQUENCE) {
        s.ids = ids->data + from;
        s.n_tokens = ids->n - from < SEQUENCE ? ids->n - from : SEQUENCE;
        n_predicted += s.n_tokens - 1;
        ok = logits_run(reference->model, DTYPE_F32, s.ids, s.n_tokens, keep, &s, err) &&
             logits_run(other.model, DTYPE_F32, s.ids, s.n_tokens, compare, &s, err);
    }
    if (ok)
        print_line(path, other.model, &s, n_predicted > 0 ? n_predicted : 1);
    mem_free(s.divergences);
    mem_free(s.reference);
    unload(&other);
    return ok;
}

static bool read_text(const char *path, const Package *package, Ids *ids, Error *err)
{
    Buf text = {0};
    Tokenizer *t =
        file_read(&text, path, TEXT_BYTES_MAX, err) ? assets_tokenizer(package, err) : NULL;
    bool ok = t && tokenizer_encode_all(t, buf_str(&text), ids, err) &&
              (ids->n > 1 || error_set(err, ERROR_ARGUMENT, "%s: too short", path));
    tokenizer_close(t);
    buf_free(&text);
    return ok;
}

int main(int argc, char **argv)
{
    Error err = {0};
    Loaded reference = {0};
    Ids ids = {0};
    if (argc < 4) {
        fprintf(stderr, "usage: divergence TEXT REFERENCE MODEL...\n");
        return 2;
    }
    Backend *backend = backend_open("cpu", 0, &err);
    bool ok = backend && load(&reference, argv[2], backend, &err) &&
              read_text(argv[1], reference.package, &ids, &err);
    for (int i = 3; ok && i < argc; i++)
        ok = judge(&reference, argv[i], backend, &ids, &err);
    if (!ok)
        fprintf(stderr, "divergence: %s\n", err.message);
    ids_free(&ids);
    unload(&reference);
    if (backend)
        backend->close(backend);
    return ok ? 0 : 1;
}
