/* Writes a model with random weights in any shape: the test models, and the first built-in one.
 *
 *   make_model SHAPE OUT [options]
 *
 * OUT ending in .gguf becomes a GGUF file, anything else a folder as Hugging Face lays it out. The
 * weights are a function of the seed, the tensor's name and the index alone: the same in both
 * formats, for any element type (up to its rounding), and whatever the number of threads. */
#include "base/clock.h"
#include "base/pool.h"
#include "formats/safetensors.h"
#include "random_model/noise.h"
#include "random_model/shape.h"
#include "random_model/vocab.h"
#include "tensor/quant.h"
#include "text/qwen_tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASK_ELEMENTS = 1 << 15, TASKS_PER_CHUNK = 128 };

typedef struct Options {
    const char *out, *vocab_dir, *template_file;
    Shape shape;
    DType type;
    uint64_t seed, shard_bytes;
    int n_threads;
    bool is_gguf, stores_tied_head;
} Options;

/* One tensor of the output. */
typedef struct Unit {
    TensorName name;
    TensorPlan plan;
    DType type;
    int shard;
} Unit;

typedef struct Maker {
    const Options *options;
    Vocab vocab;
    Buf chat_template;
    SpecialIds ids;
    const char *eos;
    Unit *units;
    int n_units, n_shards;
    uint64_t n_bytes;
    Pool *pool;
    float **rows; /* scratch of each worker */
} Maker;

/* ---- The plan ---- */

/* llama.cpp's substitutes where rows are not whole blocks of 256. */
static DType type_for(DType wanted, const TensorName *name, const TensorPlan *plan, bool is_gguf)
{
    static const DType substitute[DTYPE_COUNT] = {
        [DTYPE_Q4_K] = DTYPE_Q5_0, [DTYPE_Q5_K] = DTYPE_Q5_1, [DTYPE_Q6_K] = DTYPE_Q8_0,
        [DTYPE_Q2_K] = DTYPE_Q4_0, [DTYPE_Q3_K] = DTYPE_Q4_0, [DTYPE_IQ4_XS] = DTYPE_IQ4_NL};
    if (is_gguf && name_is_small(name->part))
        return DTYPE_F32;
    if (plan->n_cols % dtype_info(wanted)->block_len == 0)
        return wanted;
    if (dtype_info(wanted)->block_len == 256 && plan->n_cols % 32 == 0)
        return substitute[wanted];
    return DTYPE_F16;
}

static uint64_t unit_bytes(const Unit *u)
{
    const int n_rows = u->plan.n_rows ? u->plan.n_rows : 1;
    return (uint64_t)u->plan.n_mats * (uint64_t)n_rows * dtype_row_bytes(u->type, u->plan.n_cols);
}

static void add_unit(Maker *m, TensorPart part, int layer)
{
    const Options *o = m->options;
    Unit u = {.name = {part, layer, -1}};
    bool exists = shape_tensor(&o->shape, part, layer, &u.plan);
    if (!exists && part == PART_OUTPUT && layer < 0 && o->stores_tied_head)
        exists = shape_tensor(&o->shape, PART_TOKEN_EMBD, layer, &u.plan);
    if (!exists)
        return;
    u.type = type_for(o->type, &u.name, &u.plan, o->is_gguf);
    const bool is_split = part >= PART_GATE_EXPERTS && !o->is_gguf;
    const int n = is_split ? u.plan.n_mats : 1;
    for (int e = 0; e < n; e++) {
        if (is_split) {
            u.name.expert = e;
            u.plan.n_mats = 1;
        }
        m->units[m->n_units++] = u;
    }
}

