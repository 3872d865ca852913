/* See rx.h: making expressions, each once, and simplified so that derivatives repeat. */
#include "base/bug.h"
#include "base/mem.h"
#include "text/rx_pool.h"

#include <stdlib.h>
#include <string.h>

/* ---- The pool -------------------------------------------------------------------------------- */

static uint64_t node_hash(const RxPool *p, const RxNode *n)
{
    uint64_t h = hash_join(n->kind, (uint64_t)(uint32_t)n->min << 32 | (uint32_t)n->max);
    if (n->kind != RX_KIND_OR && n->kind != RX_KIND_AND)
        return hash_join(hash_join(h, n->a), n->b);
    for (uint32_t i = 0; i < n->b; i++)
        h = hash_join(h, p->lists[n->a + i]);
    return h;
}

static bool nodes_equal(const RxPool *p, const RxNode *x, const RxNode *y)
{
    if (x->kind != y->kind || x->b != y->b || x->min != y->min || x->max != y->max)
        return false;
    if (x->kind == RX_KIND_OR || x->kind == RX_KIND_AND)
        return memcmp(p->lists + x->a, p->lists + y->a, sizeof(Rx) * x->b) == 0;
    return x->a == y->a;
}

static unsigned list_flags(const RxPool *p, const RxNode *n)
{
    bool is_or = n->kind == RX_KIND_OR;
    unsigned all = ~0u, any = 0;
    for (uint32_t i = 0; i < n->b; i++) {
        unsigned f = p->nodes[p->lists[n->a + i]].flags;
        all &= f;
        any |= f;
    }
    unsigned flags = (is_or ? any : all) & RX_NULLABLE;
    flags |= (is_or ? all : any) & RX_IS_FINITE;
    flags |= is_or ? any & (RX_IS_INFINITE | RX_MAY_BE_VOID) : RX_MAY_BE_VOID;
    return flags;
}

static unsigned flags_of(const RxPool *p, const RxNode *n)
{
    bool has_inner =
        n->kind == RX_KIND_CONCAT || n->kind == RX_KIND_NOT || n->kind == RX_KIND_REPEAT;
    unsigned a = has_inner ? p->nodes[n->a].flags : 0;
    switch ((RxKind)n->kind) {
    case RX_KIND_EMPTY:
        return RX_NULLABLE | RX_IS_FINITE;
    case RX_KIND_CONCAT: {
        unsigned b = p->nodes[n->b].flags;
        unsigned flags = (a & b & (RX_NULLABLE | RX_IS_FINITE)) | ((a | b) & RX_MAY_BE_VOID);
        return flags | (flags & RX_MAY_BE_VOID ? 0 : (a | b) & RX_IS_INFINITE);
    }
    case RX_KIND_OR:
    case RX_KIND_AND:
        return list_flags(p, n);
    case RX_KIND_NOT:
        return (a & RX_NULLABLE ? 0 : RX_NULLABLE) | (a & RX_IS_FINITE ? RX_IS_INFINITE : 0) |
               RX_MAY_BE_VOID;
    case RX_KIND_REPEAT: {
        unsigned flags = (n->min == 0 ? RX_NULLABLE : a & RX_NULLABLE) | (a & RX_MAY_BE_VOID);
        bool is_bounded = n->max != RX_MANY;
        if (is_bounded)
            return flags | (a & RX_IS_FINITE) | (flags & RX_MAY_BE_VOID ? 0 : a & RX_IS_INFINITE);
        return flags | (a & RX_MAY_BE_VOID ? 0 : RX_IS_INFINITE);
    }
    case RX_KIND_MULTIPLE: {
        const Division *d = &p->divisions[n->a];
        uint64_t rest = d->rest;
        for (int i = 0; i < d->scale; i++)
            rest = rest * 10 % d->unit;
        bool is_number = d->place == 1 || d->place == 3;
        return RX_MAY_BE_VOID | (is_number && rest == 0 ? RX_NULLABLE : 0);
    }
    default:
        return RX_IS_FINITE;
    }
}

