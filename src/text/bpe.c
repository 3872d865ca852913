/* See bpe.h. Short pieces, which are nearly all, are merged in two small arrays with a plain search
 * for the lowest rank; long ones (a stranger may send a megabyte of one letter) through a heap. */
#include "text/bpe.h"

#include "base/mem.h"
#include "text/bpe_chars.h"
#include "text/char_table.h"

#include <string.h>

enum { FIRST_MERGES = 1024, SHORT_BYTES = 256 };

void bpe_close(Bpe *bpe)
{
    mem_free(bpe->slots);
    mem_free(bpe->filter);
    mem_free(bpe->results);
    mem_free(bpe->byte_ranks);
    mem_free(bpe->char_ids);
    *bpe = (Bpe){0};
}

#define SLOT_EMPTY UINT64_MAX

static inline uint64_t pair_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 21 | (uint32_t)right;
}

static inline uint64_t slot_key(uint64_t slot) { return slot >> BPE_RANK_BITS; }

static inline uint32_t slot_rank(uint64_t slot) { return slot & ((1u << BPE_RANK_BITS) - 1); }

static inline uint64_t pair_hash(uint64_t key) { return key * 0x9e3779b97f4a7c15u; }

static inline size_t find_slot(const Bpe *bpe, uint64_t key)
{
    size_t mask = bpe->n_slots - 1;
    uint64_t hash = pair_hash(key);
    size_t i = (size_t)(hash ^ hash >> 32) & mask;
    while (bpe->slots[i] != SLOT_EMPTY && slot_key(bpe->slots[i]) != key)
        i = (i + 1) & mask;
    return i;
}

static inline bool filter_has(const Bpe *bpe, uint64_t key)
{
    size_t bit = pair_hash(key) >> (64 - BPE_FILTER_LOG2);
    return bpe->filter[bit / 64] >> (bit % 64) & 1;
}

/* An empty slot, and one whose merge must not happen, have all bits of the rank set. */
enum { RANK_NEVER = (1 << BPE_RANK_BITS) - 1 };

static inline uint32_t pair_rank(const Bpe *bpe, int32_t left, int32_t right)
{
    uint64_t key = pair_key(left, right);
    if (!filter_has(bpe, key))
        return BPE_NONE;
    uint32_t rank = slot_rank(bpe->slots[find_slot(bpe, key)]);
    return rank == RANK_NEVER ? BPE_NONE : rank;
}

static bool make_slots(Bpe *bpe, size_t n_slots, Error *err)
{
    uint64_t *old = bpe->slots;
    size_t n_old = bpe->n_slots;
    uint64_t *slots = mem_try_alloc(n_slots * sizeof *slots, "the merges", err);
    if (!slots)
        return false;
    for (size_t i = 0; i < n_slots; i++)
        slots[i] = SLOT_EMPTY;
    bpe->slots = slots;
    bpe->n_slots = n_slots;
    for (size_t i = 0; i < n_old; i++)
        if (old[i] != SLOT_EMPTY)
            slots[find_slot(bpe, slot_key(old[i]))] = old[i];
    mem_free(old);
    return true;
}

