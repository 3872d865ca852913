/* How much the columns of a model's matrices matter: for each matrix the sum of squares of what its
 * columns were multiplied with while some text ran through the model. An error of a weight shows in
 * a matrix's output in proportion to that, so encoders take it as weights (`wen quantize
 * --calibrate`; llama.cpp calls it an importance matrix). Filled by model/calibrate.h or read from
 * llama.cpp's file. Matrices go by their Hugging Face names; q, k and v share an entry, and so do
 * gate and up, as they share their input. */
#ifndef WEN_FORMATS_IMPORTANCE_H
#define WEN_FORMATS_IMPORTANCE_H

#include "base/error.h"

#include <stdint.h>

typedef struct Importance Importance;

Importance *importance_new(int n_layers, int n_experts);
void importance_free(Importance *importance); /* NULL is fine */

/* Adds n_rows inputs [n_rows, n_cols] of a matrix (an expert's by its own name), rows `stride`
 * apart. Names that are no matrix's of this model, and another n_cols than before, are bugs. */
bool importance_add(Importance *importance, const char *name, const float *rows, int64_t n_rows,
                    int n_cols, int64_t stride, Error *err) MUST_USE;
/* Says what part of the stream's energy the block adds whose matrix this is: how much its relative
 * error counts beside other matrices'. 1 where nothing was said. */
void importance_set_share(Importance *importance, const char *name, double share);

/* llama.cpp's GGUF of type "imatrix" (tensors NAME.in_sum2 and NAME.counts). */
Importance *importance_read(const char *path, int n_layers, int n_experts, Error *err) MUST_USE;

/* Weights in proportion to the mean square of each column, above 0 all: a little of the mean is
 * added, and of its layer's other experts for an expert that met few tokens. False when nothing is
 * known of that matrix. */
bool importance_columns(const Importance *importance, const char *name, int n_cols, float *out);
double importance_share(const Importance *importance, const char *name);

#endif
