/* Leaf functions of attention over one page of keys and values. cpu_attention.c walks the pages.
 *
 * A page holds, for one kv head, KV_PAGE_TOKENS positions:
 *   keys    [head_dim][KV_PAGE_TOKENS]   so that lanes are keys and a dot product is one chain
 *   values  [KV_PAGE_TOKENS][v_cols]     so that lanes are dimensions; v_cols: head_dim rounded up
 *                                        to VALUE_COLS_STEP, what is beyond head_dim is zero
 * A row's result is one fixed chain of operations (docs/numerics.md, "Attention"), the same for any
 * number of rows and on every instruction-set level. */
#ifndef WEN_CPU_ATTENTION_H
#define WEN_CPU_ATTENTION_H

#include "backend/backend.h"

enum { VALUE_COLS_STEP = 16, HEAD_DIM_MAX = 256 };

/* The online softmax of some query rows over the keys seen so far:
 * max of the scores, sum of exp(score - max), and that weighted sum of the values. */
typedef struct SoftmaxState {
    float *max, *sum; /* [n_rows] */
    float *acc;       /* [n_rows, v_cols] */
} SoftmaxState;

/* Query rows that share a kv head, against one page. */
typedef struct AttentionPage {
    DType type; /* of the page: F32, F16 or BF16 */
    const void *keys, *values;
    const void *next_keys, *next_values; /* of the page that comes next; NULL: not known */
    int next_element_bytes;              /* 2 unless `type` is F32 */
    int head_dim, v_cols;
    int n_rows;
    const float *q;        /* [n_rows, head_dim] */
    const int32_t *n_keys; /* [n_rows]: how many keys of the page a row sees, 1 .. KV_PAGE_TOKENS;
                              not decreasing. What is stored behind them does not matter. */
    float scale;
    SoftmaxState state; /* in and out */
} AttentionPage;

typedef struct AttentionKernels {
    /* Takes the page's keys and values into the rows' states. */
    void (*page)(const AttentionPage *p);
    /* n numbers of a page type as f32, and f32 rounded to nearest even to a page type. */
    void (*widen)(DType type, const void *in, int n, float *out);
    void (*narrow)(DType type, const float *in, int n, void *out);
} AttentionKernels;

/* Each fills in the entries that its level has, over what is there; call them in this order. */
void attention_kernels_ref(AttentionKernels *kernels);
#if defined(__x86_64__)
void attention_kernels_avx2(AttentionKernels *kernels);
void attention_kernels_avx512(AttentionKernels *kernels);
#endif

#endif
