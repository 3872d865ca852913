/* formats/gguf: what is written is read, byte layouts as the specification draws them, and every
 * malformed file is one clear error. */
#include "support.h"

#include "base/file.h"
#include "base/rng.h"
#include "formats/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[512];

static void put(Buf *b, uint64_t value, int n)
{
    for (int i = 0; i < n; i++)
        buf_putc(b, (char)(value >> 8 * i));
}

static void put_str(Buf *b, const char *text)
{
    put(b, strlen(text), 8);
    buf_puts(b, text);
}

static void header(Buf *b, uint64_t n_tensors, uint64_t n_pairs)
{
    buf_clear(b);
    buf_puts(b, "GGUF");
    put(b, 3, 4);
    put(b, n_tensors, 8);
    put(b, n_pairs, 8);
}

static void info(Buf *b, const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                 uint64_t offset)
{
    put_str(b, name);
    put(b, 2, 4);
    put(b, cols, 8);
    put(b, rows, 8);
    put(b, type, 4);
    put(b, offset, 8);
}

static void pad_and_fill(Buf *b, size_t alignment, size_t n_data)
{
    while (b->bytes % alignment)
        buf_putc(b, 0);
    for (size_t i = 0; i < n_data; i++)
        buf_putc(b, (char)(i * 3));
}

static void save(const Buf *b)
{
    snprintf(path, sizeof path, "%s", test_temp("x.gguf"));
    test_write(path, b->data, b->bytes);
}

static void expect_error(const Buf *b, ErrorCode code, const char *part)
{
    Error err = {0};
    save(b);
    TensorTable *table = tensor_table_new();
    Gguf *gguf;
    assert_error((gguf = gguf_read(table, path, &err)) != NULL, code, part);
    assert_true(test_contains(err.message, path));
    tensor_table_free(table);
}

/* A file with one of every kind of value, and two tensors, built from the specification. */
static void build_sample(Buf *b)
{
    header(b, 2, 16);
    static const uint64_t bits[] = {200, 0xff85, 60000, 0x8ad0, 4000000000u, 0xc4653600u};
    for (int type = 0; type < 6; type++) {
        char key[32];
        snprintf(key, sizeof key, "int.%d", type);
        put_str(b, key);
        put(b, (uint64_t)type, 4);
        put(b, bits[type], 1 << type / 2);
    }
    put_str(b, "f32"), put(b, 6, 4), put(b, 0x3fc00000, 4);
    put_str(b, "yes"), put(b, 7, 4), put(b, 1, 1);
    put_str(b, "text"), put(b, 8, 4), put_str(b, "h\xC3\xA9");
    put_str(b, "u64"), put(b, 10, 4), put(b, UINT64_MAX - 1, 8);
    put_str(b, "i64"), put(b, 11, 4), put(b, (uint64_t)-5, 8);
    put_str(b, "f64"), put(b, 12, 4), put(b, 0x3ff8000000000000u, 8);
    put_str(b, "strings"), put(b, 9, 4), put(b, 8, 4), put(b, 2, 8), put_str(b, "a"),
        put_str(b, "");
    put_str(b, "numbers"), put(b, 9, 4), put(b, 5, 4), put(b, 2, 8), put(b, 7, 4),
        put(b, 0xfffffff8u, 4);
    put_str(b, "empty"), put(b, 9, 4), put(b, 8, 4), put(b, 0, 8);
    put_str(b, "general.alignment"), put(b, 4, 4), put(b, 64, 4);
    info(b, "m", 4, 3, 0, 0);
    info(b, "q", 32, 2, 8, 64);
    pad_and_fill(b, 64, 64 + 68);
}

