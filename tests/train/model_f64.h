/* The loss of a small model in double precision, straight from docs/model.md: what finite
 * differences are taken of. Parameters: one flat array in the layout of Params. */
#ifndef WEN_TESTS_MODEL_F64_H
#define WEN_TESTS_MODEL_F64_H

#include "base/mem.h"
#include "train/params.h"

#include <math.h>
#include <string.h>

typedef struct F64Batch {
    int n_seqs;
    const int *n_tokens;          /* [n_seqs] */
    const int32_t *ids, *targets; /* all sequences one after another */
    const float *weights;
} F64Batch;

typedef struct F64Model {
    const Params *p;
    const double *w; /* [p->size] */
    int next;        /* parameter that take() gives */
    /* Routing as it was decided: [n_layers][tokens][n_used]; `fixes` uses it, otherwise it is
     * written. Differences are taken with the choice held, as the gradient takes it. */
    int *chosen;
    bool fixes;
    double balance; /* coefficient; f_i from `counts` [n_layers, n_experts], all tokens n_total */
    const int64_t *counts;
    int n_total;
    double balance_loss;
    int token0; /* of this sequence in the batch */
} F64Model;

static const double *take(F64Model *m) { return m->w + m->p->items[m->next++].offset; }

/* y [t, n] = x [t, k] W^T */
static void product_f64(const double *x, const double *w, int t, int n, int k, double *y)
{
    for (int i = 0; i < t; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int c = 0; c < k; c++)
                sum += x[i * k + c] * w[j * k + c];
            y[i * n + j] = sum;
        }
}

static void norm_f64(const double *x, const double *w, int rows, int n, double eps, double *y)
{
    for (int i = 0; i < rows; i++) {
        double sum = 0;
        for (int j = 0; j < n; j++)
            sum += x[i * n + j] * x[i * n + j];
        const double r = 1 / sqrt(sum / n + eps);
        for (int j = 0; j < n; j++)
            y[i * n + j] = x[i * n + j] * r * w[j];
    }
}

static void rotate_f64(const F64Model *m, double *x, int t, int heads)
{
    const int d = m->p->model->config.head_dim, half = d / 2;
    for (int p = 0; p < t; p++)
        for (int h = 0; h < heads; h++)
            for (int j = 0; j < half; j++) {
                double *low = x + (p * heads + h) * d + j, *high = low + half;
                const double angle = p * m->p->model->inv_freq[j], a = *low, b = *high;
                *low = a * cos(angle) - b * sin(angle);
                *high = b * cos(angle) + a * sin(angle);
            }
}

static void attention_f64(const Config *c, const double *q, const double *k, const double *v, int t,
                          double *out)
{
    const int d = c->head_dim, group = c->n_heads / c->n_kv_heads;
    double *p = mem_alloc(sizeof(double) * (size_t)t);
    for (int i = 0; i < t; i++)
        for (int h = 0; h < c->n_heads; h++) {
            double sum = 0, *o = out + (i * c->n_heads + h) * d;
            for (int j = 0; j <= i; j++) {
                double s = 0;
                for (int x = 0; x < d; x++)
                    s += q[(i * c->n_heads + h) * d + x] *
                         k[(j * c->n_kv_heads + h / group) * d + x];
                p[j] = exp(s / sqrt(d));
                sum += p[j];
            }
            for (int x = 0; x < d; x++) {
                o[x] = 0;
                for (int j = 0; j <= i; j++)
                    o[x] += p[j] / sum * v[(j * c->n_kv_heads + h / group) * d + x];
            }
        }
    mem_free(p);
}

static double *numbers_f64(int n) { return mem_alloc(sizeof(double) * (size_t)n); }

static void attention_block_f64(F64Model *m, double *x, int t)
{
    const Config *c = &m->p->model->config;
    const int dm = c->d_model, qw = c->n_heads * c->head_dim, kw = c->n_kv_heads * c->head_dim;
    double *h = numbers_f64(t * dm), *q = numbers_f64(t * qw), *k = numbers_f64(t * kw);
    double *v = numbers_f64(t * kw), *out = numbers_f64(t * qw);
    norm_f64(x, take(m), t, dm, c->rms_eps, h);
    product_f64(h, take(m), t, qw, dm, q);
    product_f64(h, take(m), t, kw, dm, k);
    product_f64(h, take(m), t, kw, dm, v);
    const double *o = take(m);
    if (c->has_qkv_bias) {
        const double *bq = take(m), *bk = take(m), *bv = take(m);
        for (int i = 0; i < t * qw; i++)
            q[i] += bq[i % qw];
        for (int i = 0; i < t * kw; i++) {
            k[i] += bk[i % kw];
            v[i] += bv[i % kw];
        }
    }
    if (c->has_qk_norm) {
        norm_f64(q, take(m), t * c->n_heads, c->head_dim, c->rms_eps, q);
        norm_f64(k, take(m), t * c->n_kv_heads, c->head_dim, c->rms_eps, k);
    }
    rotate_f64(m, q, t, c->n_heads);
    rotate_f64(m, k, t, c->n_kv_heads);
    attention_f64(c, q, k, v, t, out);
    product_f64(out, o, t, dm, qw, h);
    for (int i = 0; i < t * dm; i++)
        x[i] += h[i];
    mem_free(h);
    mem_free(q);
    mem_free(k);
    mem_free(v);
    mem_free(out);
}

