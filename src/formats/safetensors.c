/* See safetensors.h. The header's grammar is fixed and small, so it is read by a scanner of its
 * own: one pass, no tree, every error with its byte in the file. Like the reference reader it wants
 * the data section covered exactly: no overlap, no hole, nothing behind it. */
#include "formats/safetensors.h"

#include "base/bug.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, DATA_ALIGN = 64, NAME_BYTES_MAX = 4096 };
#define HEADER_BYTES_MAX ((uint64_t)100 * 1000 * 1000) /* the reference reader's limit */

typedef struct Extent {
    uint64_t begin, end; /* relative to the data section */
    uint64_t at;         /* where the header says so */
} Extent;

typedef struct Scanner {
    const char *path;
    const uint8_t *file;
    size_t at, end; /* the header's part of the file */
    size_t data_at, file_bytes;
    Buf name, word; /* the current tensor's name; the last string */
    Extent *extents;
    size_t n_extents, extents_capacity;
    Error *err;
} Scanner;

typedef struct Entry {
    char type_name[32];
    int n_dims; /* as written; may exceed TENSOR_DIMS_MAX */
    int64_t dims[TENSOR_DIMS_MAX];
    uint64_t n_elements;
    Extent extent;
    bool has_type, has_shape, has_extent;
} Entry;

static bool fail(Scanner *s, const char *what)
{
    return error_set(s->err, ERROR_FORMAT, "%s: byte %zu: %s", s->path, s->at, what);
}

static void skip_space(Scanner *s)
{
    while (s->at < s->end && strchr(" \t\r\n", s->file[s->at]) && s->file[s->at])
        s->at++;
}

/* Consumes c after white space if it is next. */
static bool take(Scanner *s, char c)
{
    skip_space(s);
    if (s->at >= s->end || s->file[s->at] != (uint8_t)c)
        return false;
    s->at++;
    return true;
}

static bool expect(Scanner *s, char c)
{
    if (take(s, c))
        return true;
    char what[] = "the header should have a 'x' here";
    *strchr(what, 'x') = c;
    return fail(s, what);
}

static bool scan_hex4(Scanner *s, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        const char *digits = "0123456789abcdef";
        const char *hit = NULL;
        if (s->at < s->end && s->file[s->at])
            hit = strchr(digits, s->file[s->at] | (s->file[s->at] >= 'A' ? 0x20 : 0));
        if (!hit)
            return fail(s, "bad \\u escape");
        *value = *value << 4 | (uint32_t)(hit - digits);
    }
    return true;
}

static bool scan_escape(Scanner *s, Buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = s->at < s->end ? (char)s->file[s->at++] : '\0';
    const char *hit = c ? strchr(from, c) : NULL;
    if (hit) {
        buf_putc(out, to[hit - from]);
        return true;
    }
    uint32_t cp, low;
    if (c != 'u')
        return fail(s, "bad escape in a string");
    if (!scan_hex4(s, &cp))
        return false;
    if (cp >= 0xD800 && cp < 0xDC00) {
        if (s->at + 2 > s->end || s->file[s->at] != '\\' || s->file[s->at + 1] != 'u')
            return fail(s, "half a surrogate pair");
        s->at += 2;
        if (!scan_hex4(s, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(s, "half a surrogate pair");
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    } else if (cp == 0 || (cp >= 0xDC00 && cp < 0xE000)) {
        return fail(s, "a \\u escape that is no character");
    }
    char utf8[4];
    buf_append(out, utf8, utf8_encode(cp, utf8));
    return true;
}

static bool scan_string(Scanner *s, Buf *out)
{
    buf_clear(out);
    if (!expect(s, '"'))
        return false;
    size_t begin = s->at;
    while (s->at < s->end && s->file[s->at] != '"') {
        uint8_t c = s->file[s->at++];
        if (c < 0x20)
            return fail(s, "control character in a string");
        if (c != '\\')
            buf_putc(out, (char)c);
        else if (!scan_escape(s, out))
            return false;
    }
    if (s->at >= s->end) {
        s->at = begin;
        return fail(s, "string without an end");
    }
    s->at++;
    if (utf8_valid_prefix(buf_str(out)) != out->bytes) {
        s->at = begin;
        return fail(s, "string is not UTF-8");
    }
    return true;
}

static bool scan_u64(Scanner *s, uint64_t *value)
{
    skip_space(s);
    size_t begin = s->at;
    uint64_t v = 0;
    while (s->at < s->end && s->file[s->at] >= '0' && s->file[s->at] <= '9') {
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s->file[s->at] - '0'), &v)) {
            s->at = begin;
            return fail(s, "number too large");
        }
        s->at++;
    }
    *value = v;
    return s->at > begin || fail(s, "the header should have a whole number here");
}

