/* See prequantized.h. This file reads the configuration and finds the parts; prequantized_rows.c
 * turns them into rows. Sources: AutoGPTQ's qlinear_cuda.py, AutoAWQ's gemm.py and
 * packing_utils.py, MLX's quantized.cpp, and the config.json of the official FP8 releases. */
#include "formats/prequantized.h"

#include "base/mem.h"
#include "formats/prequantized_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 256, GROUP_MAX = 1 << 20 };

struct Prequantized {
    Scheme scheme;
    TensorTable *matrices;
    Matrix *all; /* [n]; the table's tensors point at them */
    int n;
};

/* ---- The configuration ------------------------------------------------------------------------
 */

static bool whole_number(const json_t *object, const char *key, int64_t *value)
{
    const json_t *json = json_object_get(object, key);
    if (json_is_integer(json))
        *value = json_integer_value(json);
    return json_is_integer(json);
}

static bool unsupported(const char *path, const char *key, const json_t *value, const char *read,
                        Error *err)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    error_set(err, ERROR_UNSUPPORTED, "%s: config.json: quantization_config: %s is %.60s; %s", path,
              key, text ? text : "missing", read);
    free(text);
    return false;
}

static bool read_groups(Scheme *s, const json_t *q, const char *path, Error *err)
{
    if (!whole_number(q, "group_size", &s->group) || s->group == 0 || s->group < -1 ||
        s->group > GROUP_MAX)
        return unsupported(path, "group_size", json_object_get(q, "group_size"),
                           "-1 or a positive number is wanted", err);
    return true;
}

static bool read_gptq(Scheme *s, const json_t *q, const char *path, Error *err)
{
    const json_t *format = json_object_get(q, "checkpoint_format");
    const char *name = json_string_value(format);
    bool is_v2 = name && strcmp(name, "gptq_v2") == 0;
    if (!whole_number(q, "bits", &s->bits) || (s->bits != 4 && s->bits != 8))
        return unsupported(path, "bits", json_object_get(q, "bits"), "GPTQ is read with 4 or 8",
                           err);
    if (format && !json_is_null(format) && !is_v2 && (!name || strcmp(name, "gptq") != 0))
        return unsupported(path, "checkpoint_format", format, "gptq and gptq_v2 are read", err);
    s->zero_offset = is_v2 ? 0 : 1;
    return read_groups(s, q, path, err);
}

static bool read_awq(Scheme *s, const json_t *q, const char *path, Error *err)
{
    const json_t *version = json_object_get(q, "version"), *zero = json_object_get(q, "zero_point");
    const char *name = json_string_value(version);
    if (!whole_number(q, "bits", &s->bits) || s->bits != 4)
        return unsupported(path, "bits", json_object_get(q, "bits"), "AWQ is read with 4", err);
    if (version && (!name || strcasecmp(name, "gemm") != 0))
        return unsupported(path, "version", version, "gemm is read", err);
    if (zero && !json_is_true(zero))
        return unsupported(path, "zero_point", zero, "AWQ is read with zero points", err);
    return read_groups(s, q, path, err);
}

static bool read_fp8(Scheme *s, const json_t *q, const char *path, Error *err)
{
    const json_t *block = json_object_get(q, "weight_block_size"), *fmt = json_object_get(q, "fmt");
    const char *name = json_string_value(fmt);
    s->block_rows = json_integer_value(json_array_get(block, 0));
    s->block_cols = json_integer_value(json_array_get(block, 1));
    if (json_array_size(block) != 2 || s->block_rows < 1 || s->block_rows > GROUP_MAX ||
        s->block_cols < 1 || s->block_cols > GROUP_MAX || s->block_cols % F8_COLS != 0)
        return unsupported(path, "weight_block_size", block,
                           "[128, 128] and multiples of it are read", err);
    if (fmt && (!name || strcmp(name, "e4m3") != 0))
        return unsupported(path, "fmt", fmt, "e4m3 is read", err);
    return true;
}

static bool read_mlx(Scheme *s, const json_t *q, const char *path, Error *err)
{
    const json_t *mode = json_object_get(q, "mode");
    const char *name = json_string_value(mode);
    if (mode && (!name || strcmp(name, "affine") != 0))
        return unsupported(path, "mode", mode, "affine is read", err);
    if (!whole_number(q, "bits", &s->bits))
        return unsupported(path, "bits", NULL, "a number is wanted", err);
    s->overrides = q;
    return read_groups(s, q, path, err);
}

