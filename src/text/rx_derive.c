/* See rx.h: classes of bytes, derivatives, and whether a set is void. */
#include "base/bug.h"
#include "base/mem.h"
#include "text/rx_pool.h"

#include <string.h>

enum {
    CLASSES_MAX = UINT16_MAX - 1,
    /* Some intersections have more states than anybody can look at. Past these, what is not known
     * to be void counts as alive. */
    SEARCH_WORK_MAX = 1 << 16,
    SEARCHES_WORK_MAX = 1 << 22,
    LATE_SEARCH_WORK_MAX = 1 << 8,
};

/* ---- Classes --------------------------------------------------------------------------------- */

/* Numbers the classes in order of their first byte, so that equal partitions look equal. */
static int classes_intern(RxPool *p, const uint16_t label[256])
{
    ByteClasses c = {0};
    for (int b = 0; b < 256; b++) {
        int known = 0;
        while (known < c.n && label[c.sample[known]] != label[b])
            known++;
        if (known == c.n)
            c.sample[c.n++] = (uint8_t)b;
        c.class_of[b] = (uint8_t)known;
    }
    uint64_t hash = str_hash((Str){(const char *)c.class_of, sizeof c.class_of});
    int64_t i;
    for (size_t step = 0; (i = hash_index_next(&p->class_index, hash, &step)) >= 0;)
        if (memcmp(p->classes[i]->class_of, c.class_of, sizeof c.class_of) == 0)
            return (int)i;
    hash_index_add(&p->class_index, hash, (uint32_t)p->n_classes);
    ASSERT(p->n_classes < CLASSES_MAX);
    p->classes = mem_more(p->classes, sizeof *p->classes, p->n_classes, &p->n_classes_max);
    p->classes[p->n_classes] = mem_alloc(sizeof c);
    *p->classes[p->n_classes] = c;
    return (int)p->n_classes++;
}

int rx_classes_join(RxPool *p, int a, int b)
{
    if (a == b)
        return a;
    uint64_t key = a < b ? (uint64_t)a << 32 | (uint32_t)b : (uint64_t)b << 32 | (uint32_t)a;
    uint32_t joined;
    if (pair_map_find(&p->joins, key, &joined))
        return (int)joined;
    uint16_t label[256];
    for (int i = 0; i < 256; i++)
        label[i] = (uint16_t)(p->classes[a]->class_of[i] << 8 | p->classes[b]->class_of[i]);
    joined = (uint32_t)classes_intern(p, label);
    pair_map_put(&p->joins, key, joined);
    return (int)joined;
}

static int classes_make(RxPool *p, Rx a)
{
    RxNode n = p->nodes[a];
    uint16_t label[256] = {0};
    switch ((RxKind)n.kind) {
    case RX_KIND_BYTES:
        for (int b = 0; b < 256; b++)
            label[b] = byte_set_has(&p->sets[n.a], b);
        return classes_intern(p, label);
    case RX_KIND_CONCAT: {
        int classes = rx_classes(p, n.a);
        return rx_is_nullable(p, n.a) ? rx_classes_join(p, classes, rx_classes(p, n.b)) : classes;
    }
    case RX_KIND_OR:
    case RX_KIND_AND: {
        int classes = rx_classes(p, p->lists[n.a]);
        for (uint32_t i = 1; i < n.b; i++)
            classes = rx_classes_join(p, classes, rx_classes(p, p->lists[n.a + i]));
        return classes;
    }
    case RX_KIND_NOT:
    case RX_KIND_REPEAT:
        return rx_classes(p, n.a);
    case RX_KIND_MULTIPLE:
        for (int b = 0; b < 10; b++)
            label['0' + b] = (uint16_t)(b + 1);
        label['.'] = 11;
        return classes_intern(p, label);
    default:
        return classes_intern(p, label);
    }
}

int rx_classes(RxPool *p, Rx a)
{
    if (p->nodes[a].classes == 0) {
        int classes = classes_make(p, a);
        p->nodes[a].classes = (uint16_t)(classes + 1);
    }
    return p->nodes[a].classes - 1;
}

const ByteClasses *rx_classes_get(const RxPool *p, int classes) { return p->classes[classes]; }

/* ---- Derivatives ----------------------------------------------------------------------------- */

static Rx divide_on(RxPool *p, Rx a, uint8_t byte)
{
    Division d = p->divisions[p->nodes[a].a];
    if (byte == '.') {
        if (d.place != 1)
            return RX_VOID;
        d.place = 2;
        return rx_division(p, &d);
    }
    if (byte < '0' || byte > '9')
        return RX_VOID;
    if (d.place < 2) {
        d.rest = (d.rest * 10 + byte - '0') % d.unit;
        d.place = 1;
        return rx_division(p, &d);
    }
    d.place = 3;
    if (d.scale == 0)
        return byte == '0' ? rx_division(p, &d) : RX_VOID;
    d.rest = (d.rest * 10 + byte - '0') % d.unit;
    d.scale--;
    return rx_division(p, &d);
}

static Rx derive(RxPool *p, Rx a, uint8_t byte);

