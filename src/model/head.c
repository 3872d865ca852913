/* From hidden states to logits; see forward.h. */
#include "model/forward.h"

void head_logits(const Model *m, Mat hidden, const int32_t *rows, Step *step, Mat logits)
{
    Backend *b = m->backend;
    const size_t start = step->used;
    Mat chosen = step_mat(step, logits.rows, hidden.cols);
    b->gather_rows(b, hidden, rows, chosen);
    b->matmul(b, 1, (Weight *[]){m->head}, chosen, &logits);
    step->used = start;
}
