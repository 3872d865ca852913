/* Types for a size. Each matrix is tried in every type that its rows can have, on a sample of its
 * rows: the error's energy over the values' own, by importance where that is known, is what it
 * would add to the noise of the matrix's output. The sum over all matrices, each counting by its
 * block's share of the stream, is made small within the bytes allowed: a price of a byte is found
 * by halving, at which every matrix takes its cheapest type, and what is left over then goes to the
 * steps that gain most. */
#include "base/bug.h"
#include "formats/convert_parts.h"
#include "tensor/quant.h"

#include <math.h>
#include <string.h>

enum {
    SAMPLE_ELEMENTS = 1 << 16,
    SAMPLE_ROWS_MIN = 8,
    CHOICES_MAX = 16,
    ALIGNMENT = 32, /* of tensors in a GGUF */
    HALVINGS = 200
};

/* From small to large; the last one of each list is as good as the numbers are. */
static const DType candidates[] = {DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_IQ4_XS, DTYPE_Q4_K,
                                   DTYPE_Q5_K, DTYPE_Q6_K, DTYPE_Q8_0,   DTYPE_BF16},
                   short_candidates[] = {DTYPE_IQ4_NL, DTYPE_Q4_1, DTYPE_Q5_0,
                                         DTYPE_Q5_1,   DTYPE_Q8_0, DTYPE_BF16};

typedef struct Choice {
    DType type;
    uint64_t bytes;
    double cost;
} Choice;

/* What one tensor may become, in order of bytes. */
typedef struct Choices {
    Choice of[CHOICES_MAX];
    int n, taken;
} Choices;

typedef struct Sample {
    int64_t n_cols;
    int n_rows;
    float *values, *weights; /* [n_rows, n_cols] */
    float *scratch;          /* [n_threads, n_cols] */
    uint8_t *encoded;        /* [n_threads, n_cols] floats' bytes */
    const Choices *choices;
    double *errors; /* [n_rows, CHOICES_MAX] */
    double *energy; /* [n_rows] */
} Sample;

typedef struct Chooser {
    ConvertPlan *plan;
    const Package *in;
    const ConvertOptions *options;
    Pool *pool;
    Choices *choices; /* [plan->n] */
    Merge merge;
    Error *err;
} Chooser;

