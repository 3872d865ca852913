/* The model of a run that goes on from another one's: config.json with a few keys changed, as a
 * stage on longer texts wants it (Qwen3 report, section 3.2: RoPE's base from 10,000 to 1,000,000).
 */
#ifndef WEN_TRAIN_CONTINUED_H
#define WEN_TRAIN_CONTINUED_H

#include "base/error.h"

#include <jansson.h>

/* config.json's keys of the new model: `base`, the checkpoint's, with those of `changes`. Weights
 * stay what they are, so only rope_theta, rope_scaling, rope_parameters and max_position_embeddings
 * may differ; other keys may be repeated. `changes` NULL: none. A new reference, or NULL. */
json_t *continued_config(const json_t *base, const json_t *changes, Error *err) MUST_USE;

#endif
