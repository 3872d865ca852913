/* Memory.
 *
 * Two kinds of request. Small and bounded ones (`mem_alloc`) never fail to their caller: a machine
 * without a few bytes left cannot go on, so they abort. Anything whose size comes from a file, a
 * request or an option goes through `mem_try_alloc` (or an Arena made for it) and reports.
 *
 * Three lifetimes, one Arena each, and the variable says which: `model` (open to close), `request`
 * (ask to done), `step` (one engine or training step, reset at its end).
 *
 * All blocks are 64-byte aligned and zeroed. The counter lets tests prove that a step allocates
 * nothing; the failure switch lets them walk every failing path. */
#ifndef WEN_BASE_MEM_H
#define WEN_BASE_MEM_H

#include "base/error.h"

#include <stdint.h>

#define MEM_ALIGN 64

void *mem_alloc(size_t bytes);
/* NULL and ERROR_MEMORY, naming `what`, when there is not enough. */
void *mem_try_alloc(size_t bytes, const char *what, Error *err) MUST_USE;
/* Grows or makes a block, keeping the first old_bytes; the rest is zeroed. The old block is freed
 * only on success. */
void *mem_try_grow(void *block, size_t old_bytes, size_t new_bytes, const char *what,
                   Error *err) MUST_USE;
void mem_free(void *block);
/* Room for one more of n items in a growing array: returns it, moved and doubled when it was full.
 * For arrays that are bounded. */
void *mem_more(void *items, size_t item_bytes, size_t n, size_t *capacity);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t bytes);

/* Big blocks straight from the system, on huge pages where it has them, zeroed. */
void *mem_map(size_t bytes, const char *what, Error *err) MUST_USE;
void mem_unmap(void *block, size_t bytes);

/* a * b, or false when it overflows or exceeds `limit`. */
bool mem_product(size_t a, size_t b, size_t limit, size_t *product) MUST_USE;

/* Allocations made so far by this process through this file (arena blocks count, arena slices do
 * not). */
uint64_t mem_count(void);
/* Test switch: the n-th fallible allocation from now fails (1: the next); 0 switches it off. */
void mem_fail_after(uint64_t n);

/* Bytes of physical memory in the machine, and those that can still be had without swapping. */
size_t mem_total_bytes(void);
size_t mem_available_bytes(void);

typedef struct ArenaBlock ArenaBlock;
typedef struct Arena {
    ArenaBlock *first, *current;
    size_t block_bytes; /* the usual size of a block; 0 means 64 KiB */
} Arena;

typedef struct ArenaMark {
    ArenaBlock *block;
    size_t used;
} ArenaMark;

/* A zeroed Arena is ready for use. Slices live until reset, rewind or close. */
void *arena_alloc(Arena *arena, size_t bytes);
void *arena_try_alloc(Arena *arena, size_t bytes, const char *what, Error *err) MUST_USE;
char *arena_strndup(Arena *arena, const char *text, size_t bytes);
ArenaMark arena_mark(const Arena *arena);
void arena_rewind(Arena *arena, ArenaMark mark);
/* Forgets all slices but keeps the blocks, so that the next round allocates nothing. */
void arena_reset(Arena *arena);
void arena_close(Arena *arena);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(n)))

#endif