static bool scan_shape(Scanner *s, Entry *e)
{
    if (!expect(s, '['))
        return false;
    e->n_elements = 1;
    if (take(s, ']'))
        return true;
    do {
        uint64_t dim;
        skip_space(s);
        size_t begin = s->at;
        if (!scan_u64(s, &dim))
            return false;
        if (dim > INT64_MAX || __builtin_mul_overflow(e->n_elements, dim, &e->n_elements) ||
            e->n_elements > INT64_MAX || e->n_dims == INT32_MAX) {
            s->at = begin;
            return fail(s, "shape too large");
        }
        if (e->n_dims < TENSOR_DIMS_MAX)
            e->dims[e->n_dims] = (int64_t)dim;
        e->n_dims++;
    } while (take(s, ','));
    return expect(s, ']');
}

static bool scan_extent(Scanner *s, Entry *e)
{
    skip_space(s);
    size_t begin = s->at;
    if (!expect(s, '[') || !scan_u64(s, &e->extent.begin) || !expect(s, ',') ||
        !scan_u64(s, &e->extent.end) || !expect(s, ']'))
        return false;
    e->extent.at = begin;
    if (e->extent.begin > e->extent.end || e->extent.end > s->file_bytes - s->data_at)
        return error_set(s->err, ERROR_FORMAT,
                         "%s: byte %zu: tensor %.200s has data offsets [%" PRIu64 ", %" PRIu64
                         "], but the file has %zu bytes of data",
                         s->path, begin, s->name.data, e->extent.begin, e->extent.end,
                         s->file_bytes - s->data_at);
    return true;
}

static bool scan_field(Scanner *s, Entry *e)
{
    if (!scan_string(s, &s->word) || !expect(s, ':'))
        return false;
    bool *seen = NULL, ok = false;
    if (str_equals(buf_str(&s->word), "dtype")) {
        seen = &e->has_type;
        ok = scan_string(s, &s->word);
        size_t n = s->word.bytes < sizeof e->type_name ? s->word.bytes : sizeof e->type_name - 1;
        if (ok)
            memcpy(e->type_name, s->word.data, n);
    } else if (str_equals(buf_str(&s->word), "shape")) {
        seen = &e->has_shape;
        ok = scan_shape(s, e);
    } else if (str_equals(buf_str(&s->word), "data_offsets")) {
        seen = &e->has_extent;
        ok = scan_extent(s, e);
    } else {
        return fail(s, "a tensor has dtype, shape and data_offsets, nothing else");
    }
    if (ok && *seen)
        return fail(s, "a field comes twice");
    *seen = true;
    return ok;
}

static bool remember_extent(Scanner *s, Extent extent)
{
    if (s->n_extents == s->extents_capacity) {
        size_t capacity = s->extents_capacity ? s->extents_capacity * 2 : 256;
        Extent *grown = mem_try_grow(s->extents, s->n_extents * sizeof extent,
                                     capacity * sizeof extent, "tensor offsets", s->err);
        if (!grown)
            return false;
        s->extents = grown;
        s->extents_capacity = capacity;
    }
    s->extents[s->n_extents++] = extent;
    return true;
}

/* Tensors that cannot be read (type, more than four dimensions, no elements) are listed without
 * data; asking for one is the error. */
