/* Products of experts: with a bank that is here, or one that is divided over the ranks (backend.h,
 * bank_new_divided). These are the operations of the same names, ready for the Backend's table.
 *
 * Rows of pairs are ordered by expert, so what goes to a rank is one piece of them. There, rows lie
 * rank after rank, and within each by expert: as if there were n_ranks times its experts, which
 * come round again. Results go the same way back. Each row's product and each rank's chain of a
 * gradient are those of a whole bank, to the bit. */
#ifndef WEN_CPU_CPU_DIVIDED_H
#define WEN_CPU_CPU_DIVIDED_H

#include "backend/backend.h"

void cpu_matmul_experts(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes, Mat x,
                        const Mat y[]);
void cpu_matmul_experts_backward_x(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes,
                                   const Mat dy[], Mat dx);
void cpu_matmul_experts_backward_w(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes,
                                   const Mat dy[], Mat x, float *const dw[]);

/* Bytes of CpuBackend.exchange for up to n_rows rows of all ranks together, of up to n_cols
 * columns: of one input and two outputs, or the reverse. */
size_t cpu_divided_reserve_bytes(Backend *b, int n_rows, int n_cols);

#endif
