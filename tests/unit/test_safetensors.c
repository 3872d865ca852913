/* formats/safetensors: what is written is read; every malformed header is one clear error. */
#include "support.h"

#include "base/half.h"
#include "formats/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[256];

/* A file of this header text (its length may be faked) and n data bytes. */
static void write_file(const char *header, ptrdiff_t fake_bytes, size_t n_data)
{
    Buf file = {0};
    uint64_t bytes = fake_bytes >= 0 ? (uint64_t)fake_bytes : strlen(header);
    for (int i = 0; i < 8; i++)
        buf_putc(&file, (char)(bytes >> 8 * i));
    buf_puts(&file, header);
    for (size_t i = 0; i < n_data; i++)
        buf_putc(&file, (char)i);
    snprintf(path, sizeof path, "%s", test_temp("x.safetensors"));
    test_write(path, file.data, file.bytes);
    buf_free(&file);
}

static void expect_error(const char *header, size_t n_data, const char *part)
{
    Error err = {0};
    write_file(header, -1, n_data);
    TensorTable *table = tensor_table_new();
    assert_error(safetensors_read(table, path, &err), ERROR_FORMAT, part);
    assert_true(test_contains(err.message, path));
    tensor_table_free(table);
}

static TensorTable *expect_ok(const char *header, size_t n_data)
{
    Error err = {0};
    write_file(header, -1, n_data);
    TensorTable *table = tensor_table_new();
    assert_ok(safetensors_read(table, path, &err));
    return table;
}

static void round_trip(void **state)
{
    (void)state;
    Error err = {0};
    TensorInfo infos[] = {{"a.weight", DTYPE_F32, 2, {3, 5}},
                          {"quote\"d", DTYPE_BF16, 1, {7}},
                          {"c", DTYPE_F16, 3, {2, 1, 3}}};
    uint8_t data[60 + 14 + 12];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    snprintf(path, sizeof path, "%s", test_temp("x.safetensors"));
    SafetensorsWriter *w = safetensors_writer_open(path, infos, 3, "{\"format\":\"pt\"}", &err);
    assert_non_null(w);
    assert_ok(safetensors_writer_write(w, data, 61, &err));
    assert_ok(safetensors_writer_write(w, data + 61, sizeof data - 61, &err));
    assert_ok(safetensors_writer_commit(w, &err));
    TensorTable *table = tensor_table_new();
    assert_ok(safetensors_read(table, path, &err));
    assert_int_equal(tensor_table_count(table), 3);
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        const NamedTensor *t = tensor_table_find(table, infos[i].name);
        assert_non_null(t);
        assert_ptr_equal(t, tensor_table_at(table, i));
        assert_int_equal(t->tensor.type, infos[i].type);
        assert_int_equal(t->tensor.n_dims, infos[i].n_dims);
        assert_memory_equal(t->tensor.dims, infos[i].dims, sizeof infos[i].dims);
        assert_memory_equal(t->tensor.data, data + at, t->tensor.bytes);
        at += t->tensor.bytes;
    }
    assert_int_equal(at, sizeof data);
    assert_null(tensor_table_find(table, "b"));
    tensor_table_free(table);
}

static void cancelled_writer_leaves_nothing(void **state)
{
    (void)state;
    Error err = {0};
    TensorInfo info = {"a", DTYPE_F32, 1, {1000}};
    char dir[256], command[600];
    snprintf(dir, sizeof dir, "%s", test_temp("cancelled"));
    assert_ok(file_make_dir(dir, &err));
    char *file = file_join(dir, "m.safetensors");
    SafetensorsWriter *w = safetensors_writer_open(file, &info, 1, NULL, &err);
    assert_non_null(w);
    assert_ok(safetensors_writer_write(w, "1234", 4, &err));
    safetensors_writer_cancel(w);
    snprintf(command, sizeof command, "test -z \"$(ls -A '%s')\"", dir);
    assert_int_equal(system(command), 0);
    mem_free(file);
    char *nowhere = file_join(dir, "none/m.safetensors");
    assert_error(safetensors_writer_open(nowhere, &info, 1, NULL, &err) != NULL, ERROR_IO, "none");
    mem_free(nowhere);
}

static void odd_but_legal(void **state)
{
    (void)state;
    Error err = {0};
    TensorTable *t = expect_ok("{}", 0);
    assert_int_equal(tensor_table_count(t), 0);
    tensor_table_free(t);
    /* White space, field order, escapes in names, a scalar, unknown types, many dimensions. */
    t = expect_ok(
        " { \"__metadata__\" : {} , \"t\\u00e9\\n\\ud83d\\ude00\":{\"data_offsets\":[ 0 , 4 ],"
        "\"shape\":[ ],\"dtype\":\"F32\"},"
        "\"odd\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[4,6]},"
        "\"five\":{\"dtype\":\"F16\",\"shape\":[1,1,1,1,1],\"data_offsets\":[6,8]},"
        "\"none\":{\"dtype\":\"F16\",\"shape\":[3,0],\"data_offsets\":[8,8]}}  ",
        8);
    const NamedTensor *n = tensor_table_find(t, "t\xC3\xA9\n\xF0\x9F\x98\x80");
    assert_non_null(n);
    assert_int_equal(n->tensor.n_dims, 1);
    assert_int_equal(n->tensor.dims[0], 1);
    n = tensor_table_find(t, "odd");
    assert_null(n->tensor.data);
    assert_string_equal(n->type_name, "F8_E4M3");
    assert_null(tensor_table_find(t, "five")->tensor.data);
    assert_null(tensor_table_find(t, "none")->tensor.data);
    assert_true(test_contains(tensor_table_find(t, "five")->type_name, "5 dimensions"));
    (void)err;
    tensor_table_free(t);
}

