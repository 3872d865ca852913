/* A sequence's positions in pages of keys and values: which pages it holds, how much of its ids is
 * computed there, and under which keys others find the full ones. */
#ifndef WEN_ENGINE_PAGE_TABLE_H
#define WEN_ENGINE_PAGE_TABLE_H

#include "model/kv.h"
#include "text/tokenizer.h"

typedef struct PageTable {
    int32_t *pages; /* [n_pages]; room for all pages that the sequence can have */
    uint64_t *keys; /* prefix key of each full page */
    int n_pages;
    int n_computed; /* ids that have keys and values; what pages hold behind them is meaningless */
} PageTable;

/* Arrays for n_pages_max pages, from the arena. */
bool page_table_open(PageTable *t, Arena *arena, int n_pages_max, Error *err) MUST_USE;
/* Gives all pages back. */
void page_table_drop(PageTable *t, KvPages *kv);
/* Takes over the pages that others have already computed for the same beginning. The last id is
 * always computed anew: its logits are needed. salt: keeps apart what must not be shared. */
void page_table_share(PageTable *t, KvPages *kv, const Ids *ids, uint64_t salt);
/* n more ids are computed, the first n of what comes behind; full pages can be found from now on.
 */
void page_table_advance(PageTable *t, KvPages *kv, const Ids *ids, uint64_t salt, int n);
/* Takes pages until n more positions have room; false when there is none left, with what could be
 * had taken. */
bool page_table_grow(PageTable *t, KvPages *kv, int n);
/* Positions behind n_computed that have room. */
int page_table_room(const PageTable *t);

#endif
