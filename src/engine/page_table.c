/* See page_table.h. */
#include "engine/page_table.h"

bool page_table_open(PageTable *t, Arena *arena, int n_pages_max, Error *err)
{
    t->pages = arena_try_alloc(arena, sizeof(int32_t) * (size_t)n_pages_max, "a request", err);
    t->keys = arena_try_alloc(arena, sizeof(uint64_t) * (size_t)n_pages_max, "a request", err);
    return t->pages && t->keys;
}

void page_table_drop(PageTable *t, KvPages *kv)
{
    for (int i = 0; i < t->n_pages; i++)
        kv_release(kv, t->pages[i]);
    t->n_pages = 0;
    t->n_computed = 0;
}

static uint64_t page_key(const PageTable *t, const Ids *ids, uint64_t salt, int i)
{
    return kv_key(i > 0 ? t->keys[i - 1] : salt, ids->data + (size_t)i * KV_PAGE_TOKENS);
}

void page_table_share(PageTable *t, KvPages *kv, const Ids *ids, uint64_t salt)
{
    int n_full = (ids->n - 1) / KV_PAGE_TOKENS;
    while (t->n_pages < n_full) {
        int i = t->n_pages;
        t->keys[i] = page_key(t, ids, salt, i);
        int32_t page = kv_find(kv, t->keys[i], ids->data + (size_t)i * KV_PAGE_TOKENS);
        if (page < 0)
            break;
        t->pages[t->n_pages++] = page;
    }
    t->n_computed = t->n_pages * KV_PAGE_TOKENS;
}

void page_table_advance(PageTable *t, KvPages *kv, const Ids *ids, uint64_t salt, int n)
{
    int i = t->n_computed / KV_PAGE_TOKENS;
    t->n_computed += n;
    for (; i < t->n_computed / KV_PAGE_TOKENS; i++) {
        t->keys[i] = page_key(t, ids, salt, i);
        kv_publish(kv, t->pages[i], t->keys[i], ids->data + (size_t)i * KV_PAGE_TOKENS);
    }
}

bool page_table_grow(PageTable *t, KvPages *kv, int n)
{
    while (t->n_pages * KV_PAGE_TOKENS < t->n_computed + n) {
        int32_t page = kv_take(kv);
        if (page < 0)
            return false;
        t->pages[t->n_pages++] = page;
    }
    return true;
}

int page_table_room(const PageTable *t) { return t->n_pages * KV_PAGE_TOKENS - t->n_computed; }
