/* See slab.h. */
#include "cpu/slab.h"

#include "base/bug.h"
#include "base/mem.h"

enum { HUGE_PAGE_BYTES = 2 * 1024 * 1024, SLAB_BYTES = 64 * 1024 * 1024 };

struct Slab {
    Slab *next;
    void *mapping;
    size_t mapping_bytes;
    char *memory; /* in the mapping, from its first huge page boundary */
    size_t bytes, used;
    int n_blocks;
};

static Slab *slab_new(size_t bytes, const char *what, Error *err)
{
    if (bytes > SIZE_MAX / 2) {
        error_set(err, ERROR_MEMORY, "no memory for %s (%zu bytes)", what, bytes);
        return NULL;
    }
    if (bytes < SLAB_BYTES)
        bytes = SLAB_BYTES;
    size_t mapping_bytes = bytes + HUGE_PAGE_BYTES;
    void *mapping = mem_map(mapping_bytes, what, err);
    if (!mapping)
        return NULL;
    Slab *slab = mem_alloc(sizeof *slab);
    size_t past = (uintptr_t)mapping % HUGE_PAGE_BYTES;
    *slab = (Slab){.mapping = mapping,
                   .mapping_bytes = mapping_bytes,
                   .memory = (char *)mapping + (past ? HUGE_PAGE_BYTES - past : 0),
                   .bytes = bytes};
    return slab;
}

void *slab_take(Slab **slabs, size_t bytes, const char *what, Slab **home, Error *err)
{
    Slab *slab = *slabs;
    if (!slab || slab->bytes - slab->used < bytes) {
        slab = slab_new(bytes, what, err);
        if (!slab)
            return NULL;
        /* A block with a slab of its own leaves the one being filled in front. */
        Slab **at = *slabs && slab->bytes == bytes ? &(*slabs)->next : slabs;
        slab->next = *at;
        *at = slab;
    }
    void *block = slab->memory + slab->used;
    size_t rounded = (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    slab->used = rounded < slab->bytes - slab->used ? slab->used + rounded : slab->bytes;
    slab->n_blocks++;
    *home = slab;
    return block;
}

void slab_give(Slab **slabs, Slab *home)
{
    ASSERT(home->n_blocks > 0);
    if (--home->n_blocks > 0)
        return;
    Slab **at = slabs;
    while (*at != home)
        at = &(*at)->next;
    *at = home->next;
    mem_unmap(home->mapping, home->mapping_bytes);
    mem_free(home);
}
