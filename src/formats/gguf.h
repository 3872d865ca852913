/* GGUF version 3 (ggml-org/ggml docs/gguf.md): key-values, tensor infos, aligned tensor data; also
 * split over files named ...-00001-of-0000N.gguf. Little-endian. */
#ifndef WEN_FORMATS_GGUF_H
#define WEN_FORMATS_GGUF_H

#include "base/mem.h"
#include "formats/tensor_table.h"

typedef enum GgufType {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
} GgufType;

typedef struct GgufValue {
    const char *key;
    GgufType type;
    GgufType item_type; /* of an array */
    uint64_t n_items;   /* of an array */
    union {
        uint64_t u; /* unsigned types and bool */
        int64_t i;
        double f;
        Str s; /* into the mapping */
    };
    const uint8_t *items; /* numeric array: packed little-endian, unaligned */
    const Str *strings;   /* string array, n_items */
} GgufValue;

typedef struct Gguf Gguf;

/* Opens a file, and its siblings when it is part 1 of a split; tensors go into `table`, which owns
 * the mappings. The Gguf holds the key-values of the first part; it borrows from the table's
 * mappings and must be closed before the table is freed. */
Gguf *gguf_read(TensorTable *table, const char *path, Error *err) MUST_USE;
/* The same for a file that lies in memory (which stays the caller's, until the table is freed); no
 * siblings. `name` is for messages. */
Gguf *gguf_read_memory(TensorTable *table, Str bytes, const char *name, Error *err) MUST_USE;
void gguf_close(Gguf *gguf);
int gguf_count(const Gguf *gguf);
const GgufValue *gguf_at(const Gguf *gguf, int i);
const GgufValue *gguf_find(const Gguf *gguf, const char *key); /* NULL when absent */
/* Converting getters: false when absent or of another kind (any integer width, bool, f32/f64). */
bool gguf_u64(const Gguf *gguf, const char *key, uint64_t *out);
bool gguf_f64(const Gguf *gguf, const char *key, double *out);
bool gguf_str(const Gguf *gguf, const char *key, Str *out);
bool gguf_bool(const Gguf *gguf, const char *key, bool *out);

/* Writing: put all key-values, declare all tensors, begin, then give the tensors' bytes in order.
 */
typedef struct GgufWriter GgufWriter;
GgufWriter *gguf_writer_open(const char *path, Error *err) MUST_USE;
void gguf_put_u32(GgufWriter *w, const char *key, uint32_t value);
void gguf_put_i32(GgufWriter *w, const char *key, int32_t value);
void gguf_put_f32(GgufWriter *w, const char *key, float value);
void gguf_put_bool(GgufWriter *w, const char *key, bool value);
void gguf_put_str(GgufWriter *w, const char *key, Str value);
void gguf_put_str_array(GgufWriter *w, const char *key, const Str *values, uint64_t n);
void gguf_put_i32_array(GgufWriter *w, const char *key, const int32_t *values, uint64_t n);
/* Copies a key-value that was read. */
void gguf_put_value(GgufWriter *w, const GgufValue *value);
void gguf_declare(GgufWriter *w, const TensorInfo *tensor);
/* Bytes before the tensors, of what was put and declared so far. */
uint64_t gguf_header_bytes(const GgufWriter *w);
bool gguf_begin(GgufWriter *w, Error *err) MUST_USE;
bool gguf_write(GgufWriter *w, const void *data, size_t bytes, Error *err) MUST_USE;
bool gguf_writer_commit(GgufWriter *w, Error *err) MUST_USE; /* frees w */
void gguf_writer_cancel(GgufWriter *w);

#endif
