/* See safetensors.h. The header is read event by event, without a tree, every error with its byte
 * in the file. Like the reference reader this one wants the data section covered exactly: no
 * overlap, no hole, nothing behind it. */
#include "formats/safetensors.h"

#include "base/bug.h"
#include "base/json_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, DATA_ALIGN = 64, NAME_BYTES_MAX = 4096 };
#define HEADER_BYTES_MAX ((uint64_t)100 * 1000 * 1000) /* the reference reader's limit */

typedef struct Extent {
    uint64_t begin, end; /* relative to the data section */
    size_t at;           /* where the header says so */
} Extent;

typedef struct HeaderReader {
    JsonReader json;
    const char *path;
    const uint8_t *file;
    size_t data_at, data_bytes;
    char *name; /* of the current tensor */
    Extent *extents;
    size_t n_extents, extents_capacity;
    Error *err;
} HeaderReader;

typedef struct Entry {
    char type_name[32];
    int n_dims; /* as written; may exceed TENSOR_DIMS_MAX */
    int64_t dims[TENSOR_DIMS_MAX];
    uint64_t n_elements;
    Extent extent;
    bool has_type, has_shape, has_extent;
} Entry;

static bool fail(HeaderReader *h, const char *what)
{
    return error_set(h->err, ERROR_FORMAT, "byte %zu: %s", h->json.event_at, what);
}

/* The next key of an object; *is_end when there is none. */
static bool next_key(HeaderReader *h, bool *is_end)
{
    JsonEvent event = json_reader_next(&h->json, h->err);
    *is_end = event == JSON_EVENT_OBJECT_END;
    return event == JSON_EVENT_KEY || event == JSON_EVENT_OBJECT_END;
}

static bool read_whole(HeaderReader *h, uint64_t *value)
{
    int64_t number = 0;
    bool ok = json_reader_int(&h->json, 0, INT64_MAX, &number, h->err);
    *value = (uint64_t)number;
    return ok;
}

static bool read_shape(HeaderReader *h, Entry *e)
{
    e->n_elements = 1;
    if (!json_reader_expect(&h->json, JSON_EVENT_ARRAY, h->err))
        return false;
    for (;;) {
        JsonEvent event = json_reader_next(&h->json, h->err);
        if (event == JSON_EVENT_ERROR || event == JSON_EVENT_ARRAY_END)
            return event == JSON_EVENT_ARRAY_END;
        uint64_t dim = 0;
        bool is_whole = event == JSON_EVENT_NUMBER && h->json.string.bytes < 20;
        for (size_t i = 0; is_whole && i < h->json.string.bytes; i++) {
            is_whole = h->json.string.data[i] >= '0' && h->json.string.data[i] <= '9';
            dim = dim * 10 + (uint64_t)(h->json.string.data[i] - '0');
        }
        if (!is_whole)
            return fail(h, "a dimension should be a whole number below 2^63");
        if (__builtin_mul_overflow(e->n_elements, dim, &e->n_elements) ||
            e->n_elements > INT64_MAX || e->n_dims == INT32_MAX)
            return fail(h, "shape too large");
        if (e->n_dims < TENSOR_DIMS_MAX)
            e->dims[e->n_dims] = (int64_t)dim;
        e->n_dims++;
    }
}

static bool read_extent(HeaderReader *h, Entry *e)
{
    if (!json_reader_expect(&h->json, JSON_EVENT_ARRAY, h->err))
        return false;
    e->extent.at = h->json.event_at;
    if (!read_whole(h, &e->extent.begin) || !read_whole(h, &e->extent.end) ||
        !json_reader_expect(&h->json, JSON_EVENT_ARRAY_END, h->err))
        return false;
    if (e->extent.begin > e->extent.end || e->extent.end > h->data_bytes)
        return error_set(h->err, ERROR_FORMAT,
                         "byte %zu: tensor %.200s has data offsets [%" PRIu64 ", %" PRIu64
                         "], but the file has %zu bytes of data",
                         e->extent.at, h->name, e->extent.begin, e->extent.end, h->data_bytes);
    return true;
}

