/* See micro.h. */
#include "train/micro.h"

#include "base/bug.h"

#include <string.h>

/* Copies on the device, [tokens_max] each but for the spans. */
struct MicroDevice {
    int32_t *ids, *positions, *pages, *score_rows, *score_targets;
    float *score_weights, *losses;
    SeqSpan *seqs;
};

int rows_n_tokens(const Rows *rows, int from, int to)
{
    int n = 0;
    for (int r = from; r < to; r++) {
        const int len =
            rows->doc_start[rows->row_start[r + 1]] - rows->doc_start[rows->row_start[r]];
        n += len + len % 2;
    }
    return n;
}

/* ---- Memory
 * --------------------------------------------------------------------------------------- */

static size_t step_bytes(const Config *c, int t, bool recomputes)
{
    size_t most = forward_step_bytes(c, t), other = backward_step_bytes(c, t);
    most = most > other ? most : other;
    other = loss_step_bytes(c, t);
    most = most > other ? most : other;
    return saved_bytes(c, t, recomputes) + 2 * step_mat_bytes(t, c->d_model) + most;
}

static bool take_device(Micro *m, Error *err)
{
    Backend *b = m->params->model->backend;
    struct MicroDevice *d = m->device;
    const size_t bytes = sizeof(int32_t) * (size_t)m->tokens_max;
    void **arrays[] = {(void **)&d->ids,           (void **)&d->positions,
                       (void **)&d->pages,         (void **)&d->score_rows,
                       (void **)&d->score_targets, (void **)&d->score_weights,
                       (void **)&d->losses};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (!(*arrays[i] = b->alloc(b, bytes, "a micro-batch", err)))
            return false;
    d->seqs = b->alloc(b, sizeof(SeqSpan) * (size_t)m->tokens_max, "a micro-batch", err);
    return d->seqs != NULL;
}

bool micro_open(Micro *m, const Params *p, int tokens_max, bool recomputes, Error *err)
{
    const Config *c = &p->model->config;
    Backend *b = p->model->backend;
    *m = (Micro){.params = p, .recomputes = recomputes};
    m->tokens_max = tokens_max + tokens_max % 2;
    const int n = m->tokens_max;
    const int widest_heads = c->n_heads > 1 ? c->n_heads : 1;
    m->ids = ARENA_ARRAY(&m->arena, int32_t, n);
    m->positions = ARENA_ARRAY(&m->arena, int32_t, n);
    m->pages = ARENA_ARRAY(&m->arena, int32_t, n);
    m->score_rows = ARENA_ARRAY(&m->arena, int32_t, n);
    m->score_targets = ARENA_ARRAY(&m->arena, int32_t, n);
    m->score_weights = ARENA_ARRAY(&m->arena, float, n);
    m->losses = ARENA_ARRAY(&m->arena, float, n);
    m->score_places = ARENA_ARRAY(&m->arena, int, n);
    m->seqs = ARENA_ARRAY(&m->arena, SeqSpan, n);
    m->device = ARENA_NEW(&m->arena, struct MicroDevice);
    m->saved.layers = ARENA_ARRAY(&m->arena, LayerSaved, c->n_layers);
    /* A page belongs to one document, so there may be as many as tokens; those that are never
     * written take no memory. */
    m->kv = b->kv_new(b, DTYPE_F32, c->n_layers, c->n_kv_heads, c->head_dim, n, err);
    int cols = c->d_model > c->d_ff ? c->d_model : c->d_ff;
    cols = cols > c->n_heads * c->head_dim ? cols : c->n_heads * c->head_dim;
    cols = cols > c->d_expert ? cols : c->d_expert;
    const int rows = c->n_experts_used > 1 ? n * c->n_experts_used : n;
    if (m->kv && step_open(&m->step, b, step_bytes(c, n, recomputes), err) && take_device(m, err) &&
        b->reserve(b, rows, cols, err) && b->reserve_training(b, n, widest_heads, err))
        return true;
    micro_close(m);
    return false;
}

void micro_close(Micro *m)
{
    if (!m->params)
        return;
    Backend *b = m->params->model->backend;
    struct MicroDevice *d = m->device;
    void *arrays[] = {d->ids,           d->positions,     d->pages, d->score_rows,
                      d->score_targets, d->score_weights, d->losses};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (arrays[i])
            b->free(b, arrays[i], sizeof(int32_t) * (size_t)m->tokens_max);
    if (d->seqs)
        b->free(b, d->seqs, sizeof(SeqSpan) * (size_t)m->tokens_max);
    if (m->kv)
        b->kv_free(b, m->kv);
    step_close(&m->step);
    arena_close(&m->arena);
    *m = (Micro){0};
}

/* ---- Filling
 * --------------------------------------------------------------------------------------- */

/* What has been laid out of a micro-batch. */
typedef struct Layout {
    int n_tokens, n_seqs, n_pages, n_scores;
} Layout;

