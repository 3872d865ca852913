/* See optim.h. */
#include "train/optim.h"

#include <math.h>

double schedule_rate(const Schedule *s, int64_t step)
{
    if (step < s->warmup_steps)
        return s->peak * (double)(step + 1) / (double)s->warmup_steps;
    const int64_t left = s->steps - s->warmup_steps;
    const double done = left > 0 ? (double)(step - s->warmup_steps) / (double)left : 1;
    switch (s->shape) {
    case SCHEDULE_LINEAR:
        return s->peak + (s->end - s->peak) * done;
    case SCHEDULE_COSINE:
        return s->end + (s->peak - s->end) * 0.5 * (1 + cos(3.14159265358979323846 * done));
    case SCHEDULE_WSD: {
        const int64_t decayed = step - (s->steps - s->decay_steps);
        if (decayed < 0)
            return s->peak;
        return s->peak + (s->end - s->peak) * (double)(decayed + 1) / (double)s->decay_steps;
    }
    case SCHEDULE_CONSTANT:
        break;
    }
    return s->peak;
}

/* ---- Muon
 * -------------------------------------------------------------------------------------------- */

/* Keller Jordan, github.com/KellerJordan/Muon: five steps of a quintic iteration bring all singular
 * values near 1. The update is scaled by 0.2 sqrt(max(rows, cols)), which gives it the size that
 * AdamW's updates have, so both share a learning rate (Moonlight, arXiv 2502.16982). */
enum { MUON_STEPS = 5 };
static const float muon_a = 3.4445f, muon_b = -4.7750f, muon_c = 2.0315f;

/* Matrices inside layers. */
static bool is_inner(const Param *p) { return p->weight && !p->is_embedding; }

static bool is_muon(const Optim *o, const Param *p)
{
    return o->options.kind == OPTIM_MUON && is_inner(p);
}

/* x becomes the nearest matrix with singular values about 1. The Gram matrix is made on the short
 * side. Products are in the compute type, as Jordan's; between them everything is f32. */
static void orthogonalize(const Optim *o, Mat x, float *work)
{
    Backend *b = o->params->model->backend;
    const DType type = o->params->model->matrix_type;
    const size_t n = (size_t)x.rows * (size_t)x.cols;
    const bool is_tall = x.rows > x.cols;
    const int side = is_tall ? x.cols : x.rows;
    const size_t n_gram = (size_t)side * (size_t)side;
    Mat gram = {work, side, side, side};
    Mat poly = {work + n_gram, side, side, side};
    Mat product = {work + 2 * n_gram, x.rows, x.cols, x.cols};
    const double norm = sqrt(shards_matrix_squares(&o->shards, x.data, n));
    b->blend(b, n, 0.0f, x.data, (float)(1 / (norm + 1e-7)), x.data);
    for (int i = 0; i < MUON_STEPS; i++) {
        b->product(b, type, x, is_tall, x, !is_tall, gram);
        b->product(b, type, gram, false, gram, false, poly);
        b->blend(b, n_gram, muon_b, gram.data, muon_c, poly.data);
        if (is_tall)
            b->product(b, type, x, false, poly, false, product);
        else
            b->product(b, type, poly, false, x, false, product);
        b->blend(b, n, 1.0f, product.data, muon_a, x.data);
    }
}

/* The matrices of p that lie in this rank's part, which holds whole ones. */
static void muon_step(const Optim *o, const Param *p, const float *grads, double rate,
                      float grad_scale)
{
    Backend *b = o->params->model->backend;
    const size_t n = (size_t)p->n_rows * (size_t)p->n_cols;
    const float momentum = (float)o->options.momentum;
    const double size = 0.2 * sqrt(p->n_rows > p->n_cols ? p->n_rows : p->n_cols);
    for (int mat = 0; mat < p->n_mats; mat++) {
        size_t from, to;
        if (!shards_overlap(&o->shards, p->offset + (size_t)mat * n, n, &from, &to))
            continue;
        const size_t at = from - o->shards.cuts[o->shards.mine];
        float *m = o->m + at, *master = o->masters + at;
        Mat update = {o->work, p->n_rows, p->n_cols, p->n_cols};
        b->blend(b, n, grad_scale, grads + at, momentum, m);
        b->blend(b, n, grad_scale, grads + at, 0.0f, update.data); /* Nesterov */
        b->blend(b, n, momentum, m, 1.0f, update.data);
        orthogonalize(o, update, o->work + n);
        b->blend(b, n, (float)(-rate * size), update.data,
                 (float)(1 - rate * o->options.weight_decay), master);
    }
}

/* Floats of work that Muon needs: the update, two Gram matrices, one product. */
static size_t muon_work(const Optim *o)
{
    size_t most = 0;
    for (int i = 0; i < o->params->n; i++) {
        const Param *p = &o->params->items[i];
        const size_t side = (size_t)(p->n_rows < p->n_cols ? p->n_rows : p->n_cols);
        const size_t n = 2 * (size_t)p->n_rows * (size_t)p->n_cols + 2 * side * side;
        if (is_muon(o, p) && n > most)
            most = n;
    }
    return most;
}

