/* Where a step's time goes, operation by operation.
 *
 * Switched on, the backend's table points to functions that time what they pass on; off, nothing
 * stands between caller and operation. Operations run to their end before they return on the CPU;
 * a device that queues them would have to wait after each, so that a profile is not a speed. */
#ifndef WEN_BACKEND_PROFILE_H
#define WEN_BACKEND_PROFILE_H

#include "backend/backend.h"

typedef struct ProfileLine {
    const char *operation; /* its name in the table */
    int k, n;              /* products: inputs and outputs; others: columns, 0 */
    uint64_t n_calls;
    double seconds;
    double bytes; /* of weights read; products only, experts' not counted */
} ProfileLine;

/* On, from zero. Off again with the backend's close. */
void profile_start(Backend *b);
bool profile_is_on(const Backend *b);
/* Forgets what was measured. */
void profile_clear(Backend *b);
/* A step took so long, the operations included. */
void profile_add_step(Backend *b, double seconds);
/* The lines, longest first; borrowed until the next operation. NULL lines: it is off. */
const ProfileLine *profile_lines(Backend *b, int *n, uint64_t *n_steps, double *step_seconds);

#endif
