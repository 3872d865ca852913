/* See calibrate.h. The forward pass is forward_layer's, one layer at a time, with what it saves for
 * a backward pass: the inputs of all matrices follow from that. */
#include "model/calibrate.h"

#include "base/bug.h"
#include "model/forward.h"
#include "model/kv.h"

#include <stdio.h>

enum { NAME_BYTES = 128 };

typedef struct Calibration {
    const Model *model;
    Importance *importance;
    KvPages kv;
    Step step;
    int32_t pages[CALIBRATE_TOKENS / KV_PAGE_TOKENS];
    float *host; /* the widest input, or two streams */
    /* Energies of the blocks and of the stream behind them, [n_layers][attention, feed-forward]. */
    double (*added)[2], (*stream)[2];
    Error *err;
} Calibration;

static int pairs_of(const Config *c, int t) { return c->n_experts > 0 ? t * c->n_experts_used : 0; }

static size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

static size_t step_bytes(const Config *c, int t)
{
    const int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const int pairs = pairs_of(c, t), few = 16;
    size_t saved = 3 * step_mat_bytes(t, c->d_model) + 2 * step_mat_bytes(t, q) +
                   2 * step_mat_bytes(t, kv) + 2 * step_mat_bytes(t, c->d_ff);
    if (pairs)
        saved += 2 * step_mat_bytes(pairs, c->d_expert) + step_mat_bytes(t, c->n_experts) +
                 4 * step_mat_bytes(pairs, 1) + step_mat_bytes(1, c->n_experts + 1);
    size_t inputs = step_mat_bytes(t, c->d_model) + step_mat_bytes(t, c->d_ff);
    if (pairs)
        inputs += step_mat_bytes(pairs, c->d_model) + step_mat_bytes(pairs, c->d_expert);
    return saved + inputs + forward_step_bytes(c, t) + 2 * step_mat_bytes(t, c->d_model) +
           2 * step_mat_bytes(1, t) + (size_t)few * step_mat_bytes(1, KV_PAGE_TOKENS);
}

static bool open_calibration(Calibration *cal, Error *err)
{
    const Config *c = &cal->model->config;
    Backend *b = cal->model->backend;
    const int t = CALIBRATE_TOKENS, pairs = pairs_of(c, t), q = c->n_heads * c->head_dim;
    const int n_pages = CALIBRATE_TOKENS / KV_PAGE_TOKENS;
    int widest = c->d_model > c->d_ff ? c->d_model : c->d_ff;
    widest = widest > q ? widest : q;
    widest = widest > c->d_expert ? widest : c->d_expert;
    size_t floats = size_max((size_t)t * (size_t)widest, 2 * (size_t)t * (size_t)c->d_model);
    floats = size_max(floats, (size_t)pairs * size_max((size_t)c->d_model, (size_t)c->d_expert));
    if (!kv_open(&cal->kv, b, c, DTYPE_F32, n_pages, err) ||
        !step_open(&cal->step, b, step_bytes(c, t), err) ||
        !b->reserve(b, pairs > t ? pairs : t, widest, err))
        return false;
    for (int i = 0; i < n_pages; i++)
        cal->pages[i] = kv_take(&cal->kv);
    cal->host = mem_try_alloc(floats * sizeof *cal->host, "activations", err);
    cal->added = mem_alloc(sizeof *cal->added * (size_t)c->n_layers);
    cal->stream = mem_alloc(sizeof *cal->stream * (size_t)c->n_layers);
    return cal->host != NULL;
}

static void close_calibration(Calibration *cal)
{
    mem_free(cal->host);
    mem_free(cal->added);
    mem_free(cal->stream);
    step_close(&cal->step);
    kv_close(&cal->kv);
}

static void *upload(Calibration *cal, const void *host, size_t bytes)
{
    Backend *b = cal->model->backend;
    void *device = step_take(&cal->step, bytes);
    b->upload(b, device, host, bytes);
    return device;
}

