/* See grammar_rules.h. */
#include "text/grammar_rules.h"

#include <string.h>

Rules *rules_open(void)
{
    Rules *r = mem_alloc(sizeof *r);
    r->pool = rx_open();
    return r;
}

void rules_close(Rules *r)
{
    if (!r)
        return;
    rx_close(r->pool);
    mem_free(r->made_syms);
    mem_free(r->alts);
    mem_free(r->syms);
    mem_free(r->first_start);
    mem_free(r->starts);
    mem_free(r);
}

int rules_new(Rules *r) { return r->n_rules++; }

void rules_add(Rules *r, int rule, const Sym *syms, int n)
{
    RuleAlt alt = {.rule = rule, .from = (uint32_t)r->n_made_syms};
    for (int i = 0; i < n; i++) {
        if (!sym_is_rule(syms[i]) && sym_rx_of(syms[i]) == RX_EMPTY)
            continue;
        if (!sym_is_rule(syms[i]) && rx_is_void(r->pool, sym_rx_of(syms[i]))) {
            r->n_made_syms = alt.from;
            return;
        }
        r->made_syms = mem_more(r->made_syms, sizeof(Sym), r->n_made_syms, &r->n_made_syms_max);
        r->made_syms[r->n_made_syms++] = syms[i];
    }
    alt.n = (uint32_t)r->n_made_syms - alt.from;
    r->alts = mem_more(r->alts, sizeof *r->alts, r->n_alts, &r->n_alts_max);
    r->alts[r->n_alts++] = alt;
}

bool rules_check_size(const Rules *r, Error *err)
{
    if (r->n_made_syms + r->n_alts <= RULES_SYMS_MAX)
        return true;
    return error_set(err, ERROR_LIMIT, "the grammar is too big: over %d symbols", RULES_SYMS_MAX);
}

/* ---- What can be finished, what may be empty ------------------------------------------------- */

/* For each rule, the alternatives that use it: a list in `uses` from first[rule] on. */
typedef struct Uses {
    uint32_t *first, *uses;
} Uses;

static Uses uses_make(const Rules *r)
{
    Uses u = {mem_alloc(sizeof(uint32_t) * ((size_t)r->n_rules + 2)),
              mem_alloc(sizeof(uint32_t) * (r->n_made_syms + 1))};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t a = 0; a < r->n_alts; a++) {
            for (uint32_t i = 0; i < r->alts[a].n; i++) {
                Sym s = r->made_syms[r->alts[a].from + i];
                if (!sym_is_rule(s))
                    continue;
                if (pass == 0)
                    u.first[sym_rule_of(s) + 2]++;
                else
                    u.uses[u.first[sym_rule_of(s) + 1]++] = (uint32_t)a;
            }
        }
        for (int k = 1; pass == 0 && k < r->n_rules + 2; k++)
            u.first[k] += u.first[k - 1];
    }
    return u;
}

/* Marks the rules that have an alternative whose every symbol is marked or a terminal that counts:
 * all of them do (can be finished), or those that take the empty text (may be empty). */