static void expect_sample(const Gguf *g)
{
    static const int64_t ints[] = {200, -123, 60000, -30000, 4000000000, -1000000000};
    for (int type = 0; type < 6; type++) {
        char key[32];
        uint64_t u = 77;
        double f;
        snprintf(key, sizeof key, "int.%d", type);
        assert_true(gguf_f64(g, key, &f));
        assert_true(f == (double)ints[type]);
        assert_int_equal(gguf_u64(g, key, &u), ints[type] >= 0);
        assert_true(u == (ints[type] >= 0 ? (uint64_t)ints[type] : 77));
    }
    double f;
    bool yes = false;
    Str text;
    uint64_t u;
    assert_true(gguf_f64(g, "f32", &f) && f == 1.5);
    assert_true(gguf_f64(g, "f64", &f) && f == 1.5);
    assert_true(gguf_bool(g, "yes", &yes) && yes);
    assert_true(gguf_str(g, "text", &text) && str_equals(text, "h\xC3\xA9"));
    assert_true(gguf_u64(g, "u64", &u) && u == UINT64_MAX - 1);
    assert_true(gguf_f64(g, "i64", &f) && f == -5);
    assert_false(gguf_u64(g, "text", &u));
    assert_false(gguf_u64(g, "f32", &u));
    assert_false(gguf_u64(g, "strings", &u));
    assert_false(gguf_str(g, "f32", &text));
    assert_false(gguf_bool(g, "u64", &yes));
    assert_false(gguf_f64(g, "nothing", &f));
    const GgufValue *v = gguf_find(g, "strings");
    assert_int_equal(v->n_items, 2);
    assert_true(str_equals(v->strings[0], "a") && v->strings[1].bytes == 0);
    v = gguf_find(g, "numbers");
    assert_int_equal(v->item_type, GGUF_I32);
    assert_memory_equal(v->items, "\7\0\0\0\xf8\xff\xff\xff", 8);
    assert_int_equal(gguf_find(g, "empty")->n_items, 0);
}

static void expect_tensors(const TensorTable *table)
{
    assert_int_equal(tensor_table_count(table), 2);
    const Tensor *m = &tensor_table_find(table, "m")->tensor,
                 *q = &tensor_table_find(table, "q")->tensor;
    assert_int_equal(m->type, DTYPE_F32);
    assert_int_equal(m->n_dims, 2);
    assert_int_equal(m->dims[0], 3);
    assert_int_equal(m->dims[1], 4);
    assert_int_equal(m->bytes, 48);
    assert_int_equal(q->type, DTYPE_Q8_0);
    assert_int_equal(q->bytes, 68);
    for (size_t i = 0; i < 48; i++)
        assert_int_equal(((const uint8_t *)m->data)[i], (uint8_t)(i * 3));
    for (size_t i = 0; i < 68; i++)
        assert_int_equal(((const uint8_t *)q->data)[i], (uint8_t)((i + 64) * 3));
}

static void reads_every_kind_of_value(void **state)
{
    (void)state;
    Error err = {0};
    Buf b = {0};
    build_sample(&b);
    save(&b);
    TensorTable *table = tensor_table_new();
    Gguf *g = gguf_read(table, path, &err);
    assert_non_null(g);
    assert_int_equal(gguf_count(g), 16);
    assert_string_equal(gguf_at(g, 0)->key, "int.0");
    expect_sample(g);
    expect_tensors(table);
    gguf_close(g);
    tensor_table_free(table);
    buf_free(&b);
}

/* Copied through the writer, it reads the same; alignment is the writer's own. */
static void copies_through_the_writer(void **state)
{
    (void)state;
    Error err = {0};
    Buf b = {0};
    build_sample(&b);
    save(&b);
    TensorTable *table = tensor_table_new(), *again = tensor_table_new();
    Gguf *g = gguf_read(table, path, &err);
    char copy[600];
    snprintf(copy, sizeof copy, "%s.copy", path);
    GgufWriter *w = gguf_writer_open(copy, &err);
    assert_non_null(w);
    for (int i = 0; i < gguf_count(g); i++)
        if (strcmp(gguf_at(g, i)->key, "general.alignment") != 0)
            gguf_put_value(w, gguf_at(g, i));
    gguf_put_bool(w, "put.bool", false);
    gguf_put_i32_array(w, "put.i32", (const int32_t[]){-1, 2}, 2);
    for (int i = 0; i < 2; i++) {
        const NamedTensor *t = tensor_table_at(table, i);
        TensorInfo ti = {t->name, t->tensor.type, 2, {t->tensor.dims[0], t->tensor.dims[1]}};
        gguf_declare(w, &ti);
    }
    assert_ok(gguf_begin(w, &err));
    for (int i = 0; i < 2; i++) {
        const Tensor *t = &tensor_table_at(table, i)->tensor;
        assert_ok(gguf_write(w, t->data, 7, &err));
        assert_ok(gguf_write(w, (const char *)t->data + 7, t->bytes - 7, &err));
    }
    assert_ok(gguf_writer_commit(w, &err));
    gguf_close(g);
    g = gguf_read(again, copy, &err);
    if (!g)
        fail_msg("%s", err.message);
    assert_int_equal(gguf_count(g), 17);
    expect_sample(g);
    expect_tensors(again);
    bool no = true;
    assert_true(gguf_bool(g, "put.bool", &no) && !no);
    assert_memory_equal(gguf_find(g, "put.i32")->items, "\xff\xff\xff\xff\2\0\0\0", 8);
    gguf_close(g);
    tensor_table_free(table);
    tensor_table_free(again);
    buf_free(&b);
}