static bool plan_units(Maker *m, Error *err)
{
    const Options *o = m->options;
    const size_t per_layer = PART_COUNT + 3 * (size_t)o->shape.num_experts;
    const size_t n = PART_COUNT + per_layer * (size_t)o->shape.num_hidden_layers;
    m->units = mem_try_alloc(n * sizeof *m->units, "the list of tensors", err);
    if (!m->units)
        return false;
    add_unit(m, PART_TOKEN_EMBD, -1);
    for (int l = 0; l < o->shape.num_hidden_layers; l++)
        for (int part = 0; part < PART_COUNT; part++)
            add_unit(m, (TensorPart)part, l);
    add_unit(m, PART_OUTPUT_NORM, -1);
    add_unit(m, PART_OUTPUT, -1);
    uint64_t in_shard = 0;
    for (int i = 0; i < m->n_units; i++) {
        const uint64_t bytes = unit_bytes(&m->units[i]);
        if (o->shard_bytes && in_shard > 0 && in_shard + bytes > o->shard_bytes) {
            m->n_shards++;
            in_shard = 0;
        }
        m->units[i].shard = m->n_shards;
        in_shard += bytes;
        m->n_bytes += bytes;
    }
    m->n_shards++;
    return true;
}

/* `text` must live as long as the info: it receives the name. */
static TensorInfo unit_info(const Unit *u, bool is_gguf, char text[TENSOR_NAME_BYTES])
{
    TensorInfo info = {.name = text, .type = u->type};
    if (is_gguf)
        name_print_gguf(text, &u->name);
    else
        name_print_hf(text, &u->name);
    if (is_gguf && u->name.part >= PART_GATE_EXPERTS)
        info.dims[info.n_dims++] = u->plan.n_mats;
    if (u->plan.n_rows)
        info.dims[info.n_dims++] = u->plan.n_rows;
    info.dims[info.n_dims++] = u->plan.n_cols;
    return info;
}

/* ---- The values ---- */

typedef bool WriteBytes(void *file, const void *data, size_t bytes, Error *err);

static bool write_gguf(void *file, const void *data, size_t bytes, Error *err)
{
    return gguf_write(file, data, bytes, err);
}

static bool write_safetensors(void *file, const void *data, size_t bytes, Error *err)
{
    return safetensors_writer_write(file, data, bytes, err);
}

/* Rows first_row .. of one unit, a chunk of tasks at a time. */
typedef struct ChunkJob {
    const Maker *maker;
    const Unit *unit;
    const uint64_t *keys; /* of each matrix */
    int64_t first_row, n_rows, rows_per_task;
    size_t row_bytes;
    uint8_t *out;
} ChunkJob;

static void make_rows(void *context, int task, int worker)
{
    const ChunkJob *job = context;
    const TensorPlan *plan = &job->unit->plan;
    float *row = job->maker->rows[worker];
    const int64_t from = task * job->rows_per_task;
    int64_t to = from + job->rows_per_task;
    if (to > job->n_rows)
        to = job->n_rows;
    for (int64_t r = from; r < to; r++) {
        const int64_t at = job->first_row + r, n = plan->n_rows ? plan->n_rows : 1;
        noise_fill(job->keys[at / n], (uint64_t)(at % n) * (uint64_t)plan->n_cols, plan->mean,
                   plan->sd, row, plan->n_cols);
        quant_encode(job->unit->type, row, job->out + (size_t)r * job->row_bytes, plan->n_cols);
    }
}

static void unit_keys(const Maker *m, const Unit *u, uint64_t *keys)
{
    const bool is_copy = u->name.part == PART_OUTPUT && m->options->shape.tie_word_embeddings;
    for (int e = 0; e < u->plan.n_mats; e++) {
        TensorName name = u->name;
        char text[TENSOR_NAME_BYTES];
        if (name.part >= PART_GATE_EXPERTS && name.expert < 0)
            name.expert = e;
        if (is_copy)
            name.part = PART_TOKEN_EMBD;
        name_print_hf(text, &name);
        keys[e] = noise_key(m->options->seed, str_from(text));
    }
}

