/* See kv.h. */
#include "model/kv.h"

#include "base/bug.h"
#include "base/rng.h"

#include <string.h>

size_t kv_page_bytes(const Config *c, DType type)
{
    /* A head's numbers by themselves: blocks do not cross heads. */
    const int block = dtype_info(type)->block_len;
    const size_t head = dtype_row_bytes(type, (c->head_dim + block - 1) / block * block);
    return head * 2 * (size_t)c->n_kv_heads * (size_t)c->n_layers * KV_PAGE_TOKENS;
}

bool kv_open(KvPages *kv, Backend *b, const Config *c, DType type, int n_pages, Error *err)
{
    *kv = (KvPages){.backend = b, .type = type, .n_pages = n_pages, .oldest = -1, .newest = -1};
    if (n_pages < 1)
        return error_set(err, ERROR_MEMORY, "no memory for a single page of keys and values");
    kv->n_buckets = 1;
    while (kv->n_buckets < (size_t)n_pages)
        kv->n_buckets *= 2;
    kv->pages = mem_try_alloc(sizeof(KvPage) * (size_t)n_pages, "the page list", err);
    kv->free_pages = mem_try_alloc(sizeof(int32_t) * (size_t)n_pages, "the page list", err);
    kv->buckets = mem_try_alloc(sizeof(int32_t) * kv->n_buckets, "the page list", err);
    kv->store = kv->pages && kv->free_pages && kv->buckets
                    ? b->kv_new(b, type, c->n_layers, c->n_kv_heads, c->head_dim, n_pages, err)
                    : NULL;
    if (!kv->store) {
        kv_close(kv);
        return false;
    }
    memset(kv->buckets, 0xff, sizeof(int32_t) * kv->n_buckets);
    /* The lowest page is taken first: untouched ones behind it stay without memory. */
    for (int i = 0; i < n_pages; i++)
        kv->free_pages[i] = n_pages - 1 - i;
    kv->n_free = n_pages;
    return true;
}

void kv_close(KvPages *kv)
{
    if (kv->store)
        kv->backend->kv_free(kv->backend, kv->store);
    mem_free(kv->pages);
    mem_free(kv->free_pages);
    mem_free(kv->buckets);
    *kv = (KvPages){0};
}

static int32_t *bucket_of(KvPages *kv, uint64_t key)
{
    return &kv->buckets[key & (kv->n_buckets - 1)];
}

static void unpublish(KvPages *kv, int32_t page)
{
    int32_t *link = bucket_of(kv, kv->pages[page].key);
    while (*link != page)
        link = &kv->pages[*link].next;
    *link = kv->pages[page].next;
    kv->pages[page].is_published = false;
}

static void cached_remove(KvPages *kv, int32_t page)
{
    KvPage *p = &kv->pages[page];
    *(p->older >= 0 ? &kv->pages[p->older].newer : &kv->oldest) = p->newer;
    *(p->newer >= 0 ? &kv->pages[p->newer].older : &kv->newest) = p->older;
}

static void cached_add(KvPages *kv, int32_t page)
{
    KvPage *p = &kv->pages[page];
    p->older = kv->newest;
    p->newer = -1;
    *(kv->newest >= 0 ? &kv->pages[kv->newest].newer : &kv->oldest) = page;
    kv->newest = page;
}

int kv_n_available(const KvPages *kv) { return kv->n_pages - kv->n_held; }

int32_t kv_take(KvPages *kv)
{
    int32_t page;
    if (kv->n_free > 0) {
        page = kv->free_pages[--kv->n_free];
    } else if (kv->oldest >= 0) {
        page = kv->oldest;
        cached_remove(kv, page);
        unpublish(kv, page);
    } else {
        return -1;
    }
    kv->pages[page].refs = 1;
    kv->n_held++;
    return page;
}

void kv_release(KvPages *kv, int32_t page)
{
    KvPage *p = &kv->pages[page];
    ASSERT(p->refs > 0);
    if (--p->refs > 0)
        return;
    kv->n_held--;
    if (p->is_published)
        cached_add(kv, page);
    else
        kv->free_pages[kv->n_free++] = page;
}

uint64_t kv_key(uint64_t before, const int32_t ids[KV_PAGE_TOKENS])
{
    uint64_t h = rng_mix(before + 0x9e3779b97f4a7c15u);
    for (int i = 0; i < KV_PAGE_TOKENS; i++)
        h = rng_mix(h ^ (uint32_t)ids[i]) + 0x9e3779b97f4a7c15u;
    return h;
}

static int32_t lookup(KvPages *kv, uint64_t key, const int32_t *ids)
{
    for (int32_t page = *bucket_of(kv, key); page >= 0; page = kv->pages[page].next)
        if (kv->pages[page].key == key &&
            memcmp(kv->pages[page].ids, ids, sizeof kv->pages[page].ids) == 0)
            return page;
    return -1;
}

int32_t kv_find(KvPages *kv, uint64_t key, const int32_t ids[KV_PAGE_TOKENS])
{
    int32_t page = lookup(kv, key, ids);
    if (page < 0)
        return -1;
    if (kv->pages[page].refs++ == 0) {
        cached_remove(kv, page);
        kv->n_held++;
    }
    return page;
}

void kv_publish(KvPages *kv, int32_t page, uint64_t key, const int32_t ids[KV_PAGE_TOKENS])
{
    KvPage *p = &kv->pages[page];
    if (p->is_published || lookup(kv, key, ids) >= 0)
        return;
    p->is_published = true;
    p->key = key;
    memcpy(p->ids, ids, sizeof p->ids);
    int32_t *bucket = bucket_of(kv, key);
    p->next = *bucket;
    *bucket = page;
}

void kv_forget(KvPages *kv)
{
    while (kv->oldest >= 0) {
        int32_t page = kv->oldest;
        cached_remove(kv, page);
        unpublish(kv, page);
        kv->free_pages[kv->n_free++] = page;
    }
    for (int page = 0; page < kv->n_pages; page++)
        if (kv->pages[page].is_published)
            unpublish(kv, page);
}
