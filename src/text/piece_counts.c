/* See piece_counts.h. */
#include "text/piece_counts.h"

#include "base/utf8.h"
#include "text/pretokenize.h"

#include <string.h>

enum { FIRST_SLOTS = 4096 };

void piece_counts_close(PieceCounts *counts)
{
    mem_free(counts->items);
    mem_free(counts->slots);
    arena_close(&counts->text);
    nfc_result_free(&counts->normal);
    *counts = (PieceCounts){0};
}

/* The slot of this piece, or the empty one where it belongs. */
static uint32_t *find_slot(const PieceCounts *counts, Str piece, uint64_t hash)
{
    const size_t mask = counts->n_slots - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint32_t *slot = &counts->slots[i];
        if (*slot == 0)
            return slot;
        const PieceCount *item = &counts->items[*slot - 1];
        if (item->hash == hash && str_equal(item->piece, piece))
            return slot;
    }
}

static bool grow(PieceCounts *counts, Error *err)
{
    const size_t n_slots = counts->n_slots ? 2 * counts->n_slots : FIRST_SLOTS, n_max = n_slots / 2;
    if (n_max >= UINT32_MAX)
        return error_set(err, ERROR_LIMIT, "more than %u different pieces", UINT32_MAX / 2);
    PieceCount *items = mem_try_grow(counts->items, counts->n * sizeof *items,
                                     n_max * sizeof *items, "pieces of text", err);
    if (!items)
        return false;
    counts->items = items;
    uint32_t *slots = mem_try_alloc(n_slots * sizeof *slots, "pieces of text", err);
    if (!slots)
        return false;
    mem_free(counts->slots);
    counts->slots = slots;
    counts->n_slots = n_slots;
    counts->n_max = n_max;
    for (size_t i = 0; i < counts->n; i++)
        *find_slot(counts, items[i].piece, items[i].hash) = (uint32_t)i + 1;
    return true;
}

PieceCount *piece_counts_find(const PieceCounts *counts, Str piece)
{
    if (counts->n == 0)
        return NULL;
    const uint32_t at = *find_slot(counts, piece, str_hash(piece));
    return at ? &counts->items[at - 1] : NULL;
}

bool piece_counts_add(PieceCounts *counts, Str piece, uint64_t n, Error *err)
{
    if (counts->n == counts->n_max && !grow(counts, err))
        return false;
    const uint64_t hash = str_hash(piece);
    uint32_t *slot = find_slot(counts, piece, hash);
    if (*slot == 0) {
        char *kept = arena_try_alloc(&counts->text, piece.bytes, "pieces of text", err);
        if (!kept)
            return false;
        memcpy(kept, piece.data, piece.bytes);
        counts->items[counts->n] = (PieceCount){{kept, piece.bytes}, 0, hash};
        *slot = (uint32_t)++counts->n;
    }
    counts->items[*slot - 1].n += n;
    return true;
}

bool piece_counts_add_text(PieceCounts *counts, const CharTable *table, Str text, uint64_t n,
                           Error *err)
{
    const size_t valid = utf8_valid_prefix(text);
    if (valid < text.bytes)
        return error_set(err, ERROR_FORMAT, "byte %zu: the text is not UTF-8", valid);
    if (nfc_quick_check(table, text) < text.bytes) {
        if (!nfc_normalize(table, text, &counts->normal, err))
            return false;
        text = buf_str(&counts->normal.text);
    }
    for (size_t at = 0, end; at < text.bytes; at = end) {
        end = qwen_piece_end(table, text, at);
        if (!piece_counts_add(counts, str_slice(text, at, end), n, err))
            return false;
    }
    return true;
}

bool piece_counts_add_all(PieceCounts *counts, const PieceCounts *from, Error *err)
{
    for (size_t i = 0; i < from->n; i++)
        if (!piece_counts_add(counts, from->items[i].piece, from->items[i].n, err))
            return false;
    return true;
}
