/* Pages of keys and values: who owns which, and which hold a prefix that another prompt can reuse.
 *
 * A page holds KV_PAGE_TOKENS positions of every layer. It is
 *   free       no owner, contents meaningless
 *   held       refs > 0 sequences have it in their page table
 *   cached     no owner, but published: a later prompt with the same tokens may find it
 * Cached pages are given out again, least recently used first, when no free one is left. Only full
 * pages are published, so a shared page is never written to. */
#ifndef WEN_MODEL_KV_H
#define WEN_MODEL_KV_H

#include "model/model.h"

typedef struct KvPage {
    int32_t refs;
    bool is_published;
    uint64_t key;         /* of this page's tokens and all before them */
    int32_t next;         /* in its hash bucket */
    int32_t older, newer; /* in the list of cached pages */
    int32_t ids[KV_PAGE_TOKENS];
} KvPage;

typedef struct KvPages {
    Backend *backend;
    KvStore *store;
    DType type;
    int n_pages;
    int n_free;             /* entries of free_pages */
    int n_held;             /* pages with an owner */
    int32_t oldest, newest; /* cached pages; -1: none */
    KvPage *pages;
    int32_t *free_pages, *buckets;
    size_t n_buckets;
} KvPages;

/* Bytes of one page. */
size_t kv_page_bytes(const Config *c, DType type);

bool kv_open(KvPages *kv, Backend *b, const Config *c, DType type, int n_pages,
             Error *err) MUST_USE;
void kv_close(KvPages *kv); /* a zeroed one is fine */

/* Pages that kv_take could still hand out. */
int kv_n_available(const KvPages *kv);
/* A page with one reference, or -1 when all are held. */
int32_t kv_take(KvPages *kv);
void kv_release(KvPages *kv, int32_t page);

/* The key of a page with these tokens behind a prefix of key `before` (0: the beginning, or a
 * salt that keeps apart what must not be shared). */
uint64_t kv_key(uint64_t before, const int32_t ids[KV_PAGE_TOKENS]);
/* The published page of that key and tokens, with a reference added, or -1. */
int32_t kv_find(KvPages *kv, uint64_t key, const int32_t ids[KV_PAGE_TOKENS]);
/* Makes a full, held page findable. Nothing happens if an equal one already is. */
void kv_publish(KvPages *kv, int32_t page, uint64_t key, const int32_t ids[KV_PAGE_TOKENS]);
/* Forgets all cached pages (the weights changed). */
void kv_forget(KvPages *kv);

#endif
