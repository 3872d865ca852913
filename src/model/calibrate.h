/* What a text says about a model's weights: it is run through the model, and the squares of all
 * matrices' inputs are added up (formats/importance.h). */
#ifndef WEN_MODEL_CALIBRATE_H
#define WEN_MODEL_CALIBRATE_H

#include "formats/importance.h"
#include "model/model.h"

enum { CALIBRATE_TOKENS = 512 }; /* of a sequence; each one starts anew */

/* ids below n_vocab, cut into sequences. `progress` (NULL: silent) hears of every one; false stops:
 * ERROR_CANCELLED. */
bool calibrate(const Model *model, const int32_t *ids, int n_ids, Importance *importance,
               bool (*progress)(void *context, int done, int total), void *context,
               Error *err) MUST_USE;

#endif
