/* Weights on the CPU: packed once, shared by all that read them, multiplied in parallel.
 * These are the operations of the same names in backend/backend.h, ready for its table. */
#ifndef WEN_CPU_CPU_WEIGHT_H
#define WEN_CPU_CPU_WEIGHT_H

#include "backend/backend.h"
#include "cpu/packed.h"

/* What the backward products read: one matrix of a weight, as packed.h lays it out. */
typedef struct WeightView {
    DType type;
    const uint8_t *tiles;
    size_t tile_bytes;
    int n_rows, n_cols;
} WeightView;
/* Of the rows of expert e: its own matrix. Experts of routes beyond a bank's matrices come round
 * again, as in the exchange of a divided bank (cpu_divided.h). */
WeightView cpu_weight_view(const Weight *w, int e);

Weight *cpu_weight_new(Backend *b, const Tensor *source, int n_mats, Error *err);
Weight *cpu_bank_new_divided(Backend *b, DType type, int n_mats, int n_rows, int n_cols,
                             Error *err);
/* Whether another rank holds some of its matrices. */
bool cpu_weight_is_divided(const Weight *w);
void cpu_weight_set(Backend *b, Weight *w, int mat, const Tensor *source);
void cpu_weight_get(Backend *b, const Weight *w, int mat, int from, int n, float *out);
size_t cpu_weight_bytes(const Weight *w);
void cpu_weight_free(Backend *b, Weight *w);

void cpu_embed(Backend *b, const Weight *w, const int32_t *ids, Mat y);
void cpu_matmul(Backend *b, int n, Weight *const w[], Mat x, const Mat y[]);
/* matmul_experts where all matrices are here. */
void cpu_matmul_experts_here(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes,
                             Mat x, const Mat y[]);

/* This part's share of reserve(): bytes of CpuBackend.acts that products of up to n_rows rows of up
 * to n_cols columns need. */
size_t cpu_weight_reserve_bytes(Backend *b, int n_rows, int n_cols);

#endif
