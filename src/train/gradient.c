/* See gradient.h. */
#include "train/gradient.h"

#include <string.h>

/* log2 of the largest number of grains, and one more: the sums that wait in the tree. */
enum { SUMS_MAX = 11, RANKS_MAX = 1 << (SUMS_MAX - 1) };

struct Gradient {
    const Params *params;
    const Shards *shards;
    GradientOptions options;
    Micro micro;
    int n_own; /* grains of this rank */
    /* Whole sums: as many as the tree needs, or the one in work. Each is params->size numbers and,
     * behind them, a tied head's embedding part. */
    float *sums[SUMS_MAX];
    int n_sums;
    size_t sum_size;
    /* ZERO_GRADIENTS: sums over ranks, this rank's part and its part of what lies behind. */
    float *parts[SUMS_MAX];
    int n_parts;
    size_t part_size, *tied_cuts;
    float *bank; /* of divided experts: room for the largest bank's gradient */
    size_t bank_size;
    LayerGrads *layers;
    /* What grains tell: the loss, then of each mixture's expert the probabilities' sum, and of each
     * layer the router's entropy. */
    size_t n_told, *told_cuts;
    double *told;      /* [grains, n_told], host: this rank's rows first, later all */
    double *total;     /* [n_told]: their sum */
    double *told_part; /* the same, device */
    MoeTotals totals;  /* of the grain in work, but for the counts; device */
    int64_t *counts;   /* host copy */
    Arena arena;
};

/* ---- Memory
 * ------------------------------------------------------------------------------------------ */

static Backend *backend_of(const Gradient *g) { return g->params->model->backend; }

static bool is_divided(const Gradient *g) { return g->options.zero == ZERO_GRADIENTS; }

static bool take_sums(Gradient *g, Error *err)
{
    Backend *b = backend_of(g);
    const Shards *s = g->shards;
    const size_t n_tied = g->params->tied_size;
    g->sum_size = g->params->size + n_tied;
    g->tied_cuts = ARENA_ARRAY(&g->arena, size_t, s->n + 1);
    for (int r = 0; r <= s->n; r++)
        g->tied_cuts[r] = s->cuts[r] < n_tied ? s->cuts[r] : n_tied;
    g->part_size = shards_size(s) + g->tied_cuts[s->mine + 1] - g->tied_cuts[s->mine];
    for (int grains = g->n_own; grains > 0; grains /= 2) {
        float **sum = is_divided(g) ? &g->parts[g->n_parts++] : &g->sums[g->n_sums++];
        *sum = b->alloc(b, sizeof(float) * (is_divided(g) ? g->part_size : g->sum_size),
                        "gradients", err);
        if (!*sum)
            return false;
    }
    if (is_divided(g)) {
        g->sums[g->n_sums++] = b->alloc(b, sizeof(float) * g->sum_size, "gradients", err);
        return g->sums[0] != NULL;
    }
    return true;
}

static bool take_bank(Gradient *g, Error *err)
{
    Backend *b = backend_of(g);
    if (!g->params->divides_experts)
        return true;
    for (int i = 0; i < g->params->n; i++) {
        const Param *p = &g->params->items[i];
        if (p->n_mats > 1 && p->size > g->bank_size)
            g->bank_size = p->size;
    }
    if (g->bank_size > 0)
        g->bank = b->alloc(b, sizeof(float) * g->bank_size, "gradients of experts", err);
    return g->bank || g->bank_size == 0;
}

static bool take_told(Gradient *g, Error *err)
{
    Backend *b = backend_of(g);
    const Config *c = &g->params->model->config;
    const size_t n = (size_t)c->n_layers * (size_t)c->n_experts;
    const char *what = "counts of experts";
    g->n_told = 1 + (n > 0 ? n + (size_t)c->n_layers : 0);
    g->told = ARENA_ARRAY(&g->arena, double, g->n_told *(size_t)g->options.grains);
    g->total = ARENA_ARRAY(&g->arena, double, g->n_told);
    g->told_cuts = ARENA_ARRAY(&g->arena, size_t, b->n_ranks + 1);
    for (int r = 0; r <= b->n_ranks; r++)
        g->told_cuts[r] = sizeof(double) * g->n_told * (size_t)(r * g->n_own);
    g->told_part = b->alloc(b, g->told_cuts[b->n_ranks], what, err);
    if (!g->told_part || n == 0)
        return g->told_part != NULL;
    g->counts = ARENA_ARRAY(&g->arena, int64_t, n);
    g->totals.counts = b->alloc(b, sizeof(int64_t) * n, what, err);
    g->totals.prob_sums = b->alloc(b, sizeof(double) * n, what, err);
    g->totals.entropy = b->alloc(b, sizeof(double) * (size_t)c->n_layers, what, err);
    return g->totals.counts && g->totals.prob_sums && g->totals.entropy;
}

