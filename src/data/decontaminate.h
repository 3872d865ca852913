/* Removing documents that share a passage with an evaluation set.
 *
 * Every text of the evaluation files is cut into words (units.h); every n-gram of them is put into
 * a table (Brown et al. 2020, appendix C, takes 13 words; 8 finds more, and more that is mere
 * phrase). A text that is shorter counts as one gram if it has at least `short_words` words. A
 * document is dropped when it holds such a gram - or, with `share`, grams that are at least that
 * share of one text's (Qwen2.5's report asks for 0.6 of the longest common part).
 *
 * Evaluation files: .jsonl and .json (every string in them, or those under the named keys), .csv,
 * .tsv and .txt (every line); of a folder all such files below it. */
#ifndef WEN_DATA_DECONTAMINATE_H
#define WEN_DATA_DECONTAMINATE_H

#include "base/error.h"

#include <stdint.h>

typedef struct DecontaminateOptions {
    const char *const *paths; /* [n_paths] training data */
    int n_paths;
    const char *const *against; /* [n_against] evaluation files and folders */
    int n_against;
    const char *const *keys; /* [n_keys] of objects in evaluation files; none: all */
    int n_keys;
    const char *out, *report; /* NULL: no report */
    int gram, short_words;    /* short_words >= gram: short texts do not count */
    double share;             /* 0: one gram is enough */
} DecontaminateOptions;

typedef struct DecontaminateReport {
    int64_t n_texts, n_grams;   /* of the evaluation sets */
    int64_t n_files, n_skipped; /* files read; files of other kinds in the folders */
    int64_t n_read, n_kept, n_dropped;
} DecontaminateReport;

/* A line of the report: {"dropped": "file:line", "text": "file:line" of the evaluation set,
 * "share": of its grams, "passage": the first gram that both have}. */
bool decontaminate_run(const DecontaminateOptions *options, DecontaminateReport *report,
                       Error *err) MUST_USE;

#endif
