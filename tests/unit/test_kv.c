/* model/kv: pages are conserved, shared by content, given out again oldest first. A fake backend
 * stands in: no page is ever written. */
#include "support.h"

#include "base/rng.h"
#include "model/kv.h"

#include <string.h>

static KvStore *fake_new(Backend *b, DType type, int n_layers, int n_kv_heads, int head_dim,
                         int n_pages, Error *err)
{
    (void)b, (void)type, (void)n_layers, (void)n_kv_heads, (void)head_dim, (void)n_pages, (void)err;
    return (KvStore *)mem_alloc(1);
}

static void fake_free(Backend *b, KvStore *kv)
{
    (void)b;
    mem_free(kv);
}

static KvPages open_pages(int n)
{
    static Backend backend = {.kv_new = fake_new, .kv_free = fake_free};
    static Config config = {.n_layers = 1, .n_kv_heads = 1, .head_dim = 8};
    Error err = {0};
    KvPages kv;
    assert_ok(kv_open(&kv, &backend, &config, DTYPE_F32, n, &err));
    return kv;
}

static void fill(int32_t *ids, int value)
{
    for (int i = 0; i < KV_PAGE_TOKENS; i++)
        ids[i] = value + i;
}

static void pages_are_found_by_content(void **state)
{
    (void)state;
    KvPages kv = open_pages(4);
    int32_t ids[KV_PAGE_TOKENS], other[KV_PAGE_TOKENS];
    fill(ids, 1);
    fill(other, 2);
    uint64_t key = kv_key(0, ids);
    assert_true(key != kv_key(1, ids) && key != kv_key(0, other));
    int32_t page = kv_take(&kv);
    assert_int_equal(kv_find(&kv, key, ids), -1);
    kv_publish(&kv, page, key, ids);
    assert_int_equal(kv_find(&kv, key, ids), page);
    assert_int_equal(kv.pages[page].refs, 2);
    /* The key alone is not enough. */
    assert_int_equal(kv_find(&kv, key, other), -1);
    kv_release(&kv, page);
    kv_release(&kv, page);
    assert_int_equal(kv_n_available(&kv), 4);
    assert_int_equal(kv_find(&kv, key, ids), page); /* cached */
    kv_release(&kv, page);
    kv_forget(&kv);
    assert_int_equal(kv_find(&kv, key, ids), -1);
    assert_int_equal(kv.n_free, 4);
    kv_close(&kv);
}

static void oldest_cached_page_goes_first(void **state)
{
    (void)state;
    KvPages kv = open_pages(3);
    int32_t ids[3][KV_PAGE_TOKENS], pages[3];
    for (int i = 0; i < 3; i++) {
        fill(ids[i], i * 100);
        pages[i] = kv_take(&kv);
        kv_publish(&kv, pages[i], kv_key(0, ids[i]), ids[i]);
    }
    assert_int_equal(kv_take(&kv), -1);
    kv_release(&kv, pages[1]);
    kv_release(&kv, pages[0]);
    assert_int_equal(kv_take(&kv), pages[1]);
    assert_int_equal(kv_find(&kv, kv_key(0, ids[1]), ids[1]), -1);
    assert_int_equal(kv_find(&kv, kv_key(0, ids[0]), ids[0]), pages[0]);
    assert_int_equal(kv_take(&kv), -1);
    kv_close(&kv);
}

static void random_use_conserves_pages(void **state)
{
    (void)state;
    enum { N = 16, HELD = 64 };
    KvPages kv = open_pages(N);
    int32_t held[HELD], ids[KV_PAGE_TOKENS];
    int n_held = 0;
    Rng rng = {3};
    for (int round = 0; round < 200000; round++) {
        fill(ids, (int)rng_below(&rng, 24) * 1000);
        uint64_t key = kv_key(0, ids);
        uint64_t what = rng_below(&rng, 3);
        if (what == 0 && n_held < HELD) {
            int32_t page = kv_find(&kv, key, ids);
            if (page < 0 && (page = kv_take(&kv)) >= 0)
                kv_publish(&kv, page, key, ids);
            if (page >= 0)
                held[n_held++] = page;
        } else if (what > 0 && n_held > 0) {
            int which = (int)rng_below(&rng, (uint64_t)n_held);
            kv_release(&kv, held[which]);
            held[which] = held[--n_held];
        }
        int n_refs = 0, n_owned = 0, n_cached = 0;
        for (int i = 0; i < N; i++) {
            n_refs += kv.pages[i].refs;
            n_owned += kv.pages[i].refs > 0;
        }
        for (int32_t page = kv.oldest; page >= 0; page = kv.pages[page].newer)
            n_cached++;
        assert_int_equal(n_refs, n_held);
        assert_int_equal(n_owned, kv.n_held);
        assert_int_equal(n_owned + n_cached + kv.n_free, N);
    }
    kv_close(&kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_found_by_content),
        cmocka_unit_test(oldest_cached_page_goes_first),
        cmocka_unit_test(random_use_conserves_pages),
    };
    return TEST_MAIN("kv", tests);
}