Gradient *gradient_open(const Params *p, const Shards *shards, const GradientOptions *options,
                        Error *err)
{
    Gradient *g = mem_alloc(sizeof *g);
    g->params = p;
    g->shards = shards;
    g->options = *options;
    g->n_own = options->grains / backend_of(g)->n_ranks;
    g->layers = ARENA_ARRAY(&g->arena, LayerGrads, p->model->config.n_layers);
    size_t n_tokens;
    if (!mem_product((size_t)options->micro_rows, (size_t)options->row_tokens, INT32_MAX / 4,
                     &n_tokens))
        error_set(err, ERROR_LIMIT, "batch: %d rows of %d tokens at a time are too many",
                  options->micro_rows, options->row_tokens);
    else if (micro_open(&g->micro, p, (int)n_tokens, options->recomputes, err) &&
             take_sums(g, err) && take_bank(g, err) && take_told(g, err))
        return g;
    gradient_close(g);
    return NULL;
}

void gradient_close(Gradient *g)
{
    if (!g)
        return;
    Backend *b = backend_of(g);
    const Config *c = &g->params->model->config;
    const size_t n = (size_t)c->n_layers * (size_t)c->n_experts;
    for (int i = 0; i < SUMS_MAX; i++) {
        if (g->sums[i])
            b->free(b, g->sums[i], sizeof(float) * g->sum_size);
        if (g->parts[i])
            b->free(b, g->parts[i], sizeof(float) * g->part_size);
    }
    if (g->bank)
        b->free(b, g->bank, sizeof(float) * g->bank_size);
    if (g->told_part)
        b->free(b, g->told_part, g->told_cuts[b->n_ranks]);
    if (g->totals.counts)
        b->free(b, g->totals.counts, sizeof(int64_t) * n);
    if (g->totals.prob_sums)
        b->free(b, g->totals.prob_sums, sizeof(double) * n);
    if (g->totals.entropy)
        b->free(b, g->totals.entropy, sizeof(double) * (size_t)c->n_layers);
    micro_close(&g->micro);
    arena_close(&g->arena);
    mem_free(g);
}

float *gradient_memory(Gradient *g) { return g->sums[0]; }

/* ---- Grains
 * ------------------------------------------------------------------------------------------ */

/* What goes with a global batch. */
typedef struct BatchJob {
    const Rows *rows;
    const Objective *objective; /* NULL: the weights of rows */
    float scale;                /* 1 / sum of weights */
    Balance balance;
    bool is_counted; /* the experts' counts are those of the whole batch */
} BatchJob;

/* The number of this rank's i-th grain. Neighbours in the tree are on one rank, so that most of it
 * needs no exchange; or, when every grain's sum is divided at once, on different ranks. */
static int grain_number(const Gradient *g, int i)
{
    const Backend *b = backend_of(g);
    return is_divided(g) ? i * b->n_ranks + b->rank : b->rank * g->n_own + i;
}

static int grain_rows(const Gradient *g, const Rows *rows)
{
    return rows->n_rows / g->options.grains;
}

static int row_after(const Gradient *g, int row, int end)
{
    return row + g->options.micro_rows < end ? row + g->options.micro_rows : end;
}

static bool is_moe(const Gradient *g) { return g->params->model->config.n_experts > 0; }

/* Sums that are told grain by grain begin at zero. */
static void start_telling(Gradient *g)
{
    Backend *b = backend_of(g);
    const Config *c = &g->params->model->config;
    if (!is_moe(g))
        return;
    b->zero(b, g->totals.prob_sums, sizeof(double) * (size_t)c->n_layers * (size_t)c->n_experts);
    b->zero(b, g->totals.entropy, sizeof(double) * (size_t)c->n_layers);
}

static void tell(Gradient *g, int i)
{
    Backend *b = backend_of(g);
    const Config *c = &g->params->model->config;
    const size_t n = (size_t)c->n_layers * (size_t)c->n_experts;
    double *told = g->told + (size_t)i * g->n_told;
    if (!is_moe(g))
        return;
    b->fetch(b, told + 1, g->totals.prob_sums, sizeof(double) * n);
    b->fetch(b, told + 1 + n, g->totals.entropy, sizeof(double) * (size_t)c->n_layers);
}

/* Forward passes over all of this rank's grains, to know the experts' counts in the whole batch
 * before any gradient. */