static const float *fetch(const Calibration *cal, Mat m, float *to)
{
    Backend *b = cal->model->backend;
    ASSERT(m.stride == m.cols);
    b->fetch(b, to, m.data, sizeof(float) * (size_t)m.rows * (size_t)m.cols);
    return to;
}

/* One input of a matrix of layer l. */
static bool note(Calibration *cal, int l, const char *matrix, Mat input)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, matrix);
    return importance_add(cal->importance, name, fetch(cal, input, cal->host), input.rows,
                          input.cols, input.cols, cal->err);
}

/* The input of all experts' matrices: pair rows, expert after expert. */
static bool note_experts(Calibration *cal, int l, const char *matrix, const int32_t *offset,
                         Mat input)
{
    const float *rows = fetch(cal, input, cal->host);
    bool ok = true;
    for (int e = 0; ok && e < cal->model->config.n_experts; e++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%d.%s.weight", l, e, matrix);
        ok = importance_add(cal->importance, name, rows + (size_t)offset[e] * (size_t)input.cols,
                            offset[e + 1] - offset[e], input.cols, input.cols, cal->err);
    }
    return ok;
}

static bool note_mixture(Calibration *cal, int l, const LayerSaved *saved, Mat h)
{
    const Config *c = &cal->model->config;
    Backend *b = cal->model->backend;
    const size_t start = cal->step.used;
    Mat pairs = step_mat(&cal->step, pairs_of(c, h.rows), c->d_model);
    Mat act = step_mat(&cal->step, pairs.rows, c->d_expert);
    int32_t *offset = mem_alloc(sizeof *offset * (size_t)(c->n_experts + 1));
    b->fetch(b, offset, saved->routes.offset, sizeof *offset * (size_t)(c->n_experts + 1));
    b->gather_rows(b, h, saved->routes.pair_token, pairs);
    b->swiglu(b, saved->gate, saved->up, act);
    bool ok = note_experts(cal, l, "gate_proj", offset, pairs) &&
              note_experts(cal, l, "down_proj", offset, act);
    mem_free(offset);
    cal->step.used = start;
    return ok;
}

/* Adds the energies of b - a and of b to those of a block. */
static void note_stream(Calibration *cal, int l, int block, Mat a, Mat b)
{
    const size_t n = (size_t)a.rows * (size_t)a.cols;
    const float *before = fetch(cal, a, cal->host), *after = fetch(cal, b, cal->host + n);
    for (size_t i = 0; i < n; i++) {
        double x = (double)after[i], d = x - (double)before[i];
        cal->added[l][block] += d * d;
        cal->stream[l][block] += x * x;
    }
}

/* Everything that layer l's matrices met; x: the layer's output. */
static bool note_layer(Calibration *cal, int l, const LayerSaved *saved, Mat x)
{
    const Config *c = &cal->model->config;
    const Layer *layer = &cal->model->layers[l];
    Backend *b = cal->model->backend;
    const size_t start = cal->step.used;
    Mat h = step_mat(&cal->step, x.rows, c->d_model);
    b->rms_norm(b, saved->x, layer->attn_norm, (float)c->rms_eps, h);
    bool ok = note(cal, l, "self_attn.q_proj", h) && note(cal, l, "self_attn.o_proj", saved->mixed);
    b->rms_norm(b, saved->mid, layer->ffn_norm, (float)c->rms_eps, h);
    if (ok && c->is_moe_layer[l]) {
        ok = note_mixture(cal, l, saved, h);
    } else if (ok) {
        Mat act = step_mat(&cal->step, x.rows, c->d_ff);
        b->swiglu(b, saved->gate, saved->up, act);
        ok = note(cal, l, "mlp.gate_proj", h) && note(cal, l, "mlp.down_proj", act);
    }
    note_stream(cal, l, 0, saved->x, saved->mid);
    note_stream(cal, l, 1, saved->mid, x);
    cal->step.used = start;
    return ok;
}