static bool add_entry(Scanner *s, TensorTable *table, const Entry *e)
{
    NamedTensor t = {.name = s->name.data, .file = s->path, .type_name = e->type_name};
    char description[128];
    DType type;
    bool is_known =
        dtype_from_name(str_from(e->type_name), &type) && dtype_info(type)->block_len == 1;
    if (is_known) {
        uint64_t bytes = 0, width = (uint64_t)dtype_info(type)->block_bytes;
        if (__builtin_mul_overflow(e->n_elements, width, &bytes) ||
            bytes != e->extent.end - e->extent.begin)
            return error_set(s->err, ERROR_FORMAT,
                             "%s: byte %" PRIu64 ": tensor %.200s of %" PRIu64
                             " %s elements has %" PRIu64 " bytes",
                             s->path, e->extent.at, s->name.data, e->n_elements, e->type_name,
                             e->extent.end - e->extent.begin);
    }
    if (is_known && e->n_dims <= TENSOR_DIMS_MAX && e->n_elements > 0) {
        t.tensor = (Tensor){.type = type, .n_dims = e->n_dims ? e->n_dims : 1};
        memcpy(t.tensor.dims, e->dims, sizeof e->dims);
        if (e->n_dims == 0)
            t.tensor.dims[0] = 1; /* a scalar */
        t.tensor.data = s->file + s->data_at + e->extent.begin;
        t.tensor.bytes = (size_t)(e->extent.end - e->extent.begin);
    } else if (is_known) {
        snprintf(description, sizeof description, "%s with %d dimensions and %" PRIu64 " elements",
                 e->type_name, e->n_dims, e->n_elements);
        t.type_name = description;
    }
    return remember_extent(s, e->extent) && tensor_table_add(table, &t, s->err);
}

static bool scan_metadata(Scanner *s)
{
    if (!expect(s, '{'))
        return false;
    if (take(s, '}'))
        return true;
    do {
        if (!scan_string(s, &s->word) || !expect(s, ':') || !scan_string(s, &s->word))
            return false;
    } while (take(s, ','));
    return expect(s, '}');
}

static bool scan_entry(Scanner *s, TensorTable *table, bool *has_metadata)
{
    skip_space(s);
    size_t begin = s->at;
    if (!scan_string(s, &s->name) || !expect(s, ':'))
        return false;
    if (str_equals(buf_str(&s->name), "__metadata__")) {
        if (*has_metadata)
            return fail(s, "__metadata__ comes twice");
        *has_metadata = true;
        return scan_metadata(s);
    }
    if (s->name.bytes == 0 || s->name.bytes > NAME_BYTES_MAX) {
        s->at = begin;
        return fail(s, "a tensor's name is empty or longer than 4096 bytes");
    }
    Entry e = {0};
    if (!expect(s, '{'))
        return false;
    do {
        if (!scan_field(s, &e))
            return false;
    } while (take(s, ','));
    if (!expect(s, '}'))
        return false;
    if (!e.has_type || !e.has_shape || !e.has_extent)
        return fail(s, "a tensor lacks dtype, shape or data_offsets");
    return add_entry(s, table, &e);
}

static int compare_extents(const void *a, const void *b)
{
    const Extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static bool check_coverage(Scanner *s)
{
    uint64_t covered = 0;
    if (s->n_extents)
        qsort(s->extents, s->n_extents, sizeof *s->extents, compare_extents);
    for (size_t i = 0; i < s->n_extents; i++) {
        const Extent *e = &s->extents[i];
        if (e->begin != covered)
            return error_set(s->err, ERROR_FORMAT,
                             "%s: byte %" PRIu64 ": data offsets %s: [%" PRIu64 ", %" PRIu64
                             "] after data up to %" PRIu64,
                             s->path, e->at, e->begin < covered ? "overlap" : "leave a hole",
                             e->begin, e->end, covered);
        covered = e->end;
    }
    if (covered != s->file_bytes - s->data_at)
        return error_set(s->err, ERROR_FORMAT,
                         "%s: byte %" PRIu64 ": %" PRIu64 " bytes belong to no tensor", s->path,
                         s->data_at + covered, s->file_bytes - s->data_at - covered);
    return true;
}

static bool scan_header(Scanner *s, TensorTable *table)
{
    bool has_metadata = false;
    if (!expect(s, '{'))
        return false;
    if (!take(s, '}')) {
        do {
            if (!scan_entry(s, table, &has_metadata))
                return false;
        } while (take(s, ','));
        if (!expect(s, '}'))
            return false;
    }
    skip_space(s);
    if (s->at != s->end)
        return fail(s, "text after the header's end");
    return check_coverage(s);
}

bool safetensors_read(TensorTable *table, const char *path, Error *err)
{
    FileMap map;
    if (!file_map(&map, path, err))
        return false;
    tensor_table_own(table, map);
    uint64_t header_bytes = 0;
    if (map.bytes < LENGTH_BYTES)
        return error_set(err, ERROR_FORMAT, "%s: byte %zu: ends inside the header's length", path,
                         map.bytes);
    for (int i = 0; i < LENGTH_BYTES; i++)
        header_bytes |= (uint64_t)map.data[i] << 8 * i;
    if (header_bytes > HEADER_BYTES_MAX || header_bytes > map.bytes - LENGTH_BYTES)
        return error_set(err, ERROR_FORMAT,
                         "%s: byte 0: header of %" PRIu64
                         " bytes in a file of %zu (not safetensors, "
                         "or cut off)",
                         path, header_bytes, map.bytes);
    size_t data_at = LENGTH_BYTES + (size_t)header_bytes;
    Scanner s = {.path = path,
                 .file = map.data,
                 .at = LENGTH_BYTES,
                 .end = data_at,
                 .data_at = data_at,
                 .file_bytes = map.bytes,
                 .err = err};
    bool ok = scan_header(&s, table);
    buf_free(&s.name);
    buf_free(&s.word);
    mem_free(s.extents);
    return ok;
}

struct SafetensorsWriter {
    FileWriter *file;
    uint64_t data_bytes_left;
};

static void put_tensor(Buf *header, const TensorInfo *info, uint64_t begin, uint64_t end)
{
    buf_put_json(header, str_from(info->name));
    buf_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(info->type));
    for (int i = 0; i < info->n_dims; i++)
        buf_printf(header, "%s%" PRId64, i ? "," : "", info->dims[i]);
    buf_printf(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, end);
}

