/* Event files for TensorBoard: FOLDER/events.out.tfevents.TIME.HOST.N.
 *
 * A file is a row of TFRecords (length, masked CRC-32C of the length, data, masked CRC-32C of the
 * data; little endian), each an Event message of tensorflow/core/util/event.proto. Scalars are
 * Summary.Value.simple_value, texts a string tensor with the plugin name "text".
 *
 * A resumed run begins a new file. What the old ones say of steps that it repeats is cut off them,
 * and the new file opens with SessionLog.START, by which a TensorBoard that is watching forgets
 * those steps too. */
#ifndef WEN_TRAIN_EVENTS_H
#define WEN_TRAIN_EVENTS_H

#include "base/str.h"

typedef struct Events Events;

/* For a run that has done `steps_done` steps; 0: old event files of the folder are removed. */
Events *events_open(const char *folder, int64_t steps_done, Error *err) MUST_USE;
void events_close(Events *e); /* NULL is fine */

/* Tags with the same words before the first "/" stand together. */
void events_scalar(Events *e, int64_t step, const char *tag, double value);
void events_text(Events *e, int64_t step, const char *tag, Str markdown);
/* Hands what was added to the system. */
bool events_flush(Events *e, Error *err) MUST_USE;

#endif