static bool read_scheme(Scheme *s, const json_t *config, const char *path, Error *err)
{
    const json_t *q = json_object_get(config, "quantization_config");
    if (!json_is_object(q))
        q = json_object_get(config, "quantization");
    if (!json_is_object(q))
        return true;
    const json_t *method = json_object_get(q, "quant_method");
    const char *name = json_string_value(method);
    static const struct {
        const char *name;
        SchemeKind kind;
        bool (*read)(Scheme *s, const json_t *q, const char *path, Error *err);
    } known[] = {{"fp8", SCHEME_FP8, read_fp8},
                 {"gptq", SCHEME_GPTQ, read_gptq},
                 {"awq", SCHEME_AWQ, read_awq}};
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            s->kind = known[i].kind;
            return known[i].read(s, q, path, err);
        }
    if (method || !json_object_get(q, "group_size"))
        return unsupported(path, "quant_method", method, "fp8, gptq, awq and MLX's are read", err);
    s->kind = SCHEME_MLX;
    return read_mlx(s, q, path, err);
}

/* ---- The parts of a matrix --------------------------------------------------------------------
 */

typedef struct Finder {
    Prequantized *q;
    const TensorTable *files;
    const char *path;
    char stem[NAME_BYTES]; /* of the matrix: its name without ".weight" */
    const char *file;      /* that holds the codes */
    Error *err;
} Finder;

static bool fault(const Finder *f, const NamedTensor *t, const char *wanted)
{
    char shape[96] = "";
    size_t at = 0;
    for (int i = 0; i < t->tensor.n_dims && i < TENSOR_DIMS_MAX; i++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%" PRId64, i ? ", " : "",
                               t->tensor.dims[i]);
    return error_set(f->err, ERROR_FORMAT, "%s: tensor %.200s is %s [%s]; %s", t->file, t->name,
                     t->type_name, shape, wanted);
}

static const NamedTensor *part(const Finder *f, const char *suffix)
{
    char name[NAME_BYTES + 32];
    snprintf(name, sizeof name, "%s.%s", f->stem, suffix);
    return tensor_table_find(f->files, name);
}

/* A part of that name, type ("" for a float type) and shape, after `n_lead` dimensions of any
 * size. */
static const NamedTensor *need(const Finder *f, const char *suffix, const char *type, int n_dims,
                               int64_t rows, int64_t cols)
{
    const NamedTensor *t = part(f, suffix);
    char wanted[128];
    if (!t) {
        error_set(f->err, ERROR_FORMAT, "%s: tensor %s.%s is missing", f->file, f->stem, suffix);
        return NULL;
    }
    const Tensor *shape = &t->tensor;
    bool is_right = *type ? strcmp(t->type_name, type) == 0 && t->raw : t->tensor.data != NULL;
    if (is_right && shape->n_dims == n_dims && (n_dims == 1 || shape->dims[n_dims - 2] == rows) &&
        shape->dims[n_dims - 1] == cols)
        return t;
    snprintf(wanted, sizeof wanted, "%s [%s%" PRId64 ", %" PRId64 "] is wanted",
             *type ? type : "F32, F16 or BF16", n_dims == 3 ? "experts, " : "", rows, cols);
    if (n_dims == 1)
        snprintf(wanted, sizeof wanted, "%s [%" PRId64 "] is wanted", type, cols);
    fault(f, t, wanted);
    return NULL;
}

static bool choose_type(const Finder *f, Matrix *m, const NamedTensor *codes)
{
    static const struct {
        int cols;
        DType narrow, wide;
    } types[] = {{128, DTYPE_A4_128, DTYPE_A8_128},
                 {64, DTYPE_A4_64, DTYPE_A8_64},
                 {32, DTYPE_A4_32, DTYPE_A8_32}};
    if (m->group > 0 && m->n_cols % m->group == 0)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (m->group % types[i].cols == 0) {
                m->type = m->bits <= 4 ? types[i].narrow : types[i].wide;
                return true;
            }
    return error_set(f->err, ERROR_UNSUPPORTED,
                     "%s: tensor %.200s: groups of %" PRId64 " in rows of %" PRId64
                     "; multiples of 32 that divide the rows are read",
                     codes->file, codes->name, m->group, m->n_cols);
}

/* The group of every column, in order: other orders would need x to be permuted. */
static bool check_group_order(const Finder *f, const Matrix *m)
{
    const NamedTensor *t = need(f, "g_idx", "I32", 1, 0, m->n_cols);
    for (int64_t k = 0; t && k < m->n_cols; k++) {
        uint32_t group;
        memcpy(&group, (const uint8_t *)t->raw + 4 * k, sizeof group);
        if (group != (uint64_t)(k / m->group))
            return error_set(f->err, ERROR_UNSUPPORTED,
                             "%s: tensor %.200s: column %" PRId64 " has group %" PRIu32
                             "; only groups in order (desc_act false) are read",
                             t->file, t->name, k, group);
    }
    return t != NULL;
}