static bool reserve_merge(Bpe *bpe, Error *err)
{
    if ((bpe->n_merges + 1) * 4 > bpe->n_slots * 3 &&
        !make_slots(bpe, bpe->n_slots ? bpe->n_slots * 2 : FIRST_MERGES, err))
        return false;
    if (bpe->n_merges < bpe->n_merges_max)
        return true;
    if (bpe->n_merges >= BPE_MERGES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d merges", BPE_MERGES_MAX);
    size_t n = bpe->n_merges_max ? bpe->n_merges_max * 2 : FIRST_MERGES;
    int32_t *grown = mem_try_grow(bpe->results, bpe->n_merges * sizeof *grown, n * sizeof *grown,
                                  "the merges", err);
    if (!grown)
        return false;
    bpe->results = grown;
    bpe->n_merges_max = n;
    return true;
}

bool bpe_add(Bpe *bpe, const Vocab *vocab, Str left, Str right, Error *err)
{
    char both[VOCAB_TOKEN_BYTES_MAX];
    char left_shown[TOKEN_SHOW_BYTES], right_shown[TOKEN_SHOW_BYTES];
    int32_t left_id = vocab_find(vocab, left), right_id = vocab_find(vocab, right), joined = -1;
    if (left_id >= 0 && right_id >= 0 && left.bytes + right.bytes <= sizeof both) {
        memcpy(both, left.data, left.bytes);
        memcpy(both + left.bytes, right.data, right.bytes);
        joined = vocab_find(vocab, (Str){both, left.bytes + right.bytes});
    }
    if (joined < 0)
        return error_set(err, ERROR_FORMAT, "merge %zu (\"%s\" \"%s\"): %s is not a token",
                         bpe->n_merges, token_show(left, left_shown),
                         token_show(right, right_shown),
                         left_id < 0    ? "the left part"
                         : right_id < 0 ? "the right part"
                                        : "what it makes");
    if (!reserve_merge(bpe, err))
        return false;
    uint64_t key = pair_key(left_id, right_id);
    uint64_t *slot = &bpe->slots[find_slot(bpe, key)];
    if (*slot != SLOT_EMPTY)
        return error_set(err, ERROR_FORMAT, "merge %zu (\"%s\" \"%s\") is merge %u again",
                         bpe->n_merges, token_show(left, left_shown),
                         token_show(right, right_shown), slot_rank(*slot));
    *slot = key << BPE_RANK_BITS | bpe->n_merges;
    bpe->results[bpe->n_merges++] = joined;
    return true;
}

/* The token that the character at i is from the start (bpe_chars.h), or -1. */
static inline int32_t start_char(const Bpe *bpe, Str piece, size_t i, size_t *bytes)
{
    uint32_t cp = char_decode(piece.data + i, bytes);
    size_t end = i + *bytes;
    if (cp >= BPE_CHARS || (i > 0 && (unsigned char)piece.data[i - 1] < 0x80) ||
        (end < piece.bytes && (unsigned char)piece.data[end] < 0x80))
        return -1;
    return bpe->char_ids[cp];
}

/* The parts that merging starts from: characters where that is allowed, else bytes. `parts` has
 * room for piece.bytes. Returns how many. */
static size_t start_parts(const Bpe *bpe, Str piece, int32_t *parts)
{
    size_t n = 0;
    for (size_t i = 0; i < piece.bytes;) {
        unsigned char byte = (unsigned char)piece.data[i];
        size_t bytes;
        int32_t id = byte >= 0xC0 && bpe->char_ids ? start_char(bpe, piece, i, &bytes) : -1;
        parts[n++] = id >= 0 ? id : bpe->byte_ids[byte];
        i += id >= 0 ? bytes : 1;
    }
    return n;
}

/* The leftmost of the lowest ranks. */
static inline size_t lowest(const uint32_t *ranks, size_t n, uint32_t *rank)
{
    uint32_t best = BPE_NONE;
    size_t best_i = 0;
    for (size_t i = 0; i < n; i++) {
        if (ranks[i] < best) {
            best = ranks[i];
            best_i = i;
        }
    }
    *rank = best;
    return best_i;
}

/* Merges n parts (at most SHORT_BYTES); returns how many are left. ranks[i] is of the pair i, i+1.
 */
static size_t merge_short(const Bpe *bpe, int32_t *parts, uint32_t *ranks, size_t n)
{
    while (n > 1) {
        uint32_t rank;
        size_t i = lowest(ranks, n - 1, &rank);
        if (rank == BPE_NONE)
            break;
        parts[i] = bpe->results[rank];
        memmove(parts + i + 1, parts + i + 2, (n - i - 2) * sizeof *parts);
        memmove(ranks + i + 1, ranks + i + 2, (n - i - 2) * sizeof *ranks);
        n--;
        if (i + 1 < n)
            ranks[i] = pair_rank(bpe, parts[i], parts[i + 1]);
        if (i > 0)
            ranks[i - 1] = pair_rank(bpe, parts[i - 1], parts[i]);
    }
    return n;
}

/* A piece of at most SHORT_BYTES. */
static size_t merge_short_piece(const Bpe *bpe, Str piece, int32_t parts[SHORT_BYTES])
{
    uint32_t ranks[SHORT_BYTES];
    const unsigned char *s = (const unsigned char *)piece.data;
    size_t n = start_parts(bpe, piece, parts);
    if (n == piece.bytes) {
        for (size_t i = 0; i + 1 < n; i++)
            ranks[i] = bpe->byte_ranks[(size_t)s[i] << 8 | s[i + 1]];
    } else {
        for (size_t i = 0; i + 1 < n; i++)
            ranks[i] = pair_rank(bpe, parts[i], parts[i + 1]);
    }
    return merge_short(bpe, parts, ranks, n);
}

/* A long piece as a list; a part that was joined to its left neighbour has id -1. */
typedef struct LongPart {
    int32_t id;
    uint32_t previous, next; /* n: none */
    uint32_t rank;           /* of the pair with the next part, or BPE_NONE */
} LongPart;

/* A heap of rank << 32 | position; the smallest comes first, so the leftmost of equal ranks. An
 * entry is stale when its part is gone or has another rank by now. */
typedef struct Heap {
    uint64_t *items;
    size_t n;
} Heap;

static void heap_push(Heap *heap, uint64_t item)
{
    size_t i = heap->n++;
    for (; i > 0 && heap->items[(i - 1) / 2] > item; i = (i - 1) / 2)
        heap->items[i] = heap->items[(i - 1) / 2];
    heap->items[i] = item;
}

static uint64_t heap_pop(Heap *heap)
{
    uint64_t top = heap->items[0], item = heap->items[--heap->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->n)
            break;
        if (child + 1 < heap->n && heap->items[child + 1] < heap->items[child])
            child++;
        if (heap->items[child] >= item)
            break;
        heap->items[i] = heap->items[child];
        i = child;
    }
    heap->items[i] = item;
    return top;
}

