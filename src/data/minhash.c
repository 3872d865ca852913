/* See minhash.h. */
#include "data/minhash.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

#define FOUND_AT_THRESHOLD 0.99

/* An empty bin takes what is in a bin that its own number, tried again and again, leads to: the
 * same one for every document in which that bin is filled. */
static void fill_empty_bins(uint32_t *signature, const bool *is_filled, int n)
{
    for (int i = 0; i < n; i++) {
        if (is_filled[i])
            continue;
        for (uint64_t attempt = 1;; attempt++) {
            const int from = (int)(rng_counter(0x6d696e, (uint64_t)i, attempt) % (uint64_t)n);
            if (is_filled[from]) {
                signature[i] = signature[from];
                break;
            }
        }
    }
}

bool minhash_sign(const Units *units, int gram, uint32_t *signature, int n_hashes)
{
    bool is_filled[MINHASH_MAX] = {false};
    if (units->n == 0)
        return false;
    const size_t width = units->n < (size_t)gram ? units->n : (size_t)gram;
    for (size_t i = 0; i + width <= units->n; i++) {
        const uint64_t hash = units_gram(units, i, width);
        const int bin = (int)((hash >> 32) * (uint64_t)n_hashes >> 32);
        const uint32_t value = (uint32_t)hash;
        if (!is_filled[bin] || value < signature[bin])
            signature[bin] = value;
        is_filled[bin] = true;
    }
    fill_empty_bins(signature, is_filled, n_hashes);
    return true;
}

double minhash_similarity(const uint32_t *a, const uint32_t *b, int n_hashes)
{
    int n_equal = 0;
    for (int i = 0; i < n_hashes; i++)
        n_equal += a[i] == b[i];
    return (double)n_equal / n_hashes;
}

void minhash_open(MinhashIndex *index, int n_hashes, double threshold)
{
    *index = (MinhashIndex){.n_hashes = n_hashes, .n_bands = n_hashes, .n_rows = 1};
    for (int rows = 2; rows <= n_hashes; rows++) {
        const int bands = n_hashes / rows;
        if (1 - pow(1 - pow(threshold, rows), bands) < FOUND_AT_THRESHOLD)
            break;
        index->n_rows = rows;
        index->n_bands = bands;
    }
}

void minhash_close(MinhashIndex *index)
{
    mem_free(index->signatures);
    mem_free(index->entries);
    mem_free(index->slots);
    *index = (MinhashIndex){0};
}

static size_t slot_of(const MinhashIndex *index, const uint32_t *signature, int band)
{
    uint64_t hash = (uint64_t)band;
    for (int i = 0; i < index->n_rows; i++)
        hash = rng_mix(hash + signature[band * index->n_rows + i] + 0x9e3779b97f4a7c15u);
    return hash & (index->n_slots - 1);
}

int64_t minhash_find(const MinhashIndex *index, const uint32_t *signature, double threshold,
                     double *similarity)
{
    int64_t best = -1;
    *similarity = 0;
    for (int band = 0; band < index->n_bands && index->n > 0; band++) {
        uint32_t at = index->slots[slot_of(index, signature, band)];
        while (at > 0) {
            const size_t document = (at - 1) / (size_t)index->n_bands;
            const double s = minhash_similarity(
                index->signatures + document * (size_t)index->n_hashes, signature, index->n_hashes);
            if (s >= threshold && s > *similarity) {
                best = (int64_t)document;
                *similarity = s;
            }
            at = index->entries[at - 1];
        }
    }
    return best;
}

/* An entry is document * n_bands + band, plus 1. */
static void link_document(MinhashIndex *index, size_t document)
{
    const uint32_t *signature = index->signatures + document * (size_t)index->n_hashes;
    for (int band = 0; band < index->n_bands; band++) {
        uint32_t *slot = &index->slots[slot_of(index, signature, band)];
        const size_t entry = document * (size_t)index->n_bands + (size_t)band;
        index->entries[entry] = *slot;
        *slot = (uint32_t)entry + 1;
    }
}

static bool grow(MinhashIndex *index, Error *err)
{
    const size_t more = index->n_max ? 2 * index->n_max : 1024, bands = (size_t)index->n_bands,
                 hashes = (size_t)index->n_hashes;
    if (more * bands >= UINT32_MAX)
        return error_set(err, ERROR_LIMIT, "more than %zu different documents", UINT32_MAX / bands);
    uint32_t *signatures =
        mem_try_grow(index->signatures, index->n * hashes * sizeof(uint32_t),
                     more * hashes * sizeof(uint32_t), "signatures of documents", err);
    if (!signatures)
        return false;
    index->signatures = signatures;
    uint32_t *entries =
        mem_try_grow(index->entries, index->n * bands * sizeof(uint32_t),
                     more * bands * sizeof(uint32_t), "signatures of documents", err);
    if (!entries)
        return false;
    index->entries = entries;
    size_t n_slots = 1024;
    while (n_slots < more * bands)
        n_slots *= 2;
    uint32_t *slots = mem_try_alloc(n_slots * sizeof *slots, "signatures of documents", err);
    if (!slots)
        return false;
    mem_free(index->slots);
    index->slots = slots;
    index->n_slots = n_slots;
    index->n_max = more;
    for (size_t i = 0; i < index->n; i++)
        link_document(index, i);
    return true;
}

bool minhash_add(MinhashIndex *index, const uint32_t *signature, Error *err)
{
    if (index->n == index->n_max && !grow(index, err))
        return false;
    memcpy(index->signatures + index->n * (size_t)index->n_hashes, signature,
           sizeof *signature * (size_t)index->n_hashes);
    link_document(index, index->n++);
    return true;
}