/* GPTQ: qweight [in / (32 / bits), out], qzeros [groups, out / (32 / bits)], scales [groups, out].
 * AWQ: qweight [in, out / 8], the others as GPTQ. */
static bool find_words(const Finder *f, Matrix *m, const NamedTensor *codes)
{
    const int64_t per_word = 32 / m->bits;
    const bool is_awq = m->kind == SCHEME_AWQ;
    if (strcmp(codes->type_name, "I32") != 0 || !codes->raw || codes->tensor.n_dims != 2)
        return fault(f, codes, "I32 with two dimensions is wanted");
    m->n_cols = codes->tensor.dims[0] * (is_awq ? 1 : per_word);
    m->n_rows = codes->tensor.dims[1] * (is_awq ? per_word : 1);
    m->group = f->q->scheme.group < 0 ? m->n_cols : f->q->scheme.group;
    if (m->n_rows % per_word != 0)
        return fault(f, codes, "the number of outputs should fill whole words");
    if (!choose_type(f, m, codes))
        return false;
    const int64_t n_groups = m->n_cols / m->group;
    m->zeros = need(f, "qzeros", "I32", 2, n_groups, m->n_rows / per_word);
    m->scales = m->zeros ? need(f, "scales", "", 2, n_groups, m->n_rows) : NULL;
    return m->scales && (is_awq || check_group_order(f, m));
}

/* weight [out, in] with weight_scale_inv [out / block, in / block], rounded up. */
static bool find_float8(const Finder *f, Matrix *m, const NamedTensor *codes)
{
    const Scheme *s = &f->q->scheme;
    if (!codes->raw || codes->tensor.n_dims != 2)
        return fault(f, codes, "two dimensions are wanted");
    m->n_rows = codes->tensor.dims[0];
    m->n_cols = codes->tensor.dims[1];
    m->type = DTYPE_F8_128;
    if (m->n_cols % F8_COLS != 0)
        return fault(f, codes, "FP8 is read with rows of a multiple of 128");
    m->scales = need(f, "weight_scale_inv", "", 2, (m->n_rows - 1) / s->block_rows + 1,
                     (m->n_cols - 1) / s->block_cols + 1);
    return m->scales != NULL;
}

/* MLX: weight [.., out, in * bits / 32] U32, scales and biases [.., out, in / group]. */
static bool find_mlx(const Finder *f, Matrix *m, const NamedTensor *scales)
{
    const json_t *own = json_object_get(f->q->scheme.overrides, f->stem);
    const NamedTensor *codes = part(f, "weight");
    m->group = f->q->scheme.group;
    (void)whole_number(own, "group_size", &m->group);
    (void)whole_number(own, "bits", &m->bits);
    const Tensor *s = &scales->tensor;
    const int last = s->n_dims - 1;
    if (!s->data || s->n_dims < 2 || s->n_dims > 3 || m->group < 1 || m->group > GROUP_MAX ||
        s->dims[last] > INT32_MAX)
        return fault(f, scales, "floats of two or three dimensions are wanted");
    if (m->bits < 2 || m->bits > 8 || m->bits == 7)
        return error_set(f->err, ERROR_UNSUPPORTED,
                         "%s: tensor %.200s: %" PRId64 " bits; 2, 3, 4, 5, 6 and 8 are read",
                         scales->file, scales->name, m->bits);
    m->n_cols = s->dims[last] * m->group;
    m->n_experts = s->n_dims == 3 ? s->dims[0] : 1;
    m->n_rows = s->dims[last - 1];
    m->scales = scales;
    m->codes = codes = need(f, "weight", "U32", s->n_dims, m->n_rows, m->n_cols * m->bits / 32);
    m->zeros = codes ? need(f, "biases", "", s->n_dims, m->n_rows, s->dims[last]) : NULL;
    return m->zeros && (s->n_dims == 2 || (codes->tensor.dims[0] == m->n_experts &&
                                           m->zeros->tensor.dims[0] == m->n_experts)
                            ? choose_type(f, m, codes)
                            : fault(f, codes, "as many experts as scales are wanted"));
}

/* MLX stacks experts under a name of its own. */
static void matrix_name(const Finder *f, char name[NAME_BYTES + 32])
{
    static const char stacked[] = ".mlp.switch_mlp.";
    const char *at = strstr(f->stem, stacked);
    if (at)
        snprintf(name, NAME_BYTES + 32, "%.*s.mlp.experts.%s.weight", (int)(at - f->stem), f->stem,
                 at + sizeof stacked - 1);
    else
        snprintf(name, NAME_BYTES + 32, "%s.weight", f->stem);
}

