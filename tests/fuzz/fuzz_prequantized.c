/* Any bytes as the weights of a folder that is quantized already: the first byte says in which
 * layout, the others are model.safetensors. Around them lie sound configurations of a model with 32
 * columns, which is opened and converted. */
#include "replay.h"

#include "base/bug.h"
#include "formats/package.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUPS_OF_32 "\"group_size\":32"
static const char *const layouts[] = {
    "\"quantization_config\":{\"quant_method\":\"fp8\",\"fmt\":\"e4m3\",\"activation_scheme\":"
    "\"dynamic\",\"weight_block_size\":[128,128]}",
    "\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"desc_act\":false," GROUPS_OF_32
    "}",
    "\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":8,\"desc_act\":false,"
    "\"checkpoint_format\":\"gptq_v2\"," GROUPS_OF_32 "}",
    "\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,\"zero_point\":true,\"version\":"
    "\"gemm\"," GROUPS_OF_32 "}",
    "\"quantization\":{\"bits\":4," GROUPS_OF_32 "}",
    "\"quantization\":{\"bits\":6," GROUPS_OF_32 "}",
};
enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };

static const char CONFIG[] =
    "{\"model_type\":\"qwen3\",\"hidden_size\":32,\"num_hidden_layers\":1,\"num_attention_heads\":"
    "1,"
    "\"num_key_value_heads\":1,\"head_dim\":32,\"intermediate_size\":32,\"vocab_size\":4,"
    "\"rms_norm_eps\":1e-6,\"rope_theta\":1e6,\"max_position_embeddings\":64,"
    "\"tie_word_embeddings\":true,";

static char dir[64];

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
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
}

static void write_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    ASSERT(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Error err = {0};
    char config[1024];
    if (!dir[0])
        prepare();
    if (n == 0)
        return 0;
    const int length =
        snprintf(config, sizeof config, "%s%s}", CONFIG, layouts[data[0] % N_LAYOUTS]);
    ASSERT(length > 0 && length < (int)sizeof config);
    write_file("config.json", config, (size_t)length);
    write_file("model.safetensors", data + 1, n - 1);
    Package *p = package_open(dir, true, &err);
    ASSERT((p != NULL) == (err.code == ERROR_NONE));
    ConvertOptions options = {.type = "Q4_0", .measure_error = true, .n_threads = 1};
    if (p && package_convert(p, path_of("out.gguf"), &options, &err)) {
        /* What was written must be readable. */
        Package *back = package_open(path_of("out.gguf"), true, &err);
        ASSERT(back || err.code == ERROR_MEMORY);
        package_close(back);
    }
    package_close(p);
    return 0;
}
