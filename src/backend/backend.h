/* THE DEVICE SEAM: one table of operations, filled once by the CPU and once by CUDA.
 *
 * Above this line nobody knows the device: the model's one forward pass, the sampler's rows and the
 * trainer are written in these operations. Below it nobody knows the model.
 *
 * Rules that hold for every operation:
 *  - Operations are queued in order and return nothing to the host; results stay on the device
 * until `fetch`. They cannot fail: shapes are asserted, memory was reserved before (`reserve`).
 *  - A row's result depends on that row (and on the keys and values its sequence wrote) only, never
 *    on its batch-mates, on how many rows there are, or on the number of threads. Every sum has one
 *    fixed order. docs/numerics.md says what that costs.
 *  - Mats are dense f32 unless a comment says otherwise; an output may not overlap an input unless
 * a comment says so.
 *  - Pointers to int32_t and float beside Mats (ids, positions, offsets) are device memory too,
 * from `alloc` or a Step.
 */
#ifndef WEN_BACKEND_BACKEND_H
#define WEN_BACKEND_BACKEND_H

#include "base/error.h"
#include "tensor/tensor.h"

typedef struct Backend Backend;

/* A matrix (or a bank of n_mats equal ones: the experts of a layer), packed as the device likes.
 * Made from a file's tensor; read by matmul, embed, and their backward forms. */
typedef struct Weight Weight;

/* Pages of keys and values of all layers; see kv_new. */
typedef struct KvStore KvStore;

enum { KV_PAGE_TOKENS = 64 };

/* One sequence's share of a step: rows first_row .. first_row+n_rows-1 of the batch are its
 * positions first_position, first_position+1, ... Queries see the keys at positions up to their
 * own, in this sequence's pages. */
typedef struct SeqSpan {
    int32_t first_row, n_rows;
    int32_t first_position;
    const int32_t *pages; /* page of position p: pages[p / KV_PAGE_TOKENS] */
    /* What rotations know of the whole sequence; 0: nothing. The same in all of its steps. */
    int32_t length;      /* positions that were there to begin with: its prompt's */
    double rope_stretch; /* a: frequency j is multiplied with a^(-2j / (d - 2)); 0: with 1 */
} SeqSpan;

/* How positions turn queries or keys. */
typedef struct Rotation {
    const double *inv_freq; /* host memory [head_dim / 2], radians a position */
    float factor;           /* of cosines and sines */
    /* Position p turns like position min(p mod wrap + shift, most). wrap 0: like p. */
    int wrap, shift, most;
    /* Where L > grows_from (0: never), cosines and sines are also multiplied with
     * (1 + growth ln(L / grows_from))^growth_power. L is p + 1, or, if grows_by_length, the
     * sequence's length where that is larger. */
    int grows_from, growth_power;
    double growth;
    bool grows_by_length;
} Rotation;

/* Which keys a query sees, and how. */
typedef struct Sight {
    float scale;
    int window; /* only the last so many positions, its own included; 0: all up to its own */
    /* Dual chunk attention: positions come in chunks of so many, a multiple of KV_PAGE_TOKENS; for
     * keys of the chunk before its own a query is the row of q_before, for those further back that
     * of q_far. 0: one chunk. */
    int chunk;
    Mat q_before, q_far;
} Sight;

/* Rows of a batch that a low-rank adapter changes. What an adapter is, model/adapter.h knows; no
 * backend looks inside. */
typedef struct AdaptedRows {
    const struct Adapter *adapter;
    float scale; /* asked for, beside the adapter's own */
    int first_row, n_rows;
} AdaptedRows;

/* A ragged batch: the tokens of one step, sequence after sequence. */
typedef struct Batch {
    int n_tokens, n_seqs;
    const int32_t *ids;       /* [n_tokens] */
    const int32_t *positions; /* [n_tokens] */
    const SeqSpan *seqs;      /* [n_seqs] */
    /* Host memory. A row may be in several: their changes are added in this order. */
    int n_adapted;
    const AdaptedRows *adapted; /* [n_adapted] */
} Batch;

/* Where each (token, slot) of a mixture-of-experts layer goes. Device memory from a Step; filled by
 * moe_route. Pairs are ordered by expert, then by token, then by slot. */
