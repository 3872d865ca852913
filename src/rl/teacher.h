/* The teacher of distillation: a model in this process, which looks at the student's batches and
 * says what it would have said. */
#ifndef WEN_RL_TEACHER_H
#define WEN_RL_TEACHER_H

#include "model/model.h"
#include "text/tokenizer.h"

typedef struct Teacher Teacher;

/* Whether the model at `path` (a folder or a GGUF) has the student's vocabulary: the same bytes for
 * every id, and n_vocab rows of the head (0: not compared). If not, the error says where they part.
 * Reads no weights. */
bool teacher_check(const char *path, const Tokenizer *student, int n_vocab, Error *err) MUST_USE;

/* On the student's backend, which computes its weights in the type that they are stored in.
 * Batches have at most tokens_max tokens. */
Teacher *teacher_open(const char *path, const Model *student, int tokens_max, Error *err) MUST_USE;
void teacher_close(Teacher *t); /* NULL is fine */

/* Its own forward pass over the student's batch. */
void teacher_see(Teacher *t, const Batch *batch);
/* Logits of n of that batch's rows (device memory), at most loss_chunk_rows. Valid until the next
 * call. */
Mat teacher_logits(Teacher *t, const int32_t *rows, int n);
/* The time that both have taken so far. */
double teacher_seconds(const Teacher *t);

#endif