Rx rx_intern(RxPool *p, RxNode node)
{
    uint64_t hash = node_hash(p, &node);
    int64_t found;
    for (size_t step = 0; (found = hash_index_next(&p->index, hash, &step)) >= 0;)
        if (nodes_equal(p, &p->nodes[found], &node))
            return (Rx)found;
    node.flags = (uint8_t)flags_of(p, &node);
    p->nodes = mem_more(p->nodes, sizeof *p->nodes, p->n, &p->n_max);
    p->nodes[p->n] = node;
    hash_index_add(&p->index, hash, (uint32_t)p->n);
    return (Rx)p->n++;
}

RxPool *rx_open(void)
{
    RxPool *p = mem_alloc(sizeof *p);
    Rx is_void = rx_intern(p, (RxNode){.kind = RX_KIND_VOID});
    Rx empty = rx_intern(p, (RxNode){.kind = RX_KIND_EMPTY});
    Rx all = rx_intern(p, (RxNode){.kind = RX_KIND_NOT, .a = RX_VOID});
    ASSERT(is_void == RX_VOID && empty == RX_EMPTY && all == RX_ALL);
    p->nodes[RX_VOID].flags |= RX_KNOWN_VOID;
    p->nodes[RX_ALL].flags = (uint8_t)((p->nodes[RX_ALL].flags & ~RX_MAY_BE_VOID) | RX_IS_INFINITE);
    return p;
}

void rx_close(RxPool *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_classes; i++)
        mem_free(p->classes[i]);
    hash_index_close(&p->index);
    hash_index_close(&p->set_index);
    hash_index_close(&p->division_index);
    hash_index_close(&p->class_index);
    pair_map_close(&p->joins);
    pair_map_close(&p->derived);
    mem_free(p->nodes);
    mem_free(p->lists);
    mem_free(p->sets);
    mem_free(p->divisions);
    mem_free(p->classes);
    mem_free(p->scratch);
    mem_free(p);
}

size_t rx_count(const RxPool *p) { return p->n; }

size_t rx_given_up(const RxPool *p) { return p->n_given_up; }

static bool has_list(const RxNode *n) { return n->kind == RX_KIND_OR || n->kind == RX_KIND_AND; }

static void mark(uint8_t *is_kept, size_t count, Rx a)
{
    if (a >= count)
        is_kept[a - count] = true;
}

/* Parts are made before the whole, so one look from the end marks all parts of what is kept. */
static void mark_parts(const RxPool *p, uint8_t *is_kept, size_t count)
{
    for (size_t i = p->n; i > count; i--) {
        const RxNode *n = &p->nodes[i - 1];
        if (!is_kept[i - 1 - count])
            continue;
        if (n->kind == RX_KIND_CONCAT || n->kind == RX_KIND_NOT || n->kind == RX_KIND_REPEAT)
            mark(is_kept, count, n->a);
        if (n->kind == RX_KIND_CONCAT)
            mark(is_kept, count, n->b);
        for (uint32_t k = 0; has_list(n) && k < n->b; k++)
            mark(is_kept, count, p->lists[n->a + k]);
    }
}

static Rx moved(const Rx *new_place, size_t count, Rx a)
{
    return a < count ? a : new_place[a - count];
}

/* Makes a kept expression again in the cut-back pool. */
static Rx make_again(RxPool *p, RxNode n, const Rx *old_lists, const Rx *new_place, size_t count)
{
    switch ((RxKind)n.kind) {
    case RX_KIND_CONCAT:
        return rx_concat(p, moved(new_place, count, n.a), moved(new_place, count, n.b));
    case RX_KIND_NOT:
        return rx_not(p, moved(new_place, count, n.a));
    case RX_KIND_REPEAT:
        return rx_repeat(p, moved(new_place, count, n.a), n.min, n.max);
    case RX_KIND_OR:
    case RX_KIND_AND: {
        size_t from = p->n_scratch;
        for (uint32_t k = 0; k < n.b; k++)
            rx_scratch_push(p, moved(new_place, count, old_lists[n.a + k]));
        return rx_make_list(p, (RxKind)n.kind, from);
    }
    default: /* its number is of a table that stays */
        n.classes = 0;
        return rx_intern(p, n);
    }
}