static uint64_t info_bytes(const TensorInfo *info)
{
    ASSERT(dtype_info(info->type)->block_len == 1);
    uint64_t bytes = (uint64_t)dtype_info(info->type)->block_bytes;
    for (int i = 0; i < info->n_dims; i++)
        bytes *= (uint64_t)info->dims[i];
    return bytes;
}

SafetensorsWriter *safetensors_writer_open(const char *path, const TensorInfo *tensors,
                                           int n_tensors, const char *metadata_json, Error *err)
{
    Buf header = {0};
    uint64_t at = 0;
    buf_puts(&header, "{");
    if (metadata_json)
        buf_printf(&header, "\"__metadata__\":%s%s", metadata_json, n_tensors ? "," : "");
    for (int i = 0; i < n_tensors; i++) {
        uint64_t bytes = info_bytes(&tensors[i]);
        buf_puts(&header, i ? "," : "");
        put_tensor(&header, &tensors[i], at, at + bytes);
        at += bytes;
    }
    buf_puts(&header, "}");
    while ((header.bytes + LENGTH_BYTES) % DATA_ALIGN && !header.overflowed)
        buf_putc(&header, ' ');
    SafetensorsWriter *w = NULL;
    if (header.overflowed || header.bytes > HEADER_BYTES_MAX)
        error_set(err, ERROR_LIMIT, "%s: the header of %d tensors passes 100 MB", path, n_tensors);
    else {
        w = mem_alloc(sizeof *w);
        w->data_bytes_left = at;
        w->file = file_writer_open(path, err);
    }
    uint8_t length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++)
        length[i] = (uint8_t)((uint64_t)header.bytes >> 8 * i);
    if (w && (!w->file || !file_writer_write(w->file, length, sizeof length, err) ||
              !file_writer_write(w->file, header.data, header.bytes, err))) {
        safetensors_writer_cancel(w);
        w = NULL;
    }
    buf_free(&header);
    return w;
}

bool safetensors_writer_write(SafetensorsWriter *w, const void *data, size_t bytes, Error *err)
{
    ASSERT(bytes <= w->data_bytes_left);
    w->data_bytes_left -= bytes;
    return file_writer_write(w->file, data, bytes, err);
}

bool safetensors_writer_commit(SafetensorsWriter *w, Error *err)
{
    ASSERT(w->data_bytes_left == 0);
    bool ok = file_writer_commit(w->file, err);
    mem_free(w);
    return ok;
}

void safetensors_writer_cancel(SafetensorsWriter *w)
{
    if (!w)
        return;
    file_writer_cancel(w->file);
    mem_free(w);
}
