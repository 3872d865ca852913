/* See gguf.h. The reader: one bounds-checked cursor over the mapping; nothing is believed before it
 * is compared with what is left of the file. The writer is gguf_write.c. */
#include "formats/gguf.h"

#include "base/bug.h"
#include "formats/gguf_types.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION_OLDEST =
        2, /* 1 had 32-bit counts; 2 and 3 differ in nothing a little-endian reader sees */
    VERSION_NEWEST = 3,
    PAIR_BYTES_MIN = 8 + 1 + 4 + 1,         /* an empty file cannot hold many key-values ... */
    INFO_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8, /* ... or tensors */
    KEY_BYTES_MAX = 65535,
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MAX = 1 << 20,
    N_PAIRS_MAX = 1 << 16,
    N_SPLITS_MAX = 99999,
};

struct Gguf {
    Arena arena;
    GgufValue *pairs;
    const GgufValue **by_key; /* sorted */
    int n;
};

typedef struct Reader {
    const char *path;
    const uint8_t *data;
    size_t at, bytes;
    Arena *arena;
    Error *err;
} Reader;

typedef struct Info {
    NamedTensor tensor;
    uint64_t offset; /* in the data section */
    size_t at;       /* where the file describes it */
} Info;

static const uint8_t value_bytes[] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

static bool fail(Reader *r, size_t at, const char *what)
{
    return error_set(r->err, ERROR_FORMAT, "%s: byte %zu: %s", r->path, at, what);
}

static bool need(Reader *r, uint64_t bytes, const char *what)
{
    if (bytes <= r->bytes - r->at)
        return true;
    return error_set(r->err, ERROR_FORMAT, "%s: byte %zu: the file ends inside %s (%zu bytes)",
                     r->path, r->at, what, r->bytes);
}

static uint64_t little_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static bool read_uint(Reader *r, size_t n, uint64_t *value, const char *what)
{
    if (!need(r, n, what))
        return false;
    *value = little_endian(r->data + r->at, n);
    r->at += n;
    return true;
}

static bool read_string(Reader *r, Str *s, const char *what)
{
    uint64_t n;
    size_t begin = r->at;
    if (!read_uint(r, 8, &n, what))
        return false;
    if (n > r->bytes - r->at)
        return error_set(r->err, ERROR_FORMAT,
                         "%s: byte %zu: %s of %" PRIu64 " bytes, but the file has only %zu more",
                         r->path, begin, what, n, r->bytes - r->at);
    *s = (Str){(const char *)r->data + r->at, (size_t)n};
    r->at += (size_t)n;
    return true;
}

/* A key or tensor name: not empty, no control characters, NUL-terminated copy. */
static bool read_name(Reader *r, const char **name, const char *what)
{
    Str s;
    size_t begin = r->at;
    if (!read_string(r, &s, what))
        return false;
    bool is_plain = s.bytes > 0 && s.bytes <= KEY_BYTES_MAX;
    for (size_t i = 0; is_plain && i < s.bytes; i++)
        is_plain = (unsigned char)s.data[i] >= 0x20 && s.data[i] != 0x7f;
    if (!is_plain)
        return error_set(r->err, ERROR_FORMAT,
                         "%s: byte %zu: %s that is empty, too long or not plain text", r->path,
                         begin, what);
    *name = arena_strndup(r->arena, s.data, s.bytes);
    return true;
}

static bool read_type(Reader *r, GgufType *type)
{
    uint64_t id;
    size_t begin = r->at;
    if (!read_uint(r, 4, &id, "a value's type"))
        return false;
    *type = (GgufType)id;
    return id <= GGUF_F64 || fail(r, begin, "unknown value type");
}

static void decode_scalar(const uint8_t *p, GgufType type, GgufValue *value)
{
    uint64_t bits = little_endian(p, value_bytes[type]);
    float f;
    uint32_t bits32 = (uint32_t)bits;
    switch (type) {
    case GGUF_I8:
        value->i = (int8_t)bits;
        break;
    case GGUF_I16:
        value->i = (int16_t)bits;
        break;
    case GGUF_I32:
        value->i = (int32_t)bits;
        break;
    case GGUF_I64:
        value->i = (int64_t)bits;
        break;
    case GGUF_BOOL:
        value->u = bits != 0;
        break;
    case GGUF_F32:
        memcpy(&f, &bits32, sizeof f);
        value->f = (double)f;
        break;
    case GGUF_F64:
        memcpy(&value->f, &bits, sizeof bits);
        break;
    default:
        value->u = bits;
        break;
    }
}

