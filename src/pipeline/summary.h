/* What became of the stages: a table for the terminal and OUT/report.html, made from what their
 * folders hold. */
#ifndef WEN_PIPELINE_SUMMARY_H
#define WEN_PIPELINE_SUMMARY_H

#include "pipeline/state.h"

/* Figures of a stage; NAN: it has none of this kind. */
typedef struct StageFigures {
    StageState state;
    double seconds, documents, steps, tokens;
    double loss, heldout_loss,
        reward;                      /* the last ones of log.csv; reward: a mean of the last ten */
    double right_think, right_plain; /* shares, of log.csv or of an evaluation */
} StageFigures;

StageFigures stage_figures(const Plan *plan, int stage_i, const PipelineState *state,
                           const char *out);

/* OUT/report.html */
bool summary_write(const Plan *plan, const PipelineState *state, const char *out,
                   Error *err) MUST_USE;
/* The same table as text. */
bool summary_print(const Plan *plan, const char *out, Buf *text, Error *err) MUST_USE;

#endif
