/* Where a token stands, and how that enters attention: rotations and what stretches them beyond the
 * trained context. docs/model.md has the formulas.
 *
 * Whatever depends on the length of a sequence depends on its prompt's and on a token's own
 * position, which are known when it begins: never on how it is cut into steps. */
#ifndef WEN_MODEL_POSITIONS_H
#define WEN_MODEL_POSITIONS_H

#include "backend/backend.h"
#include "model/config.h"

/* The rotations of a model. */
typedef struct Positions {
    Rotation keys, queries; /* queries: for the keys of their own chunk */
    Rotation before, far;   /* with dual chunk attention: for those of the chunk before, and of all
                               earlier ones */
    bool are_alike;         /* queries turn as keys do */
    bool has_chunks;
} Positions;

/* The rotation frequencies, radians per position, and the factor for cos and sin.
 *   inv_freq [head_dim / 2] */
void config_rope(const Config *c, double *inv_freq, float *attention_factor);

/* inv_freq [head_dim / 2] is filled, and stays the caller's. */
void positions_init(Positions *p, const Config *c, double *inv_freq);

/* What the spans of a sequence with a prompt of n_prompt tokens tell rotations. */
void positions_place(const Config *c, int n_prompt, SeqSpan *span);

/* What, beside tokens before and positions, keys and values of such a sequence depend on: equal
 * salts may share pages. 0 where it is nothing. */
uint64_t positions_salt(const Config *c, int n_prompt);

/* Whether attention among the first n positions is the plain one, all that can be trained; an error
 * that says what is not. */
bool positions_are_plain(const Config *c, int n, Error *err) MUST_USE;

#endif