typedef struct MoeRoutes {
    int n_tokens, n_experts, n_used; /* n_used experts a token */
    int32_t *expert;                 /* [n_tokens, n_used], best first */
    float *weight;                   /* [n_tokens, n_used] */
    int32_t *offset;                 /* [n_experts + 1]: pairs of expert e are offset[e] .. */
    int32_t *pair_token;             /* [n_tokens * n_used]: token of the i-th pair */
    int32_t *pair_place;             /* [n_tokens, n_used]: place of (token, slot) in that order */
} MoeRoutes;

/* How to pick one token from one row of logits. */
typedef struct SampleRow {
    float temperature;  /* 0: the largest logit, lowest id on ties */
    int top_k;          /* 0: all */
    float top_p, min_p; /* 1 and 0: all */
    float repetition_penalty, presence_penalty, frequency_penalty; /* 1, 0, 0: none */
    uint64_t seed;
    uint64_t position; /* of the token being drawn: with seed it fixes the noise */
    int n_allowed;     /* ids >= n_allowed are never drawn (padding rows of the head); 0: nothing
                          is drawn from this row */
    /* Tokens seen: pairs of id and how often in the output (0: only in the prompt). */
    const int32_t *seen_ids, *seen_counts;
    int n_seen;
    const int32_t *bias_ids; /* logit_bias: added before everything else */
    const float *bias;
    int n_bias;
    const uint32_t *mask; /* bit id set: allowed (a grammar's mask); NULL: all */
    int n_top;            /* how many alternatives to report, at most SAMPLE_TOP_MAX */
} SampleRow;

enum { SAMPLE_TOP_MAX = 128 };

/* What came out, host memory. Log-probabilities are log-softmax of the raw logits. */
typedef struct Sampled {
    int32_t id;
    float logprob;
    int n_top;
    int32_t top_ids[SAMPLE_TOP_MAX];
    float top_logits[SAMPLE_TOP_MAX], top_logprobs[SAMPLE_TOP_MAX];
} Sampled;

/* One step of AdamW (Loshchilov & Hutter 2019), g = grad * grad_scale:
 *   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
 *   param -= lr (m correction1 / (sqrt(v correction2) + eps) + weight_decay param)
 * with correction_i = 1 / (1 - beta_i^steps). */
typedef struct AdamW {
    float lr, beta1, beta2, eps, weight_decay, grad_scale, correction1, correction2;
} AdamW;

/* What the device reaches at best, a second; a multiplication and an addition are two. */
typedef struct Limits {
    double read_bytes;                  /* from memory, by all threads */
    double f32_ops, bf16_ops, int8_ops; /* on registers, by all threads */
} Limits;

struct Backend {
    const char *name; /* "cpu", "cuda" */
    const char *isa;  /* what serves it: "avx512bf16", "sm_90" */
    int n_threads;
    int rank, n_ranks;       /* in the group for collectives: 0 of 1 when alone */
    struct Profile *profile; /* profile.h; NULL: off */

    void (*close)(Backend *b);

    /* ---- Memory ---------------------------------------------------------------------------- */

    /* Device memory, 64-byte aligned, zeroed; NULL on failure. */
    void *(*alloc)(Backend *b, size_t bytes, const char *what, Error *err);
    void (*free)(Backend *b, void *memory, size_t bytes);
    void (*upload)(Backend *b, void *device, const void *host, size_t bytes);
    /* Waits for all queued operations, then copies. */
    void (*fetch)(Backend *b, void *host, const void *device, size_t bytes);
    /* Makes room for the scratch that operations on up to n_rows rows of up to n_cols columns need,
     * so that no operation allocates later. Grows only. */
    bool (*reserve)(Backend *b, int n_rows, int n_cols, Error *err);

    /* Measures the device's limits: the best of n_rounds, some tens of milliseconds each. Takes a
     * gigabyte of memory while it runs. */
    bool (*measure_limits)(Backend *b, int n_rounds, Limits *limits, Error *err);

    /* ---- Weights --------------------------------------------------------------------------- */

