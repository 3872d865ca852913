/* The CPU's operations that are not about weights (those: cpu_weight.h), ready for the Backend's
 * table: contracts in backend/backend.h. And the scratch that they ask of reserve(). */
#ifndef WEN_CPU_CPU_OPS_H
#define WEN_CPU_CPU_OPS_H

#include "cpu/cpu_backend.h"

/* cpu_elementwise.c */
void cpu_add_bias(Backend *b, Mat y, const float *bias);
void cpu_add(Backend *b, Mat y, Mat x);
void cpu_rms_norm(Backend *b, Mat x, const float *w, float eps, Mat y);
void cpu_rope_table(Backend *b, const Batch *batch, const Rotation *rotation, Mat table);
void cpu_rope(Backend *b, Mat x, Mat table);
void cpu_gather_rows(Backend *b, Mat src, const int32_t *index, Mat dst);
void cpu_swiglu(Backend *b, Mat gate, Mat up, Mat out);

/* cpu_moe.c */
enum { MOE_EXPERTS_MAX = 4096 };
void cpu_moe_route(Backend *b, Mat logits, bool normalize, MoeRoutes *routes);
void cpu_moe_combine(Backend *b, const MoeRoutes *routes, Mat y, Mat out);

/* cpu_kv.c */
KvStore *cpu_kv_new(Backend *b, DType type, int n_layers, int n_kv_heads, int head_dim, int n_pages,
                    Error *err);
void cpu_kv_free(Backend *b, KvStore *kv);
void cpu_kv_copy_page(Backend *b, KvStore *kv, int from, int to, int n_tokens);
void cpu_kv_write(Backend *b, KvStore *kv, int layer, const Batch *batch, Mat k, Mat v);

/* cpu_attention.c */
void cpu_attention(Backend *b, const KvStore *kv, int layer, const Batch *batch, const Sight *sight,
                   Mat q, Mat out);

/* cpu_sample.c */
void cpu_sample(Backend *b, Mat logits, const SampleRow rows[], Sampled out[]);
void cpu_logprobs(Backend *b, Mat logits, const int32_t *targets, float *logprob, int n_top,
                  int32_t *top_ids, float *top_logits, float *top_logprobs);

/* cpu_limits.c */
bool cpu_measure_limits(Backend *b, int n_rounds, Limits *limits, Error *err);

/* CpuBackend.scratch is cut into a piece for the whole operation and one piece a worker; each
 * operation uses both as it likes. Sizes in bytes, multiples of 64. */
size_t cpu_attention_shared_bytes(int n_threads, int n_rows);
size_t cpu_attention_worker_bytes(void);
size_t cpu_sample_worker_bytes(int n_vocab);

static inline void *scratch_shared(const CpuBackend *cpu) { return cpu->scratch; }
static inline void *scratch_of(const CpuBackend *cpu, int worker)
{
    return (char *)cpu->scratch + cpu->scratch_shared_bytes +
           (size_t)worker * cpu->scratch_worker_bytes;
}

#endif