static bool write_unit(const Maker *m, const Unit *u, WriteBytes *write, void *file, Error *err)
{
    ChunkJob job = {.maker = m, .unit = u, .row_bytes = dtype_row_bytes(u->type, u->plan.n_cols)};
    const int64_t n_rows = (int64_t)u->plan.n_mats * (u->plan.n_rows ? u->plan.n_rows : 1);
    job.rows_per_task = (TASK_ELEMENTS + u->plan.n_cols - 1) / u->plan.n_cols;
    int64_t rows_per_chunk = job.rows_per_task * TASKS_PER_CHUNK;
    if (rows_per_chunk > n_rows)
        rows_per_chunk = n_rows;
    uint64_t *keys = mem_alloc((size_t)u->plan.n_mats * sizeof *keys);
    unit_keys(m, u, keys);
    job.keys = keys;
    job.out = mem_try_alloc((size_t)rows_per_chunk * job.row_bytes, "a chunk of a tensor", err);
    bool ok = job.out != NULL;
    for (; ok && job.first_row < n_rows; job.first_row += job.n_rows) {
        const int64_t left = n_rows - job.first_row;
        job.n_rows = left < rows_per_chunk ? left : rows_per_chunk;
        pool_run(m->pool, (int)((job.n_rows + job.rows_per_task - 1) / job.rows_per_task),
                 make_rows, &job);
        ok = write(file, job.out, (size_t)job.n_rows * job.row_bytes, err);
    }
    mem_free(job.out);
    mem_free(keys);
    return ok;
}

static bool open_pool(Maker *m, Error *err)
{
    int widest = 1;
    for (int i = 0; i < m->n_units; i++)
        if (m->units[i].plan.n_cols > widest)
            widest = m->units[i].plan.n_cols;
    m->pool = pool_open(m->options->n_threads, err);
    if (!m->pool)
        return false;
    m->rows = mem_alloc((size_t)pool_n_threads(m->pool) * sizeof *m->rows);
    for (int i = 0; i < pool_n_threads(m->pool); i++) {
        m->rows[i] = mem_try_alloc((size_t)widest * sizeof **m->rows, "a row", err);
        if (!m->rows[i])
            return false;
    }
    return true;
}

/* ---- GGUF ---- */

/* llama.cpp's LLAMA_FTYPE of a file that is all of one type. */
static uint32_t file_type(DType type)
{
    static const uint8_t numbers[DTYPE_COUNT] = {
        [DTYPE_F32] = 0,   [DTYPE_F16] = 1,     [DTYPE_BF16] = 32,   [DTYPE_Q8_0] = 7,
        [DTYPE_Q4_0] = 2,  [DTYPE_Q4_1] = 3,    [DTYPE_Q5_0] = 8,    [DTYPE_Q5_1] = 9,
        [DTYPE_Q4_K] = 14, [DTYPE_Q5_K] = 16,   [DTYPE_Q6_K] = 18,   [DTYPE_Q2_K] = 10,
        [DTYPE_Q3_K] = 11, [DTYPE_IQ4_NL] = 25, [DTYPE_IQ4_XS] = 30, [DTYPE_MXFP4] = 38};
    return numbers[type];
}

static void put_arch_u32(GgufWriter *w, const char *arch, const char *name, int value)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", arch, name);
    gguf_put_u32(w, key, (uint32_t)value);
}

static void put_arch_f32(GgufWriter *w, const char *arch, const char *name, double value)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", arch, name);
    gguf_put_f32(w, key, (float)value);
}

static void put_shape(GgufWriter *w, const Shape *s)
{
    const bool is_moe = s->num_experts > 0;
    const char *arch = is_moe ? "qwen3moe" : s->family;
    put_arch_u32(w, arch, "block_count", s->num_hidden_layers);
    put_arch_u32(w, arch, "context_length", s->max_position_embeddings);
    put_arch_u32(w, arch, "embedding_length", s->hidden_size);
    put_arch_u32(w, arch, "feed_forward_length", s->intermediate_size);
    put_arch_u32(w, arch, "attention.head_count", s->num_attention_heads);
    put_arch_u32(w, arch, "attention.head_count_kv", s->num_key_value_heads);
    put_arch_u32(w, arch, "attention.key_length", s->head_dim);
    put_arch_u32(w, arch, "attention.value_length", s->head_dim);
    put_arch_f32(w, arch, "attention.layer_norm_rms_epsilon", s->rms_norm_eps);
    put_arch_f32(w, arch, "rope.freq_base", s->rope_theta);
    if (is_moe) {
        put_arch_u32(w, arch, "expert_count", s->num_experts);
        put_arch_u32(w, arch, "expert_used_count", s->num_experts_per_tok);
        put_arch_u32(w, arch, "expert_feed_forward_length", s->moe_intermediate_size);
    }
    if (s->yarn_factor != 0) {
        char key[128];
        snprintf(key, sizeof key, "%s.rope.scaling.type", arch);
        gguf_put_str(w, key, STR("yarn"));
        put_arch_f32(w, arch, "rope.scaling.factor", s->yarn_factor);
        put_arch_u32(w, arch, "rope.scaling.original_context_length", s->yarn_original);
    }
}