static bool *mark_rules(const Rules *r, const Uses *u, bool only_nullable)
{
    bool *is_marked = mem_alloc((size_t)r->n_rules + 1);
    uint32_t *missing = mem_alloc(sizeof(uint32_t) * (r->n_alts + 1));
    int *queue = mem_alloc(sizeof(int) * ((size_t)r->n_rules + 1)), n_queue = 0;
    for (size_t a = 0; a < r->n_alts; a++) {
        for (uint32_t i = 0; i < r->alts[a].n; i++) {
            Sym s = r->made_syms[r->alts[a].from + i];
            missing[a] +=
                sym_is_rule(s) || (only_nullable && !rx_is_nullable(r->pool, sym_rx_of(s)));
        }
        if (missing[a] == 0 && !is_marked[r->alts[a].rule]) {
            is_marked[r->alts[a].rule] = true;
            queue[n_queue++] = r->alts[a].rule;
        }
    }
    for (int i = 0; i < n_queue; i++) {
        for (uint32_t k = u->first[queue[i]]; k < u->first[queue[i] + 1]; k++) {
            const RuleAlt *alt = &r->alts[u->uses[k]];
            if (--missing[u->uses[k]] == 0 && !is_marked[alt->rule]) {
                is_marked[alt->rule] = true;
                queue[n_queue++] = alt->rule;
            }
        }
    }
    mem_free(missing);
    mem_free(queue);
    return is_marked;
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static bool alt_is_kept(const Rules *r, const RuleAlt *alt, const bool *can_finish)
{
    for (uint32_t i = 0; i < alt->n; i++) {
        Sym s = r->made_syms[alt->from + i];
        if (sym_is_rule(s) && !can_finish[sym_rule_of(s)])
            return false;
    }
    return true;
}

/* Position 0 is the end of the whole text; alternatives begin at 1. */
static void lay_out(Rules *r, const bool *can_finish)
{
    r->syms = mem_alloc(sizeof(Sym) * (r->n_made_syms + r->n_alts + 1));
    r->first_start = mem_alloc(sizeof(uint32_t) * ((size_t)r->n_rules + 2));
    r->starts = mem_alloc(sizeof(uint32_t) * (r->n_alts + 1));
    for (size_t a = 0; a < r->n_alts; a++)
        r->first_start[r->alts[a].rule + 2] += alt_is_kept(r, &r->alts[a], can_finish);
    for (int k = 1; k < r->n_rules + 2; k++)
        r->first_start[k] += r->first_start[k - 1];
    uint32_t pos = 1;
    for (size_t a = 0; a < r->n_alts; a++) {
        const RuleAlt *alt = &r->alts[a];
        if (!alt_is_kept(r, alt, can_finish))
            continue;
        r->starts[r->first_start[alt->rule + 1]++] = pos;
        if (alt->n)
            memcpy(r->syms + pos, r->made_syms + alt->from, sizeof(Sym) * alt->n);
        pos += alt->n + 1; /* SYM_END is zero */
    }
}

/* ---- Left recursion -------------------------------------------------------------------------- */

typedef struct Visit {
    int rule;
    uint32_t start_i, pos; /* which alternative, where in it */
} Visit;

/* Depth first over "begins with"; a rule met again while it is open begins with itself. */
enum { RULE_NEW, RULE_OPEN, RULE_CLOSED };

static int visit_from(const Rules *r, const bool *may_be_empty, int rule, uint8_t *state,
                      Visit *stack)
{
    int n = 0;
    stack[n++] = (Visit){rule, r->first_start[rule], 0};
    state[rule] = RULE_OPEN;
    while (n > 0) {
        Visit *v = &stack[n - 1];
        if (v->start_i == r->first_start[v->rule + 1]) {
            state[v->rule] = RULE_CLOSED;
            n--;
            continue;
        }
        if (v->pos == 0)
            v->pos = r->starts[v->start_i];
        Sym s = r->syms[v->pos];
        bool passes = s != SYM_END && (sym_is_rule(s) ? may_be_empty[sym_rule_of(s)]
                                                      : rx_is_nullable(r->pool, sym_rx_of(s)));
        int next = s != SYM_END && sym_is_rule(s) ? sym_rule_of(s) : -1;
        if (passes) {
            v->pos++;
        } else {
            v->start_i++;
            v->pos = 0;
        }
        if (next >= 0 && state[next] == RULE_OPEN)
            return next;
        if (next >= 0 && state[next] == RULE_NEW) {
            state[next] = RULE_OPEN;
            stack[n++] = (Visit){next, r->first_start[next], 0};
        }
    }
    return -1;
}

static int find_left_recursion(const Rules *r, const bool *may_be_empty)
{
    uint8_t *state = mem_alloc((size_t)r->n_rules + 1);
    Visit *stack = mem_alloc(sizeof *stack * ((size_t)r->n_rules + 1));
    int found = -1;
    for (int rule = 0; rule < r->n_rules && found < 0; rule++)
        if (state[rule] == RULE_NEW)
            found = visit_from(r, may_be_empty, rule, state, stack);
    mem_free(state);
    mem_free(stack);
    return found;
}

bool rules_finish(Rules *r, int root, const char *(*name)(const void *context, int rule),
                  const void *context, Error *err)
{
    if (!rules_check_size(r, err))
        return false;
    Uses u = uses_make(r);
    bool *can_finish = mark_rules(r, &u, false);
    bool *may_be_empty = mark_rules(r, &u, true);
    lay_out(r, can_finish);
    r->root = root;
    bool ok = can_finish[root] || error_set(err, ERROR_ARGUMENT, "nothing satisfies it");
    int recursive = ok ? find_left_recursion(r, may_be_empty) : -1;
    if (recursive >= 0)
        ok = error_set(err, ERROR_UNSUPPORTED,
                       "rule %s begins with itself (left recursion): write it as a repetition",
                       name ? name(context, recursive) : "");
    mem_free(u.first);
    mem_free(u.uses);
    mem_free(can_finish);
    mem_free(may_be_empty);
    mem_free(r->made_syms);
    mem_free(r->alts);
    r->made_syms = NULL;
    r->alts = NULL;
    return ok;
}