static bool read_array(Reader *r, GgufValue *value)
{
    size_t begin = r->at;
    if (!read_type(r, &value->item_type) || !read_uint(r, 8, &value->n_items, "an array's length"))
        return false;
    if (value->item_type == GGUF_ARRAY)
        return fail(r, begin, "an array of arrays");
    uint64_t item_bytes = value->item_type == GGUF_STRING ? 8 : value_bytes[value->item_type];
    if (value->n_items > (r->bytes - r->at) / item_bytes)
        return error_set(r->err, ERROR_FORMAT,
                         "%s: byte %zu: array %.100s of %" PRIu64 " items does not fit in the file",
                         r->path, begin, value->key, value->n_items);
    if (value->item_type != GGUF_STRING) {
        value->items = r->data + r->at;
        r->at += (size_t)(value->n_items * item_bytes);
        return true;
    }
    Str *strings =
        arena_try_alloc(r->arena, (size_t)value->n_items * sizeof *strings, "GGUF strings", r->err);
    if (!strings)
        return false;
    for (uint64_t i = 0; i < value->n_items; i++)
        if (!read_string(r, &strings[i], "a string"))
            return false;
    value->strings = strings;
    return true;
}

static bool read_pair(Reader *r, GgufValue *value)
{
    if (!read_name(r, &value->key, "a key") || !read_type(r, &value->type))
        return false;
    if (value->type == GGUF_STRING)
        return read_string(r, &value->s, "a string");
    if (value->type == GGUF_ARRAY)
        return read_array(r, value);
    if (!need(r, value_bytes[value->type], "a value"))
        return false;
    decode_scalar(r->data + r->at, value->type, value);
    r->at += value_bytes[value->type];
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const GgufValue *const *)a)->key, (*(const GgufValue *const *)b)->key);
}

static bool read_pairs(Reader *r, Gguf *gguf, uint64_t n, size_t count_at)
{
    if (n > N_PAIRS_MAX || n > (r->bytes - r->at) / PAIR_BYTES_MIN)
        return error_set(r->err, ERROR_FORMAT, "%s: byte %zu: %" PRIu64 " key-values in %zu bytes",
                         r->path, count_at, n, r->bytes);
    gguf->pairs = ARENA_ARRAY(r->arena, GgufValue, n);
    gguf->by_key = ARENA_ARRAY(r->arena, const GgufValue *, n);
    for (uint64_t i = 0; i < n; i++) {
        if (!read_pair(r, &gguf->pairs[i]))
            return false;
        gguf->by_key[i] = &gguf->pairs[i];
    }
    gguf->n = (int)n;
    if (n > 1)
        qsort(gguf->by_key, n, sizeof *gguf->by_key, compare_keys);
    for (uint64_t i = 1; i < n; i++)
        if (compare_keys(&gguf->by_key[i - 1], &gguf->by_key[i]) == 0)
            return error_set(r->err, ERROR_FORMAT, "%s: key %.200s comes twice", r->path,
                             gguf->by_key[i]->key);
    return true;
}

static bool read_shape(Reader *r, Info *info, uint64_t *n_elements)
{
    uint64_t n_dims, dims[TENSOR_DIMS_MAX];
    Tensor *t = &info->tensor.tensor;
    if (!read_uint(r, 4, &n_dims, "a tensor's shape"))
        return false;
    if (n_dims == 0 || n_dims > TENSOR_DIMS_MAX)
        return error_set(r->err, ERROR_FORMAT,
                         "%s: byte %zu: tensor %.200s has %" PRIu64 " dimensions", r->path,
                         r->at - 4, info->tensor.name, n_dims);
    *n_elements = 1;
    for (uint64_t i = 0; i < n_dims; i++) {
        if (!read_uint(r, 8, &dims[i], "a tensor's shape"))
            return false;
        if (dims[i] == 0 || dims[i] > INT64_MAX ||
            __builtin_mul_overflow(*n_elements, dims[i], n_elements) || *n_elements > INT64_MAX)
            return error_set(r->err, ERROR_FORMAT,
                             "%s: byte %zu: tensor %.200s has an impossible dimension %" PRIu64,
                             r->path, r->at - 8, info->tensor.name, dims[i]);
    }
    /* The file gives the contiguous dimension first, tensor.h last. */
    t->n_dims = (int)n_dims;
    for (uint64_t i = 0; i < n_dims; i++)
        t->dims[i] = (int64_t)dims[n_dims - 1 - i];
    return true;
}