static bool read_type(HeaderReader *h, Entry *e)
{
    if (!json_reader_expect(&h->json, JSON_EVENT_STRING, h->err))
        return false;
    Str name = h->json.string;
    for (size_t i = 0; i < name.bytes; i++)
        if (name.data[i] < 0x20 || name.data[i] > 0x7e)
            return fail(h, "a dtype is a plain word");
    memcpy(e->type_name, name.data,
           name.bytes < sizeof e->type_name ? name.bytes : sizeof e->type_name - 1);
    return true;
}

static bool read_field(HeaderReader *h, Entry *e)
{
    bool *seen = str_equals(h->json.string, "dtype")          ? &e->has_type
                 : str_equals(h->json.string, "shape")        ? &e->has_shape
                 : str_equals(h->json.string, "data_offsets") ? &e->has_extent
                                                              : NULL;
    if (!seen)
        return fail(h, "a tensor has dtype, shape and data_offsets, nothing else");
    if (*seen)
        return fail(h, "a field comes twice");
    *seen = true;
    return seen == &e->has_type    ? read_type(h, e)
           : seen == &e->has_shape ? read_shape(h, e)
                                   : read_extent(h, e);
}

static bool remember_extent(HeaderReader *h, Extent extent)
{
    if (h->n_extents == h->extents_capacity) {
        size_t capacity = h->extents_capacity ? h->extents_capacity * 2 : 256;
        Extent *grown = mem_try_grow(h->extents, h->n_extents * sizeof extent,
                                     capacity * sizeof extent, "tensor offsets", h->err);
        if (!grown)
            return false;
        h->extents = grown;
        h->extents_capacity = capacity;
    }
    h->extents[h->n_extents++] = extent;
    return true;
}

/* Bytes of an element that only prequantized.h can read; 0 for others. */
static uint64_t raw_width(const char *type_name)
{
    if (strcmp(type_name, "I32") == 0 || strcmp(type_name, "U32") == 0)
        return 4;
    return strcmp(type_name, "F8_E4M3") == 0;
}

/* Tensors that cannot be read (type, more than four dimensions, no elements) are listed without
 * data; asking for one is the error. */
static bool add_entry(HeaderReader *h, TensorTable *table, const Entry *e)
{
    NamedTensor t = {.name = h->name, .file = h->path, .type_name = e->type_name};
    char description[128];
    DType type;
    bool is_known =
        dtype_from_name(str_from(e->type_name), &type) && dtype_info(type)->block_len == 1;
    uint64_t width = is_known ? (uint64_t)dtype_info(type)->block_bytes : raw_width(e->type_name);
    if (width) {
        uint64_t bytes = 0;
        if (__builtin_mul_overflow(e->n_elements, width, &bytes) ||
            bytes != e->extent.end - e->extent.begin)
            return error_set(h->err, ERROR_FORMAT,
                             "byte %zu: tensor %.200s of %" PRIu64 " %s elements has %" PRIu64
                             " bytes",
                             e->extent.at, h->name, e->n_elements, e->type_name,
                             e->extent.end - e->extent.begin);
    }
    if (width && e->n_dims <= TENSOR_DIMS_MAX && e->n_elements > 0) {
        t.tensor =
            (Tensor){.type = is_known ? type : DTYPE_COUNT, .n_dims = e->n_dims ? e->n_dims : 1};
        memcpy(t.tensor.dims, e->dims, sizeof e->dims);
        if (e->n_dims == 0)
            t.tensor.dims[0] = 1; /* a scalar */
        const uint8_t *data = h->file + h->data_at + e->extent.begin;
        *(is_known ? &t.tensor.data : &t.raw) = data;
        t.tensor.bytes = (size_t)(e->extent.end - e->extent.begin);
    } else if (is_known) {
        snprintf(description, sizeof description, "%s with %d dimensions and %" PRIu64 " elements",
                 e->type_name, e->n_dims, e->n_elements);
        t.type_name = description;
    }
    return remember_extent(h, e->extent) && tensor_table_add(table, &t, h->err);
}

