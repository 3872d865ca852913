/* See bpe_train.h. */
#include "text/bpe_train.h"

#include "base/bug.h"

#include <string.h>

enum { N_BYTES = 256, FIRST_PAIRS = 1 << 12 };
static const uint32_t NONE = UINT32_MAX;

/* A piece: its tokens lie at symbols[at .. at + n - 1]. */
typedef struct Word {
    size_t at;
    uint32_t n;
    uint64_t count;
} Word;

typedef struct Pair {
    int32_t left, right;
    uint64_t count;
    uint32_t places; /* the first of its places, or NONE */
} Pair;

/* A word in which the pair stood when it was noted. */
typedef struct Place {
    uint32_t word, next;
} Place;

/* What a pair's count was when it was pushed: at least what it is now. */
typedef struct Candidate {
    uint64_t count;
    uint32_t pair;
} Candidate;

typedef struct Training {
    BpeVocab *out;
    int32_t *symbols;
    Word *words;
    size_t n_words;
    Pair *pairs;
    size_t n_pairs, n_pairs_max;
    uint32_t *slots; /* [2 * n_pairs_max]: a pair's index plus 1; open addressing */
    Place *places;
    size_t n_places, n_places_max;
    Candidate *heap;
    size_t n_heap, n_heap_max;
    Error *err;
} Training;

void bpe_vocab_close(BpeVocab *v)
{
    vocab_close(&v->vocab);
    mem_free(v->merges);
    *v = (BpeVocab){0};
}

/* ---- Growing arrays ---------------------------------------------------------------------------
 */

/* Room for one more of `size` bytes; the array, perhaps moved, or NULL. */
static void *reserve(void *array, size_t n, size_t *n_max, size_t size, Error *err)
{
    if (n < *n_max)
        return array;
    const size_t more = *n_max ? 2 * *n_max : FIRST_PAIRS;
    if (more >= NONE) {
        error_set(err, ERROR_LIMIT, "too much text to learn merges from; sample less of it");
        return NULL;
    }
    void *grown = mem_try_grow(array, n * size, more * size, "learning merges", err);
    if (grown)
        *n_max = more;
    return grown;
}

static uint32_t *find_slot(const Training *t, int32_t left, int32_t right)
{
    const size_t mask = 2 * t->n_pairs_max - 1;
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t i = (key * 0x9e3779b97f4a7c15u) >> 32 & mask;; i = (i + 1) & mask) {
        const uint32_t at = t->slots[i];
        if (at == 0 || (t->pairs[at - 1].left == left && t->pairs[at - 1].right == right))
            return &t->slots[i];
    }
}

static bool reserve_pair(Training *t)
{
    const size_t before = t->n_pairs_max;
    Pair *pairs = reserve(t->pairs, t->n_pairs, &t->n_pairs_max, sizeof *pairs, t->err);
    if (!pairs)
        return false;
    t->pairs = pairs;
    if (t->n_pairs_max == before)
        return true;
    uint32_t *slots = mem_try_alloc(2 * t->n_pairs_max * sizeof *slots, "learning merges", t->err);
    if (!slots)
        return false;
    mem_free(t->slots);
    t->slots = slots;
    for (size_t i = 0; i < t->n_pairs; i++)
        *find_slot(t, pairs[i].left, pairs[i].right) = (uint32_t)i + 1;
    return true;
}

/* ---- Pairs ------------------------------------------------------------------------------------
 */

/* The pair occurs once more in this word. */
static bool add_pair(Training *t, int32_t left, int32_t right, uint32_t word)
{
    if (!reserve_pair(t))
        return false;
    uint32_t *slot = find_slot(t, left, right);
    if (*slot == 0) {
        t->pairs[t->n_pairs] = (Pair){left, right, 0, NONE};
        *slot = (uint32_t)++t->n_pairs;
    }
    Pair *pair = &t->pairs[*slot - 1];
    pair->count += t->words[word].count;
    if (pair->places != NONE && t->places[pair->places].word == word)
        return true;
    Place *places = reserve(t->places, t->n_places, &t->n_places_max, sizeof *places, t->err);
    if (!places)
        return false;
    t->places = places;
    places[t->n_places] = (Place){word, pair->places};
    pair->places = (uint32_t)t->n_places++;
    return true;
}