static bool add_matrix(Finder *f, const NamedTensor *t)
{
    Prequantized *q = f->q;
    Matrix *m = &q->all[q->n];
    char name[NAME_BYTES + 32];
    *m = (Matrix){.rows.make = prequantized_make,
                  .kind = q->scheme.kind,
                  .bits = q->scheme.bits,
                  .zero_offset = q->scheme.zero_offset,
                  .block_rows = q->scheme.block_rows,
                  .block_cols = q->scheme.block_cols,
                  .n_experts = 1,
                  .codes = t};
    bool ok = m->kind == SCHEME_MLX   ? find_mlx(f, m, t)
              : m->kind == SCHEME_FP8 ? find_float8(f, m, t)
                                      : find_words(f, m, t);
    if (!ok)
        return false;
    matrix_name(f, name);
    NamedTensor made = {.name = name, .type_name = dtype_name(m->type), .file = t->file};
    const bool is_bank = m->n_experts > 1 || m->scales->tensor.n_dims == 3;
    made.tensor = (Tensor){.type = m->type, .n_dims = is_bank ? 3 : 2, .rows = &m->rows};
    int64_t dims[3] = {m->n_experts, m->n_rows, m->n_cols};
    memcpy(made.tensor.dims, dims + (is_bank ? 0 : 1), sizeof *dims * (is_bank ? 3 : 2));
    made.tensor.bytes = (size_t)(m->n_experts * m->n_rows) * dtype_row_bytes(m->type, m->n_cols);
    q->n++;
    return tensor_table_add(q->matrices, &made, f->err);
}

/* The part by which a matrix is known, and what its name leaves in front. */
static bool is_first_part(const Finder *f, const NamedTensor *t, Str *stem)
{
    static const char *const suffixes[] = {[SCHEME_FP8] = ".weight",
                                           [SCHEME_GPTQ] = ".qweight",
                                           [SCHEME_AWQ] = ".qweight",
                                           [SCHEME_MLX] = ".scales"};
    const Str name = str_from(t->name), suffix = str_from(suffixes[f->q->scheme.kind]);
    if (!str_ends(name, suffix) || name.bytes - suffix.bytes >= NAME_BYTES ||
        (f->q->scheme.kind == SCHEME_FP8 && strcmp(t->type_name, "F8_E4M3") != 0))
        return false;
    *stem = str_slice(name, 0, name.bytes - suffix.bytes);
    return true;
}

static bool find_all(Finder *f)
{
    int n = tensor_table_count(f->files);
    f->q->all = mem_try_alloc((size_t)(n + 1) * sizeof *f->q->all, "quantized matrices", f->err);
    if (!f->q->all)
        return false;
    for (int i = 0; i < n; i++) {
        const NamedTensor *t = tensor_table_at(f->files, i);
        Str stem;
        if (!is_first_part(f, t, &stem))
            continue;
        snprintf(f->stem, sizeof f->stem, "%.*s", STR_ARG(stem));
        f->file = t->file;
        if (!add_matrix(f, t))
            return false;
    }
    return true;
}

bool prequantized_find(Prequantized **out, const json_t *config, const TensorTable *files,
                       const char *path, Error *err)
{
    Scheme scheme = {.kind = SCHEME_NONE};
    *out = NULL;
    if (!read_scheme(&scheme, config, path, err))
        return false;
    if (scheme.kind == SCHEME_NONE)
        return true;
    Prequantized *q = mem_alloc(sizeof *q);
    q->scheme = scheme;
    q->matrices = tensor_table_new();
    Finder f = {.q = q, .files = files, .path = path, .err = err};
    if (find_all(&f)) {
        *out = q;
        return true;
    }
    prequantized_free(q);
    return false;
}

void prequantized_free(Prequantized *q)
{
    if (!q)
        return;
    tensor_table_free(q->matrices);
    mem_free(q->all);
    mem_free(q);
}

const NamedTensor *prequantized_tensor(const Prequantized *q, const char *name)
{
    return q ? tensor_table_find(q->matrices, name) : NULL;
}

bool prequantized_owns(const Prequantized *q, const char *name)
{
    for (int i = 0; q && i < q->n; i++) {
        const Matrix *m = &q->all[i];
        if (strcmp(m->codes->name, name) == 0 || strcmp(m->scales->name, name) == 0 ||
            (m->zeros && strcmp(m->zeros->name, name) == 0))
            return true;
    }
    const Str text = str_from(name), order = STR(".g_idx");
    char matrix[NAME_BYTES + 32];
    if (!q || !str_ends(text, order) || text.bytes >= NAME_BYTES)
        return false;
    snprintf(matrix, sizeof matrix, "%.*s.weight",
             STR_ARG(str_slice(text, 0, text.bytes - order.bytes)));
    return prequantized_tensor(q, matrix) != NULL;
}
