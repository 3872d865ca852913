/* Leaf functions of attention over one page of keys and values. cpu_attention.c walks the pages.
 *
 * A page holds, for one kv head, KV_PAGE_TOKENS positions:
 *   keys    [head_dim][KV_PAGE_TOKENS]   so that lanes are keys and a dot product is one chain
 *   values  [KV_PAGE_TOKENS][v_cols]     so that lanes are dimensions; v_cols: head_dim rounded up
 *                                        to VALUE_COLS_STEP, what is beyond head_dim is zero
 * In a page of Q8_0 both are 8-bit codes, each followed by its scales in half precision, one for
 * KV_BLOCK numbers of one key or value: of keys [blocks][KV_PAGE_TOKENS], of values
 * [KV_PAGE_TOKENS][blocks]. A number is code * scale, which f32 holds exactly: from there on all
 * types are computed alike.
 * A row's result is one fixed chain of operations (docs/numerics.md, "Attention"), the same for any
 * number of rows and on every instruction-set level. */
#ifndef WEN_CPU_ATTENTION_H
#define WEN_CPU_ATTENTION_H

#include "backend/backend.h"

enum { VALUE_COLS_STEP = 16, HEAD_DIM_MAX = 256, KV_BLOCK = 32 };

/* Scales of n numbers of one key or value in a page of Q8_0. */
static inline int kv_blocks(int n) { return (n + KV_BLOCK - 1) / KV_BLOCK; }

/* Bytes that n numbers of one key or value take: of Q8_0, codes and scales. */
static inline size_t kv_row_bytes(DType type, int n)
{
    return type == DTYPE_Q8_0 ? (size_t)(n + 2 * kv_blocks(n)) : dtype_row_bytes(type, n);
}

/* The online softmax of some query rows over the keys seen so far:
 * max of the scores, sum of exp(score - max), and that weighted sum of the values. */
typedef struct SoftmaxState {
    float *max, *sum; /* [n_rows] */
    float *acc;       /* [n_rows, v_cols] */
} SoftmaxState;

/* Query rows that share a kv head, against one page. */
typedef struct AttentionPage {
    DType type; /* of the page: F32, F16, BF16 or Q8_0 */
    const void *keys, *values;
    const void *next_keys, *next_values; /* of the page that comes next; NULL: not known */
    int next_element_bytes;              /* that of `type` unless `type` is F32 */
    int head_dim, v_cols;
    int n_rows;
    const float *q;        /* [n_rows, head_dim] */
    const int32_t *n_keys; /* [n_rows]: how many keys of the page a row sees, 1 .. KV_PAGE_TOKENS;
                              not decreasing. What is stored behind them does not matter. */
    const int32_t *first_keys; /* [n_rows]: the keys before do not count either, but are numbers;
                                  less than n_keys. NULL: 0 everywhere */
    float scale;
    SoftmaxState state; /* in and out */
} AttentionPage;

typedef struct AttentionKernels {
    /* Takes the page's keys and values into the rows' states. */
    void (*page)(const AttentionPage *p);
    /* The page's keys, and the values of its first n keys, as those of a page of F32. */
    void (*widen)(const AttentionPage *p, int n, float *keys, float *values);
    /* n numbers of one key or value, a multiple of 8, rounded to a page type: to nearest even. Of
     * Q8_0: codes, then scales, each the largest magnitude / 127 of its block. */
    void (*narrow)(DType type, const float *in, int n, void *out);
} AttentionKernels;

/* `narrow` to Q8_0, on every level. */
void attention_narrow_q8(const float *in, int n, void *out);

/* Each fills in the entries that its level has, over what is there; call them in this order. */
void attention_kernels_ref(AttentionKernels *kernels);
#if defined(__x86_64__)
void attention_kernels_avx2(AttentionKernels *kernels);
void attention_kernels_avx512(AttentionKernels *kernels);
#elif defined(__aarch64__)
void attention_kernels_neon(AttentionKernels *kernels);
#endif

#endif