static void cut_back(RxPool *p, size_t count)
{
    /* Lists belong to nodes in order; sets, divisions and classes may stay. */
    p->n_lists = 0;
    hash_index_clear(&p->index);
    pair_map_clear(&p->derived);
    p->n = count;
    for (size_t i = 0; i < count; i++) {
        const RxNode *n = &p->nodes[i];
        if (has_list(n) && n->a + n->b > p->n_lists)
            p->n_lists = n->a + n->b;
        hash_index_add(&p->index, node_hash(p, n), (uint32_t)i);
    }
}

void rx_forget(RxPool *p, size_t count, Rx *kept, size_t n_kept)
{
    size_t n_new = p->n - count, n_lists = p->n_lists;
    uint8_t *is_kept = mem_alloc(n_new + 1);
    Rx *new_place = mem_alloc(sizeof(Rx) * (n_new + 1));
    RxNode *nodes = mem_alloc(sizeof *nodes * (n_new + 1));
    Rx *lists = mem_alloc(sizeof *lists * (n_lists + 1));
    for (size_t i = 0; i < n_kept; i++)
        mark(is_kept, count, kept[i]);
    mark_parts(p, is_kept, count);
    if (n_new)
        memcpy(nodes, p->nodes + count, sizeof *nodes * n_new);
    if (n_lists)
        memcpy(lists, p->lists, sizeof *lists * n_lists);
    cut_back(p, count);
    for (size_t i = 0; i < n_new; i++)
        if (is_kept[i])
            new_place[i] = make_again(p, nodes[i], lists, new_place, count);
    for (size_t i = 0; i < n_kept; i++)
        kept[i] = moved(new_place, count, kept[i]);
    mem_free(is_kept);
    mem_free(new_place);
    mem_free(nodes);
    mem_free(lists);
}

/* ---- Bytes and texts ------------------------------------------------------------------------- */

Rx rx_bytes(RxPool *p, const ByteSet *set)
{
    if (!(set->bits[0] | set->bits[1] | set->bits[2] | set->bits[3]))
        return RX_VOID;
    uint64_t hash = hash_join(hash_join(set->bits[0], set->bits[1]), set->bits[2]);
    hash = hash_join(hash, set->bits[3]);
    int64_t i;
    for (size_t step = 0; (i = hash_index_next(&p->set_index, hash, &step)) >= 0;)
        if (memcmp(&p->sets[i], set, sizeof *set) == 0)
            break;
    if (i < 0) {
        p->sets = mem_more(p->sets, sizeof *p->sets, p->n_sets, &p->n_sets_max);
        p->sets[p->n_sets] = *set;
        i = (int64_t)p->n_sets++;
        hash_index_add(&p->set_index, hash, (uint32_t)i);
    }
    return rx_intern(p, (RxNode){.kind = RX_KIND_BYTES, .a = (uint32_t)i});
}

Rx rx_byte_range(RxPool *p, int from, int to)
{
    ByteSet set = {0};
    byte_set_add(&set, from, to);
    return rx_bytes(p, &set);
}

static Rx literal_then(RxPool *p, Str text, Rx rest)
{
    for (size_t i = text.bytes; i > 0; i--) {
        uint8_t byte = (uint8_t)text.data[i - 1];
        rest = rx_concat(p, rx_byte_range(p, byte, byte), rest);
    }
    return rest;
}

Rx rx_literal(RxPool *p, Str text) { return literal_then(p, text, RX_EMPTY); }