#define T(fields) "{\"t\":{" fields "}}"
#define F32_2 "\"dtype\":\"F32\",\"shape\":[2]"

static void malformed_headers_are_errors(void **state)
{
    (void)state;
    expect_error("", 0, "byte 8: the JSON ends here");
    expect_error("[]", 0, "byte 8: expected an object");
    expect_error("{\"a\"", 0, "byte 12: the JSON ends here");
    expect_error("{\"a", 0, "byte 11");
    expect_error("{\"a\\x\":1}", 0, "byte 11");
    expect_error("{\"a\\ud800\":1}", 0, "byte 11");
    expect_error("{\"a\\u0000\":{}}", 0, "byte 9: a tensor's name is empty");
    expect_error("{\"a\xff\":1}", 0, "byte 11");
    expect_error("{\"a\n\":1}", 0, "byte 11");
    expect_error("{\"\":{}}", 0, "byte 9: a tensor's name is empty");
    expect_error("{\"a\":[]}", 0, "byte 13: expected an object");
    expect_error("{\"__metadata__\":{\"a\":1}}", 0, "byte 29: expected a string");
    expect_error("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice");
    expect_error("{} x", 0, "byte 11");
    expect_error("{},", 0, "byte 10");
    expect_error(T(""), 0, "lacks");
    expect_error(T("\"dtype\":\"F32\""), 0, "lacks");
    expect_error(T("\"dtype\":\"F\\n\""), 0, "plain word");
    expect_error(T("\"dtype\":32"), 0, "expected a string");
    expect_error(T("\"x\":1"), 0, "nothing else");
    expect_error(T(F32_2 ",\"dtype\":\"F32\",\"data_offsets\":[0,8]"), 8, "twice");
    expect_error(T(F32_2 ",\"data_offsets\":[0,8]"), 7,
                 "tensor t has data offsets [0, 8], but the file has 7");
    expect_error(T(F32_2 ",\"data_offsets\":[0,7]"), 8, "tensor t of 2 F32 elements has 7 bytes");
    expect_error(T(F32_2 ",\"data_offsets\":[8,0]"), 8, "[8, 0]");
    expect_error(T(F32_2 ",\"data_offsets\":[0,8]"), 9, "byte 70: 1 bytes belong to no tensor");
    expect_error(T(F32_2 ",\"data_offsets\":[1,9]"), 9, "hole");
    expect_error(T(F32_2 ",\"data_offsets\":[0]"), 9, "byte");
    expect_error(T(F32_2 ",\"data_offsets\":[0,8,9]"), 9, "byte");
    expect_error(T(F32_2 ",\"data_offsets\":[0,18446744073709551616]"), 8, "byte");
    expect_error(T(F32_2 ",\"data_offsets\":[-8,0]"), 8, "byte");
    expect_error(T("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), 8, "whole number");
    expect_error(T("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), 8, "whole number");
    expect_error(T("\"dtype\":\"F32\",\"shape\":[[2]],\"data_offsets\":[0,8]"), 8, "whole number");
    expect_error(T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"),
                 0, "shape too large");
    expect_error(T("\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]"), 0,
                 "has 0 bytes");
    expect_error(
        "{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[4,12]}}", 12,
        "overlap");
    expect_error(
        "{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"a\":{" F32_2 ",\"data_offsets\":[8,16]}}", 16,
        "tensor a is there already");
}

static void lengths_are_checked(void **state)
{
    (void)state;
    Error err = {0};
    static const int64_t lengths[] = {3, 100000001, INT64_MAX, -1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        write_file("{}", 0, 0);
        FileWriter *w = file_writer_open(path, &err);
        assert_ok(file_writer_write(w, &lengths[i], 8, &err));
        assert_ok(file_writer_write(w, "{}", 2, &err));
        assert_ok(file_writer_commit(w, &err));
        TensorTable *table = tensor_table_new();
        assert_error(safetensors_read(table, path, &err), ERROR_FORMAT, "byte 0: header of");
        tensor_table_free(table);
    }
    for (size_t n = 0; n < 8; n++) {
        assert_ok(file_write(path, (Str){"\2\0\0\0\0\0\0\0", n}, &err));
        TensorTable *table = tensor_table_new();
        assert_error(safetensors_read(table, path, &err), ERROR_FORMAT, "header's length");
        tensor_table_free(table);
    }
}

/* Every prefix of a good file fails, and none crashes. */
static void truncation_is_an_error(void **state)
{
    (void)state;
    Error err = {0};
    write_file("{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2
               ",\"data_offsets\":[8,16]}}",
               -1, 16);
    Buf whole = {0};
    assert_ok(file_read(&whole, path, 1 << 20, &err));
    for (size_t n = 0; n < whole.bytes; n++) {
        test_write(path, whole.data, n);
        TensorTable *table = tensor_table_new();
        assert_error(safetensors_read(table, path, &err), ERROR_FORMAT, "byte");
        tensor_table_free(table);
    }
    buf_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),          cmocka_unit_test(cancelled_writer_leaves_nothing),
        cmocka_unit_test(odd_but_legal),       cmocka_unit_test(malformed_headers_are_errors),
        cmocka_unit_test(lengths_are_checked), cmocka_unit_test(truncation_is_an_error),
    };
    return TEST_MAIN("safetensors", tests);
}
