/* The writing half of gguf.h: key-values and tensor infos are gathered in memory, the tensors'
 * bytes stream through. Misuse (data before begin, too many bytes) is a bug and asserts. */
#include "base/bug.h"
#include "formats/gguf.h"

#include <string.h>

enum { VERSION = 3, ALIGNMENT = 32 };

struct GgufWriter {
    FileWriter *file;
    Buf pairs, infos;
    uint64_t n_pairs, n_tensors;
    uint64_t data_bytes;    /* declared so far, with padding */
    uint64_t *tensor_bytes; /* of each declared tensor, without padding */
    uint64_t capacity;
    uint64_t current, current_bytes; /* tensor being written, and how much of it is there */
    bool has_begun;
};

static void put_uint(Buf *buf, uint64_t value, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    buf_append(buf, bytes, n);
}

static void put_string(Buf *buf, Str s)
{
    put_uint(buf, s.bytes, 8);
    buf_add(buf, s);
}

static Buf *put_key(GgufWriter *w, const char *key, GgufType type)
{
    ASSERT(!w->has_begun);
    put_string(&w->pairs, str_from(key));
    put_uint(&w->pairs, type, 4);
    w->n_pairs++;
    return &w->pairs;
}

GgufWriter *gguf_writer_open(const char *path, Error *err)
{
    FileWriter *file = file_writer_open(path, err);
    if (!file)
        return NULL;
    GgufWriter *w = mem_alloc(sizeof *w);
    w->file = file;
    return w;
}

void gguf_put_u32(GgufWriter *w, const char *key, uint32_t value)
{
    put_uint(put_key(w, key, GGUF_U32), value, 4);
}

void gguf_put_i32(GgufWriter *w, const char *key, int32_t value)
{
    put_uint(put_key(w, key, GGUF_I32), (uint32_t)value, 4);
}

void gguf_put_f32(GgufWriter *w, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_uint(put_key(w, key, GGUF_F32), bits, 4);
}

void gguf_put_bool(GgufWriter *w, const char *key, bool value)
{
    put_uint(put_key(w, key, GGUF_BOOL), value, 1);
}

void gguf_put_str(GgufWriter *w, const char *key, Str value)
{
    put_string(put_key(w, key, GGUF_STRING), value);
}

static Buf *put_array(GgufWriter *w, const char *key, GgufType item_type, uint64_t n)
{
    Buf *buf = put_key(w, key, GGUF_ARRAY);
    put_uint(buf, item_type, 4);
    put_uint(buf, n, 8);
    return buf;
}

void gguf_put_str_array(GgufWriter *w, const char *key, const Str *values, uint64_t n)
{
    Buf *buf = put_array(w, key, GGUF_STRING, n);
    for (uint64_t i = 0; i < n; i++)
        put_string(buf, values[i]);
}

void gguf_put_i32_array(GgufWriter *w, const char *key, const int32_t *values, uint64_t n)
{
    Buf *buf = put_array(w, key, GGUF_I32, n);
    for (uint64_t i = 0; i < n; i++)
        put_uint(buf, (uint32_t)values[i], 4);
}

static size_t scalar_bytes(GgufType type)
{
    switch (type) {
    case GGUF_U8:
    case GGUF_I8:
    case GGUF_BOOL:
        return 1;
    case GGUF_U16:
    case GGUF_I16:
        return 2;
    case GGUF_U32:
    case GGUF_I32:
    case GGUF_F32:
        return 4;
    case GGUF_U64:
    case GGUF_I64:
    case GGUF_F64:
        return 8;
    case GGUF_STRING:
    case GGUF_ARRAY:
        break;
    }
    ASSERT(!"a scalar");
}

void gguf_put_value(GgufWriter *w, const GgufValue *value)
{
    if (value->type == GGUF_STRING) {
        gguf_put_str(w, value->key, value->s);
    } else if (value->type == GGUF_ARRAY && value->item_type == GGUF_STRING) {
        gguf_put_str_array(w, value->key, value->strings, value->n_items);
    } else if (value->type == GGUF_ARRAY) {
        Buf *buf = put_array(w, value->key, value->item_type, value->n_items);
        buf_append(buf, value->items, (size_t)value->n_items * scalar_bytes(value->item_type));
    } else if (value->type == GGUF_F32) {
        gguf_put_f32(w, value->key, (float)value->f);
    } else {
        /* Integers, bool and f64 share the union's eight bytes, little end first in the file. */
        put_uint(put_key(w, value->key, value->type), value->u, scalar_bytes(value->type));
    }
}