static void every_prefix_is_an_error(void **state)
{
    (void)state;
    Error err = {0};
    Buf b = {0};
    build_sample(&b);
    for (size_t n = 0; n < b.bytes; n++) {
        Buf cut = {.data = b.data, .bytes = n};
        expect_error(&cut, ERROR_FORMAT, "");
    }
    (void)err;
    buf_free(&b);
}

/* One byte changed anywhere: an error or a readable file, never a crash. */
static void no_changed_byte_crashes(void **state)
{
    (void)state;
    Error err = {0};
    Buf b = {0};
    build_sample(&b);
    Rng rng = {3};
    for (size_t i = 0; i < b.bytes; i++) {
        char kept = b.data[i];
        b.data[i] = (char)rng_next(&rng);
        save(&b);
        TensorTable *table = tensor_table_new();
        gguf_close(gguf_read(table, path, &err));
        tensor_table_free(table);
        b.data[i] = kept;
    }
    buf_free(&b);
}

static void malformed_headers(void **state)
{
    (void)state;
    Buf b = {0};
    buf_puts(&b, "GGML....");
    expect_error(&b, ERROR_FORMAT, "byte 0: not a GGUF file");
    buf_clear(&b), buf_puts(&b, "GGUF"), put(&b, 1, 4);
    expect_error(&b, ERROR_UNSUPPORTED, "byte 4: GGUF version 1");
    buf_clear(&b), buf_puts(&b, "GGUF"), put(&b, 0x03000000, 4);
    expect_error(&b, ERROR_UNSUPPORTED, "big-endian");
    header(&b, 0, UINT64_MAX);
    expect_error(&b, ERROR_FORMAT, "byte 16: 18446744073709551615 key-values");
    header(&b, UINT64_MAX, 0);
    expect_error(&b, ERROR_FORMAT, "byte 8: 18446744073709551615 tensors");
    buf_free(&b);
}

static void malformed_values(void **state)
{
    (void)state;
    Buf b = {0};
#define PAIR(key, type) header(&b, 0, 1), put_str(&b, key), put(&b, type, 4)
    PAIR("k", 13);
    put(&b, 0, 8);
    expect_error(&b, ERROR_FORMAT, "byte 33: unknown value type");
    PAIR("k", 8);
    put(&b, UINT64_MAX, 8);
    expect_error(&b, ERROR_FORMAT, "byte 37: a string of 18446744073709551615 bytes");
    PAIR("", 4);
    put(&b, 0, 8);
    expect_error(&b, ERROR_FORMAT, "byte 24: a key that is empty");
    PAIR("a\nb", 4);
    put(&b, 0, 8);
    expect_error(&b, ERROR_FORMAT, "not plain text");
    PAIR("k", 9);
    put(&b, 9, 4), put(&b, 1, 8);
    expect_error(&b, ERROR_FORMAT, "array of arrays");
    PAIR("k", 9);
    put(&b, 4, 4), put(&b, UINT64_MAX / 4 + 1, 8);
    expect_error(&b, ERROR_FORMAT, "does not fit");
    PAIR("k", 9);
    put(&b, 8, 4), put(&b, 1, 8), put(&b, 9, 8);
    expect_error(&b, ERROR_FORMAT, "a string of 9 bytes, but the file has only 0 more");
    header(&b, 0, 2), put_str(&b, "k"), put(&b, 4, 4), put(&b, 1, 4), put_str(&b, "k"),
        put(&b, 7, 4);
    put(&b, 1, 1);
    expect_error(&b, ERROR_FORMAT, "key k comes twice");
    for (int i = 0; i < 4; i++) {
        static const uint64_t bad[] = {0, 48, 1u << 21, UINT32_MAX};
        PAIR("general.alignment", 4);
        put(&b, bad[i], 4);
        expect_error(&b, ERROR_FORMAT, "power of two");
    }
    PAIR("general.alignment", 8);
    put_str(&b, "32");
    expect_error(&b, ERROR_FORMAT, "power of two");
    buf_free(&b);
}

