/* Any bytes as one of the JSON files of a model folder: the first byte says which. Around it lies a
 * sound little model, which is opened and converted. */
#include "replay.h"

#include "base/bug.h"
#include "formats/package.h"
#include "formats/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const files[][2] = {
    {"config.json",
     "{\"model_type\":\"qwen3\",\"hidden_size\":2,\"num_hidden_layers\":1,\"num_attention_heads\":"
     "1,"
     "\"num_key_value_heads\":1,\"head_dim\":2,\"intermediate_size\":2,\"vocab_size\":3,"
     "\"rms_norm_eps\":1e-6,\"rope_theta\":1e6,\"max_position_embeddings\":64,"
     "\"tie_word_embeddings\":true}"},
    {"tokenizer.json", "{\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[[\"a\",\"b\"]]},"
                       "\"added_tokens\":[{\"id\":2,\"content\":\"<e>\",\"special\":true}]}"},
    {"tokenizer_config.json", "{\"eos_token\":\"<e>\",\"chat_template\":\"{{ m }}\"}"},
    {"generation_config.json", "{\"top_k\":20,\"temperature\":0.6}"},
    {"model.safetensors.index.json", "{\"weight_map\":{\"model.norm.weight\":\"w.safetensors\"}}"},
};
enum { N_FILES = sizeof files / sizeof *files };

static char dir[64];

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    ASSERT(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
}

static void write_weights(void)
{
    static const char *const names[] = {
        "input_layernorm.weight",  "self_attn.q_proj.weight", "self_attn.k_proj.weight",
        "self_attn.v_proj.weight", "self_attn.o_proj.weight", "post_attention_layernorm.weight",
        "mlp.gate_proj.weight",    "mlp.up_proj.weight",      "mlp.down_proj.weight"};
    Error err = {0};
    TensorInfo infos[11] = {{"model.embed_tokens.weight", DTYPE_F32, 2, {3, 2}},
                            {"model.norm.weight", DTYPE_F32, 1, {2}}};
    static char full[9][96];
    const float zeros[6] = {0};
    for (int i = 0; i < 9; i++) {
        snprintf(full[i], sizeof full[i], "model.layers.0.%s", names[i]);
        infos[i + 2] = (TensorInfo){full[i], DTYPE_F32, strstr(names[i], "norm") ? 1 : 2, {2, 2}};
    }
    SafetensorsWriter *w = safetensors_writer_open(path_of("w.safetensors"), infos, 11, NULL, &err);
    ASSERT(w);
    for (int i = 0; i < 11; i++)
        ASSERT(safetensors_writer_write(w, zeros, i ? infos[i].n_dims * 8 : 24, &err));
    ASSERT(safetensors_writer_commit(w, &err));
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    (void)!system(command);
}

static void prepare(void)
{
    snprintf(dir, sizeof dir, "%s/wen-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ASSERT(mkdtemp(dir));
    atexit(remove_folder);
    write_weights();
    for (int i = 0; i < N_FILES; i++)
        write_file(files[i][0], files[i][1], strlen(files[i][1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Error err = {0};
    if (!dir[0])
        prepare();
    if (n == 0)
        return 0;
    int which = data[0] % N_FILES;
    write_file(files[which][0], data + 1, n - 1);
    Package *p = package_open(dir, true, &err);
    ASSERT((p != NULL) == (err.code == ERROR_NONE));
    ConvertOptions options = {.type = "F16", .n_threads = 1};
    if (p && package_convert(p, path_of("out.gguf"), &options, &err)) {
        /* What was written must be readable. */
        Package *back = package_open(path_of("out.gguf"), true, &err);
        ASSERT(back || err.code == ERROR_MEMORY);
        package_close(back);
    }
    package_close(p);
    write_file(files[which][0], files[which][1], strlen(files[which][1]));
    return 0;
}