static bool read_metadata(HeaderReader *h)
{
    bool is_end = false;
    if (!json_reader_expect(&h->json, JSON_EVENT_OBJECT, h->err))
        return false;
    for (;;) {
        if (!next_key(h, &is_end) || is_end)
            return is_end;
        if (!json_reader_expect(&h->json, JSON_EVENT_STRING, h->err))
            return false;
    }
}

static bool read_tensor(HeaderReader *h, TensorTable *table)
{
    Entry e = {0};
    bool is_end = false;
    if (!json_reader_expect(&h->json, JSON_EVENT_OBJECT, h->err))
        return false;
    while (!is_end)
        if (!next_key(h, &is_end) || (!is_end && !read_field(h, &e)))
            return false;
    if (!e.has_type || !e.has_shape || !e.has_extent)
        return fail(h, "a tensor lacks dtype, shape or data_offsets");
    return add_entry(h, table, &e);
}

static bool read_entry(HeaderReader *h, TensorTable *table, bool *has_metadata)
{
    Str name = h->json.string;
    if (str_equals(name, "__metadata__")) {
        if (*has_metadata)
            return fail(h, "__metadata__ comes twice");
        *has_metadata = true;
        return read_metadata(h);
    }
    if (name.bytes == 0 || name.bytes > NAME_BYTES_MAX || memchr(name.data, 0, name.bytes))
        return fail(h, "a tensor's name is empty, longer than 4096 bytes, or has a NUL in it");
    h->name = mem_strndup(name.data, name.bytes);
    bool ok = read_tensor(h, table);
    mem_free(h->name);
    return ok;
}

static int compare_extents(const void *a, const void *b)
{
    const Extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static bool check_coverage(HeaderReader *h)
{
    uint64_t covered = 0;
    if (h->n_extents)
        qsort(h->extents, h->n_extents, sizeof *h->extents, compare_extents);
    for (size_t i = 0; i < h->n_extents; i++) {
        const Extent *e = &h->extents[i];
        if (e->begin != covered)
            return error_set(
                h->err, ERROR_FORMAT,
                "byte %zu: data offsets %s: [%" PRIu64 ", %" PRIu64 "] after data up to %" PRIu64,
                e->at, e->begin < covered ? "overlap" : "leave a hole", e->begin, e->end, covered);
        covered = e->end;
    }
    if (covered != h->data_bytes)
        return error_set(h->err, ERROR_FORMAT,
                         "byte %" PRIu64 ": %" PRIu64 " bytes belong to no tensor",
                         h->data_at + covered, h->data_bytes - covered);
    return true;
}

static bool read_header(HeaderReader *h, TensorTable *table)
{
    bool has_metadata = false, is_end = false;
    if (!json_reader_expect(&h->json, JSON_EVENT_OBJECT, h->err))
        return false;
    while (!is_end)
        if (!next_key(h, &is_end) || (!is_end && !read_entry(h, table, &has_metadata)))
            return false;
    /* Spaces may pad the header. */
    return json_reader_next(&h->json, h->err) == JSON_EVENT_END && check_coverage(h);
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
                         " bytes in a file of %zu (not safetensors, or cut off)",
                         path, header_bytes, map.bytes);
    HeaderReader h = {
        .path = path, .file = map.data, .data_at = LENGTH_BYTES + (size_t)header_bytes, .err = err};
    h.data_bytes = map.bytes - h.data_at;
    json_reader_open_at(&h.json, (Str){(const char *)map.data, h.data_at}, LENGTH_BYTES);
    bool ok = read_header(&h, table);
    json_reader_close(&h.json);
    mem_free(h.extents);
    return ok || error_add(err, "%s", path);
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
