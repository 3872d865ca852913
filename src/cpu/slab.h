/* Many weights in few big mappings: weights of a few hundred KiB would each miss the huge pages
 * that reading them at full speed takes. A slab is given back to the system when the last weight in
 * it is freed. */
#ifndef WEN_CPU_SLAB_H
#define WEN_CPU_SLAB_H

#include "base/error.h"

typedef struct Slab Slab; /* a list: the first is the one being filled; NULL is empty */

/* 64-byte aligned, zeroed. The slab that holds it goes to *home. */
void *slab_take(Slab **slabs, size_t bytes, const char *what, Slab **home, Error *err) MUST_USE;
/* One block less in `home`. */
void slab_give(Slab **slabs, Slab *home);

#endif