/* out [d_model] += factor * SwiGLU(x) */
static void swiglu_f64(const double *x, const double *gate, const double *up, const double *down,
                       int dm, int f, double factor, double *out)
{
    double *g = numbers_f64(f), *u = numbers_f64(f), *y = numbers_f64(dm);
    product_f64(x, gate, 1, f, dm, g);
    product_f64(x, up, 1, f, dm, u);
    for (int i = 0; i < f; i++)
        g[i] = g[i] / (1 + exp(-g[i])) * u[i];
    product_f64(g, down, 1, dm, f, y);
    for (int i = 0; i < dm; i++)
        out[i] += factor * y[i];
    mem_free(g);
    mem_free(u);
    mem_free(y);
}

/* The n_used largest of p, or those of the earlier evaluation. */
static void choose_f64(const F64Model *m, int l, int token, const double *p)
{
    const Config *c = &m->p->model->config;
    int *chosen = m->chosen + (l * m->n_total + token) * c->n_experts_used;
    for (int s = 0; s < c->n_experts_used && !m->fixes; s++) {
        int best = -1;
        for (int e = 0; e < c->n_experts; e++) {
            bool is_taken = false;
            for (int r = 0; r < s; r++)
                is_taken |= chosen[r] == e;
            if (!is_taken && (best < 0 || p[e] > p[best]))
                best = e;
        }
        chosen[s] = best;
    }
}

static void mixture_f64(F64Model *m, int l, const double *h, int t, double *out)
{
    const Config *c = &m->p->model->config;
    const int dm = c->d_model, f = c->d_expert, n = c->n_experts;
    const double *router = take(m), *gate = take(m), *up = take(m), *down = take(m);
    double p[64];
    for (int i = 0; i < t; i++) {
        const int *chosen = m->chosen + (l * m->n_total + m->token0 + i) * c->n_experts_used;
        double sum = 0, kept = 0, pairs = 0;
        product_f64(h + i * dm, router, 1, n, dm, p);
        for (int e = 0; e < n; e++)
            sum += p[e] = exp(p[e]);
        for (int e = 0; e < n; e++)
            p[e] /= sum;
        choose_f64(m, l, m->token0 + i, p);
        for (int s = 0; s < c->n_experts_used; s++)
            kept += p[chosen[s]];
        for (int s = 0; s < c->n_experts_used; s++) {
            const int e = chosen[s];
            swiglu_f64(h + i * dm, gate + e * f * dm, up + e * f * dm, down + e * f * dm, dm, f,
                       c->normalizes_experts ? p[e] / kept : p[e], out + i * dm);
        }
        for (int e = 0; e < n && m->balance > 0; e++)
            pairs += (double)m->counts[l * n + e];
        for (int e = 0; e < n && m->balance > 0; e++)
            m->balance_loss +=
                m->balance * n * (double)m->counts[l * n + e] / pairs * p[e] / m->n_total;
    }
}

static void feed_forward_f64(F64Model *m, int l, double *x, int t)
{
    const Config *c = &m->p->model->config;
    const int dm = c->d_model;
    double *h = numbers_f64(t * dm);
    norm_f64(x, take(m), t, dm, c->rms_eps, h);
    if (c->is_moe_layer[l]) {
        mixture_f64(m, l, h, t, x);
    } else {
        const double *gate = take(m), *up = take(m), *down = take(m);
        for (int i = 0; i < t; i++)
            swiglu_f64(h + i * dm, gate, up, down, dm, c->d_ff, 1, x + i * dm);
    }
    mem_free(h);
}

static double sequence_f64(F64Model *m, const int32_t *ids, const int32_t *targets,
                           const float *weights, int t)
{
    const Config *c = &m->p->model->config;
    const int dm = c->d_model, n = c->n_vocab;
    double *x = numbers_f64(t * dm), *logits = numbers_f64(n), loss = 0;
    m->next = 0;
    const double *embed = take(m);
    for (int i = 0; i < t * dm; i++)
        x[i] = embed[ids[i / dm] * dm + i % dm];
    for (int l = 0; l < c->n_layers; l++) {
        attention_block_f64(m, x, t);
        feed_forward_f64(m, l, x, t);
    }
    norm_f64(x, take(m), t, dm, c->rms_eps, x);
    const double *head = c->is_tied ? embed : take(m);
    for (int i = 0; i < t; i++) {
        double sum = 0;
        product_f64(x + i * dm, head, 1, n, dm, logits);
        for (int j = 0; j < n; j++)
            sum += exp(logits[j]);
        loss += (double)weights[i] * (log(sum) - logits[targets[i]]);
    }
    mem_free(x);
    mem_free(logits);
    return loss;
}

/* sum of weights * cross-entropy, plus the balance loss. */
static double loss_f64(F64Model *m, const F64Batch *batch)
{
    double loss = 0;
    m->token0 = 0;
    m->balance_loss = 0;
    for (int s = 0; s < batch->n_seqs; s++) {
        loss += sequence_f64(m, batch->ids + m->token0, batch->targets + m->token0,
                             batch->weights + m->token0, batch->n_tokens[s]);
        m->token0 += batch->n_tokens[s];
    }
    return loss + m->balance_loss;
}

#endif
