/* wen quantize --calibrate FILE. */
#ifndef WEN_CLI_QUANTIZE_CALIBRATE_H
#define WEN_CLI_QUANTIZE_CALIBRATE_H

#include "formats/package.h"

/* What FILE says about the columns of the package's matrices: a text, which is run through the
 * model, or llama.cpp's importance matrix (.gguf). Shows progress; Ctrl-C is ERROR_CANCELLED. */
Importance *quantize_calibrate(const Package *package, const char *file, int n_threads,
                               Error *err) MUST_USE;

#endif
