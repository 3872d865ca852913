/* Masks: the tokens whose bytes the automaton can take from a state.
 *
 * A mask is a walk over the vocabulary's trie in which a dead state skips all below it. Inside of
 * strings nearly everything is alive; there the slices help: when every text of safe characters can
 * go on from a thread, its tokens are allowed without a look. */
#include "text/grammar_parts.h"

#include <string.h>

enum {
    ENDS_MAX = 16,   /* distinct ends of one character; past it, slices are walked */
    PAIRS_MAX = 256, /* (rest of a character, rest of an expression) looked at for that */
    SEEN_MAX = 48,   /* expressions looked at for a slice */
    SEEN_ENDLESS_MAX = 8,
};

/* ---- Does an expression take every text of a slice? ------------------------------------------ */

typedef struct Pair {
    Rx character, rest;
} Pair;

static bool add_end(Rx *ends, int *n, Rx end)
{
    for (int i = 0; i < *n; i++)
        if (ends[i] == end)
            return true;
    if (*n == ENDS_MAX)
        return false;
    ends[(*n)++] = end;
    return true;
}

static bool add_pair(Pair *pairs, int *n, Pair pair)
{
    for (int i = 0; i < *n; i++)
        if (pairs[i].character == pair.character && pairs[i].rest == pair.rest)
            return true;
    if (*n == PAIRS_MAX)
        return false;
    pairs[(*n)++] = pair;
    return true;
}

/* All ends of a with one safe character; 0 when some character leads nowhere, or too many. */
static int find_ends(Grammar *g, Rx a, Rx ends[ENDS_MAX])
{
    RxPool *p = g->machine.pool;
    Pair pairs[PAIRS_MAX];
    int n_pairs = 0, n = 0;
    add_pair(pairs, &n_pairs, (Pair){g->safe_char, a});
    for (int i = 0; i < n_pairs; i++) {
        Pair at = pairs[i];
        int classes = rx_classes_join(p, rx_classes(p, at.character), rx_classes(p, at.rest));
        const ByteClasses *c = rx_classes_get(p, classes);
        for (int k = 0; k < c->n; k++) {
            Rx character = rx_derive(p, at.character, c->sample[k]);
            if (character == RX_VOID)
                continue;
            Rx rest = rx_derive(p, at.rest, c->sample[k]);
            if (rest == RX_VOID)
                return 0;
            bool has_room = character == RX_EMPTY
                                ? add_end(ends, &n, rest)
                                : add_pair(pairs, &n_pairs, (Pair){character, rest});
            if (!has_room)
                return 0;
        }
    }
    return n;
}

static Ends ends_of(Grammar *g, Rx a)
{
    uint32_t known;
    if (pair_map_find(&g->ends_of, a, &known))
        return g->ends[known];
    Rx found[ENDS_MAX];
    Ends ends = {.from = (uint32_t)g->n_all_ends, .n = (uint32_t)find_ends(g, a, found)};
    for (uint32_t i = 0; i < ends.n; i++) {
        g->all_ends = mem_more(g->all_ends, sizeof(Rx), g->n_all_ends, &g->n_all_ends_max);
        g->all_ends[g->n_all_ends++] = found[i];
    }
    g->ends = mem_more(g->ends, sizeof ends, g->n_ends, &g->n_ends_max);
    g->ends[g->n_ends] = ends;
    pair_map_put(&g->ends_of, a, (uint32_t)g->n_ends++);
    return ends;
}

/* An intersection without its "but not these few": they cannot close a way as long as infinitely
 * many texts are left without them. */
static Rx without_exceptions(RxPool *p, Rx a)
{
    Rx kept = RX_ALL, first, rest;
    if (rx_concat_parts(p, a, &first, &rest))
        return rx_concat(p, without_exceptions(p, first), rest);
    const Rx *parts;
    int n = rx_and_parts(p, a, &parts);
    for (int i = 0; i < n; i++) {
        rx_and_parts(p, a, &parts);
        Rx part = parts[i], inner = rx_not_part(p, part);
        if (inner == RX_VOID || !rx_is_finite(p, inner))
            kept = rx_and(p, kept, part);
    }
    return n > 0 ? kept : a;
}