static uint64_t padded(uint64_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

void gguf_declare(GgufWriter *w, const TensorInfo *tensor)
{
    ASSERT(!w->has_begun && tensor->n_dims >= 1 && tensor->n_dims <= TENSOR_DIMS_MAX);
    uint64_t bytes = dtype_row_bytes(tensor->type, tensor->dims[tensor->n_dims - 1]);
    put_string(&w->infos, str_from(tensor->name));
    put_uint(&w->infos, (uint64_t)tensor->n_dims, 4);
    for (int i = tensor->n_dims - 1; i >= 0; i--)
        put_uint(&w->infos, (uint64_t)tensor->dims[i], 8);
    for (int i = 0; i + 1 < tensor->n_dims; i++)
        bytes *= (uint64_t)tensor->dims[i];
    put_uint(&w->infos, (uint64_t)dtype_info(tensor->type)->ggml_id, 4);
    put_uint(&w->infos, w->data_bytes, 8);
    w->data_bytes += padded(bytes);
    if (w->n_tensors == w->capacity) {
        uint64_t capacity = w->capacity ? w->capacity * 2 : 64;
        uint64_t *grown = mem_alloc(capacity * sizeof *grown);
        if (w->n_tensors)
            memcpy(grown, w->tensor_bytes, w->n_tensors * sizeof *grown);
        mem_free(w->tensor_bytes);
        w->tensor_bytes = grown;
        w->capacity = capacity;
    }
    w->tensor_bytes[w->n_tensors++] = bytes;
}

static bool write_padding(GgufWriter *w, uint64_t at, Error *err)
{
    static const uint8_t zeros[ALIGNMENT];
    return file_writer_write(w->file, zeros, (size_t)(padded(at) - at), err);
}

uint64_t gguf_header_bytes(const GgufWriter *w)
{
    return padded(4 + 4 + 8 + 8 + w->pairs.bytes + w->infos.bytes);
}

bool gguf_begin(GgufWriter *w, Error *err)
{
    ASSERT(!w->has_begun);
    w->has_begun = true;
    if (w->pairs.overflowed || w->infos.overflowed)
        return error_set(err, ERROR_LIMIT, "GGUF key-values or tensor names pass 1 GiB");
    Buf header = {0};
    buf_puts(&header, "GGUF");
    put_uint(&header, VERSION, 4);
    put_uint(&header, w->n_tensors, 8);
    put_uint(&header, w->n_pairs, 8);
    bool ok = file_writer_write(w->file, header.data, header.bytes, err) &&
              file_writer_write(w->file, w->pairs.data, w->pairs.bytes, err) &&
              file_writer_write(w->file, w->infos.data, w->infos.bytes, err) &&
              write_padding(w, file_writer_offset(w->file), err);
    buf_free(&header);
    return ok;
}

bool gguf_write(GgufWriter *w, const void *data, size_t bytes, Error *err)
{
    ASSERT(w->has_begun && w->current < w->n_tensors);
    ASSERT(bytes <= w->tensor_bytes[w->current] - w->current_bytes);
    if (!file_writer_write(w->file, data, bytes, err))
        return false;
    w->current_bytes += bytes;
    if (w->current_bytes < w->tensor_bytes[w->current])
        return true;
    uint64_t end = w->current_bytes;
    w->current++;
    w->current_bytes = 0;
    return write_padding(w, end, err);
}

static void writer_free(GgufWriter *w)
{
    buf_free(&w->pairs);
    buf_free(&w->infos);
    mem_free(w->tensor_bytes);
    mem_free(w);
}

bool gguf_writer_commit(GgufWriter *w, Error *err)
{
    ASSERT(w->has_begun && w->current == w->n_tensors);
    bool ok = file_writer_commit(w->file, err);
    writer_free(w);
    return ok;
}

void gguf_writer_cancel(GgufWriter *w)
{
    if (!w)
        return;
    file_writer_cancel(w->file);
    writer_free(w);
}