static void malformed_tensors(void **state)
{
    (void)state;
    Buf b = {0};
#define ONE(cols, rows, type, offset, data)                                                        \
    header(&b, 1, 0), info(&b, "t", cols, rows, type, offset), pad_and_fill(&b, 32, data)
    ONE(4, 3, 0, 0, 47);
    expect_error(&b, ERROR_FORMAT, "tensor t (48 bytes at byte 96 + 0) ends past the end");
    ONE(4, 3, 0, 32, 48);
    expect_error(&b, ERROR_FORMAT, "ends past the end");
    ONE(4, 3, 0, 8, 64);
    expect_error(&b, ERROR_FORMAT, "not aligned");
    ONE(4, 3, 0, UINT64_MAX - 31, 64);
    expect_error(&b, ERROR_FORMAT, "ends past the end");
    ONE(0, 3, 0, 0, 64);
    expect_error(&b, ERROR_FORMAT, "impossible dimension 0");
    ONE(1u << 31, UINT64_MAX, 0, 0, 64);
    expect_error(&b, ERROR_FORMAT, "impossible dimension");
    ONE((uint64_t)1 << 32, (uint64_t)1 << 31, 0, 0, 64);
    expect_error(&b, ERROR_FORMAT, "impossible");
    ONE((uint64_t)1 << 61, 2, 0, 0, 64);
    expect_error(&b, ERROR_FORMAT, "impossibly large");
    ONE(33, 1, 8, 0, 64);
    expect_error(&b, ERROR_FORMAT, "rows of 33 elements do not divide into Q8_0 blocks of 32");
    ONE(32, 1, 4, 0, 64);
    expect_error(&b, ERROR_FORMAT, "unknown type 4");
    ONE(32, 1, 77, 0, 64);
    expect_error(&b, ERROR_FORMAT, "unknown type 77");
    header(&b, 1, 0), put_str(&b, "t"), put(&b, 5, 4);
    pad_and_fill(&b, 32, 64);
    expect_error(&b, ERROR_FORMAT, "has 5 dimensions");
    header(&b, 1, 0), put_str(&b, "t"), put(&b, 0, 4);
    pad_and_fill(&b, 32, 64);
    expect_error(&b, ERROR_FORMAT, "has 0 dimensions");
    header(&b, 2, 0), info(&b, "a", 8, 2, 0, 0), info(&b, "b", 8, 2, 0, 32);
    pad_and_fill(&b, 32, 128);
    expect_error(&b, ERROR_FORMAT, "tensors a and b overlap");
    header(&b, 2, 0), info(&b, "a", 8, 1, 0, 0), info(&b, "a", 8, 1, 0, 32);
    pad_and_fill(&b, 32, 64);
    expect_error(&b, ERROR_FORMAT, "tensor a is there already");
    buf_free(&b);
}

/* A type that is known but not read: listed without data. */
static void unread_types_are_listed(void **state)
{
    (void)state;
    Error err = {0};
    Buf b = {0};
    ONE(256, 1, 16, 0, 66);
    save(&b);
    TensorTable *table = tensor_table_new();
    Gguf *g = gguf_read(table, path, &err);
    assert_non_null(g);
    assert_null(tensor_table_at(table, 0)->tensor.data);
    assert_string_equal(tensor_table_at(table, 0)->type_name, "IQ2_XXS");
    gguf_close(g);
    tensor_table_free(table);
    buf_free(&b);
}

