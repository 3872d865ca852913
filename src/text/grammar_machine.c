/* See grammar_machine.h. */
#include "text/grammar_machine.h"

#include "base/bug.h"

#include <stdlib.h>
#include <string.h>

enum { FEW = 24 }; /* entered positions that are searched one by one */

/* ---- Ways ------------------------------------------------------------------------------------ */

/* ways [n], ascending pos, each once. */
static Ways ways_intern(Machine *m, const Way *ways, size_t n)
{
    uint64_t hash = n;
    for (size_t i = 0; i < n; i++)
        hash = hash_join(hash, (uint64_t)ways[i].pos << 32 | ways[i].behind);
    int64_t found;
    for (size_t step = 0; (found = hash_index_next(&m->ways_index, hash, &step)) >= 0;) {
        const WaysNode *w = &m->ways[found];
        if (w->n == n && (n == 0 || memcmp(m->all_ways + w->from, ways, sizeof *ways * n) == 0))
            return (Ways)found;
    }
    WaysNode node = {(uint32_t)m->n_all_ways, (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        Way way = ways[i];
        m->all_ways = mem_more(m->all_ways, sizeof *ways, m->n_all_ways, &m->n_all_ways_max);
        m->all_ways[m->n_all_ways++] = way;
    }
    m->ways = mem_more(m->ways, sizeof node, m->n_ways, &m->n_ways_max);
    m->ways[m->n_ways] = node;
    hash_index_add(&m->ways_index, hash, (uint32_t)m->n_ways);
    return (Ways)m->n_ways++;
}

static Ways ways_one(Machine *m, uint32_t pos, Ways behind)
{
    return ways_intern(m, &(Way){pos, behind}, 1);
}

/* Both sets. The same position on both sides goes on with both of its tails. */
static Ways ways_join(Machine *m, Ways a, Ways b)
{
    if (a == b || b == WAYS_NONE)
        return a;
    if (a == WAYS_NONE)
        return b;
    uint64_t key = a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
    uint32_t joined;
    if (pair_map_find(&m->unions, key, &joined))
        return joined;
    WaysNode x = m->ways[a], y = m->ways[b];
    Way *both = mem_alloc(sizeof *both * (x.n + y.n));
    size_t n = 0, i = 0, k = 0;
    while (i < x.n || k < y.n) {
        Way p = i < x.n ? m->all_ways[x.from + i] : (Way){UINT32_MAX, 0};
        Way q = k < y.n ? m->all_ways[y.from + k] : (Way){UINT32_MAX, 0};
        if (p.pos == q.pos)
            p.behind = ways_join(m, p.behind, q.behind);
        both[n++] = p.pos <= q.pos ? p : q;
        i += p.pos <= q.pos;
        k += q.pos <= p.pos;
    }
    joined = ways_intern(m, both, n);
    mem_free(both);
    pair_map_put(&m->unions, key, joined);
    return joined;
}

/* ---- Making a state -------------------------------------------------------------------------- */

static void enter(Machine *m, uint32_t pos, Ways behind)
{
    uint64_t key = (uint64_t)pos << 32 | behind;
    uint32_t known;
    if (m->n_todo > FEW) {
        if (pair_map_find(&m->entered, key, &known))
            return;
        pair_map_put(&m->entered, key, 0);
    } else {
        for (size_t i = 0; i < m->n_todo; i++)
            if (m->todo[i].pos == pos && m->todo[i].behind == behind)
                return;
    }
    if (m->n_todo == FEW) { /* from here on in the map */
        for (size_t i = 0; i < m->n_todo; i++)
            pair_map_put(&m->entered, (uint64_t)m->todo[i].pos << 32 | m->todo[i].behind, 0);
        pair_map_put(&m->entered, key, 0);
    }
    m->todo = mem_more(m->todo, sizeof *m->todo, m->n_todo, &m->n_todo_max);
    m->todo[m->n_todo++] = (Way){pos, behind};
}

/* An alternative, or the whole text, is over. */
static void leave(Machine *m, Ways ways)
{
    WaysNode w = m->ways[ways];
    for (uint32_t i = 0; i < w.n; i++) {
        Way way = m->all_ways[w.from + i];
        if (way.pos == 0)
            m->made_may_end = true;
        else
            enter(m, way.pos, way.behind);
    }
}

static void add_thread(Machine *m, Rx rest, Ways ways)
{
    m->made = mem_more(m->made, sizeof *m->made, m->n_made, &m->n_made_max);
    m->made[m->n_made++] = (Thread){rest, ways};
}

/* Works off the positions to enter, down to terminals. */
static void expand(Machine *m)
{
    const Rules *r = m->rules;
    for (size_t i = 0; i < m->n_todo; i++) {
        Way at = m->todo[i];
        Sym s = r->syms[at.pos];
        if (s == SYM_END) {
            leave(m, at.behind);
            continue;
        }
        /* The last symbol of an alternative goes on with what is behind the alternative. */
        bool is_last = r->syms[at.pos + 1] == SYM_END;
        Ways behind = is_last ? at.behind : ways_one(m, at.pos + 1, at.behind);
        if (sym_is_rule(s)) {
            int rule = sym_rule_of(s);
            for (uint32_t k = r->first_start[rule]; k < r->first_start[rule + 1]; k++)
                enter(m, r->starts[k], behind);
            continue;
        }
        add_thread(m, sym_rx_of(s), behind);
        if (rx_is_nullable(m->pool, sym_rx_of(s)))
            leave(m, behind);
    }
    m->n_todo = 0;
    pair_map_clear(&m->entered);
}

static int compare_threads(const void *x, const void *y)
{
    const Thread *a = x, *b = y;
    return (a->rest > b->rest) - (a->rest < b->rest);
}

static void join_threads(Machine *m)
{
    if (m->n_made < 2)
        return;
    qsort(m->made, m->n_made, sizeof *m->made, compare_threads);
    size_t kept = 0;
    for (size_t i = 1; i < m->n_made; i++) {
        if (m->made[i].rest == m->made[kept].rest)
            m->made[kept].ways = ways_join(m, m->made[kept].ways, m->made[i].ways);
        else
            m->made[++kept] = m->made[i];
    }
    m->n_made = kept + 1;
}

static State intern_made(Machine *m)
{
    expand(m);
    join_threads(m);
    size_t n = m->n_made;
    uint64_t hash = m->made_may_end;
    for (size_t i = 0; i < n; i++)
        hash = hash_join(hash, (uint64_t)m->made[i].rest << 32 | m->made[i].ways);
    int64_t found;
    for (size_t step = 0; (found = hash_index_next(&m->state_index, hash, &step)) >= 0;) {
        const StateNode *s = &m->states[found];
        if (s->n == n && s->may_end == m->made_may_end &&
            (n == 0 || memcmp(m->all_threads + s->from, m->made, sizeof(Thread) * n) == 0))
            return (State)found;
    }
    StateNode node = {.from = (uint32_t)m->n_all_threads,
                      .n = (uint32_t)n & INT32_MAX,
                      .may_end = m->made_may_end};
    for (size_t i = 0; i < n; i++) {
        m->all_threads =
            mem_more(m->all_threads, sizeof(Thread), m->n_all_threads, &m->n_all_threads_max);
        m->all_threads[m->n_all_threads++] = m->made[i];
    }
    m->states = mem_more(m->states, sizeof node, m->n_states, &m->n_states_max);
    m->states[m->n_states] = node;
    hash_index_add(&m->state_index, hash, (uint32_t)m->n_states);
    return (State)m->n_states++;
}

static void begin_made(Machine *m)
{
    m->n_made = 0;
    m->made_may_end = false;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void open_row(Machine *m, State s)
{
    StateNode *node = &m->states[s];
    int classes = node->n ? rx_classes(m->pool, m->all_threads[node->from].rest)
                          : rx_classes(m->pool, RX_VOID);
    for (uint32_t i = 1; i < node->n; i++)
        classes = rx_classes_join(m->pool, classes,
                                  rx_classes(m->pool, m->all_threads[node->from + i].rest));
    const ByteClasses *c = rx_classes_get(m->pool, classes);
    node->class_of = c->class_of;
    node->next = arena_alloc(&m->rows, sizeof(State) * (size_t)c->n);
    memset(node->next, 0xFF, sizeof(State) * (size_t)c->n); /* STATE_UNKNOWN */
    m->row_bytes += sizeof(State) * (size_t)c->n;
}

State machine_step_slow(Machine *m, State s, uint8_t byte)
{
    if (!m->states[s].class_of)
        open_row(m, s);
    StateNode node = m->states[s];
    State *next = &node.next[node.class_of[byte]];
    if (*next != STATE_UNKNOWN)
        return *next;
    begin_made(m);
    for (uint32_t i = 0; i < node.n; i++) {
        Thread t = m->all_threads[node.from + i];
        Rx rest = rx_derive(m->pool, t.rest, byte);
        if (rest == RX_VOID)
            continue;
        if (rest != RX_EMPTY)
            add_thread(m, rest, t.ways);
        if (rx_is_nullable(m->pool, rest))
            leave(m, t.ways);
    }
    *next = intern_made(m);
    return *next;
}

State machine_step_token(Machine *m, State s, int32_t id)
{
    StateNode node = m->states[s];
    begin_made(m);
    for (uint32_t i = 0; i < node.n; i++) {
        Thread t = m->all_threads[node.from + i];
        if (rx_token_id(m->pool, t.rest) == id)
            leave(m, t.ways);
    }
    return intern_made(m);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void make_first_states(Machine *m)
{
    Ways none = ways_intern(m, NULL, 0);
    begin_made(m);
    State dead = intern_made(m);
    ASSERT(none == WAYS_NONE && dead == STATE_DEAD);
    const Rules *r = m->rules;
    Ways end = ways_one(m, 0, WAYS_NONE);
    begin_made(m);
    for (uint32_t k = r->first_start[r->root]; k < r->first_start[r->root + 1]; k++)
        enter(m, r->starts[k], end);
    m->start = intern_made(m);
}

void machine_open(Machine *m, Rules *finished)
{
    m->rules = finished;
    m->pool = finished->pool;
    m->n_made_expressions = rx_count(m->pool);
    make_first_states(m);
}

/* Copies of what the kept states are made of. */
typedef struct Kept {
    Thread *threads;
    size_t n_threads;
    Rx *rests; /* [n_threads] */
    Way *all_ways;
    WaysNode *ways;
    size_t n_ways;
    uint8_t *is_used; /* [n_ways] */
    Ways *new_ways;   /* [n_ways] */
} Kept;

static void *copy_of(const void *items, size_t bytes)
{
    void *copy = mem_alloc(bytes + 1);
    if (bytes)
        memcpy(copy, items, bytes);
    return copy;
}

static Kept keep(const Machine *m, const State *states, size_t n_states)
{
    Kept k = {.all_ways = copy_of(m->all_ways, sizeof(Way) * m->n_all_ways),
              .ways = copy_of(m->ways, sizeof(WaysNode) * m->n_ways),
              .n_ways = m->n_ways,
              .is_used = mem_alloc(m->n_ways + 1),
              .new_ways = mem_alloc(sizeof(Ways) * (m->n_ways + 1))};
    for (size_t i = 0; i < n_states; i++)
        k.n_threads += m->states[states[i]].n;
    k.threads = mem_alloc(sizeof(Thread) * (k.n_threads + 1));
    k.rests = mem_alloc(sizeof(Rx) * (k.n_threads + 1));
    size_t n = 0;
    for (size_t i = 0; i < n_states; i++) {
        const StateNode *s = &m->states[states[i]];
        for (uint32_t t = 0; t < s->n; t++, n++) {
            k.threads[n] = m->all_threads[s->from + t];
            k.rests[n] = k.threads[n].rest;
            k.is_used[k.threads[n].ways] = true;
        }
    }
    /* Tails are made before what they are behind of. */
    for (size_t w = k.n_ways; w > 0; w--)
        for (uint32_t i = 0; k.is_used[w - 1] && i < k.ways[w - 1].n; i++)
            k.is_used[k.all_ways[k.ways[w - 1].from + i].behind] = true;
    return k;
}

static void make_ways_again(Machine *m, Kept *k)
{
    for (size_t w = 0; w < k->n_ways; w++) {
        if (!k->is_used[w])
            continue;
        Way *ways = k->all_ways + k->ways[w].from;
        for (uint32_t i = 0; i < k->ways[w].n; i++)
            ways[i].behind = k->new_ways[ways[i].behind];
        k->new_ways[w] = ways_intern(m, ways, k->ways[w].n);
    }
}

static void kept_close(Kept *k)
{
    mem_free(k->threads);
    mem_free(k->rests);
    mem_free(k->all_ways);
    mem_free(k->ways);
    mem_free(k->is_used);
    mem_free(k->new_ways);
}

void machine_reset(Machine *m, State *kept, size_t n_kept)
{
    Kept k = keep(m, kept, n_kept);
    uint32_t *n_threads = mem_alloc(sizeof *n_threads * (n_kept + 1));
    bool *may_end = mem_alloc(n_kept + 1);
    for (size_t i = 0; i < n_kept; i++) {
        n_threads[i] = m->states[kept[i]].n;
        may_end[i] = m->states[kept[i]].may_end;
    }
    m->n_all_ways = m->n_ways = m->n_all_threads = m->n_states = 0;
    hash_index_clear(&m->ways_index);
    hash_index_clear(&m->state_index);
    pair_map_clear(&m->unions);
    arena_reset(&m->rows);
    m->row_bytes = 0;
    rx_forget(m->pool, m->n_made_expressions, k.rests, k.n_threads);
    make_first_states(m);
    make_ways_again(m, &k);
    size_t n = 0;
    for (size_t i = 0; i < n_kept; i++) {
        begin_made(m);
        m->made_may_end = may_end[i];
        for (uint32_t t = 0; t < n_threads[i]; t++, n++)
            add_thread(m, k.rests[n], k.new_ways[k.threads[n].ways]);
        kept[i] = intern_made(m);
    }
    mem_free(n_threads);
    mem_free(may_end);
    kept_close(&k);
}

size_t machine_bytes(const Machine *m)
{
    return m->row_bytes + m->n_states * (sizeof(StateNode) + 16) +
           m->n_all_threads * sizeof(Thread) + m->n_all_ways * sizeof(Way) +
           m->unions.n_slots * sizeof(PairSlot) + (rx_count(m->pool) - m->n_made_expressions) * 96;
}

void machine_close(Machine *m)
{
    mem_free(m->all_ways);
    mem_free(m->ways);
    hash_index_close(&m->ways_index);
    pair_map_close(&m->unions);
    mem_free(m->all_threads);
    mem_free(m->states);
    hash_index_close(&m->state_index);
    arena_close(&m->rows);
    mem_free(m->made);
    mem_free(m->todo);
    pair_map_close(&m->entered);
    rules_close(m->rules);
}
