/* Pages of keys and values in memory: one page holds KV_PAGE_TOKENS positions of all layers, layer
 * after layer, kv head after kv head; one head's keys, then its values, as attention.h lays them
 * out. Memory is mapped at once and taken by the system as pages are first written. */
#ifndef WEN_CPU_CPU_KV_H
#define WEN_CPU_CPU_KV_H

#include "cpu/attention.h"

struct KvStore {
    DType type;
    int n_layers, n_kv_heads, head_dim, v_cols, n_pages;
    size_t element_bytes; /* of a number; Q8_0: of a code */
    size_t keys_bytes;    /* of one head: where its values begin */
    size_t head_bytes, page_bytes;
    char *memory;
    size_t bytes;
};

/* One head's keys in a page; its values lie keys_bytes behind. */
static inline char *kv_head(const KvStore *kv, int page, int layer, int head)
{
    size_t heads = (size_t)layer * (size_t)kv->n_kv_heads + (size_t)head;
    return kv->memory + (size_t)page * kv->page_bytes + heads * kv->head_bytes;
}

#endif
