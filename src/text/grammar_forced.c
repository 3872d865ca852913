/* Text that must come next, cut into tokens as the tokenizer would cut it. */
#include "text/grammar_parts.h"

#include <string.h>

enum { STRADDLE_BYTES = 24 }; /* how far back a token that also covers what follows may begin */

/* The one byte that can follow, or -1: several, none, or the text may end, or a named token. */
static int only_byte(Machine *m, State s)
{
    StateNode node = m->states[s];
    if (node.may_end || node.n == 0)
        return -1;
    int only = -1;
    for (int b = 0; b < 256; b++) {
        if (machine_step(m, s, (uint8_t)b) == STATE_DEAD)
            continue;
        if (only >= 0)
            return -1;
        only = b;
    }
    node = m->states[s];
    for (uint32_t i = 0; i < node.n; i++)
        if (rx_token_id(m->pool, m->all_threads[node.from + i].rest) >= 0)
            return -1;
    return only;
}

static int32_t only_token(const Machine *m, State s)
{
    const StateNode *node = &m->states[s];
    return node->n == 1 && !node->may_end ? rx_token_id(m->pool, m->all_threads[node->from].rest)
                                          : -1;
}

/* Some token below this node goes on from s. */
static bool any_below(Grammar *g, State s, const TrieSlice *slice, uint32_t at)
{
    const TrieNode *nodes = slice->nodes;
    int depth = nodes[at].depth + 1;
    g->path[0] = s;
    for (uint32_t i = at + 1; i < nodes[at].behind;) {
        State next = machine_step(&g->machine, g->path[nodes[i].depth - depth], nodes[i].byte);
        if (next == STATE_DEAD) {
            i = nodes[i].behind;
            continue;
        }
        if (nodes[i].id >= 0)
            return true;
        g->path[nodes[i].depth - depth + 1] = next;
        i++;
    }
    return false;
}

/* A token may begin with all of `tail` and go on from s. */
static bool is_straddled(Grammar *g, State s, Str tail)
{
    for (int k = 0; k < TRIE_SLICES; k++) {
        const TrieSlice *slice = &g->trie->slices[k];
        uint32_t i = 0, end = slice->n_nodes;
        size_t depth = 0;
        while (i < end) {
            if (slice->nodes[i].byte != (uint8_t)tail.data[depth]) {
                i = slice->nodes[i].behind;
                continue;
            }
            if (++depth == tail.bytes)
                break;
            end = slice->nodes[i].behind;
            i++;
        }
        if (i < end && any_below(g, s, slice, i))
            return true;
    }
    return false;
}

/* How much of the text is cut the same whatever follows. */
static size_t certain_bytes(Grammar *g, State s, Str text)
{
    size_t from = text.bytes > STRADDLE_BYTES ? text.bytes - STRADDLE_BYTES : 0;
    for (; from < text.bytes; from++)
        if (is_straddled(g, s, str_slice(text, from, text.bytes)))
            break;
    return from;
}

/* Appends the tokens of the text that lie in its first n_certain bytes; false when not all do. */
static void add_tokens(const TokenTrie *trie, Str text, size_t n_certain, Ids *ids)
{
    Ids cut = {0};
    size_t at = 0;
    if (tokenizer_encode_plain(trie->tokenizer, text, &cut, NULL)) {
        for (int i = 0; i < cut.n; i++) {
            Str bytes = tokenizer_bytes(trie->tokenizer, cut.data[i]);
            bool is_same = at + bytes.bytes <= n_certain &&
                           memcmp(text.data + at, bytes.data, bytes.bytes) == 0;
            if (!is_same) /* not certain, or the tokenizer has normalized the text */
                break;
            ids_push(ids, cut.data[i]);
            at += bytes.bytes;
        }
    }
    ids_free(&cut);
}

void forced_tokens(Grammar *g, State s, Ids *ids)
{
    Buf text = {0};
    for (int n = 0; n < GRAMMAR_FORCED_BYTES; n++) {
        int byte = only_byte(&g->machine, s);
        int32_t token = only_token(&g->machine, s);
        if (byte < 0 && token < 0)
            break;
        if (byte >= 0) {
            buf_putc(&text, (char)byte);
            s = machine_step(&g->machine, s, (uint8_t)byte);
            continue;
        }
        int before = ids->n;
        size_t covered = 0;
        add_tokens(g->trie, buf_str(&text), text.bytes, ids);
        for (int i = before; i < ids->n; i++)
            covered += tokenizer_bytes(g->trie->tokenizer, ids->data[i]).bytes;
        if (covered < text.bytes) {
            buf_free(&text);
            return;
        }
        buf_clear(&text);
        ids_push(ids, token);
        s = machine_step_token(&g->machine, s, token);
    }
    if (text.bytes) {
        bool is_over = g->machine.states[s].n == 0;
        size_t n_certain = is_over ? text.bytes : certain_bytes(g, s, buf_str(&text));
        add_tokens(g->trie, buf_str(&text), n_certain, ids);
    }
    buf_free(&text);
}