static uint64_t padded(uint64_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static uint64_t bytes_as(const TensorInfo *info, DType type)
{
    uint64_t n_rows = 1;
    for (int d = 0; d + 1 < info->n_dims; d++)
        n_rows *= (uint64_t)info->dims[d];
    return padded(n_rows * dtype_row_bytes(type, info->dims[info->n_dims - 1]));
}

static void add_choice(Choices *c, const TensorInfo *info, DType type)
{
    const Choice choice = {.type = type, .bytes = bytes_as(info, type)};
    int at = c->n;
    ASSERT(c->n < CHOICES_MAX);
    for (int i = 0; i < c->n; i++)
        if (c->of[i].type == type)
            return;
    for (; at > 0 && c->of[at - 1].bytes > choice.bytes; at--)
        c->of[at] = c->of[at - 1];
    c->of[at] = choice;
    c->n++;
}

static void list_choices(Choices *c, const PlannedTensor *t, DType source)
{
    const int64_t n_cols = t->info.dims[t->info.n_dims - 1];
    const bool is_short = n_cols % 256 != 0;
    const DType *list = is_short ? short_candidates : candidates;
    const size_t n = is_short ? sizeof short_candidates / sizeof *short_candidates
                              : sizeof candidates / sizeof *candidates;
    *c = (Choices){0};
    if (name_is_small(t->name.part)) {
        add_choice(c, &t->info, t->info.type);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (n_cols % dtype_info(list[i])->block_len == 0)
            add_choice(c, &t->info, list[i]);
    /* As it is. */
    if (source != DTYPE_F32 && dtype_info(source)->ggml_id >= 0)
        add_choice(c, &t->info, source);
}

/* ---- The error of each choice -------------------------------------------------------------------
 */

static void measure_row(void *context, int row, int worker)
{
    Sample *s = context;
    const size_t n = (size_t)s->n_cols, at = (size_t)row * n;
    const float *x = s->values + at, *w = s->weights + at;
    float *back = s->scratch + (size_t)worker * n;
    uint8_t *encoded = s->encoded + (size_t)worker * n * sizeof(float);
    for (size_t i = 0; i < n; i++)
        s->energy[row] += (double)w[i] * ((double)x[i] * (double)x[i]);
    for (int k = 0; k < s->choices->n; k++) {
        const DType type = s->choices->of[k].type;
        double error = 0;
        quant_encode_weighted(type, x, w, encoded, s->n_cols);
        quant_decode(type, encoded, back, s->n_cols);
        for (size_t i = 0; i < n; i++) {
            const double off = (double)x[i] - (double)back[i];
            error += (double)w[i] * (off * off);
        }
        s->errors[row * CHOICES_MAX + k] = error;
    }
}

static bool open_sample(Sample *s, const PlannedTensor *t, int64_t n_rows, int n_threads,
                        Error *err)
{
    const int64_t n_cols = t->info.dims[t->info.n_dims - 1];
    int64_t wanted = SAMPLE_ELEMENTS / n_cols;
    wanted = wanted < SAMPLE_ROWS_MIN ? SAMPLE_ROWS_MIN : wanted;
    wanted = wanted < n_rows ? wanted : n_rows;
    s->n_cols = n_cols;
    s->n_rows = (int)wanted;
    const size_t floats = (size_t)wanted * (size_t)n_cols * sizeof(float);
    const size_t thread_floats = (size_t)n_threads * (size_t)n_cols * sizeof(float);
    s->values = mem_try_alloc(floats, "a sample of rows", err);
    s->weights = mem_try_alloc(floats, "a sample of rows", err);
    s->scratch = mem_try_alloc(thread_floats, "a sample of rows", err);
    s->encoded = mem_try_alloc(thread_floats, "a sample of rows", err);
    s->errors = mem_alloc((size_t)wanted * CHOICES_MAX * sizeof *s->errors);
    s->energy = mem_alloc((size_t)wanted * sizeof *s->energy);
    return s->values && s->weights && s->scratch && s->encoded;
}

static void close_sample(Sample *s)
{
    mem_free(s->values);
    mem_free(s->weights);
    mem_free(s->scratch);
    mem_free(s->encoded);
    mem_free(s->errors);
    mem_free(s->energy);
}

/* Rows spread evenly over all pieces of a tensor, with their columns' weights. */
static bool take_rows(Chooser *c, const PlannedTensor *t, int64_t piece_rows, Sample *s)
{
    const size_t n = (size_t)s->n_cols;
    int taken_piece = -1;
    Tensor source = {0};
    void *raw = mem_try_alloc(n * sizeof(float), "a row", c->err);
    bool ok = raw != NULL;
    for (int i = 0; ok && i < s->n_rows; i++) {
        const int64_t row = (2 * i + 1) * piece_rows * t->n_pieces / (2 * s->n_rows);
        const int piece = (int)(row / piece_rows);
        const int64_t first = row % piece_rows;
        float *x = s->values + (size_t)i * n, *w = s->weights + (size_t)i * n;
        if (piece != taken_piece) {
            char name[TENSOR_NAME_BYTES];
            convert_piece_name(name, t, piece);
            ok = convert_piece(c->in, t, piece, &source, c->err) &&
                 merge_begin(&c->merge, c->options, name, c->err);
            taken_piece = piece;
            if (!ok)
                break;
        }
        quant_decode(source.type, tensor_rows(&source, first, 1, raw), x, s->n_cols);
        merge_add(&c->merge, first * s->n_cols, s->n_cols, x);
        if (!convert_columns(c->plan, c->options, t, piece, w))
            for (size_t j = 0; j < n; j++)
                w[j] = 1;
        for (size_t j = 0; j < n; j++)
            if (!isfinite(x[j]))
                x[j] = 0; /* the conversion will say where it is */
    }
    mem_free(raw);
    return ok;
}

static bool measure_tensor(Chooser *c, int index)
{
    const PlannedTensor *t = &c->plan->tensors[index];
    Choices *choices = &c->choices[index];
    Sample s = {.choices = choices};
    Tensor first;
    char name[TENSOR_NAME_BYTES];
    convert_piece_name(name, t, 0);
    if (!convert_piece(c->in, t, 0, &first, c->err))
        return false;
    list_choices(choices, t, c->options->n_adapters ? DTYPE_F32 : first.type);
    if (choices->n == 1)
        return true;
    const int64_t piece_rows = tensor_n_rows(&first);
    bool ok = open_sample(&s, t, piece_rows * t->n_pieces, pool_n_threads(c->pool), c->err) &&
              take_rows(c, t, piece_rows, &s);
    if (ok) {
        double energy = 0;
        pool_run(c->pool, s.n_rows, measure_row, &s);
        for (int i = 0; i < s.n_rows; i++)
            energy += s.energy[i];
        for (int k = 0; k < choices->n; k++) {
            double error = 0;
            for (int i = 0; i < s.n_rows; i++)
                error += s.errors[i * CHOICES_MAX + k];
            choices->of[k].cost =
                energy > 0 ? error / energy * importance_share(c->options->importance, name) : 0;
        }
    }
    close_sample(&s);
    return ok;
}

/* ---- The choice --------------------------------------------------------------------------------
 */

/* Every tensor takes its cheapest choice at that price of a byte; returns the bytes. */
static uint64_t take_at(Chooser *c, double price)
{
    uint64_t bytes = 0;
    for (int i = 0; i < c->plan->n; i++) {
        Choices *t = &c->choices[i];
        double least = (double)INFINITY;
        for (int k = 0; k < t->n; k++) {
            const double cost = t->of[k].cost + price * (double)t->of[k].bytes;
            if (cost < least) {
                least = cost;
                t->taken = k;
            }
        }
        bytes += t->of[t->taken].bytes;
    }
    return bytes;
}

/* Spends what is left on single steps, the one that gains most for its bytes first. */
static void spend_rest(Chooser *c, uint64_t left)
{
    for (;;) {
        double best = 0;
        int best_tensor = -1, best_choice = 0;
        for (int i = 0; i < c->plan->n; i++) {
            const Choices *t = &c->choices[i];
            const Choice *now = &t->of[t->taken];
            for (int k = 0; k < t->n; k++) {
                const double gain = now->cost - t->of[k].cost;
                if (gain <= 0 || t->of[k].bytes > now->bytes + left)
                    continue;
                const double more =
                    t->of[k].bytes > now->bytes ? (double)(t->of[k].bytes - now->bytes) : 0.5;
                if (gain / more > best) {
                    best = gain / more;
                    best_tensor = i;
                    best_choice = k;
                }
            }
        }
        if (best_tensor < 0)
            return;
        Choices *t = &c->choices[best_tensor];
        left = left + t->of[t->taken].bytes - t->of[best_choice].bytes;
        t->taken = best_choice;
    }
}

static bool choose(Chooser *c, uint64_t limit)
{
    uint64_t least = 0;
    for (int i = 0; i < c->plan->n; i++) {
        c->choices[i].taken = 0;
        least += c->choices[i].of[0].bytes;
    }
    if (least > limit)
        return error_set(
            c->err, ERROR_LIMIT,
            "%s: the smallest types take %.3f GB more than the size that was asked for",
            package_path(c->in), (double)(least - limit) / 1e9);
    /* Between a price that nobody pays and none. */
    double high = 1, low = 0;
    for (int i = 0; i < HALVINGS; i++) {
        const double price = i == 0 ? 0 : low > 0 ? sqrt(low * high) : high * 1e-30;
        if (take_at(c, price) <= limit)
            high = price;
        else
            low = price;
        if (high == 0)
            break;
    }
    uint64_t bytes = take_at(c, high);
    if (bytes > limit) { /* not even the highest price will do */
        for (int i = 0; i < c->plan->n; i++)
            c->choices[i].taken = 0;
        bytes = least;
    }
    spend_rest(c, limit - bytes);
    return true;
}

static void keep_choice(Chooser *c)
{
    uint64_t bytes_of[DTYPE_COUNT] = {0};
    DType most = DTYPE_F32;
    c->plan->is_quantized = false;
    for (int i = 0; i < c->plan->n; i++) {
        const Choice *taken = &c->choices[i].of[c->choices[i].taken];
        c->plan->tensors[i].info.type = taken->type;
        c->plan->is_quantized |= dtype_info(taken->type)->block_len > 1;
        bytes_of[taken->type] += taken->bytes;
        if (bytes_of[taken->type] > bytes_of[most])
            most = taken->type;
    }
    c->plan->file_type = convert_file_type(most);
}

bool convert_choose(ConvertPlan *plan, const Package *in, const ConvertOptions *options, Pool *pool,
                    uint64_t header_bytes, Error *err)
{
    Chooser c = {.plan = plan, .in = in, .options = options, .pool = pool, .err = err};
    uint64_t done = 0;
    c.choices = mem_alloc((size_t)plan->n * sizeof *c.choices);
    bool ok = options->target_bytes > header_bytes ||
              error_set(err, ERROR_LIMIT, "%s: %llu bytes do not hold the vocabulary (%llu)",
                        package_path(in), (unsigned long long)options->target_bytes,
                        (unsigned long long)header_bytes);
    for (int i = 0; ok && i < plan->n; i++) {
        ok = measure_tensor(&c, i);
        done += bytes_as(&plan->tensors[i].info, plan->tensors[i].info.type);
        if (ok && options->progress &&
            !options->progress(options->context, plan->tensors[i].text, done, plan->bytes_in))
            ok = error_set(err, ERROR_CANCELLED, "stopped");
        tensor_table_release(package_tensors(in));
    }
    ok = ok && choose(&c, options->target_bytes - header_bytes);
    if (ok)
        keep_choice(&c);
    arena_close(&c.merge.arena);
    mem_free(c.choices);
    return ok;
}
