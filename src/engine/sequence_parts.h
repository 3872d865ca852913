/* What sequence.c and sequence_drafts.c share. */
#ifndef WEN_ENGINE_SEQUENCE_PARTS_H
#define WEN_ENGINE_SEQUENCE_PARTS_H

#include "engine/sequence.h"

/* The grammar holds for the next token: thoughts are free. */
bool sequence_is_ruled(const Sequence *s);
/* Whether this id ends the answer. */
bool sequence_is_end(const Sequence *s, int32_t id);
/* How the token at `position` is to be drawn where `matcher` (NULL: no grammar) stands. */
SampleRow sequence_sample_row_at(Sequence *s, Matcher *matcher, int position);

#endif