    /* Packs n_mats matrices of [n_rows, n_cols] each. `source` holds them one after another (dims
     * [n_mats * n_rows, n_cols] or [n_mats, n_rows, n_cols]); for experts stored one by one, make
     * the bank with source NULL data and fill it with weight_set. Refuses NaN in nothing: contents
     * are not looked at. */
    Weight *(*weight_new)(Backend *b, const Tensor *source, int n_mats, Error *err);
    /* Replaces matrix `mat` of w by `source`: same type, or f32 (converted; the trainer's masters).
     */
    void (*weight_set)(Backend *b, Weight *w, int mat, const Tensor *source);
    /* Reads rows from .. from+n-1 of matrix `mat` back as f32 into host memory [n, n_cols]. */
    void (*weight_get)(Backend *b, const Weight *w, int mat, int from, int n, float *out);
    /* A bank of n_mats matrices of zeros, divided over the ranks: rank r holds matrices
     * r * n_mats / n_ranks and on, which n_ranks divides, and no other. Products of experts with it
     * are taken by all ranks together: each brings rows for any of the matrices and gets what it
     * would get from a whole bank. Setting a matrix that another rank holds does nothing. */
    Weight *(*bank_new_divided)(Backend *b, DType type, int n_mats, int n_rows, int n_cols,
                                Error *err);
    size_t (*weight_bytes)(const Weight *w);
    /* The one operation that any thread may call at any time, for a w that no operation uses. */
    void (*weight_free)(Backend *b, Weight *w);

    /* ---- Forward operations ---------------------------------------------------------------- */

    /* y[t] = row ids[t] of w, as f32. Ids are in range (checked where text enters). */
    void (*embed)(Backend *b, const Weight *w, const int32_t *ids, Mat y);

    /* y_i = x W_i^T for n weights sharing the input: one pass over x, one fork.
     *   x [t, k];  W_i [n_i, k];  y_i [t, n_i]  */
    void (*matmul)(Backend *b, int n, Weight *const w[], Mat x, const Mat y[]);

    /* y[i] = W_e x[i] for the rows i of expert e: rows offset[e] .. offset[e+1]-1.
     *   n banks sharing the input and the offsets, as in matmul. */
    void (*matmul_experts)(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes, Mat x,
                           const Mat y[]);

    /* y[t][i] += bias[i]. */
    void (*add_bias)(Backend *b, Mat y, const float *bias);
    /* y += x. */
    void (*add)(Backend *b, Mat y, Mat x);

    /* y[t][i] = x[t][i] * w[i] / sqrt(mean_i(x[t][i]^2) + eps). y may be x. Zhang & Sennrich 2019.
     */
    void (*rms_norm)(Backend *b, Mat x, const float *w, float eps, Mat y);

    /* table[t] = cos(p f_0) .. cos(p f_{d/2-1}), sin(p f_0) .. for the position p of row t, as the
     * rotation says; angles in double. table [t, d]. */
    void (*rope_table)(Backend *b, const Batch *batch, const Rotation *rotation, Mat table);
    /* Rotates the halves of every head of x [t, n_heads * head_dim] in place ("neox" order):
     * x_j' = x_j cos_j - x_{j+d/2} sin_j;  x_{j+d/2}' = x_{j+d/2} cos_j + x_j sin_j. */
    void (*rope)(Backend *b, Mat x, Mat table);

    /* dst[i] = src[index[i]]. */
    void (*gather_rows)(Backend *b, Mat src, const int32_t *index, Mat dst);

    /* out = silu(gate) * up, silu(z) = z / (1 + exp(-z)). out may be gate. */
    void (*swiglu)(Backend *b, Mat gate, Mat up, Mat out);

    /* Softmax over all n_experts of each row of logits [t, n_experts] in f32, the n_used largest
     * (lowest index on ties), divided by their sum if `normalize`; then the pair order. Fills
     * `routes`, whose arrays the caller made. */
    void (*moe_route)(Backend *b, Mat logits, bool normalize, MoeRoutes *routes);
    /* out[t] = sum over slots s = 0 .. n_used-1, in that order, of weight[t][s] * y[place(t,s)]. */
    void (*moe_combine)(Backend *b, const MoeRoutes *routes, Mat y, Mat out);