static void rank_part(const Bpe *bpe, LongPart *parts, size_t n, uint32_t i, Heap *heap)
{
    LongPart *part = &parts[i];
    part->rank = part->next < n ? pair_rank(bpe, part->id, parts[part->next].id) : BPE_NONE;
    if (part->rank != BPE_NONE)
        heap_push(heap, (uint64_t)part->rank << 32 | i);
}

static void merge_parts(const Bpe *bpe, LongPart *parts, size_t n, Heap *heap)
{
    while (heap->n > 0) {
        uint64_t top = heap_pop(heap);
        uint32_t i = (uint32_t)top, rank = (uint32_t)(top >> 32);
        LongPart *part = &parts[i];
        if (part->id < 0 || part->rank != rank)
            continue;
        LongPart *gone = &parts[part->next];
        part->id = bpe->results[rank];
        part->next = gone->next;
        gone->id = -1;
        if (part->next < n)
            parts[part->next].previous = i;
        rank_part(bpe, parts, n, i, heap);
        if (part->previous < n)
            rank_part(bpe, parts, n, part->previous, heap);
    }
}

static bool merge_long(const Bpe *bpe, Str piece, Ids *ids, Error *err)
{
    if (piece.bytes > UINT32_MAX / 4)
        return error_set(err, ERROR_LIMIT, "a word of %zu bytes is too long", piece.bytes);
    LongPart *parts = mem_try_alloc(piece.bytes * sizeof *parts, "a long word", err);
    /* Every part is ranked once at first, and a merge (at most n - 1) takes one and ranks two. */
    Heap heap = {
        parts ? mem_try_alloc(3 * piece.bytes * sizeof *heap.items, "a long word", err) : NULL, 0};
    if (heap.items) {
        int32_t *starts = (int32_t *)heap.items; /* free until the heap begins */
        size_t n = start_parts(bpe, piece, starts);
        for (size_t i = 0; i < n; i++)
            parts[i] = (LongPart){.id = starts[i],
                                  .previous = i > 0 ? (uint32_t)i - 1 : (uint32_t)n,
                                  .next = (uint32_t)i + 1};
        for (size_t i = 0; i < n; i++)
            rank_part(bpe, parts, n, (uint32_t)i, &heap);
        merge_parts(bpe, parts, n, &heap);
        for (size_t i = 0; i < n; i = parts[i].next)
            ids_push(ids, parts[i].id);
    }
    bool ok = heap.items != NULL;
    mem_free(heap.items);
    mem_free(parts);
    return ok;
}

bool bpe_merge(const Bpe *bpe, Str piece, Ids *ids, Error *err)
{
    if (piece.bytes > SHORT_BYTES)
        return merge_long(bpe, piece, ids, err);
    int32_t parts[SHORT_BYTES];
    size_t n = merge_short_piece(bpe, piece, parts);
    for (size_t i = 0; i < n; i++)
        ids_push(ids, parts[i]);
    return true;
}

