/* The yardsticks: every level reads what plain C reads, and counts the operations that it does. */
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/cpu_ops.h"

#include "support.h"

enum { LINES_MAX = 37, WORDS = 8 };

static void sums_are_equal(void **state)
{
    (void)state;
    const size_t bytes = LINES_MAX * 64;
    uint64_t *x = guard_alloc(bytes);
    Rng rng = {1};
    for (int i = 0; i < LINES_MAX * WORDS; i++)
        x[i] = rng_next(&rng);
    for (int level = ISA_REF; level <= (int)isa_detect(); level++) {
        const LimitKernels *k = &kernels_for((IsaLevel)level)->limits;
        for (size_t n = 0; n <= LINES_MAX; n++) {
            const uint64_t *from = x + (LINES_MAX - n) * WORDS; /* up to the guard page */
            uint64_t sum = 0;
            for (size_t i = 0; i < n * WORDS; i++)
                sum += from[i];
            assert_true(k->read(from, n) == sum);
        }
    }
    guard_free(x, bytes);
}

static void operations_are_counted(void **state)
{
    (void)state;
    for (int level = ISA_REF; level <= (int)isa_detect(); level++) {
        const LimitKernels *k = &kernels_for((IsaLevel)level)->limits;
        double (*const loops[])(long, float *) = {k->f32, k->bf16, k->int8};
        for (int i = 0; i < 3; i++) {
            float none = 0, some = 0;
            assert_true(loops[i](0, &none) == 0);
            const double ten = loops[i](10, &some);
            assert_true(ten > 0 && loops[i](20, &none) == 2 * ten);
            assert_true(some != 0); /* something was computed */
        }
    }
}

static void limits_are_measured(void **state)
{
    (void)state;
    Error err = {0};
    Limits limits;
    Backend *b = cpu_backend_open(2, &err);
    assert_ok(b);
    assert_ok(b->measure_limits(b, 1, &limits, &err));
    assert_true(limits.read_bytes > 1e7 && limits.f32_ops > 1e7);
    assert_true(limits.bf16_ops > 1e7 && limits.int8_ops > 1e7);
    mem_fail_after(1);
    assert_error(b->measure_limits(b, 1, &limits, &err), ERROR_MEMORY, "memory that is read");
    mem_fail_after(0);
    b->close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_equal),
        cmocka_unit_test(operations_are_counted),
        cmocka_unit_test(limits_are_measured),
    };
    return TEST_MAIN("limits", tests);
}
