/* See token_trie.h. */
#include "text/token_trie.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

const int trie_slice_chars[TRIE_SAFE_SLICES] = {10, 30, 0};

typedef struct Entry {
    Str bytes;
    int32_t id;
} Entry;

static int slice_of(Str s)
{
    int n_chars = 0;
    for (; s.bytes; n_chars++) {
        uint32_t c;
        size_t n = utf8_decode(s, &c);
        if (n == 0 || c < 0x20 || c == '"' || c == '\\')
            return TRIE_SLICES - 1;
        s = str_slice(s, n, s.bytes);
    }
    int i = 0;
    while (trie_slice_chars[i] && n_chars > trie_slice_chars[i])
        i++;
    return i;
}

static int compare_entries(const void *x, const void *y)
{
    const Entry *a = x, *b = y;
    size_t n = a->bytes.bytes < b->bytes.bytes ? a->bytes.bytes : b->bytes.bytes;
    int order = memcmp(a->bytes.data, b->bytes.data, n);
    return order ? order : (a->bytes.bytes > b->bytes.bytes) - (a->bytes.bytes < b->bytes.bytes);
}

static size_t common_prefix(Str a, Str b)
{
    size_t n = a.bytes < b.bytes ? a.bytes : b.bytes, i = 0;
    while (i < n && a.data[i] == b.data[i])
        i++;
    return i;
}

/* Sorted entries -> nodes; with nodes NULL only counts them. */
static uint32_t build(const Entry *entries, int n, TrieNode *nodes, uint32_t *open)
{
    uint32_t n_nodes = 0;
    Str before = {0};
    for (int i = 0; i <= n; i++) {
        Str now = i < n ? entries[i].bytes : (Str){0};
        size_t shared = i < n ? common_prefix(before, now) : 0;
        for (size_t d = before.bytes; nodes && d > shared; d--)
            nodes[open[d - 1]].behind = n_nodes;
        for (size_t d = shared; d < now.bytes; d++, n_nodes++) {
            if (!nodes)
                continue;
            nodes[n_nodes] =
                (TrieNode){.id = -1, .depth = (uint16_t)d, .byte = (uint8_t)now.data[d]};
            open[d] = n_nodes;
        }
        if (nodes && i < n)
            nodes[open[now.bytes - 1]].id = entries[i].id;
        before = now;
    }
    return n_nodes;
}

static bool slice_open(TokenTrie *t, int slice_i, Entry *entries, uint32_t *open, Error *err)
{
    TrieSlice *slice = &t->slices[slice_i];
    int n = 0;
    slice->mask = mem_try_alloc(sizeof(uint32_t) * (size_t)t->n_words, "a token mask", err);
    if (!slice->mask)
        return false;
    for (int32_t id = 0; id < t->n_tokens; id++) {
        Str bytes = tokenizer_bytes(t->tokenizer, id);
        if (bytes.bytes == 0 || tokenizer_is_added(t->tokenizer, id) || slice_of(bytes) != slice_i)
            continue;
        entries[n++] = (Entry){bytes, id};
        slice->mask[id / 32] |= UINT32_C(1) << (id % 32);
        t->depth_max = (int)bytes.bytes > t->depth_max ? (int)bytes.bytes : t->depth_max;
    }
    if (n)
        qsort(entries, (size_t)n, sizeof *entries, compare_entries);
    slice->n_tokens = n;
    slice->n_nodes = build(entries, n, NULL, NULL);
    slice->nodes = mem_try_alloc(sizeof(TrieNode) * slice->n_nodes, "the vocabulary's trie", err);
    if (!slice->nodes)
        return false;
    build(entries, n, slice->nodes, open);
    return true;
}

TokenTrie *token_trie_open(const Tokenizer *tokenizer, Error *err)
{
    TokenTrie *t = mem_alloc(sizeof *t);
    t->tokenizer = tokenizer;
    t->n_tokens = tokenizer_n_tokens(tokenizer);
    t->n_words = (t->n_tokens + 31) / 32;
    Entry *entries =
        mem_try_alloc(sizeof *entries * (size_t)t->n_tokens, "the vocabulary's trie", err);
    uint32_t *open = mem_alloc(sizeof *open * (UINT16_MAX + 1));
    bool ok = entries != NULL;
    for (int i = 0; ok && i < TRIE_SLICES; i++)
        ok = slice_open(t, i, entries, open, err);
    mem_free(entries);
    mem_free(open);
    if (ok)
        return t;
    token_trie_close(t);
    return NULL;
}

void token_trie_close(TokenTrie *t)
{
    if (!t)
        return;
    for (int i = 0; i < TRIE_SLICES; i++) {
        mem_free(t->slices[i].nodes);
        mem_free(t->slices[i].mask);
    }
    mem_free(t);
}
