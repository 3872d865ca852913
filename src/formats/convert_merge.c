/* Low-rank adapters that a conversion merges into the weights; see convert_parts.h. */
#include "formats/convert_parts.h"

#include "tensor/quant.h"

#include <string.h>

static const float *decode(Arena *arena, const Tensor *t, Error *err)
{
    const int64_t n = tensor_n_rows(t) * tensor_n_cols(t);
    float *values = arena_try_alloc(arena, sizeof *values * (size_t)n, "an adapter's matrix", err);
    if (values)
        quant_decode(t->type, t->data, values, n);
    return values;
}

bool merge_check(const Package *in, const ConvertOptions *options, Error *err)
{
    const bool is_tied = json_is_true(json_object_get(package_config(in), "tie_word_embeddings"));
    for (int i = 0; i < options->n_adapters; i++) {
        const AdapterPackage *adapter = options->adapters[i].package;
        for (int j = 0; j < adapter->n; j++) {
            const AdapterPair *pair = &adapter->pairs[j];
            Tensor base;
            /* A tied head is read as the embedding and not written. */
            if (!package_has_tensor(in, pair->name) ||
                (is_tied && strcmp(pair->name, "lm_head.weight") == 0))
                return adapter_pair_misplaced(adapter, pair, err);
            if (!package_tensor(in, pair->name, &base, err) ||
                !adapter_pair_fits(adapter, pair, tensor_n_rows(&base), tensor_n_cols(&base), err))
                return false;
        }
    }
    return true;
}

bool merge_begin(Merge *merge, const ConvertOptions *options, const char *name, Error *err)
{
    merge->n = 0;
    arena_reset(&merge->arena);
    merge->updates = ARENA_ARRAY(&merge->arena, LowRankUpdate, options->n_adapters);
    for (int i = 0; i < options->n_adapters; i++) {
        const AdapterPackage *adapter = options->adapters[i].package;
        const AdapterPair *pair = adapter_package_find(adapter, name);
        if (!pair)
            continue;
        LowRankUpdate *u = &merge->updates[merge->n++];
        *u = (LowRankUpdate){.n_cols = pair->a->tensor.dims[1],
                             .rank = adapter->rank,
                             .scale = adapter->scale * options->adapters[i].scale,
                             .a = decode(&merge->arena, &pair->a->tensor, err),
                             .b = decode(&merge->arena, &pair->b->tensor, err)};
        if (!u->a || !u->b)
            return false;
    }
    return true;
}

void merge_add(const Merge *merge, int64_t first, int64_t n, float *w)
{
    for (int i = 0; i < merge->n; i++)
        low_rank_add(&merge->updates[i], first, n, w);
}