static void count_experts(Gradient *g, BatchJob *job)
{
    Backend *b = backend_of(g);
    const int rows = grain_rows(g, job->rows);
    for (int i = 0; i < g->n_own; i++) {
        const int from = grain_number(g, i) * rows;
        start_telling(g);
        for (int row = from, next; row < from + rows; row = next) {
            next = row_after(g, row, from + rows);
            micro_load(&g->micro, job->rows, row, next, job->scale);
            micro_forward(&g->micro, &g->totals);
        }
        tell(g, i);
    }
    const Config *c = &g->params->model->config;
    b->all_reduce_counts(b, g->totals.counts, (size_t)c->n_layers * (size_t)c->n_experts);
    job->is_counted = true;
}

/* The gradient of this rank's i-th grain, from zero. */
static void grain_gradient(Gradient *g, BatchJob *job, int i, float *sum)
{
    Backend *b = backend_of(g);
    const Config *c = &g->params->model->config;
    const Grads grads = params_grads(g->params, sum, sum + g->params->size, g->layers);
    const int rows = grain_rows(g, job->rows), from = grain_number(g, i) * rows;
    double *loss = g->told + (size_t)i * g->n_told;
    *loss = 0;
    b->zero(b, sum, sizeof(float) * g->sum_size);
    for (int row = from, next; row < from + rows; row = next) {
        const bool counts = is_moe(g) && !job->is_counted; /* the only micro-batch */
        next = row_after(g, row, from + rows);
        micro_load(&g->micro, job->rows, row, next, job->scale);
        if (counts)
            start_telling(g);
        micro_forward(&g->micro, counts ? &g->totals : NULL);
        if (counts) {
            tell(g, i);
            b->all_reduce_counts(b, g->totals.counts, (size_t)c->n_layers * (size_t)c->n_experts);
        }
        if (job->objective)
            micro_weigh(&g->micro, job->objective);
        micro_loss(&g->micro, job->objective, &grads, is_moe(g) ? &job->balance : NULL, loss);
    }
}

double gradient_score(Gradient *g, const Rows *rows, const Objective *objective)
{
    double sum = 0;
    for (int row = 0, next; row < rows->n_rows; row = next) {
        next = row_after(g, row, rows->n_rows);
        micro_load(&g->micro, rows, row, next, 1.0f);
        micro_forward(&g->micro, NULL);
        if (objective)
            micro_weigh(&g->micro, objective);
        micro_loss(&g->micro, objective, NULL, NULL, &sum);
    }
    return sum;
}

/* ---- Sums over ranks
 * --------------------------------------------------------------------------------- */

/* y += x. */
static void add(Gradient *g, size_t n, const float *x, float *y)
{
    Backend *b = backend_of(g);
    b->blend(b, n, 1.0f, x, 1.0f, y);
}

/* Gradients of divided experts, which lie where the experts are, one for each rank's rows: each
 * rank gets those of its own rows, as if it held all experts. */
static void return_experts(Gradient *g, float *sum)
{
    Backend *b = backend_of(g);
    size_t cuts[RANKS_MAX + 1];
    for (int i = 0; i < g->params->n && g->bank; i++) {
        const Param *p = &g->params->items[i];
        if (p->n_mats == 1)
            continue;
        for (int r = 0; r <= b->n_ranks; r++)
            cuts[r] = sizeof(float) * (p->size / (size_t)b->n_ranks) * (size_t)r;
        b->all_to_all(b, sum + p->offset, cuts, g->bank, cuts);
        b->copy(b, (Mat){g->bank, p->n_mats * p->n_rows, p->n_cols, p->n_cols},
                (Mat){sum + p->offset, p->n_mats * p->n_rows, p->n_cols, p->n_cols});
    }
}

/* Sums over ranks: this rank's part of a whole sum, and of what lies behind, to `part` and behind
 * it; or to their places in `sum` when part is NULL. */
static void divide(Gradient *g, float *sum, float *part)
{
    Backend *b = backend_of(g);
    const Shards *s = g->shards;
    float *tied = sum + g->params->size;
    b->reduce_scatter(b, sum, s->cuts, part ? part : sum + s->cuts[s->mine]);
    if (g->sum_size > g->params->size)
        b->reduce_scatter(b, tied, g->tied_cuts,
                          part ? part + shards_size(s) : tied + g->tied_cuts[s->mine]);
}

/* All of this rank's grains, and then all ranks', added in a binary tree: after grain i, as many
 * pairs are joined as i + 1 has factors of two. Returns this rank's part. */
