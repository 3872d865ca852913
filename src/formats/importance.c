/* See importance.h. */
#include "formats/importance.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/str.h"
#include "formats/gguf.h"
#include "formats/names.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of all columns' mean, for a column that this text left silent; tokens that an expert is lent from
 * the others. */
#define FLOOR_SHARE 1e-3
enum { LENT_TOKENS = 8 };

/* One kind of matrix of one layer; its experts, if it has some. */
typedef struct Bank {
    int n_mats, n_cols; /* 0: nothing known */
    float *sums;        /* [n_mats, n_cols] */
    double *counts;     /* [n_mats] */
    double share;       /* 0: not said */
} Bank;

struct Importance {
    int n_layers, n_experts;
    Bank *banks; /* [n_layers + 1, PART_COUNT]; the first for what is in no layer */
};

Importance *importance_new(int n_layers, int n_experts)
{
    Importance *imp = mem_alloc(sizeof *imp);
    imp->n_layers = n_layers;
    imp->n_experts = n_experts;
    imp->banks = mem_alloc(sizeof *imp->banks * (size_t)(n_layers + 1) * PART_COUNT);
    return imp;
}

void importance_free(Importance *imp)
{
    if (!imp)
        return;
    for (int i = 0; i < (imp->n_layers + 1) * PART_COUNT; i++) {
        mem_free(imp->banks[i].sums);
        mem_free(imp->banks[i].counts);
    }
    mem_free(imp->banks);
    mem_free(imp);
}

/* The entry of a matrix, and its number in it; NULL when this model has no such matrix. */
static Bank *find_bank(const Importance *imp, TensorName name, int *mat)
{
    const bool is_bank = name.part >= PART_GATE_EXPERTS && name.part < PART_COUNT;
    switch (name.part) {
    case PART_ATTN_K:
    case PART_ATTN_V:
        name.part = PART_ATTN_Q;
        break;
    case PART_FFN_UP:
        name.part = PART_FFN_GATE;
        break;
    case PART_UP_EXPERTS:
        name.part = PART_GATE_EXPERTS;
        break;
    default:
        break;
    }
    *mat = name.expert > 0 ? name.expert : 0;
    if (name.layer >= imp->n_layers || (is_bank && *mat >= imp->n_experts))
        return NULL;
    return &imp->banks[(name.layer + 1) * PART_COUNT + (int)name.part];
}

static Bank *find_hf(const Importance *imp, const char *text, int *mat)
{
    TensorName name;
    return name_parse_hf(text, &name) ? find_bank(imp, name, mat) : NULL;
}

static bool open_bank(Bank *bank, int n_mats, int n_cols, Error *err)
{
    if (bank->n_cols)
        return true;
    bank->sums = mem_try_alloc((size_t)n_mats * (size_t)n_cols * sizeof *bank->sums,
                               "the importance of columns", err);
    if (!bank->sums)
        return false;
    bank->counts = mem_alloc((size_t)n_mats * sizeof *bank->counts);
    bank->n_mats = n_mats;
    bank->n_cols = n_cols;
    return true;
}

bool importance_add(Importance *imp, const char *name, const float *rows, int64_t n_rows,
                    int n_cols, int64_t stride, Error *err)
{
    int mat;
    Bank *bank = find_hf(imp, name, &mat);
    TensorName parsed;
    ASSERT(bank && name_parse_hf(name, &parsed));
    if (!open_bank(bank, parsed.part >= PART_GATE_EXPERTS ? imp->n_experts : 1, n_cols, err))
        return false;
    ASSERT(bank->n_cols == n_cols);
    float *sums = bank->sums + (size_t)mat * (size_t)n_cols;
    for (int64_t r = 0; r < n_rows; r++)
        for (int c = 0; c < n_cols; c++)
            sums[c] += rows[r * stride + c] * rows[r * stride + c];
    bank->counts[mat] += (double)n_rows;
    return true;
}

void importance_set_share(Importance *imp, const char *name, double share)
{
    int mat;
    Bank *bank = find_hf(imp, name, &mat);
    ASSERT(bank);
    bank->share = share;
}

double importance_share(const Importance *imp, const char *name)
{
    int mat;
    const Bank *bank = imp ? find_hf(imp, name, &mat) : NULL;
    return bank && bank->share > 0 ? bank->share : 1;
}