static bool merges_to_itself(const Bpe *bpe, const Vocab *vocab, int32_t id, Ids *scratch,
                             bool *yes, Error *err)
{
    scratch->n = 0;
    if (!bpe_merge(bpe, vocab_bytes(vocab, id), scratch, err))
        return false;
    *yes = scratch->n == 1 && scratch->data[0] == id;
    return true;
}

/* The text of a special token must not give its id when it is only text: such merges never happen.
 */
static void drop_special_merges(Bpe *bpe, const Vocab *vocab)
{
    for (size_t i = 0; i < bpe->n_slots; i++) {
        uint64_t slot = bpe->slots[i];
        if (slot != SLOT_EMPTY &&
            (vocab->entries[bpe->results[slot_rank(slot)]].flags & TOKEN_SPECIAL))
            bpe->slots[i] = slot | RANK_NEVER;
    }
}

static bool make_filter(Bpe *bpe, Error *err)
{
    bpe->filter = mem_try_alloc(((size_t)1 << BPE_FILTER_LOG2) / 8, "the merges", err);
    for (size_t i = 0; bpe->filter && i < bpe->n_slots; i++) {
        if (bpe->slots[i] == SLOT_EMPTY)
            continue;
        size_t bit = pair_hash(slot_key(bpe->slots[i])) >> (64 - BPE_FILTER_LOG2);
        bpe->filter[bit / 64] |= (uint64_t)1 << (bit % 64);
    }
    return bpe->filter != NULL;
}

static bool find_bytes(Bpe *bpe, const Vocab *vocab, Error *err)
{
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        bpe->byte_ids[b] = vocab_find(vocab, (Str){&byte, 1});
        if (bpe->byte_ids[b] < 0)
            return error_set(err, ERROR_UNSUPPORTED,
                             "no token for byte 0x%02x: this is not a byte-level vocabulary", b);
    }
    bpe->byte_ranks = mem_try_alloc(sizeof *bpe->byte_ranks << 16, "the merges", err);
    if (!bpe->byte_ranks)
        return false;
    for (size_t i = 0; i < 65536; i++)
        bpe->byte_ranks[i] = pair_rank(bpe, bpe->byte_ids[i >> 8], bpe->byte_ids[i & 255]);
    return true;
}

static bool find_chars(Bpe *bpe, const Vocab *vocab, Error *err)
{
    BpeMerge *merges = mem_try_alloc(bpe->n_merges * sizeof *merges, "the merges", err);
    int32_t *char_ids = mem_try_alloc(BPE_CHARS * sizeof *char_ids, "the merges", err);
    bool ok = merges && char_ids;
    bool is_complete = true;
    for (size_t i = 0; ok && i < bpe->n_slots; i++) {
        uint64_t slot = bpe->slots[i];
        uint32_t rank = slot_rank(slot);
        if (rank != RANK_NEVER)
            merges[rank] =
                (BpeMerge){(int32_t)(slot_key(slot) >> 21),
                           (int32_t)(slot_key(slot) & VOCAB_IDS_MAX), bpe->results[rank]};
        is_complete &= slot == SLOT_EMPTY || rank != RANK_NEVER;
    }
    ok = ok && (!is_complete || bpe_find_chars(vocab, merges, bpe->n_merges, char_ids, err));
    mem_free(merges);
    if (ok && is_complete)
        bpe->char_ids = char_ids;
    else
        mem_free(char_ids);
    return ok;
}

bool bpe_finish(Bpe *bpe, Vocab *vocab, bool all_whole, Error *err)
{
    if (!bpe->slots && !make_slots(bpe, 2, err))
        return false;
    drop_special_merges(bpe, vocab);
    if (!make_filter(bpe, err) || !find_bytes(bpe, vocab, err))
        return false;
    Ids scratch = {0};
    bool ok = true;
    for (size_t id = 0; ok && id < vocab->n; id++) {
        unsigned flags = vocab->entries[id].flags;
        if (!(flags & TOKEN_ORDINARY))
            continue;
        bool is_whole = all_whole;
        ok = is_whole || merges_to_itself(bpe, vocab, (int32_t)id, &scratch, &is_whole, err);
        if (!is_whole || (flags & TOKEN_SPECIAL))
            vocab_set_apart(vocab, (int32_t)id);
    }
    ids_free(&scratch);
    return ok && (all_whole || find_chars(bpe, vocab, err));
}