    /* ---- Keys and values ------------------------------------------------------------------- */

    /* Room for n_pages pages of KV_PAGE_TOKENS positions in every layer, in `type` (F32, F16, BF16
     * or Q8_0). Memory is taken as pages are first written. */
    KvStore *(*kv_new)(Backend *b, DType type, int n_layers, int n_kv_heads, int head_dim,
                       int n_pages, Error *err);
    void (*kv_free)(Backend *b, KvStore *kv);
    /* Copies the first n_tokens positions of page `from` to page `to`, in all layers. */
    void (*kv_copy_page)(Backend *b, KvStore *kv, int from, int to, int n_tokens);
    /* Rounds k and v [t, n_kv_heads * head_dim] to the page type and stores them at each row's
     * position. */
    void (*kv_write)(Backend *b, KvStore *kv, int layer, const Batch *batch, Mat k, Mat v);

    /* Causal softmax attention of every row over its own sequence's stored keys and values:
     *   q, out [t, n_heads * head_dim]; query head h reads kv head h / (n_heads / n_kv_heads).
     * `sight` says which of them, and the scale of the scores.
     * The same arithmetic whether a row comes in a prefill of 8,192 or alone: keys are taken in
     * fixed splits, each with an online softmax in f32, and the splits are merged in order. */
    void (*attention)(Backend *b, const KvStore *kv, int layer, const Batch *batch,
                      const Sight *sight, Mat q, Mat out);

    /* ---- Ends of a step ---------------------------------------------------------------------- */

    /* Draws one token from each row of logits (which it may overwrite). rows, out: host memory
     * [logits.rows]. Noise: counter-based, keyed by (seed, position, id). Waits. */
    void (*sample)(Backend *b, Mat logits, const SampleRow rows[], Sampled out[]);
    /* logprob[t] = log_softmax(logits[t])[targets[t]] (ids; -1 gives 0), and the n_top largest
     * logits of each row, largest first, lowest id on ties. Host memory. Waits.
     *   top_ids, top_logits, top_logprobs [t, n_top] or NULL when n_top is 0. */
    void (*logprobs)(Backend *b, Mat logits, const int32_t *targets, float *logprob, int n_top,
                     int32_t *top_ids, float *top_logits, float *top_logprobs);

    /* ---- Backward operations -----------------------------------------------------------------
     *
     * d + a name is the gradient with respect to it. An operation of the forward pass `op` has its
     * mirror `op_backward`. Where it says "+=", the result is added to what the output holds;
     * otherwise the output is overwritten.
     *
     * Order of sums: a gradient of a weight is one f32 chain over the tokens in the order of the
     * rows, and it goes on from what dw holds. So a batch may be cut into micro-batches anywhere
     * without changing a bit (weights of type BF16: at even rows), and threads never matter. All
     * other sums depend on one row, or one sequence, alone. docs/training.md has the reasons. */

    /* Room for these operations on up to n_rows rows of matrices and n_rows * n_heads heads. */
    bool (*reserve_training)(Backend *b, int n_rows, int n_heads, Error *err);
    /* Multiplications and additions a second that products of F32 or BF16 reach at best, with all
     * threads and operands at hand; measured for some hundredths of a second. */
    double (*peak_flops)(Backend *b, DType type);
    void (*copy)(Backend *b, Mat src, Mat dst);
    void (*zero)(Backend *b, void *memory, size_t bytes);
    /* c = a b, where a_is_transposed (b_is_transposed) says that a (b) is given as its transpose;
     * type F32: in f32; BF16: both rounded to bfloat16, sums in f32. For what is not a layer: the
     * optimizer's iterations. */
    void (*product)(Backend *b, DType type, Mat a, bool a_is_transposed, Mat other,
                    bool b_is_transposed, Mat c);