/* Breadth first, a level a character. */
static bool find_takes(Grammar *g, Rx a, int chars)
{
    Rx seen[SEEN_MAX], start = without_exceptions(g->machine.pool, a);
    bool must_be_infinite = start != a;
    int n = 0, max = chars ? SEEN_MAX : SEEN_ENDLESS_MAX;
    seen[n++] = start;
    for (int level = 0, from = 0, to = 1; from < to && (chars == 0 || level < chars); level++) {
        for (int i = from; i < to; i++) {
            if (must_be_infinite && !rx_is_infinite(g->machine.pool, seen[i]))
                return false;
            Ends ends = ends_of(g, seen[i]);
            if (ends.n == 0)
                return false;
            for (uint32_t k = 0; k < ends.n; k++) {
                Rx end = g->all_ends[ends.from + k];
                bool is_known = false;
                for (int j = 0; j < n; j++)
                    is_known |= seen[j] == end;
                if (is_known)
                    continue;
                if (n == max)
                    return false;
                seen[n++] = end;
            }
        }
        from = to;
        to = n;
    }
    for (int i = 0; i < n && must_be_infinite; i++)
        if (!rx_is_infinite(g->machine.pool, seen[i]))
            return false;
    return true;
}

static bool takes_slice(Grammar *g, Rx a, int slice_i)
{
    uint64_t key = (uint64_t)a * TRIE_SAFE_SLICES + (uint64_t)slice_i;
    uint32_t known;
    if (pair_map_find(&g->takes, key, &known))
        return known;
    bool takes = find_takes(g, a, trie_slice_chars[slice_i]);
    pair_map_put(&g->takes, key, takes);
    return takes;
}

static bool state_takes_slice(Grammar *g, State s, int slice_i)
{
    StateNode node = g->machine.states[s];
    for (uint32_t i = 0; i < node.n; i++)
        if (takes_slice(g, g->machine.all_threads[node.from + i].rest, slice_i))
            return true;
    return false;
}

/* ---- The walk -------------------------------------------------------------------------------- */

static void walk(Grammar *g, State s, const TrieSlice *slice, uint32_t *mask)
{
    const TrieNode *nodes = slice->nodes;
    State *path = g->path; /* path[d]: the state behind d bytes */
    path[0] = s;
    for (uint32_t i = 0; i < slice->n_nodes;) {
        TrieNode node = nodes[i];
        State next = machine_step(&g->machine, path[node.depth], node.byte);
        if (next == STATE_DEAD) {
            i = node.behind;
            continue;
        }
        path[node.depth + 1] = next;
        if (node.id >= 0)
            mask[node.id / 32] |= UINT32_C(1) << (node.id % 32);
        i++;
    }
}

static void add_named_tokens(const Grammar *g, State s, uint32_t *mask)
{
    StateNode node = g->machine.states[s];
    for (uint32_t i = 0; i < node.n; i++) {
        int32_t id = rx_token_id(g->machine.pool, g->machine.all_threads[node.from + i].rest);
        if (id >= 0)
            mask[id / 32] |= UINT32_C(1) << (id % 32);
    }
}

static void mask_make(Grammar *g, State s, uint32_t *mask)
{
    size_t n_words = (size_t)g->trie->n_words;
    memset(mask, 0, sizeof *mask * n_words);
    add_named_tokens(g, s, mask);
    for (int i = 0; i < TRIE_SLICES; i++) {
        const TrieSlice *slice = &g->trie->slices[i];
        if (i < TRIE_SAFE_SLICES && state_takes_slice(g, s, i))
            for (size_t w = 0; w < n_words; w++)
                mask[w] |= slice->mask[w];
        else
            walk(g, s, slice, mask);
    }
}

void mask_compute(Grammar *g, State s, uint32_t *mask)
{
    size_t bytes = sizeof *mask * (size_t)g->trie->n_words;
    uint32_t cached = g->machine.states[s].mask;
    if (cached) {
        memcpy(mask, g->masks[cached - 1].words, bytes);
        g->n_masks_found++;
        return;
    }
    mask_make(g, s, mask);
    g->n_masks_made++;
    int i = g->next_mask;
    g->next_mask = (i + 1) % GRAMMAR_MASKS_MAX;
    if (i < g->n_masks)
        g->machine.states[g->masks[i].state].mask = 0;
    else
        g->masks[g->n_masks++].words = mem_alloc(bytes);
    g->masks[i].state = s;
    memcpy(g->masks[i].words, mask, bytes);
    g->machine.states[s].mask = (uint32_t)i + 1;
}

void mask_forget(Grammar *g)
{
    for (int i = 0; i < g->n_masks; i++)
        mem_free(g->masks[i].words);
    g->n_masks = g->next_mask = 0;
    g->n_ends = g->n_all_ends = 0;
    pair_map_clear(&g->ends_of);
    pair_map_clear(&g->takes);
}

void mask_close(Grammar *g)
{
    mask_forget(g);
    pair_map_close(&g->ends_of);
    pair_map_close(&g->takes);
    mem_free(g->ends);
    mem_free(g->all_ends);
}