static void put_keys(const Maker *m, GgufWriter *w)
{
    const Options *o = m->options;
    double temperature, top_p;
    gguf_put_str(w, "general.architecture",
                 str_from(o->shape.num_experts > 0 ? "qwen3moe" : o->shape.family));
    gguf_put_str(w, "general.type", STR("model"));
    gguf_put_str(w, "general.name", str_from(o->shape.name));
    gguf_put_u32(w, "general.file_type", file_type(o->type));
    gguf_put_u32(w, "general.quantization_version", 2);
    if (shape_sampling(&o->shape, &temperature, &top_p)) {
        gguf_put_f32(w, "general.sampling.temp", (float)temperature);
        gguf_put_u32(w, "general.sampling.top_k", 20);
        gguf_put_f32(w, "general.sampling.top_p", (float)top_p);
    }
    put_shape(w, &o->shape);
    vocab_put_gguf(&m->vocab, w, o->shape.vocab_size, buf_str(&m->chat_template), m->eos);
}

static bool make_gguf(const Maker *m, Error *err)
{
    const Shape *s = &m->options->shape;
    if (s->num_experts > 0 && (s->decoder_sparse_step != 1 || !s->norm_topk_prob))
        return error_set(err, ERROR_UNSUPPORTED,
                         "a GGUF cannot say decoder_sparse_step %d and "
                         "norm_topk_prob %d; make a folder",
                         s->decoder_sparse_step, s->norm_topk_prob);
    GgufWriter *w = gguf_writer_open(m->options->out, err);
    if (!w)
        return false;
    put_keys(m, w);
    for (int i = 0; i < m->n_units; i++) {
        char text[TENSOR_NAME_BYTES];
        const TensorInfo info = unit_info(&m->units[i], true, text);
        gguf_declare(w, &info);
    }
    bool ok = gguf_begin(w, err);
    for (int i = 0; ok && i < m->n_units; i++)
        ok = write_unit(m, &m->units[i], write_gguf, w, err);
    if (ok)
        return gguf_writer_commit(w, err);
    gguf_writer_cancel(w);
    return false;
}

/* ---- A folder ---- */

static void shard_name(const Maker *m, int shard, char out[64])
{
    if (m->n_shards == 1)
        snprintf(out, 64, "model.safetensors");
    else
        snprintf(out, 64, "model-%05d-of-%05d.safetensors", shard + 1, m->n_shards);
}

static bool write_shard(const Maker *m, int first, int n, Error *err)
{
    char name[64];
    shard_name(m, m->units[first].shard, name);
    char *path = file_join(m->options->out, name);
    char(*texts)[TENSOR_NAME_BYTES] = mem_alloc((size_t)n * sizeof *texts);
    TensorInfo *infos = mem_alloc((size_t)n * sizeof *infos);
    for (int i = 0; i < n; i++)
        infos[i] = unit_info(&m->units[first + i], false, texts[i]);
    SafetensorsWriter *w = safetensors_writer_open(path, infos, n, "{\"format\": \"pt\"}", err);
    bool ok = w != NULL;
    for (int i = 0; ok && i < n; i++)
        ok = write_unit(m, &m->units[first + i], write_safetensors, w, err);
    if (ok)
        ok = safetensors_writer_commit(w, err);
    else
        safetensors_writer_cancel(w);
    mem_free(infos);
    mem_free(texts);
    mem_free(path);
    return ok;
}

