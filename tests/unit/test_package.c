/* formats/package: folders and GGUFs seen through Hugging Face's names and keys. */
#include "formats_fixture.h"

static char dir[256];

static const char *fresh_dir(const char *name)
{
    snprintf(dir, sizeof dir, "%s", test_temp(name));
    return dir;
}

static void expect_values(const Package *p, const TensorInfo *info)
{
    Error err = {0};
    Tensor t;
    assert_ok(package_tensor(p, info->name, &t, &err));
    assert_true(package_has_tensor(p, info->name));
    assert_int_equal(t.n_dims, info->n_dims);
    assert_memory_equal(t.dims, info->dims, (size_t)info->n_dims * sizeof *t.dims);
    int64_t n = fixture_size(info);
    float *values = mem_alloc((size_t)n * sizeof *values);
    quant_decode(t.type, t.data, values, n);
    for (int64_t i = 0; i < n; i++)
        if (values[i] != fixture_value(info->name, i))
            fail_msg("%s[%d] differs", info->name, (int)i);
    mem_free(values);
}

static void folder_with_one_file_or_shards(void **state)
{
    (void)state;
    Error err = {0};
    Fixture *f = fixture_dense();
    for (int n_shards = 1; n_shards <= 3; n_shards++) {
        char name[32];
        snprintf(name, sizeof name, "dense%d", n_shards);
        fixture_write_folder(f, fresh_dir(name), n_shards);
        Package *p = package_open(dir, true, &err);
        if (!p)
            fail_msg("%s", err.message);
        assert_int_equal(tensor_table_count(package_tensors(p)), f->n);
        for (int i = 0; i < f->n; i++)
            expect_values(p, &f->infos[i]);
        assert_null(package_gguf(p));
        assert_string_equal(package_path(p), dir);
        assert_int_equal(json_integer_value(json_object_get(package_config(p), "hidden_size")), 64);
        assert_null(package_generation_config(p));
        Tensor t;
        assert_error(package_tensor(p, "model.layers.2.input_layernorm.weight", &t, &err),
                     ERROR_FORMAT, "layers.2.input_layernorm.weight is missing");
        package_close(p);
    }
    mem_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_with_one_file_or_shards),
    };
    return TEST_MAIN("package", tests);
}
