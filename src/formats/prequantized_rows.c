/* The rows of prequantized.h's matrices, in the layouts of quant_group.c. Every number is exactly
 * what the file says: scales are widened to f32, and the low end of a group, -scale * zero, has at
 * most 11 + 8 bits. */
#include "base/bug.h"
#include "base/half.h"
#include "formats/prequantized.h"
#include "formats/prequantized_parts.h"
#include "tensor/quant_codes.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { NIBBLE_COLS = 32 };

static float float_at(const NamedTensor *t, int64_t i)
{
    const uint8_t *data = t->tensor.data;
    uint16_t half;
    float value;
    if (t->tensor.type == DTYPE_F32) {
        memcpy(&value, data + 4 * i, sizeof value);
        return value;
    }
    memcpy(&half, data + 2 * i, sizeof half);
    return t->tensor.type == DTYPE_F16 ? half_to_float(half) : bf16_to_float(half);
}

static uint32_t word_at(const NamedTensor *t, int64_t i)
{
    uint32_t word;
    memcpy(&word, (const uint8_t *)t->raw + 4 * i, sizeof word);
    return word;
}

/* Bit of column c of eight in AWQ's word: nibble p holds column {0, 2, 4, 6, 1, 3, 5, 7}[p]. */
static int awq_shift(int64_t c) { return (int)(c % 2 * 4 + c % 8 / 2) * 4; }

/* Codes of columns from .. from+n-1 of a row. */
static void gptq_codes(const Matrix *m, int64_t row, int64_t from, int n, uint8_t *codes)
{
    const int64_t per_word = 32 / m->bits;
    const uint32_t mask = m->bits == 8 ? 255 : 15;
    for (int j = 0; j < n; j += (int)per_word) {
        uint32_t word = word_at(m->codes, (from + j) / per_word * m->n_rows + row);
        for (int i = 0; i < per_word; i++)
            codes[j + i] = (uint8_t)(word >> i * (int)m->bits & mask);
    }
}

static void awq_codes(const Matrix *m, int64_t row, int64_t from, int n, uint8_t *codes)
{
    const int64_t n_words = m->n_rows / 8;
    const int shift = awq_shift(row);
    for (int j = 0; j < n; j++)
        codes[j] = (uint8_t)(word_at(m->codes, (from + j) * n_words + row / 8) >> shift & 15);
}

/* MLX: a stream of bits, the lowest first, in every row. */
static void mlx_codes(const Matrix *m, int64_t row, int64_t from, int n, uint8_t *codes)
{
    const int bits = (int)m->bits;
    const uint8_t *stream =
        (const uint8_t *)m->codes->raw + (size_t)row * (size_t)(m->n_cols * m->bits / 8);
    for (int j = 0; j < n; j++) {
        const int64_t at = (from + j) * bits;
        const uint8_t *byte = stream + at / 8;
        /* The second byte is there whenever a code reaches into it. */
        unsigned pair = byte[0] | (at % 8 + bits > 8 ? (unsigned)byte[1] << 8 : 0);
        codes[j] = (uint8_t)(pair >> at % 8 & ((1u << bits) - 1));
    }
}

/* Step and low end of a group. */
static void group_line(const Matrix *m, int64_t row, int64_t group, float line[2])
{
    const int64_t n_groups = m->n_cols / m->group;
    if (m->kind == SCHEME_MLX) {
        line[0] = float_at(m->scales, row * n_groups + group);
        line[1] = float_at(m->zeros, row * n_groups + group);
        return;
    }
    const int64_t per_word = 32 / m->bits;
    uint32_t word = word_at(m->zeros, group * (m->n_rows / per_word) + row / per_word);
    int shift = m->kind == SCHEME_AWQ ? awq_shift(row) : (int)(row % per_word * m->bits);
    int zero = (int)(word >> shift & (m->bits == 8 ? 255 : 15)) + m->zero_offset;
    line[0] = float_at(m->scales, group * m->n_rows + row);
    line[1] = -(line[0] * (float)zero);
}

static void make_groups(const Matrix *m, int64_t row, int64_t from, int64_t n, uint8_t *out)
{
    const int cols = dtype_info(m->type)->block_len;
    const bool is_wide = dtype_info(m->type)->block_bytes > cols;
    for (int64_t k = from; k < from + n; k += cols) {
        uint8_t codes[F8_COLS];
        float line[2];
        group_line(m, row, k / m->group, line);
        memcpy(out, line, sizeof line);
        out += sizeof line;
        if (m->kind == SCHEME_MLX)
            mlx_codes(m, row, k, cols, codes);
        else if (m->kind == SCHEME_AWQ)
            awq_codes(m, row, k, cols, codes);
        else
            gptq_codes(m, row, k, cols, codes);
        if (is_wide) {
            memcpy(out, codes, (size_t)cols);
            out += cols;
            continue;
        }
        for (int j = 0; j < cols; j += NIBBLE_COLS)
            for (int i = 0; i < NIBBLE_COLS / 2; i++)
                *out++ = (uint8_t)(codes[j + i] | codes[j + i + NIBBLE_COLS / 2] << 4);
    }
}

static void make_float8(const Matrix *m, int64_t row, int64_t from, int64_t n, uint8_t *out)
{
    const int64_t n_blocks = (m->n_cols - 1) / m->block_cols + 1;
    const uint8_t *codes = (const uint8_t *)m->codes->raw + (size_t)(row * m->n_cols + from);
    for (int64_t k = from; k < from + n; k += F8_COLS, codes += F8_COLS) {
        float scale = float_at(m->scales, row / m->block_rows * n_blocks + k / m->block_cols);
        memcpy(out, &scale, sizeof scale);
        memcpy(out + sizeof scale, codes, F8_COLS);
        out += sizeof scale + F8_COLS;
    }
}

void prequantized_make(const TensorRows *rows, int64_t first_row, int64_t n, int64_t first_col,
                       int64_t n_cols, void *out)
{
    const Matrix *m = (const Matrix *)rows;
    uint8_t *at = out;
    for (int64_t i = 0; i < n; i++, at += dtype_row_bytes(m->type, n_cols)) {
        if (m->kind == SCHEME_FP8)
            make_float8(m, first_row + i, first_col, n_cols, at);
        else
            make_groups(m, first_row + i, first_col, n_cols, at);
    }
}

static bool check_floats(const NamedTensor *t, Error *err)
{
    const int64_t n = tensor_n_rows(&t->tensor) * tensor_n_cols(&t->tensor);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(float_at(t, i)))
            return error_set(err, ERROR_FORMAT,
                             "%s: tensor %.200s: element %" PRId64 " is NaN or infinite", t->file,
                             t->name, i);
    return true;
}

bool prequantized_check(const NamedTensor *matrix, Error *err)
{
    const Matrix *m = (const Matrix *)matrix->tensor.rows;
    if (!check_floats(m->scales, err) || (m->kind == SCHEME_MLX && !check_floats(m->zeros, err)))
        return false;
    if (m->kind != SCHEME_FP8)
        return true;
    const uint8_t *codes = m->codes->raw;
    const int64_t n = m->n_rows * m->n_cols;
    int64_t n_nan = 0;
    for (int64_t i = 0; i < n; i++)
        n_nan += (codes[i] & 0x7f) == E4M3_NAN;
    for (int64_t i = 0; n_nan && i < n; i++)
        if ((codes[i] & 0x7f) == E4M3_NAN)
            return error_set(err, ERROR_FORMAT, "%s: tensor %.200s: element %" PRId64 " is NaN",
                             m->codes->file, m->codes->name, i);
    return true;
}
