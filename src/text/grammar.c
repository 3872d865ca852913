/* See grammar.h: grammars, matchers, and the front ends that are a line. */
#include "text/grammar_parts.h"

#include "base/bug.h"
#include "base/utf8.h"
#include "text/rx_parse.h"

#include <string.h>

/* ---- Grammars -------------------------------------------------------------------------------- */

static Rx make_safe_char(RxPool *p)
{
    CharSet safe = {0};
    char_set_add(&safe, 0x20, '"' - 1);
    char_set_add(&safe, '"' + 1, '\\' - 1);
    char_set_add(&safe, '\\' + 1, 0x10FFFF);
    Rx a = rx_chars(p, &safe, SPELL_UTF8);
    char_set_free(&safe);
    return a;
}

Grammar *grammar_make(const TokenTrie *trie, Rules *finished)
{
    Grammar *g = mem_alloc(sizeof *g);
    atomic_init(&g->n_refs, 1);
    g->trie = trie;
    g->safe_char = make_safe_char(finished->pool);
    g->path = mem_alloc(sizeof(State) * ((size_t)trie->depth_max + 2));
    machine_open(&g->machine, finished);
    return g;
}

Grammar *grammar_ref(Grammar *g)
{
    atomic_fetch_add(&g->n_refs, 1);
    return g;
}

void grammar_unref(Grammar *g)
{
    if (!g || atomic_fetch_sub(&g->n_refs, 1) > 1)
        return;
    mask_close(g);
    machine_close(&g->machine);
    mem_free(g->path);
    mem_free(g);
}

const TokenTrie *grammar_trie(const Grammar *g) { return g->trie; }

GrammarStats grammar_stats(const Grammar *g)
{
    return (GrammarStats){.n_states = g->machine.n_states,
                          .n_expressions = rx_count(g->machine.pool),
                          .n_masks = g->n_masks_made,
                          .n_masks_found = g->n_masks_found,
                          .n_given_up = rx_given_up(g->machine.pool)};
}

static Grammar *grammar_of_rx(const TokenTrie *trie, Rules *r, Rx whole, Error *err)
{
    int root = rules_new(r);
    rules_add(r, root, (Sym[]){sym_rx(whole)}, 1);
    if (rules_finish(r, root, NULL, NULL, err))
        return grammar_make(trie, r);
    rules_close(r);
    return NULL;
}

Grammar *grammar_from_regex(const TokenTrie *trie, Str pattern, Error *err)
{
    Rules *r = rules_open();
    Rx whole;
    if (rx_parse(r->pool, pattern, RX_MATCH_WHOLE, SPELL_UTF8, &whole, err))
        return grammar_of_rx(trie, r, whole, err);
    rules_close(r);
    return NULL;
}

Grammar *grammar_from_choices(const TokenTrie *trie, const Str *texts, int n, Error *err)
{
    if (n < 1 || n > GRAMMAR_CHOICES_MAX) {
        error_set(err, n < 1 ? ERROR_ARGUMENT : ERROR_LIMIT, "%d choices; from 1 to %d", n,
                  GRAMMAR_CHOICES_MAX);
        return NULL;
    }
    size_t bytes = 0;
    Str *sorted = mem_alloc(sizeof *sorted * (size_t)n);
    for (int i = 0; i < n; i++) {
        sorted[i] = texts[i];
        bytes += texts[i].bytes;
        if (texts[i].bytes == 0 || utf8_valid_prefix(texts[i]) < texts[i].bytes) {
            error_set(err, ERROR_ARGUMENT, "choice %d is empty or not UTF-8", i + 1);
            mem_free(sorted);
            return NULL;
        }
    }
    if (bytes > GRAMMAR_TEXT_BYTES_MAX) {
        error_set(err, ERROR_LIMIT, "choices of %zu bytes; at most %d", bytes,
                  GRAMMAR_TEXT_BYTES_MAX);
        mem_free(sorted);
        return NULL;
    }
    Rules *r = rules_open();
    Rx any = rx_literals(r->pool, sorted, n);
    mem_free(sorted);
    return grammar_of_rx(trie, r, any, err);
}

/* ---- Matchers -------------------------------------------------------------------------------- */

Matcher *matcher_new(Grammar *g)
{
    Matcher *m = mem_alloc(sizeof *m);
    m->grammar = grammar_ref(g);
    m->state = g->machine.start;
    m->after = g->matchers;
    if (m->after)
        m->after->before = m;
    g->matchers = m;
    return m;
}

void matcher_free(Matcher *m)
{
    if (!m)
        return;
    *(m->before ? &m->before->after : &m->grammar->matchers) = m->after;
    if (m->after)
        m->after->before = m->before;
    grammar_unref(m->grammar);
    mem_free(m);
}

void matcher_follow(Matcher *m, const Matcher *other)
{
    ASSERT(m->grammar == other->grammar);
    m->state = other->state;
}

static State step_id(Grammar *g, State s, int32_t id)
{
    const Tokenizer *t = g->trie->tokenizer;
    if (id < 0 || id >= g->trie->n_tokens)
        return STATE_DEAD;
    if (tokenizer_is_added(t, id))
        return machine_step_token(&g->machine, s, id);
    Str bytes = tokenizer_bytes(t, id);
    if (bytes.bytes == 0)
        return STATE_DEAD;
    for (size_t i = 0; i < bytes.bytes && s != STATE_DEAD; i++)
        s = machine_step(&g->machine, s, (uint8_t)bytes.data[i]);
    return s;
}

/* An automaton that has grown big starts over from the places where its matchers are. */
static void keep_small(Grammar *g)
{
    if (machine_bytes(&g->machine) < GRAMMAR_MACHINE_BYTES)
        return;
    size_t n = 0;
    for (const Matcher *m = g->matchers; m; m = m->after)
        n++;
    State *states = mem_alloc(sizeof *states * (n + 1));
    n = 0;
    for (const Matcher *m = g->matchers; m; m = m->after)
        states[n++] = m->state;
    mask_forget(g);
    machine_reset(&g->machine, states, n);
    n = 0;
    for (Matcher *m = g->matchers; m; m = m->after)
        m->state = states[n++];
    mem_free(states);
}

bool matcher_accept(Matcher *m, int32_t id)
{
    State next = step_id(m->grammar, m->state, id);
    if (next == STATE_DEAD)
        return false;
    m->state = next;
    return true;
}

bool matcher_may_end(const Matcher *m) { return m->grammar->machine.states[m->state].may_end; }

bool matcher_must_end(Matcher *m)
{
    const StateNode *s = &m->grammar->machine.states[m->state];
    return s->may_end && s->n == 0;
}

void matcher_mask(Matcher *m, uint32_t *mask)
{
    keep_small(m->grammar);
    mask_compute(m->grammar, m->state, mask);
}

void matcher_forced(Matcher *m, Ids *ids) { forced_tokens(m->grammar, m->state, ids); }