/* Bytes of the tensor into info->tensor.tensor.bytes; 0 for a type that is not read. */
static bool size_tensor(Reader *r, Info *info, uint32_t ggml_id, uint64_t n_elements)
{
    Tensor *t = &info->tensor.tensor;
    info->tensor.type_name = gguf_type_name(ggml_id);
    if (!dtype_from_ggml(ggml_id, &t->type))
        return info->tensor.type_name != NULL ||
               error_set(r->err, ERROR_FORMAT,
                         "%s: byte %zu: tensor %.200s has unknown type %" PRIu32, r->path, info->at,
                         info->tensor.name, ggml_id);
    const DTypeInfo *type = dtype_info(t->type);
    if (t->dims[t->n_dims - 1] % type->block_len != 0)
        return error_set(r->err, ERROR_FORMAT,
                         "%s: byte %zu: tensor %.200s: rows of %" PRId64
                         " elements do not divide into %s blocks of %d",
                         r->path, info->at, info->tensor.name, t->dims[t->n_dims - 1], type->name,
                         type->block_len);
    uint64_t bytes, n_blocks = n_elements / (uint64_t)type->block_len;
    if (__builtin_mul_overflow(n_blocks, (uint64_t)type->block_bytes, &bytes) ||
        bytes > SIZE_MAX / 2)
        return error_set(r->err, ERROR_FORMAT, "%s: byte %zu: tensor %.200s is impossibly large",
                         r->path, info->at, info->tensor.name);
    t->bytes = (size_t)bytes;
    return true;
}

static bool read_info(Reader *r, Info *info)
{
    uint64_t id = 0, n_elements = 0;
    *info = (Info){.at = r->at, .tensor.file = r->path};
    return read_name(r, &info->tensor.name, "a tensor's name") &&
           read_shape(r, info, &n_elements) && read_uint(r, 4, &id, "a tensor's type") &&
           read_uint(r, 8, &info->offset, "a tensor's offset") &&
           size_tensor(r, info, (uint32_t)id, n_elements);
}

static bool read_infos(Reader *r, Info **infos, uint64_t n, size_t count_at)
{
    *infos = NULL;
    if (n > INT32_MAX || n > (r->bytes - r->at) / INFO_BYTES_MIN)
        return error_set(r->err, ERROR_FORMAT, "%s: byte %zu: %" PRIu64 " tensors in %zu bytes",
                         r->path, count_at, n, r->bytes);
    *infos = arena_try_alloc(r->arena, (size_t)n * sizeof **infos, "tensor infos", r->err);
    if (!*infos)
        return false;
    for (uint64_t i = 0; i < n; i++)
        if (!read_info(r, &(*infos)[i]))
            return false;
    return true;
}

static bool read_alignment(Reader *r, const Gguf *gguf, size_t *alignment)
{
    uint64_t value = ALIGNMENT_DEFAULT;
    if (gguf_find(gguf, "general.alignment") && !gguf_u64(gguf, "general.alignment", &value))
        value = 0;
    *alignment = (size_t)value;
    if (value == 0 || value > ALIGNMENT_MAX || (value & (value - 1)) != 0)
        return error_set(r->err, ERROR_FORMAT,
                         "%s: general.alignment is not a power of two up to %d", r->path,
                         ALIGNMENT_MAX);
    return true;
}

static int compare_offsets(const void *a, const void *b)
{
    const Info *x = *(const Info *const *)a, *y = *(const Info *const *)b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return 0;
}

static bool check_overlap(Reader *r, Info *infos, uint64_t n)
{
    Info **sorted = arena_try_alloc(r->arena, (size_t)n * sizeof *sorted, "tensor infos", r->err);
    if (!sorted)
        return false;
    for (uint64_t i = 0; i < n; i++)
        sorted[i] = &infos[i];
    if (n > 1)
        qsort(sorted, n, sizeof *sorted, compare_offsets);
    for (uint64_t i = 1; i < n; i++) {
        const Info *before = sorted[i - 1], *after = sorted[i];
        if (before->offset == after->offset ||
            before->tensor.tensor.bytes > after->offset - before->offset)
            return error_set(r->err, ERROR_FORMAT,
                             "%s: byte %zu: tensors %.150s and %.150s overlap", r->path, after->at,
                             before->tensor.name, after->tensor.name);
    }
    return true;
}