/* n tokens as a sequence of its own; NULL ids: one token that only fills. */
static void add_sequence(Micro *m, Layout *at, const int32_t *ids, int n)
{
    const struct MicroDevice *d = m->device;
    m->seqs[at->n_seqs++] = (SeqSpan){
        .first_row = at->n_tokens, .n_rows = n, .pages = d->pages + at->n_pages, .length = n};
    for (int i = 0; i < (n + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS; i++, at->n_pages++)
        m->pages[at->n_pages] = at->n_pages;
    for (int i = 0; i < n; i++, at->n_tokens++) {
        m->ids[at->n_tokens] = ids ? ids[i] : 0;
        m->positions[at->n_tokens] = i;
    }
}

static void add_score(Micro *m, Layout *at, int row, int place, int32_t target, float weight)
{
    m->score_places[at->n_scores] = place;
    m->score_rows[at->n_scores] = row;
    m->score_targets[at->n_scores] = target;
    m->score_weights[at->n_scores++] = weight;
}

static void add_row(Micro *m, Layout *at, const Rows *rows, int r, float scale)
{
    const int first_token = at->n_tokens, first_score = at->n_scores;
    for (int d = rows->row_start[r]; d < rows->row_start[r + 1]; d++) {
        const int from = rows->doc_start[d], n = rows->doc_start[d + 1] - from;
        for (int i = 0; i < n; i++)
            if (rows->weights[from + i] != 0.0f)
                add_score(m, at, at->n_tokens + i, from + i, rows->targets[from + i],
                          rows->weights[from + i] * scale);
        add_sequence(m, at, rows->ids + from, n);
    }
    if ((at->n_tokens - first_token) % 2)
        add_sequence(m, at, NULL, 1);
    if ((at->n_scores - first_score) % 2)
        add_score(m, at, first_token, -1, 0, 0.0f);
}

static void upload_layout(Micro *m, const Layout *at)
{
    Backend *b = m->params->model->backend;
    const struct MicroDevice *d = m->device;
    const size_t tokens = sizeof(int32_t) * (size_t)at->n_tokens;
    const size_t scores = sizeof(int32_t) * (size_t)at->n_scores;
    b->upload(b, d->ids, m->ids, tokens);
    b->upload(b, d->positions, m->positions, tokens);
    b->upload(b, d->pages, m->pages, sizeof(int32_t) * (size_t)at->n_pages);
    b->upload(b, d->seqs, m->seqs, sizeof(SeqSpan) * (size_t)at->n_seqs);
    b->upload(b, d->score_rows, m->score_rows, scores);
    b->upload(b, d->score_targets, m->score_targets, scores);
    b->upload(b, d->score_weights, m->score_weights, scores);
}

void micro_load(Micro *m, const Rows *rows, int from, int to, float scale)
{
    const struct MicroDevice *d = m->device;
    Layout at = {0};
    ASSERT(rows_n_tokens(rows, from, to) <= m->tokens_max);
    for (int r = from; r < to; r++)
        add_row(m, &at, rows, r, scale);
    upload_layout(m, &at);
    m->adapted = (AdaptedRows){.adapter = m->params->adapter, .scale = 1, .n_rows = at.n_tokens};
    m->batch = (Batch){.n_tokens = at.n_tokens,
                       .n_seqs = at.n_seqs,
                       .ids = d->ids,
                       .positions = d->positions,
                       .seqs = d->seqs,
                       .n_adapted = m->params->adapter != NULL,
                       .adapted = &m->adapted};
    m->loss = (LossRows){at.n_scores, d->score_rows, d->score_targets, d->score_weights};
}

/* ---- Running
 * --------------------------------------------------------------------------------------- */

/* Where layer l counts its pairs; NULL totals: nowhere. */
static void set_counts(Micro *m, const MoeTotals *totals)
{
    const Config *c = &m->params->model->config;
    for (int l = 0; l < c->n_layers; l++) {
        const size_t first = (size_t)l * (size_t)c->n_experts;
        LayerSaved *layer = &m->saved.layers[l];
        layer->counts = totals && c->is_moe_layer[l] ? totals->counts + first : NULL;
        layer->prob_sums = layer->counts ? totals->prob_sums + first : NULL;
        layer->entropy = layer->counts ? totals->entropy + l : NULL;
    }
}

void micro_forward(Micro *m, const MoeTotals *totals)
{
    const Model *model = m->params->model;
    m->step.used = 0;
    saved_take(&m->saved, &model->config, m->batch.n_tokens, m->recomputes, &m->step);
    m->hidden = step_mat(&m->step, m->batch.n_tokens, model->config.d_model);
    m->loaded = m->step.used;
    set_counts(m, totals);
    forward(model, m->kv, &m->batch, &m->step, &m->saved, m->hidden);
    set_counts(m, NULL); /* a layer that is computed again is not counted again */
}

void micro_weigh(Micro *m, const Objective *objective)
{
    Backend *b = m->params->model->backend;
    if (objective->see)
        objective->see(objective->context, &m->batch);
    if (!objective->weigh)
        return;
    m->step.used = m->loaded;
    loss_logprobs(m->params->model, m->hidden, &m->loss, m->score_targets, m->losses, &m->step);
    objective->weigh(objective->context, m->loss.n, m->score_places, m->losses, m->score_weights);
    for (int i = 0; i < m->loss.n; i++)
        if (m->score_places[i] < 0)
            m->score_weights[i] = 0;
    b->upload(b, m->device->score_weights, m->score_weights, sizeof(float) * (size_t)m->loss.n);
}

void micro_loss(Micro *m, const Objective *objective, const Grads *grads, const Balance *balance,
                double *loss)
{
    const Model *model = m->params->model;
    Backend *b = model->backend;
    Mat dhidden = {0};
    m->step.used = m->loaded;
    if (grads)
        dhidden = step_mat(&m->step, m->batch.n_tokens, model->config.d_model);
    const RowLoss row_loss = objective ? objective->row_loss : (RowLoss){0};
    loss_rows(model, m->hidden, &m->loss, &row_loss, dhidden, grads ? grads->head : NULL,
              m->device->losses, &m->step);
    if (grads) {
        const BackwardJob job = {model, m->kv, &m->batch, &m->saved, m->recomputes, balance, grads};
        backward(&job, dhidden, &m->step);
    }
    b->fetch(b, m->losses, m->device->losses, sizeof(float) * (size_t)m->loss.n);
    for (int i = 0; i < m->loss.n; i++)
        *loss += (double)m->score_weights[i] * (double)m->losses[i];
}
