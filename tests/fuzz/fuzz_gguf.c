/* Any bytes as a GGUF: the reader, the configuration seen through it, every tensor it lists. */
#include "replay.h"

#include "formats/package.h"

#include <string.h>

static volatile uint64_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Error err = {0};
    Package *p = package_open_memory((Str){(const char *)data, n}, "fuzz", &err);
    if (!p) {
        TensorTable *table = tensor_table_new();
        gguf_close(gguf_read_memory(table, (Str){(const char *)data, n}, "fuzz", &err));
        tensor_table_free(table);
        return 0;
    }
    const TensorTable *table = package_tensors(p);
    for (int i = 0; i < tensor_table_count(table); i++) {
        const Tensor *t = &tensor_table_at(table, i)->tensor;
        for (size_t j = 0; t->data && j < t->bytes; j++)
            sink += ((const uint8_t *)t->data)[j];
    }
    Tensor t;
    static const char *const names[] = {"lm_head.weight", "model.layers.0.self_attn.q_proj.weight",
                                        "model.layers.1.mlp.experts.1.up_proj.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (package_tensor(p, names[i], &t, &err))
            for (size_t j = 0; j < t.bytes; j++)
                sink += ((const uint8_t *)t.data)[j];
    const PackageText *text = package_text(p);
    for (int i = 0; i < text->n_tokens; i++)
        sink += text->tokens[i].bytes + (text->token_types ? (uint64_t)text->token_types[i] : 0);
    package_close(p);
    return 0;
}