/* Part i of count, holding tensor "t<i>"; named as given. */
static void write_part(const char *file, uint64_t no, uint64_t count, uint64_t n_tensors)
{
    Error err = {0};
    Buf b = {0};
    char name[32];
    header(&b, 1, 3);
    put_str(&b, "split.no"), put(&b, 2, 4), put(&b, no, 2);
    put_str(&b, "split.count"), put(&b, 2, 4), put(&b, count, 2);
    put_str(&b, "split.tensors.count"), put(&b, 5, 4), put(&b, n_tensors, 4);
    snprintf(name, sizeof name, "t%d", (int)no);
    info(&b, name, 8, 1, 0, 0);
    pad_and_fill(&b, 32, 32);
    assert_ok(file_write(test_temp(file), buf_str(&b), &err));
    buf_free(&b);
}

static void read_split(const char *file, ErrorCode code, const char *part)
{
    Error err = {0};
    TensorTable *table = tensor_table_new();
    Gguf *g = gguf_read(table, test_temp(file), &err);
    if (code == ERROR_NONE && !g)
        fail_msg("%s", err.message);
    if (code != ERROR_NONE && (g || err.code != code || !test_contains(err.message, part)))
        fail_msg("%s: %s", error_name(err.code), err.message);
    if (g)
        assert_int_equal(tensor_table_count(table), 3);
    gguf_close(g);
    tensor_table_free(table);
}

static void splits_are_joined(void **state)
{
    (void)state;
    write_part("m-00001-of-00003.gguf", 0, 3, 3);
    write_part("m-00002-of-00003.gguf", 1, 3, 3);
    read_split("m-00001-of-00003.gguf", ERROR_IO, "part 3 of 3");
    write_part("m-00003-of-00003.gguf", 2, 3, 3);
    read_split("m-00001-of-00003.gguf", ERROR_NONE, "");
    read_split("m-00002-of-00003.gguf", ERROR_ARGUMENT, "name the first part");
    write_part("m-00003-of-00003.gguf", 1, 3, 3);
    read_split("m-00001-of-00003.gguf", ERROR_FORMAT, "t1 is there already");
    write_part("m-00003-of-00003.gguf", 3, 3, 3);
    read_split("m-00001-of-00003.gguf", ERROR_FORMAT, "is not part 3 of 3");
    write_part("m-00003-of-00003.gguf", 2, 4, 3);
    read_split("m-00001-of-00003.gguf", ERROR_FORMAT, "is not part 3 of 3");
    write_part("m-00003-of-00003.gguf", 2, 3, 3);
    write_part("m-00001-of-00003.gguf", 0, 3, 4);
    read_split("m-00001-of-00003.gguf", ERROR_FORMAT, "split.tensors.count is 4");
    write_part("odd.gguf", 0, 3, 3);
    read_split("odd.gguf", ERROR_FORMAT, "must be named ...-00001-of-00003.gguf");
}

static void writer_leaves_nothing_behind(void **state)
{
    (void)state;
    Error err = {0};
    char dir[256], command[600];
    snprintf(dir, sizeof dir, "%s", test_temp("cancelled"));
    assert_ok(file_make_dir(dir, &err));
    char *file = file_join(dir, "m.gguf");
    GgufWriter *w = gguf_writer_open(file, &err);
    TensorInfo t = {"t", DTYPE_F32, 1, {8}};
    gguf_declare(w, &t);
    assert_ok(gguf_begin(w, &err));
    assert_ok(gguf_write(w, "1234", 4, &err));
    gguf_writer_cancel(w);
    snprintf(command, sizeof command, "test -z \"$(ls -A '%s')\"", dir);
    assert_int_equal(system(command), 0);
    mem_free(file);
    char *nowhere = file_join(dir, "none/m.gguf");
    assert_error(gguf_writer_open(nowhere, &err) != NULL, ERROR_IO, "none");
    mem_free(nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_value), cmocka_unit_test(copies_through_the_writer),
        cmocka_unit_test(every_prefix_is_an_error),  cmocka_unit_test(no_changed_byte_crashes),
        cmocka_unit_test(malformed_headers),         cmocka_unit_test(malformed_values),
        cmocka_unit_test(malformed_tensors),         cmocka_unit_test(unread_types_are_listed),
        cmocka_unit_test(splits_are_joined),         cmocka_unit_test(writer_leaves_nothing_behind),
    };
    return TEST_MAIN("gguf", tests);
}