static Rx derive_known(RxPool *p, Rx a, uint8_t byte)
{
    RxNode n = p->nodes[a];
    switch ((RxKind)n.kind) {
    case RX_KIND_BYTES:
        return byte_set_has(&p->sets[n.a], byte) ? RX_EMPTY : RX_VOID;
    case RX_KIND_CONCAT: {
        Rx first = rx_concat(p, derive(p, n.a, byte), n.b);
        return rx_is_nullable(p, n.a) ? rx_or(p, first, derive(p, n.b, byte)) : first;
    }
    case RX_KIND_OR:
    case RX_KIND_AND: {
        size_t from = p->n_scratch;
        p->work += n.b;
        for (uint32_t i = 0; i < n.b; i++) {
            Rx item = derive(p, p->lists[n.a + i], byte);
            rx_scratch_push(p, item);
        }
        return rx_make_list(p, (RxKind)n.kind, from);
    }
    case RX_KIND_NOT:
        return rx_not(p, derive(p, n.a, byte));
    case RX_KIND_REPEAT: {
        Rx rest =
            rx_repeat(p, n.a, n.min > 0 ? n.min - 1 : 0, n.max == RX_MANY ? RX_MANY : n.max - 1);
        return rx_concat(p, derive(p, n.a, byte), rest);
    }
    case RX_KIND_MULTIPLE:
        return divide_on(p, a, byte);
    default:
        return RX_VOID;
    }
}

static Rx derive(RxPool *p, Rx a, uint8_t byte)
{
    RxKind kind = (RxKind)p->nodes[a].kind;
    if (kind == RX_KIND_VOID || kind == RX_KIND_EMPTY || kind == RX_KIND_TOKEN)
        return RX_VOID;
    if (kind == RX_KIND_BYTES)
        return derive_known(p, a, byte);
    int classes = rx_classes(p, a); /* first: it may move p->classes */
    uint64_t key = (uint64_t)a << 8 | p->classes[classes]->class_of[byte];
    uint32_t known;
    if (pair_map_find(&p->derived, key, &known))
        return known;
    p->work++;
    Rx d = derive_known(p, a, byte);
    pair_map_put(&p->derived, key, d);
    return d;
}

Rx rx_derive(RxPool *p, Rx a, uint8_t byte)
{
    Rx d = derive(p, a, byte);
    return rx_is_void(p, d) ? RX_VOID : d;
}

bool rx_matches(RxPool *p, Rx a, Str text)
{
    for (size_t i = 0; i < text.bytes && a != RX_VOID; i++)
        a = derive(p, a, (uint8_t)text.data[i]);
    return rx_is_nullable(p, a);
}

/* ---- Void or not ----------------------------------------------------------------------------- */

typedef struct Found {
    Rx a;
    uint32_t from; /* index of the one it was reached from */
} Found;

static void know_alive(RxPool *p, const Found *found, uint32_t i)
{
    for (;; i = found[i].from) {
        p->nodes[found[i].a].flags |= RX_KNOWN_ALIVE;
        if (i == 0)
            return;
    }
}

/* Breadth first through the derivatives until one takes the empty string. All on the way there are
 * alive; when there is none, all that was reached is void. */
static bool search_alive(RxPool *p, Rx start)
{
    Found *found = NULL;
    size_t n = 0, n_max = 0;
    PairMap seen = {0};
    bool is_alive = false, is_given_up = false;
    uint64_t begun = p->work;
    uint64_t limit = p->search_work < SEARCHES_WORK_MAX ? SEARCH_WORK_MAX : LATE_SEARCH_WORK_MAX;
    found = mem_more(found, sizeof *found, n, &n_max);
    found[n++] = (Found){start, 0};
    pair_map_put(&seen, start, 0);
    for (size_t i = 0; i < n && !is_alive && !is_given_up; i++) {
        is_given_up = p->work - begun > limit;
        int classes = rx_classes(p, found[i].a);
        const ByteClasses *c = p->classes[classes];
        for (int k = 0; k < c->n && !is_alive; k++) {
            Rx d = derive(p, found[i].a, c->sample[k]);
            uint32_t known;
            if ((p->nodes[d].flags & RX_KNOWN_VOID) || pair_map_find(&seen, d, &known))
                continue;
            pair_map_put(&seen, d, 0);
            found = mem_more(found, sizeof *found, n, &n_max);
            found[n++] = (Found){d, (uint32_t)i};
            unsigned flags = p->nodes[d].flags;
            is_alive = (flags & (RX_NULLABLE | RX_KNOWN_ALIVE)) || !(flags & RX_MAY_BE_VOID);
            if (is_alive)
                know_alive(p, found, (uint32_t)n - 1);
        }
    }
    for (size_t i = 0; i < n && !is_alive && !is_given_up; i++)
        p->nodes[found[i].a].flags |= RX_KNOWN_VOID;
    p->search_work += p->work - begun;
    p->n_given_up += is_given_up && !is_alive;
    mem_free(found);
    pair_map_close(&seen);
    return is_alive || is_given_up;
}

bool rx_is_void(RxPool *p, Rx a)
{
    unsigned flags = p->nodes[a].flags;
    if (flags & (RX_NULLABLE | RX_KNOWN_ALIVE))
        return false;
    if (flags & RX_KNOWN_VOID)
        return true;
    if (!(flags & RX_MAY_BE_VOID))
        return false;
    return !search_alive(p, a);
}
