/* See mem.h. */
#include "base/mem.h"

#include "base/bug.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEN_ASAN 1
#endif
#endif
#ifdef WEN_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ARENA_BLOCK_BYTES = 64 * 1024, HUGE_PAGE_BYTES = 2 * 1024 * 1024 };

static atomic_uint_fast64_t alloc_count;
static atomic_uint_fast64_t fail_countdown;

static bool failure_is_due(void)
{
    uint_fast64_t left = atomic_load(&fail_countdown);
    while (left > 0)
        if (atomic_compare_exchange_weak(&fail_countdown, &left, left - 1))
            return left == 1;
    return false;
}

static void *alloc_zeroed(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    void *block = aligned_alloc(MEM_ALIGN, rounded ? rounded : MEM_ALIGN);
    if (block) {
        memset(block, 0, rounded);
        atomic_fetch_add(&alloc_count, 1);
    }
    return block;
}

void *mem_alloc(size_t bytes)
{
    void *block = alloc_zeroed(bytes);
    if (!block)
        bug_abort(__FILE__, __LINE__, "out of memory for a small block");
    return block;
}

void *mem_try_alloc(size_t bytes, const char *what, Error *err)
{
    void *block = failure_is_due() ? NULL : alloc_zeroed(bytes);
    if (!block)
        error_set(err, ERROR_MEMORY, "no memory for %s (%zu bytes)", what, bytes);
    return block;
}

void *mem_try_grow(void *block, size_t old_bytes, size_t new_bytes, const char *what, Error *err)
{
    void *grown = mem_try_alloc(new_bytes, what, err);
    if (!grown)
        return NULL;
    if (block)
        memcpy(grown, block, old_bytes < new_bytes ? old_bytes : new_bytes);
    mem_free(block);
    return grown;
}

void mem_free(void *block) { free(block); }

void *mem_more(void *items, size_t item_bytes, size_t n, size_t *capacity)
{
    if (n < *capacity)
        return items;
    size_t grown = *capacity ? 2 * *capacity : 16;
    void *more = mem_alloc(item_bytes * grown);
    if (n)
        memcpy(more, items, item_bytes * n);
    mem_free(items);
    *capacity = grown;
    return more;
}

char *mem_strndup(const char *text, size_t bytes)
{
    char *copy = mem_alloc(bytes + 1);
    memcpy(copy, text, bytes);
    return copy;
}

char *mem_strdup(const char *text) { return mem_strndup(text, strlen(text)); }

void *mem_map(size_t bytes, const char *what, Error *err)
{
    void *block = MAP_FAILED;
    if (!failure_is_due() && bytes > 0)
        block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        error_set(err, ERROR_MEMORY, "no memory for %s (%zu bytes)", what, bytes);
        return NULL;
    }
    /* 4 KiB pages cost 16 % of the read bandwidth on the reference machine (docs/speed.md). */
    if (bytes >= HUGE_PAGE_BYTES)
        (void)madvise(block, bytes, MADV_HUGEPAGE);
    atomic_fetch_add(&alloc_count, 1);
    return block;
}

void mem_unmap(void *block, size_t bytes)
{
    if (block)
        munmap(block, bytes);
}

bool mem_product(size_t a, size_t b, size_t limit, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product) && *product <= limit;
}

uint64_t mem_count(void) { return atomic_load(&alloc_count); }

void mem_fail_after(uint64_t n) { atomic_store(&fail_countdown, n); }

size_t mem_total_bytes(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t mem_available_bytes(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    size_t kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %zu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib ? kib * 1024 : mem_total_bytes();
}

struct ArenaBlock {
    ArenaBlock *next;
    size_t bytes, used;
    _Alignas(MEM_ALIGN) unsigned char data[];
};

static ArenaBlock *arena_block_for(Arena *arena, size_t bytes, const char *what, Error *err)
{
    /* Blocks behind the current one are empty leftovers of an earlier round. */
    for (ArenaBlock *b = arena->current ? arena->current->next : arena->first; b; b = b->next) {
        if (b->bytes >= bytes) {
            arena->current = b;
            return b;
        }
    }
    size_t usual = arena->block_bytes ? arena->block_bytes : ARENA_BLOCK_BYTES;
    size_t size = bytes > usual ? bytes : usual;
    ArenaBlock *b = what ? mem_try_alloc(sizeof *b + size, what, err) : mem_alloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->bytes = size;
    POISON(b->data, size);
    if (arena->current) {
        b->next = arena->current->next;
        arena->current->next = b;
    } else {
        b->next = arena->first;
        arena->first = b;
    }
    arena->current = b;
    return b;
}

static void *arena_take(Arena *arena, size_t bytes, const char *what, Error *err)
{
    if (bytes > SIZE_MAX / 4) {
        error_set(err, ERROR_MEMORY, "no memory for %s (%zu bytes)", what ? what : "arena", bytes);
        return NULL;
    }
    size_t rounded = (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    ArenaBlock *b = arena->current;
    if (!b || b->bytes - b->used < rounded)
        b = arena_block_for(arena, rounded, what, err);
    if (!b)
        return NULL;
    void *slice = b->data + b->used;
    b->used += rounded;
    UNPOISON(slice, bytes);
    memset(slice, 0, bytes);
    return slice;
}

void *arena_alloc(Arena *arena, size_t bytes) { return arena_take(arena, bytes, NULL, NULL); }

void *arena_try_alloc(Arena *arena, size_t bytes, const char *what, Error *err)
{
    return arena_take(arena, bytes, what, err);
}

char *arena_strndup(Arena *arena, const char *text, size_t bytes)
{
    char *copy = arena_alloc(arena, bytes + 1);
    memcpy(copy, text, bytes);
    return copy;
}

ArenaMark arena_mark(const Arena *arena)
{
    return (ArenaMark){arena->current, arena->current ? arena->current->used : 0};
}

void arena_rewind(Arena *arena, ArenaMark mark)
{
    for (ArenaBlock *b = mark.block ? mark.block->next : arena->first; b; b = b->next) {
        b->used = 0;
        POISON(b->data, b->bytes);
    }
    arena->current = mark.block;
    if (mark.block) {
        mark.block->used = mark.used;
        POISON(mark.block->data + mark.used, mark.block->bytes - mark.used);
    }
}

void arena_reset(Arena *arena) { arena_rewind(arena, (ArenaMark){0}); }

void arena_close(Arena *arena)
{
    for (ArenaBlock *b = arena->first, *next; b; b = next) {
        next = b->next;
        UNPOISON(b->data, b->bytes);
        mem_free(b);
    }
    *arena = (Arena){0};
}