static LayerSaved take_saved(Calibration *cal, int t, bool is_moe)
{
    const Config *c = &cal->model->config;
    const int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const int rows = is_moe ? pairs_of(c, t) : t, width = is_moe ? c->d_expert : c->d_ff;
    Step *step = &cal->step;
    LayerSaved saved = {.x = step_mat(step, t, c->d_model),
                        .q = step_mat(step, t, q),
                        .k = step_mat(step, t, kv),
                        .v = step_mat(step, t, kv),
                        .mixed = step_mat(step, t, q),
                        .mid = step_mat(step, t, c->d_model),
                        .gate = step_mat(step, rows, width),
                        .up = step_mat(step, rows, width)};
    if (is_moe) {
        saved.logits = step_mat(step, t, c->n_experts);
        saved.routes = step_routes(step, t, c->n_experts, c->n_experts_used);
    }
    return saved;
}

static bool run_sequence(Calibration *cal, const int32_t *ids, int t)
{
    const Model *m = cal->model;
    const Config *c = &m->config;
    Backend *b = m->backend;
    int32_t positions[CALIBRATE_TOKENS];
    for (int i = 0; i < t; i++)
        positions[i] = i;
    cal->step.used = 0;
    SeqSpan span = {.n_rows = t, .pages = upload(cal, cal->pages, sizeof cal->pages)};
    positions_place(c, t, &span);
    const Batch batch = {.n_tokens = t,
                         .n_seqs = 1,
                         .ids = upload(cal, ids, sizeof *ids * (size_t)t),
                         .positions = upload(cal, positions, sizeof *positions * (size_t)t),
                         .seqs = upload(cal, &span, sizeof span)};
    Mat x = step_mat(&cal->step, t, c->d_model), hidden = step_mat(&cal->step, t, c->d_model);
    const Rotations rope = forward_rotations(m, &batch, &cal->step, NULL);
    b->embed(b, m->embed, batch.ids, x);
    for (int l = 0; l < c->n_layers; l++) {
        const size_t start = cal->step.used;
        LayerSaved saved = take_saved(cal, t, c->is_moe_layer[l]);
        forward_layer(m, l, cal->kv.store, &batch, &rope, x, &cal->step, &saved);
        if (!note_layer(cal, l, &saved, x))
            return false;
        cal->step.used = start;
    }
    b->rms_norm(b, x, m->final_norm, (float)c->rms_eps, hidden);
    return importance_add(cal->importance, "lm_head.weight", fetch(cal, hidden, cal->host), t,
                          c->d_model, c->d_model, cal->err);
}

/* Tells each matrix its block's share of the stream. */
static void set_shares(const Calibration *cal)
{
    static const char *const matrices[][2] = {
        {"self_attn.q_proj", "self_attn.o_proj"},
        {"mlp.gate_proj", "mlp.down_proj"},
        {"mlp.experts.0.gate_proj", "mlp.experts.0.down_proj"},
    };
    const Config *c = &cal->model->config;
    for (int l = 0; l < c->n_layers; l++)
        for (int block = 0; block < 2; block++) {
            if (!(cal->stream[l][block] > 0))
                continue;
            const char *const *of = matrices[block == 0 ? 0 : c->is_moe_layer[l] ? 2 : 1];
            for (int i = 0; i < 2; i++) {
                char name[NAME_BYTES];
                snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, of[i]);
                importance_set_share(cal->importance, name,
                                     cal->added[l][block] / cal->stream[l][block]);
            }
        }
}

bool calibrate(const Model *model, const int32_t *ids, int n_ids, Importance *importance,
               bool (*progress)(void *context, int done, int total), void *context, Error *err)
{
    Calibration cal = {.model = model, .importance = importance, .err = err};
    bool ok = open_calibration(&cal, err);
    for (int from = 0; ok && from < n_ids; from += CALIBRATE_TOKENS) {
        int t = n_ids - from < CALIBRATE_TOKENS ? n_ids - from : CALIBRATE_TOKENS;
        ok = run_sequence(&cal, ids + from, t);
        if (ok && progress && !progress(context, from + t, n_ids))
            ok = error_set(err, ERROR_CANCELLED, "stopped");
    }
    if (ok)
        set_shares(&cal);
    close_calibration(&cal);
    return ok;
}