/* Writes and frees `json`. */
static bool write_json(const char *dir, const char *name, json_t *json, Error *err)
{
    char *path = file_join(dir, name);
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    bool ok = file_write(path, str_from(text), err);
    free(text);
    json_decref(json);
    mem_free(path);
    return ok;
}

static json_t *shard_index(const Maker *m)
{
    json_t *map = json_object();
    for (int i = 0; i < m->n_units; i++) {
        char text[TENSOR_NAME_BYTES], file[64];
        shard_name(m, m->units[i].shard, file);
        name_print_hf(text, &m->units[i].name);
        json_object_set_new(map, text, json_string(file));
    }
    return json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)m->n_bytes,
                     "weight_map", map);
}

static bool make_folder(const Maker *m, Error *err)
{
    const Options *o = m->options;
    const char *dtype = o->type == DTYPE_BF16  ? "bfloat16"
                        : o->type == DTYPE_F16 ? "float16"
                                               : "float32";
    if (!file_make_dir(o->out, err) ||
        !write_json(o->out, "config.json", shape_config(&o->shape, &m->ids, dtype), err) ||
        !write_json(o->out, "generation_config.json", shape_generation_config(&o->shape, &m->ids),
                    err) ||
        !vocab_write_files(&m->vocab, o->out, buf_str(&m->chat_template), m->eos, err))
        return false;
    for (int first = 0, n; first < m->n_units; first += n) {
        for (n = 1; first + n < m->n_units && m->units[first + n].shard == m->units[first].shard;)
            n++;
        if (!write_shard(m, first, n, err))
            return false;
    }
    return m->n_shards == 1 ||
           write_json(o->out, "model.safetensors.index.json", shard_index(m), err);
}

/* ---- The command ---- */

static bool prepare_text(Maker *m, Error *err)
{
    const Options *o = m->options;
    if (!o->vocab_dir)
        vocab_make(&m->vocab);
    else if (!vocab_load(&m->vocab, o->vocab_dir, err))
        return false;
    if (!o->template_file)
        buf_add(&m->chat_template, qwen_chat_template());
    else if (!file_read(&m->chat_template, o->template_file, (size_t)1 << 20, err))
        return false;
    m->ids.endoftext = vocab_added_id(&m->vocab, "<|endoftext|>");
    m->ids.im_end = vocab_added_id(&m->vocab, "<|im_end|>");
    m->eos = o->shape.kind == KIND_BASE ? "<|endoftext|>" : "<|im_end|>";
    if (m->ids.endoftext < 0 || m->ids.im_end < 0)
        return error_set(err, ERROR_FORMAT,
                         "%s: no <|endoftext|> and <|im_end|> among the added "
                         "tokens",
                         o->vocab_dir);
    if (vocab_n_ids(&m->vocab) > o->shape.vocab_size)
        return error_set(err, ERROR_ARGUMENT, "vocab_size %d is less than the vocabulary's %d ids",
                         o->shape.vocab_size, vocab_n_ids(&m->vocab));
    return true;
}

static bool make_model(const Options *o, Error *err)
{
    Maker m = {.options = o};
    const double start = clock_seconds();
    noise_init();
    bool ok = prepare_text(&m, err) && plan_units(&m, err) && open_pool(&m, err) &&
              (o->is_gguf ? make_gguf(&m, err) : make_folder(&m, err));
    if (ok)
        fprintf(stderr, "%s: %s %s, %d tensors, %.3f GB, %.1f s\n", o->out, o->shape.name,
                dtype_name(o->type), m.n_units, (double)m.n_bytes * 1e-9, clock_seconds() - start);
    for (int i = 0; m.rows && i < pool_n_threads(m.pool); i++)
        mem_free(m.rows[i]);
    mem_free(m.rows);
    pool_close(m.pool);
    mem_free(m.units);
    buf_free(&m.chat_template);
    vocab_close(&m.vocab);
    return ok;
}