/* ---- AdamW
 * ------------------------------------------------------------------------------------------- */

/* What lies of p in this rank's part. */
static void adamw_step(const Optim *o, const Param *p, const AdamW *a, const float *grads)
{
    Backend *b = o->params->model->backend;
    size_t from, to;
    if (!shards_overlap(&o->shards, p->offset, p->size, &from, &to))
        return;
    const size_t at = from - o->shards.cuts[o->shards.mine];
    b->adamw(b, a, to - from, o->masters + at, grads + at, o->m + at, o->v + at);
}

/* ---- Steps
 * ------------------------------------------------------------------------------------------- */

bool optim_open(Optim *o, const Params *p, const OptimOptions *options, int n_parts, Error *err)
{
    Backend *b = p->model->backend;
    *o = (Optim){.params = p, .options = *options};
    if (!shards_open(&o->shards, p, n_parts, options->kind == OPTIM_MUON ? is_inner : NULL, err))
        goto fail;
    const size_t bytes = sizeof(float) * shards_size(&o->shards);
    o->work_bytes = sizeof(float) * muon_work(o);
    o->masters = b->alloc(b, bytes, "master weights", err);
    o->m = o->masters ? b->alloc(b, bytes, "the optimizer's first moments", err) : NULL;
    o->v = o->m ? b->alloc(b, bytes, "the optimizer's second moments", err) : NULL;
    if (o->v && o->work_bytes > 0)
        o->work = b->alloc(b, o->work_bytes, "Muon's iterations", err);
    if (o->v && (o->work || o->work_bytes == 0))
        return true;
fail:
    optim_close(o);
    return false;
}

void optim_close(Optim *o)
{
    if (!o->params)
        return;
    Backend *b = o->params->model->backend;
    float *arrays[] = {o->masters, o->m, o->v};
    for (int i = 0; i < 3; i++)
        if (arrays[i])
            b->free(b, arrays[i], sizeof(float) * shards_size(&o->shards));
    if (o->work)
        b->free(b, o->work, o->work_bytes);
    shards_close(&o->shards);
    *o = (Optim){0};
}

const float *optim_masters(const Optim *o, float *whole)
{
    Backend *b = o->params->model->backend;
    if (o->shards.n == 1)
        return o->masters;
    b->all_gather(b, o->masters, o->shards.byte_cuts, whole);
    return whole;
}

void optim_publish(const Optim *o, float *whole)
{
    params_publish(o->params, optim_masters(o, whole));
}

void optim_set_masters(Optim *o, const float *masters)
{
    Backend *b = o->params->model->backend;
    b->upload(b, o->masters, masters + o->shards.cuts[o->shards.mine],
              sizeof(float) * shards_size(&o->shards));
}

/* Whether this norm lies far above those before it; it joins them either way. */
static bool is_spike(Optim *o, double norm)
{
    OptimState *s = &o->state;
    const int64_t n = s->n_norms < SPIKE_WINDOW ? s->n_norms : SPIKE_WINDOW;
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
        mean += s->norms[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (s->norms[i] - mean) * (s->norms[i] - mean) / (double)n;
    const bool is_far = n == SPIKE_WINDOW && norm > mean + o->options.skip_z * sqrt(square);
    s->norms[s->n_norms++ % SPIKE_WINDOW] = norm;
    return o->options.skip_z > 0 && is_far;
}

bool optim_step(Optim *o, const float *grads, float *whole, double rate, OptimReport *report,
                Error *err)
{
    const OptimOptions *options = &o->options;
    const double norm = sqrt(shards_sum_squares(&o->shards, grads));
    *report = (OptimReport){.grad_norm = norm};
    if (!isfinite(norm))
        return error_set(err, ERROR_LIMIT,
                         "the gradient is not finite: lower the learning rate, or "
                         "look at the data of this step");
    report->is_skipped = is_spike(o, norm);
    if (report->is_skipped)
        return true;
    o->state.n_updates++;
    const double steps = (double)o->state.n_updates;
    const bool is_clipped = options->clip > 0 && norm > options->clip;
    AdamW a = {.lr = (float)rate,
               .beta1 = (float)options->beta1,
               .beta2 = (float)options->beta2,
               .eps = (float)options->eps,
               .grad_scale = is_clipped ? (float)(options->clip / norm) : 1.0f,
               .correction1 = (float)(1 / (1 - pow(options->beta1, steps))),
               .correction2 = (float)(1 / (1 - pow(options->beta2, steps)))};
    for (int i = 0; i < o->params->n; i++) {
        const Param *p = &o->params->items[i];
        a.weight_decay = p->weight ? (float)options->weight_decay : 0.0f;
        if (is_muon(o, p))
            muon_step(o, p, grads, rate, a.grad_scale);
        else
            adamw_step(o, p, &a, grads);
    }
    optim_publish(o, whole);
    return true;
}