    /* dx = sum over i, in order, of dy_i W_i.  dy_i [t, n_i]; dx [t, k]. Weights of type F32: in
     * f32. BF16: dy rounded to bfloat16, sums in f32. */
    void (*matmul_backward_x)(Backend *b, int n, Weight *const w[], const Mat dy[], Mat dx);
    /* dw_i += dy_i^T x.  dw_i [n_i, k] dense, f32. The type of w_i says how both are rounded. */
    void (*matmul_backward_w)(Backend *b, int n, Weight *const w[], const Mat dy[], Mat x,
                              float *const dw[]);
    /* The same for each expert's rows; dw_i [n_experts, n_i, k]. Of a divided bank, dw_i holds the
     * gradients of this rank's matrices for the rows that each rank brought:
     * [n_ranks, n_experts / n_ranks, n_i, k]. */
    void (*matmul_experts_backward_x)(Backend *b, int n, Weight *const bank[],
                                      const MoeRoutes *routes, const Mat dy[], Mat dx);
    void (*matmul_experts_backward_w)(Backend *b, int n, Weight *const bank[],
                                      const MoeRoutes *routes, const Mat dy[], Mat x,
                                      float *const dw[]);
    /* dw[ids[t]] += dy[t].  dw [n_vocab, dy.cols]. */
    void (*embed_backward)(Backend *b, const int32_t *ids, Mat dy, float *dw);
    /* dbias[i] += sum_t dy[t][i]. */
    void (*bias_backward)(Backend *b, Mat dy, float *dbias);
    /* With r = 1 / sqrt(mean(x^2) + eps) of a row:
     *   dx (+)= r (w dy - x r^2 mean(w dy x));  dw += sum over rows of dy x r
     * dx is added to if `accumulate`; otherwise it may be dy. dw NULL: not wanted. */
    void (*rms_norm_backward)(Backend *b, Mat x, const float *w, float eps, Mat dy, bool accumulate,
                              Mat dx, float *dw);
    /* The transposed rotation of every head of dx, in place. */
    void (*rope_backward)(Backend *b, Mat dx, Mat table);
    /* dgate = dout up s (1 + gate (1 - s)), s = 1 / (1 + exp(-gate));  dup = dout gate s.
     * dgate may be dout. */
    void (*swiglu_backward)(Backend *b, Mat gate, Mat up, Mat dout, Mat dgate, Mat dup);
    /* Of `attention` over whole sequences (first_position 0) whose pages are F32: q, k, v as they
     * were after the rotation, out its result. Probabilities are made again, block by block; the
     * memory does not grow with the square of the length. dk and dv sum over query heads, then
     * query rows, in order. dq may be q. */
    void (*attention_backward)(Backend *b, const Batch *batch, float scale, int head_dim, Mat q,
                               Mat k, Mat v, Mat out, Mat dout, Mat dq, Mat dk, Mat dv);

    /* counts[e] += pairs of expert e (global counts are sums over micro-batches and ranks);
     * prob_sums[e] += softmax(logits[t])[e], entropy_sum += the entropy of that, in token order. */
    void (*moe_count)(Backend *b, Mat logits, const MoeRoutes *routes, int64_t *counts,
                      double *prob_sums, double *entropy_sum);
    /* dact, dpairs: gradients of the rows of pairs, made without the routes' weights.
     *   dweight[t][s] = act[place(t,s)] . dact[place(t,s)];  then both rows *= weight[t][s]. */
    void (*moe_combine_backward)(Backend *b, const MoeRoutes *routes, Mat act, Mat dact, Mat dpairs,
                                 float *dweight);
    /* Of gather_rows by routes->pair_token: dx[t] = sum over slots, in order, of
     * dpairs[place(t,s)]. */
    void (*moe_gather_backward)(Backend *b, const MoeRoutes *routes, Mat dpairs, Mat dx);
    /* Through softmax, choice and renormalisation, plus the load-balancing loss's gradient
     * balance * p_i (f_i - sum_j f_j p_j), f_i = counts[i] / sum(counts) (arXiv 2501.11873).
     * balance = coefficient * n_experts / tokens of the global batch. */
    void (*moe_route_backward)(Backend *b, Mat logits, const MoeRoutes *routes, bool normalize,
                               const float *dweight, float balance, const int64_t *counts,
                               Mat dlogits);

    /* Cross-entropy of rows of logits, which become their gradient:
     *   losses[t] = -log_softmax(logits[t])[targets[t]];
     *   logits[t] = weights[t] (softmax(logits[t]) - onehot(targets[t])); weight 0: all zeros */
    void (*xent)(Backend *b, Mat logits, const int32_t *targets, const float *weights,
                 float *losses);