static const char usage[] =
    "usage: make_model SHAPE OUT [options]     (make_model --list names the shapes)\n"
    "  OUT             file.gguf, or a folder for safetensors\n"
    "  --type T        element type: F32 F16 BF16, and for GGUF Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K\n"
    "                  Q5_K Q6_K Q2_K Q3_K IQ4_NL IQ4_XS MXFP4 (default BF16)\n"
    "  --seed N        default 1\n"
    "  --set KEY=N     another number for one of config.json's keys; yarn_factor, yarn_original\n"
    "  --vocab DIR     the tokenizer of DIR/tokenizer.json instead of the small one\n"
    "  --template FILE another chat template\n"
    "  --shard-bytes N split a folder's weights into files of at most N bytes\n"
    "  --store-head    store lm_head.weight even if it is tied to the embedding\n"
    "  --threads N     default: all\n";

static bool parse_number(const char *option, const char *text, uint64_t *value, Error *err)
{
    char *end;
    *value = strtoull(text, &end, 10);
    return (end != text && !*end && text[0] != '-') ||
           error_set(err, ERROR_ARGUMENT, "%s %s: not a number", option, text);
}

/* Takes one option and its value; false with an error when it is not one. */
static bool parse_option(Options *o, const char *name, const char *value, Error *err)
{
    uint64_t number;
    if (!value)
        return error_set(err, ERROR_ARGUMENT, "%s: unknown, or its value is missing", name);
    if (strcmp(name, "--set") == 0)
        return shape_set(&o->shape, value, err);
    if (strcmp(name, "--type") == 0)
        return dtype_from_name(str_from(value), &o->type) ||
               error_set(err, ERROR_ARGUMENT, "--type %s: no such element type", value);
    if (strcmp(name, "--vocab") == 0) {
        o->vocab_dir = value;
        return true;
    }
    if (strcmp(name, "--template") == 0) {
        o->template_file = value;
        return true;
    }
    if (strcmp(name, "--seed") == 0)
        return parse_number(name, value, &o->seed, err);
    if (strcmp(name, "--shard-bytes") == 0)
        return parse_number(name, value, &o->shard_bytes, err);
    if (strcmp(name, "--threads") == 0 && parse_number(name, value, &number, err)) {
        o->n_threads = number < 256 ? (int)number : 256;
        return true;
    }
    return error_set(err, ERROR_ARGUMENT, "%s: no such option", name);
}

static bool parse_options(Options *o, int argc, char **argv, Error *err)
{
    o->out = argv[2];
    o->seed = 1;
    o->type = DTYPE_BF16;
    o->is_gguf = str_ends(str_from(o->out), STR(".gguf"));
    if (!shape_find(&o->shape, argv[1], err))
        return false;
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--store-head") == 0) {
            o->stores_tied_head = true;
            continue;
        }
        if (!parse_option(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, err))
            return false;
        i++;
    }
    if (dtype_info(o->type)->ggml_id < 0)
        return error_set(err, ERROR_ARGUMENT, "--type %s: no file has it", dtype_name(o->type));
    if (!o->is_gguf && dtype_info(o->type)->block_len > 1)
        return error_set(err, ERROR_ARGUMENT, "a folder holds F32, F16 or BF16, not %s",
                         dtype_name(o->type));
    if (o->is_gguf && o->shard_bytes)
        return error_set(err, ERROR_ARGUMENT, "--shard-bytes is for folders");
    return shape_check(&o->shape, err);
}

int main(int argc, char **argv)
{
    Error err = {0};
    Options options = {0};
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        shape_print_names();
        return 0;
    }
    if (argc < 3) {
        fputs(usage, stderr);
        return 2;
    }
    const bool is_parsed = parse_options(&options, argc, argv, &err);
    if (is_parsed && make_model(&options, &err))
        return 0;
    fprintf(stderr, "make_model: %s\n", err.message);
    return is_parsed ? 1 : 2;
}