static void drop_pair(Training *t, int32_t left, int32_t right, uint64_t count)
{
    Pair *pair = &t->pairs[*find_slot(t, left, right) - 1];
    DEBUG_ASSERT(pair->count >= count);
    pair->count -= count;
}

/* True when a comes before b. */
static bool comes_first(const Training *t, Candidate a, Candidate b)
{
    const Pair *p = &t->pairs[a.pair], *q = &t->pairs[b.pair];
    if (a.count != b.count)
        return a.count > b.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static bool heap_push(Training *t, uint32_t pair)
{
    Candidate *heap = reserve(t->heap, t->n_heap, &t->n_heap_max, sizeof *heap, t->err);
    if (!heap)
        return false;
    t->heap = heap;
    const Candidate item = {t->pairs[pair].count, pair};
    size_t i = t->n_heap++;
    for (; i > 0 && comes_first(t, item, heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = item;
    return true;
}

static Candidate heap_pop(Training *t)
{
    Candidate *heap = t->heap;
    const Candidate top = heap[0], item = heap[--t->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
        if (child + 1 < t->n_heap && comes_first(t, heap[child + 1], heap[child]))
            child++;
        if (!comes_first(t, heap[child], item))
            break;
        heap[i] = heap[child];
    }
    heap[i] = item;
    return top;
}

/* Counts only fall once a pair has been pushed, so the first candidate that is up to date is the
 * most frequent pair of all. NONE: no pair occurs often enough. */
static bool next_pair(Training *t, uint64_t min_count, uint32_t *pair)
{
    *pair = NONE;
    while (t->n_heap > 0 && *pair == NONE) {
        const Candidate c = heap_pop(t);
        const uint64_t count = t->pairs[c.pair].count;
        if (count < min_count)
            continue;
        if (count == c.count)
            *pair = c.pair;
        else if (!heap_push(t, c.pair))
            return false;
    }
    return true;
}

/* ---- Merging ----------------------------------------------------------------------------------
 */

/* Joins the pair in one word, from left to right. Pairs with the new token are new themselves. */
static bool merge_word(Training *t, uint32_t w, const Pair *pair, int32_t joined)
{
    Word *word = &t->words[w];
    int32_t *s = t->symbols + word->at;
    uint32_t n = 0;
    for (uint32_t i = 0; i < word->n; i++) {
        if (i + 1 == word->n || s[i] != pair->left || s[i + 1] != pair->right) {
            s[n++] = s[i];
            continue;
        }
        drop_pair(t, pair->left, pair->right, word->count);
        if (n > 0) {
            drop_pair(t, s[n - 1], pair->left, word->count);
            if (!add_pair(t, s[n - 1], joined, w))
                return false;
        }
        if (i + 2 < word->n) {
            drop_pair(t, pair->right, s[i + 2], word->count);
            if (!add_pair(t, joined, s[i + 2], w))
                return false;
        }
        s[n++] = joined;
        i++;
    }
    t->out->n_tokens -= (word->n - n) * word->count;
    word->n = n;
    return true;
}

/* Makes the token unless it would be too long. No other token has its bytes: those of a token that
 * no merge has crossed are merged as they would be alone, so they are that token already. */
static bool make_token(Training *t, const Pair *pair, size_t bytes_max, bool *is_made)
{
    char bytes[VOCAB_TOKEN_BYTES_MAX];
    BpeVocab *out = t->out;
    const Str left = vocab_bytes(&out->vocab, pair->left),
              right = vocab_bytes(&out->vocab, pair->right);
    const size_t n = left.bytes + right.bytes;
    *is_made = false;
    if (n > bytes_max || n > sizeof bytes)
        return true;
    memcpy(bytes, left.data, left.bytes);
    memcpy(bytes + left.bytes, right.data, right.bytes);
    *is_made = true;
    out->merges[out->n_merges] = (BpePair){pair->left, pair->right};
    return vocab_add(&out->vocab, N_BYTES + out->n_merges++, (Str){bytes, n}, TOKEN_ORDINARY,
                     t->err);
}

static bool merge_pair(Training *t, uint32_t index, size_t bytes_max)
{
    const Pair pair = t->pairs[index]; /* a copy: pairs may move */
    const size_t n_before = t->n_pairs;
    bool is_made;
    if (!make_token(t, &pair, bytes_max, &is_made) || !is_made)
        return !is_made;
    const int32_t joined = N_BYTES + t->out->n_merges - 1;
    for (uint32_t at = pair.places; at != NONE; at = t->places[at].next)
        if (!merge_word(t, t->places[at].word, &pair, joined))
            return false;
    for (size_t i = n_before; i < t->n_pairs; i++)
        if (!heap_push(t, (uint32_t)i))
            return false;
    return true;
}

/* ---- The whole --------------------------------------------------------------------------------
 */

static bool read_words(Training *t, const PieceCounts *counts)
{
    size_t n_symbols = 0;
    for (size_t i = 0; i < counts->n; i++)
        n_symbols += counts->items[i].piece.bytes;
    t->words = mem_try_alloc((counts->n + 1) * sizeof *t->words, "learning merges", t->err);
    t->symbols = mem_try_alloc((n_symbols + 1) * sizeof *t->symbols, "learning merges", t->err);
    if (!t->words || !t->symbols)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < counts->n; i++) {
        const Str piece = counts->items[i].piece;
        const uint64_t n = counts->items[i].n;
        if (piece.bytes == 0 || piece.bytes > VOCAB_TOKEN_BYTES_MAX || n == 0)
            continue;
        t->words[t->n_words] = (Word){at, (uint32_t)piece.bytes, n};
        for (size_t b = 0; b < piece.bytes; b++)
            t->symbols[at + b] = byte_alphabet_id((unsigned char)piece.data[b]);
        for (size_t b = 0; b + 1 < piece.bytes; b++)
            if (!add_pair(t, t->symbols[at + b], t->symbols[at + b + 1], (uint32_t)t->n_words))
                return false;
        t->n_words++;
        at += piece.bytes;
        t->out->n_bytes += piece.bytes * n;
    }
    t->out->n_tokens = t->out->n_bytes;
    return true;
}

static bool learn(Training *t, const BpeTrainOptions *options)
{
    for (size_t i = 0; i < t->n_pairs; i++)
        if (!heap_push(t, (uint32_t)i))
            return false;
    const uint64_t min_count = options->min_count > 0 ? options->min_count : 1;
    uint32_t pair = 0;
    while (N_BYTES + t->out->n_merges < options->n_tokens && pair != NONE)
        if (!next_pair(t, min_count, &pair) ||
            (pair != NONE && !merge_pair(t, pair, options->token_bytes_max)))
            return false;
    return true;
}

bool bpe_train(BpeVocab *out, const PieceCounts *counts, const BpeTrainOptions *options, Error *err)
{
    *out = (BpeVocab){0};
    if (options->n_tokens < N_BYTES || options->n_tokens >= VOCAB_IDS_MAX)
        return error_set(err, ERROR_ARGUMENT, "a vocabulary has %d to %d tokens, not %d", N_BYTES,
                         VOCAB_IDS_MAX - 1, options->n_tokens);
    Training t = {.out = out, .err = err};
    out->merges = mem_alloc(((size_t)options->n_tokens - N_BYTES + 1) * sizeof *out->merges);
    bool ok = true;
    for (int id = 0; ok && id < N_BYTES; id++) {
        const char byte = (char)byte_alphabet_byte(id);
        ok = vocab_add(&out->vocab, id, (Str){&byte, 1}, TOKEN_ORDINARY, err);
    }
    ok = ok && read_words(&t, counts) && learn(&t, options);
    mem_free(t.symbols);
    mem_free(t.words);
    mem_free(t.pairs);
    mem_free(t.slots);
    mem_free(t.places);
    mem_free(t.heap);
    if (!ok)
        bpe_vocab_close(out);
    return ok;
}