    /* sums[i] = the sum of squares, in double, of the i-th SQUARES_PIECE elements of x (the last
     * piece may be shorter). */
    void (*sum_squares)(Backend *b, const float *x, size_t n, double *sums);
    /* y = a x + c y. x may be y. */
    void (*blend)(Backend *b, size_t n, float a, const float *x, float c, float *y);
    /* See AdamW. All arrays f32 [n]. */
    void (*adamw)(Backend *b, const AdamW *a, size_t n, float *param, const float *grad, float *m,
                  float *v);

    /* ---- Collectives -------------------------------------------------------------------------
     *
     * Between the ranks of a group, each of which is a backend; dist/comm.h has the contract of
     * each operation, and its rules: all ranks call the same operations in the same order; sums
     * have one order; when a rank has failed they do nothing, and `group_is_ok` tells. Alone they
     * do what is left to do. Cuts [n_ranks + 1] are host memory, data is device memory. */

    void (*all_reduce)(Backend *b, float *x, size_t n);
    void (*all_reduce_counts)(Backend *b, int64_t *x, size_t n);
    /* to = this rank's part of the sum; `from` is used up; `to` may be from + cuts[rank]. */
    void (*reduce_scatter)(Backend *b, float *from, const size_t cuts[], float *to);
    /* all = every rank's part; `mine` may be its place there. Cuts in bytes, as in all_to_all. */
    void (*all_gather)(Backend *b, const void *mine, const size_t cuts[], void *all);
    void (*all_to_all)(Backend *b, const void *from, const size_t from_cuts[], void *to,
                       const size_t to_cuts[]);
    void (*broadcast)(Backend *b, int root, void *data, size_t bytes);
    void (*barrier)(Backend *b);
    void (*send)(Backend *b, int to, const void *data, size_t bytes);
    void (*recv)(Backend *b, int from, void *data, size_t bytes);
    /* Waits for what is queued; false when a rank has failed, with its error. */
    bool (*group_is_ok)(Backend *b, Error *err);
};

enum { SQUARES_PIECE = 1 << 14 };

/* device: "cpu", "cuda" or "auto"; n_threads 0: one a processor. The only place that knows which
 * backends exist. */
Backend *backend_open(const char *device, int n_threads, Error *err) MUST_USE;

/* What this build has to choose from: names of devices, and of the levels of instruction sets that
 * it has CPU kernels for, slowest first; the first n_usable of them run on this processor. Static.
 */
typedef struct BackendChoices {
    const char *const *devices, *const *levels;
    int n_devices, n_levels, n_usable;
} BackendChoices;
BackendChoices backend_choices(void);

/* What one rank does, with a backend of its own. */
typedef bool RankBody(void *context, Backend *b, Error *err);
/* Runs `body` once for each of n_ranks ranks, at the same time, as one group for the collectives;
 * n_threads (0: one a processor) are divided among them, at least one each. Returns when all have
 * ended. A rank that fails ends the group: the others see it in group_is_ok, and the first failure
 * is in *err. The only place that knows how ranks reach each other. */
bool backend_run_ranks(const char *device, int n_ranks, int n_threads, RankBody *body,
                       void *context, Error *err) MUST_USE;

/* ---- Step: bump allocation of device memory for one forward pass ------------------------------
 */

/* Made once for the largest step, reset after each: a step allocates nothing. */
typedef struct Step {
    Backend *backend;
    char *memory;
    size_t bytes, used;
} Step;

bool step_open(Step *step, Backend *b, size_t bytes, Error *err) MUST_USE;
void step_close(Step *step);
/* Not zeroed. Running out is a bug in the plan that sized the Step, so it asserts. */
void *step_take(Step *step, size_t bytes);
Mat step_mat(Step *step, int rows, int cols);
MoeRoutes step_routes(Step *step, int n_tokens, int n_experts, int n_used);
/* Bytes that step_mat(rows, cols) takes, for planning. */
size_t step_mat_bytes(int rows, int cols);

#endif
