/* Vectors of texts. */
#ifndef WEN_SERVER_EMBEDDINGS_H
#define WEN_SERVER_EMBEDDINGS_H

#include "server/exchange.h"

typedef struct Embeddings {
    float *vectors; /* [n, d_model], each of length 1; in the exchange's arena */
    int n, d_model, n_tokens;
} Embeddings;

/* input: a string, an array of strings, an array of token ids, or an array of these. */
bool embeddings_make(Exchange *x, const json_t *input, Embeddings *e, Fault *fault) MUST_USE;
void embeddings_put(Buf *out, const char *key, const float *vector, int n);

#endif
