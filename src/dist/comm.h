/* Collectives between the ranks of a group: one table of operations, a transport behind it.
 *
 * A rank is one backend with its share of the work; a Comm is its end of the group. Backends offer
 * these operations as their own (backend.h, "Collectives"), so nothing above them knows which
 * transport serves: ranks may be threads of one process, processes, or devices.
 *
 * Rules that hold for every operation:
 *  - All ranks of the group call the same operations in the same order, each from one thread, with
 *    sizes that fit each other; `send` and `recv` concern two ranks only.
 *  - A sum over ranks has one order, a binary tree over their numbers: (0 + 1) + (2 + 3), ... So
 * its bits depend neither on who comes first nor on the transport.
 *  - `cuts` [n_ranks + 1] divide an array: rank r has places cuts[r] .. cuts[r+1]-1; any part may
 * be empty. They are host memory; data is memory of the backend.
 *  - Operations return nothing. When a rank fails (`fail`), the group is over: whoever waits is
 *    woken, this and every later operation ends at once without touching data, but for those that
 *    receive (all_to_all, recv), which leave zeros. `is_ok` tells, and is to be asked before
 * anything that came from other ranks is kept. So no rank waits for one that is gone. */
#ifndef WEN_DIST_COMM_H
#define WEN_DIST_COMM_H

#include "base/error.h"

#include <stdint.h>

typedef struct Comm Comm;
struct Comm {
    const char *transport; /* "none", "threads" */
    int rank, n_ranks;

    /* This rank takes no more part. */
    void (*close)(Comm *c);

    /* x[i] becomes the sum of all ranks' x[i], on each of them. */
    void (*all_reduce)(Comm *c, float *x, size_t n);
    void (*all_reduce_counts)(Comm *c, int64_t *x, size_t n);
    /* to[i] = the sum of all ranks' from[cuts[rank] + i], for the places of this rank. `from` is
     * used up; `to` may be from + cuts[rank]. */
    void (*reduce_scatter)(Comm *c, float *from, const size_t cuts[], float *to);
    /* all = every rank's part one after another; `mine` may be its own place in `all`. Cuts in
     * bytes. */
    void (*all_gather)(Comm *c, const void *mine, const size_t cuts[], void *all);
    /* Sends part r of `from` to each rank r, and receives its part for this rank as part r of `to`.
     * Cuts in bytes; from_cuts of one rank and to_cuts of another agree. */
    void (*all_to_all)(Comm *c, const void *from, const size_t from_cuts[], void *to,
                       const size_t to_cuts[]);
    /* root's data, on every rank. */
    void (*broadcast)(Comm *c, int root, void *data, size_t bytes);
    /* Nobody goes on before all have come. */
    void (*barrier)(Comm *c);
    /* From one rank to another; both wait for each other. */
    void (*send)(Comm *c, int to, const void *data, size_t bytes);
    void (*recv)(Comm *c, int from, void *data, size_t bytes);

    /* Ends the group. The first failure is the one that all ranks are told. */
    void (*fail)(Comm *c, const Error *why);
    /* False when a rank has failed, with its error. */
    bool (*is_ok)(Comm *c, Error *err);
};

/* The group of one, shared by all who are alone: sums are what they are, parts are copied to their
 * places, nothing waits. Closing it does nothing. */
Comm *comm_none(void);

/* Threads of this process: makes the ends [n_ranks] of a group; each is to be used by one thread,
 * and closed by it. The last one that is closed frees the group. */
bool comm_threads(int n_ranks, Comm *ends[], Error *err) MUST_USE;

enum { COMM_RANKS_MAX = 256 };

#endif