static const float *sum_grains(Gradient *g, BatchJob *job)
{
    Backend *b = backend_of(g);
    const Shards *s = g->shards;
    float **tree = is_divided(g) ? g->parts : g->sums;
    const size_t size = is_divided(g) ? g->part_size : g->sum_size;
    int depth = 0;
    for (int i = 0; i < g->n_own; i++) {
        float *sum = is_divided(g) ? g->sums[0] : g->sums[depth];
        grain_gradient(g, job, i, sum);
        if (is_divided(g)) {
            return_experts(g, sum);
            divide(g, sum, g->parts[depth]);
        }
        depth++;
        for (int pairs = i + 1; pairs % 2 == 0; pairs /= 2, depth--)
            add(g, size, tree[depth - 1], tree[depth - 2]);
    }
    if (!is_divided(g))
        return_experts(g, g->sums[0]);
    float *part = tree[0], *tied = part + shards_size(s);
    if (g->options.zero == ZERO_OPTIMIZER && s->n > 1) {
        divide(g, g->sums[0], NULL);
        part = g->sums[0] + s->cuts[s->mine];
        tied = g->sums[0] + g->params->size + g->tied_cuts[s->mine];
    } else if (!is_divided(g)) {
        b->all_reduce(b, g->sums[0], g->sum_size);
    }
    /* A tied embedding's two gradients, now that both are whole. */
    add(g, g->tied_cuts[s->mine + 1] - g->tied_cuts[s->mine], tied, part);
    return part;
}

/* ---- What it was like
 * -------------------------------------------------------------------------------- */

/* Every rank learns what all grains told, and adds it in the order of the grains. */
static void add_told(Gradient *g)
{
    double *total = g->total;
    Backend *b = backend_of(g);
    char *mine = (char *)g->told_part + g->told_cuts[b->rank];
    b->upload(b, mine, g->told, g->told_cuts[1]);
    b->all_gather(b, mine, g->told_cuts, g->told_part);
    b->fetch(b, g->told, g->told_part, g->told_cuts[b->n_ranks]);
    memset(total, 0, sizeof *total * g->n_told);
    for (int grain = 0; grain < g->options.grains; grain++) {
        const int place =
            is_divided(g) ? grain % b->n_ranks * g->n_own + grain / b->n_ranks : grain;
        for (size_t i = 0; i < g->n_told; i++)
            total[i] += g->told[(size_t)place * g->n_told + i];
    }
}

/* Averages over mixture layers. */
static void report_experts(Gradient *g, double n_tokens, const double *prob_sums,
                           const double *entropy, GradientReport *report)
{
    const Config *c = &g->params->model->config;
    Backend *b = backend_of(g);
    int n_moe = 0;
    b->fetch(b, g->counts, g->totals.counts,
             sizeof(int64_t) * (size_t)c->n_layers * (size_t)c->n_experts);
    for (int l = 0; l < c->n_layers; l++) {
        if (!c->is_moe_layer[l])
            continue;
        n_moe++;
        report->router_entropy += entropy[l] / n_tokens;
        for (int e = 0; e < c->n_experts; e++) {
            const size_t at = (size_t)(l * c->n_experts + e);
            const double share =
                (double)g->counts[at] / (n_tokens * c->n_experts_used) * c->n_experts;
            report->balance_loss += share * prob_sums[at] / n_tokens;
            if (share - 1 > report->max_violation)
                report->max_violation = share - 1;
        }
    }
    report->router_entropy /= n_moe;
    report->balance_loss /= n_moe;
}

bool gradient_batch(Gradient *g, const Rows *rows, const Objective *objective, const float **part,
                    GradientReport *report, Error *err)
{
    Backend *b = backend_of(g);
    const int n = rows->doc_start[rows->row_start[rows->n_rows]];
    const size_t n_counts =
        (size_t)g->params->model->config.n_layers * (size_t)g->params->model->config.n_experts;
    const double *total = g->total;
    double weights = 0;
    for (int i = 0; i < n; i++)
        weights += (double)rows->weights[i];
    BatchJob job = {.rows = rows, .objective = objective, .scale = (float)(1 / weights)};
    job.balance =
        (Balance){g->options.balance, rows_n_tokens(rows, 0, rows->n_rows), g->totals.counts};
    *report = (GradientReport){.n_tokens = n};
    if (is_moe(g)) {
        b->zero(b, g->totals.counts, sizeof(int64_t) * n_counts);
        if (g->n_own > 1 || grain_rows(g, rows) > g->options.micro_rows)
            count_experts(g, &job);
    }
    *part = sum_grains(g, &job);
    add_told(g);
    report->loss = total[0];
    if (is_moe(g))
        report_experts(g, (double)job.balance.n_tokens, total + 1, total + 1 + n_counts, report);
    return b->group_is_ok(b, err);
}
