/* A mixture: documents of several files in one, in random order.
 *
 * Each source has a share of the output (of its documents, or of its bytes where the total is given
 * in bytes). Within a source a document's chance is its weight, the product of `times` over all
 * rules that its labels meet ({"labels": {...}}, as wen data label writes them): Qwen3's report
 * mixes by instance, not by source. Expected copies of a document are its weight, scaled so that
 * the source makes its share; 2.3 means two, and a third with probability 0.3.
 *
 * The configuration:
 *
 *     seed: 1
 *     documents: 10000       # or bytes; neither: as many as the sources give without a repeat
 *     repeats: 1             # at most so many copies of a document on average
 *     sources:
 *       - {path: web.jsonl, share: 3}
 *       - {path: books.jsonl, share: 1}
 *     rules:
 *       - {label: value, low: 4, times: 2}          # a number from low (and to high)
 *       - {label: field, is: [math, code], times: 1.5}
 *       - {label: safety, is: [unsafe], times: 0}
 *
 * Files are read twice, and memory is 16 bytes a document, and 16 for each of the output. */
#ifndef WEN_DATA_MIX_H
#define WEN_DATA_MIX_H

#include "base/error.h"

#include <stdint.h>

enum { MIX_SOURCES_MAX = 64, MIX_RULES_MAX = 256 };

typedef struct MixSourceReport {
    char *path;
    int64_t n_read, n_written; /* documents; of them copies count */
    int64_t bytes_written;
} MixSourceReport;

typedef struct MixReport {
    MixSourceReport sources[MIX_SOURCES_MAX];
    int n_sources;
} MixReport;

bool mix_run(const char *config_path, const char *out, MixReport *report, Error *err) MUST_USE;
void mix_report_free(MixReport *report); /* a zeroed one is fine */

#endif