/* Gives every tensor its bytes and hands it to the table. */
static bool place_tensors(Reader *r, TensorTable *table, Info *infos, uint64_t n, size_t alignment)
{
    size_t data_at = (r->at + alignment - 1) / alignment * alignment;
    size_t data_bytes = data_at < r->bytes ? r->bytes - data_at : 0;
    for (uint64_t i = 0; i < n; i++) {
        Tensor *t = &infos[i].tensor.tensor;
        if (infos[i].offset % alignment != 0)
            return error_set(r->err, ERROR_FORMAT,
                             "%s: byte %zu: tensor %.200s is not aligned to %zu", r->path,
                             infos[i].at, infos[i].tensor.name, alignment);
        if (infos[i].offset > data_bytes || t->bytes > data_bytes - (size_t)infos[i].offset)
            return error_set(r->err, ERROR_FORMAT,
                             "%s: byte %zu: tensor %.200s (%zu bytes at byte %zu + %" PRIu64
                             ") ends past the end of the file (%zu bytes): cut off?",
                             r->path, infos[i].at, infos[i].tensor.name, t->bytes, data_at,
                             infos[i].offset, r->bytes);
        if (t->bytes > 0)
            t->data = r->data + data_at + (size_t)infos[i].offset;
    }
    if (!check_overlap(r, infos, n))
        return false;
    for (uint64_t i = 0; i < n; i++)
        if (!tensor_table_add(table, &infos[i].tensor, r->err))
            return error_add(r->err, "%s", r->path);
    return true;
}

static bool read_header(Reader *r, uint64_t *n_tensors, uint64_t *n_pairs)
{
    uint64_t version;
    if (r->bytes < 4 || memcmp(r->data, "GGUF", 4) != 0)
        return fail(r, 0, "not a GGUF file");
    r->at = 4;
    if (!read_uint(r, 4, &version, "the header"))
        return false;
    if (version < VERSION_OLDEST || version > VERSION_NEWEST)
        return error_set(r->err, ERROR_UNSUPPORTED, "%s: byte 4: GGUF version %" PRIu64 "%s",
                         r->path, version,
                         version & 0xffff ? "; 2 and 3 are read" : ": a big-endian file");
    return read_uint(r, 8, n_tensors, "the header") && read_uint(r, 8, n_pairs, "the header");
}

static Gguf *read_bytes(TensorTable *table, Str bytes, const char *path, Error *err)
{
    Gguf *gguf = mem_alloc(sizeof *gguf);
    Reader r = {.path = path,
                .data = (const uint8_t *)bytes.data,
                .bytes = bytes.bytes,
                .arena = &gguf->arena,
                .err = err};
    uint64_t n_tensors = 0, n_pairs = 0;
    size_t alignment;
    Info *infos;
    if (read_header(&r, &n_tensors, &n_pairs) && read_pairs(&r, gguf, n_pairs, 16) &&
        read_alignment(&r, gguf, &alignment) && read_infos(&r, &infos, n_tensors, 8) &&
        place_tensors(&r, table, infos, n_tensors, alignment))
        return gguf;
    gguf_close(gguf);
    return NULL;
}

/* One file of a possibly split model. */
static Gguf *read_part(TensorTable *table, const char *path, Error *err)
{
    FileMap map;
    if (!file_map(&map, path, err))
        return NULL;
    tensor_table_own(table, map);
    return read_bytes(table, (Str){(const char *)map.data, map.bytes}, path, err);
}

/* "x-00001-of-00004.gguf" for part 1 of 4 is the only spelling; gives the length of "x". */
static bool split_stem(const char *path, uint64_t count, size_t *stem_bytes)
{
    char suffix[64];
    int n = snprintf(suffix, sizeof suffix, "-00001-of-%05" PRIu64 ".gguf", count);
    size_t bytes = strlen(path);
    if (bytes < (size_t)n || strcmp(path + bytes - (size_t)n, suffix) != 0)
        return false;
    *stem_bytes = bytes - (size_t)n;
    return true;
}

static bool read_sibling(TensorTable *table, const char *path, uint64_t i, uint64_t count,
                         Error *err)
{
    uint64_t no, its_count;
    Gguf *part = read_part(table, path, err);
    if (!part)
        return error_add(err, "part %" PRIu64 " of %" PRIu64, i + 1, count);
    bool ok = gguf_u64(part, "split.no", &no) && gguf_u64(part, "split.count", &its_count) &&
              no == i && its_count == count;
    if (!ok)
        error_set(err, ERROR_FORMAT, "%s: is not part %" PRIu64 " of %" PRIu64, path, i + 1, count);
    gguf_close(part);
    return ok;
}

