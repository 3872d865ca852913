/* See units.h. */
#include "data/units.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"

#include <utf8proc.h>

/* Any odd number with well-mixed bits. */
#define BASE 0x9e3779b97f4a7c15u

void units_free(Units *units)
{
    mem_free(units->items);
    mem_free(units->prefix);
    *units = (Units){0};
}

typedef enum Kind { KIND_BREAK, KIND_WORD, KIND_SINGLE } Kind;

/* Scripts that do not put blanks between words. */
static bool is_unspaced(uint32_t cp)
{
    return (cp >= 0x2E80 && cp <= 0x31FF) || (cp >= 0x3400 && cp <= 0x9FFF) ||
           (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x20000 && cp <= 0x3FFFF) ||
           (cp >= 0x0E00 && cp <= 0x0EFF) || (cp >= 0x1000 && cp <= 0x109F) ||
           (cp >= 0x1780 && cp <= 0x17FF);
}

static Kind kind_of(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return is_unspaced(cp) ? KIND_SINGLE : KIND_WORD;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
        return KIND_WORD;
    default:
        return KIND_BREAK;
    }
}

static bool push(Units *units, Unit unit, Error *err)
{
    if (units->n == units->n_max) {
        const size_t more = units->n_max ? 2 * units->n_max : 1024;
        Unit *items = mem_try_grow(units->items, units->n * sizeof *items, more * sizeof *items,
                                   "words", err);
        if (!items)
            return false;
        units->items = items;
        uint64_t *prefix =
            mem_try_grow(units->prefix, (units->n_max ? units->n + 1 : 0) * sizeof *prefix,
                         (more + 1) * sizeof *prefix, "words", err);
        if (!prefix)
            return false;
        units->prefix = prefix;
        units->n_max = more;
    }
    units->items[units->n] = unit;
    units->prefix[units->n + 1] = units->prefix[units->n] * BASE + unit.hash;
    units->n++;
    return true;
}

bool units_split(Units *units, Str text, Error *err)
{
    uint64_t hash = 0;
    size_t from = 0;
    bool is_open = false;
    units->n = 0;
    for (size_t i = 0; i <= text.bytes;) {
        uint32_t cp = 0;
        size_t bytes = i < text.bytes ? utf8_decode(str_slice(text, i, text.bytes), &cp) : 0;
        const Kind kind = bytes ? kind_of(cp) : KIND_BREAK;
        if (is_open && kind != KIND_WORD) {
            if (!push(units, (Unit){hash, from, i}, err))
                return false;
            is_open = false;
        }
        if (kind != KIND_BREAK) {
            if (!is_open) {
                from = i;
                hash = 0;
            }
            is_open = true;
            hash = rng_mix(hash + (uint64_t)utf8proc_tolower((utf8proc_int32_t)cp) + BASE);
        }
        i += bytes ? bytes : 1;
        if (kind == KIND_SINGLE) {
            if (!push(units, (Unit){hash, from, i}, err))
                return false;
            is_open = false;
        }
    }
    return true;
}

uint64_t units_gram(const Units *units, size_t i, size_t n)
{
    uint64_t power = 1;
    for (size_t k = 0; k < n; k++)
        power *= BASE;
    return rng_mix(units->prefix[i + n] - units->prefix[i] * power);
}