bool importance_columns(const Importance *imp, const char *name, int n_cols, float *out)
{
    int mat;
    const Bank *bank = imp ? find_hf(imp, name, &mat) : NULL;
    if (!bank || bank->n_cols != n_cols)
        return false;
    double tokens = 0, sum = 0;
    for (int m = 0; m < bank->n_mats; m++)
        tokens += bank->counts[m];
    if (!(tokens > 0))
        return false;
    const bool is_expert = bank->n_mats > 1;
    const float *own = bank->sums + (size_t)mat * (size_t)n_cols;
    for (int c = 0; c < n_cols; c++) {
        double of_all = 0;
        for (int m = 0; is_expert && m < bank->n_mats; m++)
            of_all += (double)bank->sums[(size_t)m * (size_t)n_cols + (size_t)c];
        out[c] = own[c] + (float)(of_all / tokens * LENT_TOKENS);
        sum += (double)out[c];
    }
    if (!(sum > 0) || !isfinite(sum))
        return false;
    for (int c = 0; c < n_cols; c++)
        out[c] += (float)(sum / n_cols * FLOOR_SHARE);
    return true;
}

/* ---- llama.cpp's file ---------------------------------------------------------------------------
 */

/* NAME.in_sum2 [n_mats, n_cols], with NAME.counts [n_mats, 1] beside it. */
static bool read_entry(Importance *imp, const TensorTable *table, const NamedTensor *t, Error *err)
{
    char text[TENSOR_NAME_BYTES + 16];
    TensorName name;
    int mat;
    Str base = str_from(t->name);
    base = str_slice(base, 0, base.bytes - STR(".in_sum2").bytes);
    if (base.bytes >= TENSOR_NAME_BYTES)
        return true;
    snprintf(text, sizeof text, "%.*s.counts", (int)base.bytes, base.data);
    const NamedTensor *counts = tensor_table_find(table, text);
    text[base.bytes] = '\0';
    Bank *bank = name_parse_gguf(text, &name) ? find_bank(imp, name, &mat) : NULL;
    if (!bank)
        return error_set(err, ERROR_FORMAT, "%s: tensor %s belongs to another model", t->file,
                         t->name);
    const int64_t n_mats = tensor_n_rows(&t->tensor), n_cols = tensor_n_cols(&t->tensor);
    const int64_t wanted = name.part >= PART_GATE_EXPERTS ? imp->n_experts : 1;
    if (t->tensor.type != DTYPE_F32 || !t->tensor.data || n_mats != wanted || n_cols > INT32_MAX ||
        !counts || counts->tensor.type != DTYPE_F32 || !counts->tensor.data ||
        counts->tensor.bytes != (size_t)n_mats * sizeof(float) ||
        (bank->n_cols && bank->n_cols != n_cols))
        return error_set(err, ERROR_FORMAT, "%s: tensor %s does not fit this model", t->file,
                         t->name);
    if (!open_bank(bank, (int)n_mats, (int)n_cols, err))
        return false;
    memcpy(bank->sums, t->tensor.data, t->tensor.bytes);
    for (int64_t m = 0; m < n_mats; m++) {
        float count;
        memcpy(&count, (const char *)counts->tensor.data + m * (int64_t)sizeof count, sizeof count);
        bank->counts[m] = count > 0 && isfinite(count) ? (double)count : 0;
    }
    for (int64_t i = 0; i < n_mats * n_cols; i++)
        if (!(bank->sums[i] >= 0) || !isfinite(bank->sums[i]))
            return error_set(err, ERROR_FORMAT, "%s: tensor %s: element %lld is no sum of squares",
                             t->file, t->name, (long long)i);
    return true;
}

Importance *importance_read(const char *path, int n_layers, int n_experts, Error *err)
{
    TensorTable *table = tensor_table_new();
    Gguf *gguf = gguf_read(table, path, err);
    Importance *imp = gguf ? importance_new(n_layers, n_experts) : NULL;
    Str type;
    bool ok = imp != NULL;
    if (ok && (!gguf_str(gguf, "general.type", &type) || !str_equals(type, "imatrix")))
        ok = error_set(err, ERROR_FORMAT, "%s: not an importance matrix (general.type)", path);
    for (int i = 0; ok && i < tensor_table_count(table); i++) {
        const NamedTensor *t = tensor_table_at(table, i);
        if (str_ends(str_from(t->name), STR(".in_sum2")))
            ok = read_entry(imp, table, t, err);
    }
    if (gguf)
        gguf_close(gguf);
    tensor_table_free(table);
    if (ok)
        return imp;
    importance_free(imp);
    return NULL;
}