static bool read_siblings(TensorTable *table, const Gguf *first, const char *path, Error *err)
{
    uint64_t no = 0, count, n_tensors;
    if (!gguf_u64(first, "split.count", &count) || count <= 1)
        return true;
    size_t stem_bytes;
    if (!gguf_u64(first, "split.no", &no) || no != 0)
        return error_set(err, ERROR_ARGUMENT,
                         "%s: is part %" PRIu64 " of %" PRIu64
                         "; name the first part (...-00001-of-%05" PRIu64 ".gguf)",
                         path, no + 1, count, count);
    if (count > N_SPLITS_MAX || !split_stem(path, count, &stem_bytes))
        return error_set(err, ERROR_FORMAT,
                         "%s: part 1 of %" PRIu64 " must be named ...-00001-of-%05" PRIu64
                         ".gguf to find the others",
                         path, count, count);
    bool ok = true;
    for (uint64_t i = 1; ok && i < count; i++) {
        Buf name = {0};
        buf_append(&name, path, stem_bytes);
        buf_printf(&name, "-%05" PRIu64 "-of-%05" PRIu64 ".gguf", i + 1, count);
        ok = read_sibling(table, name.data, i, count, err);
        buf_free(&name);
    }
    if (ok && gguf_u64(first, "split.tensors.count", &n_tensors) &&
        n_tensors != (uint64_t)tensor_table_count(table))
        return error_set(err, ERROR_FORMAT,
                         "%s: split.tensors.count is %" PRIu64 ", but the %" PRIu64
                         " parts have %d",
                         path, n_tensors, count, tensor_table_count(table));
    return ok;
}

Gguf *gguf_read(TensorTable *table, const char *path, Error *err)
{
    Gguf *gguf = read_part(table, path, err);
    if (gguf && !read_siblings(table, gguf, path, err)) {
        gguf_close(gguf);
        return NULL;
    }
    return gguf;
}

Gguf *gguf_read_memory(TensorTable *table, Str bytes, const char *name, Error *err)
{
    return read_bytes(table, bytes, name, err);
}

void gguf_close(Gguf *gguf)
{
    if (!gguf)
        return;
    arena_close(&gguf->arena);
    mem_free(gguf);
}

int gguf_count(const Gguf *gguf) { return gguf->n; }

const GgufValue *gguf_at(const Gguf *gguf, int i)
{
    ASSERT(i >= 0 && i < gguf->n);
    return &gguf->pairs[i];
}

const GgufValue *gguf_find(const Gguf *gguf, const char *key)
{
    const GgufValue wanted = {.key = key}, *pointer = &wanted;
    if (gguf->n == 0)
        return NULL;
    const GgufValue **hit =
        bsearch(&pointer, gguf->by_key, (size_t)gguf->n, sizeof pointer, compare_keys);
    return hit ? *hit : NULL;
}

static bool is_signed(GgufType type)
{
    return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
}

bool gguf_u64(const Gguf *gguf, const char *key, uint64_t *out)
{
    const GgufValue *v = gguf_find(gguf, key);
    if (!v || v->type == GGUF_STRING || v->type == GGUF_ARRAY || v->type == GGUF_F32 ||
        v->type == GGUF_F64 || (is_signed(v->type) && v->i < 0))
        return false;
    *out = v->u;
    return true;
}

bool gguf_f64(const Gguf *gguf, const char *key, double *out)
{
    const GgufValue *v = gguf_find(gguf, key);
    if (!v || v->type == GGUF_STRING || v->type == GGUF_ARRAY || v->type == GGUF_BOOL)
        return false;
    if (v->type == GGUF_F32 || v->type == GGUF_F64)
        *out = v->f;
    else
        *out = is_signed(v->type) ? (double)v->i : (double)v->u;
    return true;
}

bool gguf_str(const Gguf *gguf, const char *key, Str *out)
{
    const GgufValue *v = gguf_find(gguf, key);
    if (!v || v->type != GGUF_STRING)
        return false;
    *out = v->s;
    return true;
}

bool gguf_bool(const Gguf *gguf, const char *key, bool *out)
{
    const GgufValue *v = gguf_find(gguf, key);
    if (!v || v->type != GGUF_BOOL)
        return false;
    *out = v->u != 0;
    return true;
}