static int compare_texts(const void *x, const void *y)
{
    const Str *a = x, *b = y;
    size_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
    int order = n ? memcmp(a->data, b->data, n) : 0;
    return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static size_t common_prefix(Str a, Str b)
{
    size_t n = a.bytes < b.bytes ? a.bytes : b.bytes, i = 0;
    while (i < n && a.data[i] == b.data[i])
        i++;
    return i;
}

/* The sorted texts from .. to-1 without their first `skip` bytes, which are equal. */
static Rx texts_tree(RxPool *p, const Str *texts, int from, int to, size_t skip)
{
    size_t from_scratch = p->n_scratch;
    for (int i = from; i < to;) {
        if (texts[i].bytes == skip) {
            rx_scratch_push(p, RX_EMPTY);
            i++;
            continue;
        }
        int end = i + 1;
        while (end < to && texts[end].data[skip] == texts[i].data[skip])
            end++;
        size_t common = common_prefix(texts[i], texts[end - 1]);
        Rx rest = end == i + 1 ? RX_EMPTY : texts_tree(p, texts, i, end, common);
        rx_scratch_push(p, literal_then(p, str_slice(texts[i], skip, common), rest));
        i = end;
    }
    return rx_make_list(p, RX_KIND_OR, from_scratch);
}

Rx rx_literals(RxPool *p, Str *texts, int n)
{
    if (n == 0)
        return RX_VOID;
    qsort(texts, (size_t)n, sizeof *texts, compare_texts);
    int kept = 1;
    for (int i = 1; i < n; i++)
        if (!str_equal(texts[i], texts[kept - 1]))
            texts[kept++] = texts[i];
    return texts_tree(p, texts, 0, kept, 0);
}

/* ---- Concatenation, repetition --------------------------------------------------------------- */

/* x{i,j} x{k,l} = x{i+k,j+l}, if one of them may be left out: a run of optional parts would have
 * derivatives of its own length. False when a and b are no such pair. */
static bool join_repeats(RxPool *p, Rx a, Rx b, Rx *joined)
{
    RxNode x = p->nodes[a], y = p->nodes[b];
    if (x.kind != RX_KIND_REPEAT)
        x = (RxNode){.a = a, .min = 1, .max = 1};
    if (y.kind != RX_KIND_REPEAT)
        y = (RxNode){.a = b, .min = 1, .max = 1};
    bool is_endless = x.max == RX_MANY || y.max == RX_MANY;
    if (x.a != y.a || (x.min && y.min) || x.min + y.min > RX_REPEAT_MAX ||
        (!is_endless && x.max + y.max > RX_REPEAT_MAX))
        return false;
    *joined = rx_repeat(p, x.a, x.min + y.min, is_endless ? RX_MANY : x.max + y.max);
    return true;
}

Rx rx_concat(RxPool *p, Rx a, Rx b)
{
    if (a == RX_VOID || b == RX_VOID)
        return RX_VOID;
    if (a == RX_EMPTY)
        return b;
    if (b == RX_EMPTY)
        return a;
    if (a == RX_ALL && b == RX_ALL)
        return a;
    Rx joined;
    if (p->nodes[b].kind == RX_KIND_CONCAT && join_repeats(p, a, p->nodes[b].a, &joined))
        return rx_concat(p, joined, p->nodes[b].b);
    if (join_repeats(p, a, b, &joined))
        return joined;
    /* (x y) b = x (y b) */
    size_t from = p->n_scratch;
    while (p->nodes[a].kind == RX_KIND_CONCAT) {
        rx_scratch_push(p, p->nodes[a].a);
        a = p->nodes[a].b;
    }
    Rx all = rx_intern(p, (RxNode){.kind = RX_KIND_CONCAT, .a = a, .b = b});
    while (p->n_scratch > from)
        all = rx_intern(
            p, (RxNode){.kind = RX_KIND_CONCAT, .a = p->scratch[--p->n_scratch], .b = all});
    return all;
}

Rx rx_repeat(RxPool *p, Rx a, int min, int max)
{
    if (max == 0 || a == RX_EMPTY)
        return RX_EMPTY;
    if (a == RX_VOID)
        return min == 0 ? RX_EMPTY : RX_VOID;
    if (a == RX_ALL || (min == 1 && max == 1))
        return a;
    RxNode n = p->nodes[a];
    if (n.flags & RX_NULLABLE)
        min = 0;
    if (n.kind == RX_KIND_REPEAT && n.min <= 1 && n.max == RX_MANY && min <= 1)
        return rx_repeat(p, n.a, n.min < min ? n.min : min, RX_MANY);
    if (n.kind == RX_KIND_REPEAT && n.min == 0 && n.max == 1 && min == 0)
        a = n.a; /* (x?){0,m} = x{0,m} */
    if (min == 0 && max == RX_MANY && p->nodes[a].kind == RX_KIND_BYTES) {
        const ByteSet *s = &p->sets[p->nodes[a].a];
        if (!~(s->bits[0] & s->bits[1] & s->bits[2] & s->bits[3]))
            return RX_ALL;
    }
    if (min == 1 && max == 1)
        return a;
    return rx_intern(p, (RxNode){.kind = RX_KIND_REPEAT, .a = a, .min = min, .max = max});
}

/* ---- Union, intersection, complement --------------------------------------------------------- */

void rx_scratch_push(RxPool *p, Rx a)
{
    p->scratch = mem_more(p->scratch, sizeof *p->scratch, p->n_scratch, &p->n_scratch_max);
    p->scratch[p->n_scratch++] = a;
}

static int compare_rx(const void *x, const void *y)
{
    Rx a = *(const Rx *)x, b = *(const Rx *)y;
    return (a > b) - (a < b);
}

static void flatten(RxPool *p, RxKind kind, size_t from)
{
    for (size_t i = from; i < p->n_scratch;) {
        RxNode n = p->nodes[p->scratch[i]];
        if (n.kind != kind) {
            i++;
            continue;
        }
        p->scratch[i] = p->lists[n.a]; /* lists hold no list of their own kind */
        for (uint32_t k = 1; k < n.b; k++)
            rx_scratch_push(p, p->lists[n.a + k]);
    }
}

/* All sets of bytes in the list become one. Returns RX_VOID if there was none. */
static Rx join_sets(RxPool *p, RxKind kind, size_t from)
{
    ByteSet joined = {0};
    bool has_any = false;
    size_t kept = from;
    for (size_t i = from; i < p->n_scratch; i++) {
        const RxNode *n = &p->nodes[p->scratch[i]];
        if (n->kind != RX_KIND_BYTES) {
            p->scratch[kept++] = p->scratch[i];
            continue;
        }
        for (int w = 0; w < 4; w++) {
            uint64_t bits = p->sets[n->a].bits[w];
            joined.bits[w] = !has_any             ? bits
                             : kind == RX_KIND_OR ? joined.bits[w] | bits
                                                  : joined.bits[w] & bits;
        }
        has_any = true;
    }
    p->n_scratch = kept;
    if (has_any)
        rx_scratch_push(p, rx_bytes(p, &joined));
    return has_any ? p->scratch[kept] : RX_ALL;
}

/* The list sorted, each item once, without what changes nothing. Returns whether one item decides
 * it all, which is then *verdict. */
static bool tidy_list(RxPool *p, RxKind kind, size_t from, Rx *verdict)
{
    Rx neutral = kind == RX_KIND_OR ? RX_VOID : RX_ALL;
    *verdict = kind == RX_KIND_OR ? RX_ALL : RX_VOID;
    if (join_sets(p, kind, from) == RX_VOID && kind == RX_KIND_AND)
        return true;
    qsort(p->scratch + from, p->n_scratch - from, sizeof(Rx), compare_rx);
    size_t kept = from;
    bool has_empty = false, has_nullable = false, all_nullable = true;
    for (size_t i = from; i < p->n_scratch; i++) {
        Rx a = p->scratch[i];
        if (a == *verdict)
            return true;
        bool is_nullable = p->nodes[a].flags & RX_NULLABLE;
        all_nullable &= is_nullable;
        has_empty |= a == RX_EMPTY;
        has_nullable |= is_nullable && a != RX_EMPTY;
        if (a != neutral && (kept == from || p->scratch[kept - 1] != a))
            p->scratch[kept++] = a;
    }
    p->n_scratch = kept;
    if (has_empty && kind == RX_KIND_AND) {
        *verdict = all_nullable ? RX_EMPTY : RX_VOID;
        return true;
    }
    if (has_empty && has_nullable) { /* RX_EMPTY sorts first */
        memmove(p->scratch + from, p->scratch + from + 1, sizeof(Rx) * (kept - from - 1));
        p->n_scratch--;
    }
    return false;
}

Rx rx_make_list(RxPool *p, RxKind kind, size_t from)
{
    Rx result;
    flatten(p, kind, from);
    bool is_decided = tidy_list(p, kind, from, &result);
    size_t n = p->n_scratch - from;
    if (!is_decided && n == 0)
        result = kind == RX_KIND_OR ? RX_VOID : RX_ALL;
    if (!is_decided && n == 1)
        result = p->scratch[from];
    if (!is_decided && n > 1) {
        uint32_t at = (uint32_t)p->n_lists;
        for (size_t i = 0; i < n; i++) {
            p->lists = mem_more(p->lists, sizeof *p->lists, p->n_lists, &p->n_lists_max);
            p->lists[p->n_lists++] = p->scratch[from + i];
        }
        size_t before = p->n;
        result = rx_intern(p, (RxNode){.kind = (uint8_t)kind, .a = at, .b = (uint32_t)n});
        if (p->n == before)
            p->n_lists = at; /* known already */
    }
    p->n_scratch = from;
    return result;
}

Rx rx_or_all(RxPool *p, const Rx *items, int n)
{
    size_t from = p->n_scratch;
    for (int i = 0; i < n; i++)
        rx_scratch_push(p, items[i]);
    return rx_make_list(p, RX_KIND_OR, from);
}

Rx rx_or(RxPool *p, Rx a, Rx b) { return rx_or_all(p, (Rx[]){a, b}, 2); }

Rx rx_and(RxPool *p, Rx a, Rx b)
{
    size_t from = p->n_scratch;
    rx_scratch_push(p, a);
    rx_scratch_push(p, b);
    return rx_make_list(p, RX_KIND_AND, from);
}

Rx rx_not(RxPool *p, Rx a)
{
    if (p->nodes[a].kind == RX_KIND_NOT)
        return p->nodes[a].a;
    return rx_intern(p, (RxNode){.kind = RX_KIND_NOT, .a = a});
}

/* ---- Numbers, tokens ------------------------------------------------------------------------- */

Rx rx_division(RxPool *p, const Division *d)
{
    uint64_t hash = hash_join(hash_join(d->unit, d->rest), (uint64_t)(d->scale * 4 + d->place));
    int64_t i;
    for (size_t step = 0; (i = hash_index_next(&p->division_index, hash, &step)) >= 0;)
        if (memcmp(&p->divisions[i], d, sizeof *d) == 0)
            break;
    if (i < 0) {
        p->divisions =
            mem_more(p->divisions, sizeof *p->divisions, p->n_divisions, &p->n_divisions_max);
        p->divisions[p->n_divisions] = *d;
        i = (int64_t)p->n_divisions++;
        hash_index_add(&p->division_index, hash, (uint32_t)i);
    }
    return rx_intern(p, (RxNode){.kind = RX_KIND_MULTIPLE, .a = (uint32_t)i});
}

Rx rx_multiple(RxPool *p, uint64_t unit, int scale)
{
    return rx_division(p, &(Division){.unit = unit, .scale = scale});
}

Rx rx_token(RxPool *p, int32_t id)
{
    return rx_intern(p, (RxNode){.kind = RX_KIND_TOKEN, .a = (uint32_t)id});
}

int32_t rx_token_id(const RxPool *p, Rx a)
{
    return p->nodes[a].kind == RX_KIND_TOKEN ? (int32_t)p->nodes[a].a : -1;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

bool rx_is_nullable(const RxPool *p, Rx a) { return p->nodes[a].flags & RX_NULLABLE; }
bool rx_is_finite(const RxPool *p, Rx a) { return p->nodes[a].flags & RX_IS_FINITE; }
bool rx_is_infinite(const RxPool *p, Rx a) { return p->nodes[a].flags & RX_IS_INFINITE; }

int rx_and_parts(const RxPool *p, Rx a, const Rx **parts)
{
    const RxNode *n = &p->nodes[a];
    *parts = p->lists + n->a;
    return n->kind == RX_KIND_AND ? (int)n->b : 0;
}

bool rx_concat_parts(const RxPool *p, Rx a, Rx *first, Rx *rest)
{
    const RxNode *n = &p->nodes[a];
    *first = n->a;
    *rest = n->b;
    return n->kind == RX_KIND_CONCAT;
}

Rx rx_not_part(const RxPool *p, Rx a)
{
    return p->nodes[a].kind == RX_KIND_NOT ? p->nodes[a].a : RX_VOID;
}
