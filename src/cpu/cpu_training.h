/* The CPU's backward operations, ready for the Backend's table: contracts in backend/backend.h. */
#ifndef WEN_CPU_CPU_TRAINING_H
#define WEN_CPU_CPU_TRAINING_H

#include "cpu/cpu_backend.h"

/* Fills the section "Backward operations" of the table. */
void cpu_training_operations(Backend *b);
/* Frees what reserve_training took. */
void cpu_training_close(CpuBackend *cpu);

/* Scratch of these operations, made by reserve_training. */
struct CpuTraining {
    void *shared;      /* gemm_scratch_bytes(true) */
    float *row_values; /* one number a row (or head) */
    size_t n_row_values;
    void *workers; /* [n_threads] pieces of CPU_TRAINING_WORKER_BYTES */
};

/* A worker's piece: a small product's panels, then blocks of attention. */
enum { ATTENTION_BLOCK_ROWS = 64, ATTENTION_BLOCK_KEYS = 256 };
size_t cpu_training_worker_bytes(void);
static inline void *cpu_training_worker(const CpuBackend *cpu, int worker)
{
    return (char *)cpu->training->workers + (size_t)worker * cpu_training_worker_bytes();
}

/* cpu_matmul_backward.c */
double cpu_peak_flops(Backend *b, DType type);
void cpu_product(Backend *b, DType type, Mat a, bool a_is_transposed, Mat other,
                 bool b_is_transposed, Mat c);
void cpu_matmul_backward_x(Backend *b, int n, Weight *const w[], const Mat dy[], Mat dx);
void cpu_matmul_backward_w(Backend *b, int n, Weight *const w[], const Mat dy[], Mat x,
                           float *const dw[]);
/* Of experts whose matrices are all here. */
void cpu_matmul_experts_backward_x_here(Backend *b, int n, Weight *const bank[],
                                        const MoeRoutes *routes, const Mat dy[], Mat dx);
void cpu_matmul_experts_backward_w_here(Backend *b, int n, Weight *const bank[],
                                        const MoeRoutes *routes, const Mat dy[], Mat x,
                                        float *const dw[]);

/* cpu_attention_backward.c */
void cpu_attention_backward(Backend *b, const Batch *batch, float scale, int head_dim, Mat q, Mat k,
                            Mat v, Mat out, Mat dout, Mat dq, Mat dk, Mat dv);

/* cpu_moe_backward.c */
void cpu_moe_count(Backend *b, Mat logits, const MoeRoutes *routes, int64_t *counts,
                   double *prob_sums, double *entropy_sum);
void cpu_moe_combine_backward(Backend *b, const MoeRoutes *routes, Mat act, Mat dact, Mat dpairs,
                              float *dweight);
void cpu_moe_gather_backward(Backend *b, const MoeRoutes *routes, Mat dpairs, Mat dx);
void cpu_moe_route_backward(Backend *b, Mat logits, const MoeRoutes *routes, bool normalize,
                            const float *dweight, float balance, const int64_t *counts,
                            Mat dlogits);

#endif
