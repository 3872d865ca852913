/* The stage "tokenizer": a byte-level vocabulary learned from texts, in the files that Qwen3 has
 * (text/tokenizer_write.h). docs/training.md lists the keys. */
#ifndef WEN_TRAIN_LEARN_TOKENIZER_H
#define WEN_TRAIN_LEARN_TOKENIZER_H

#include "base/error.h"

#include <stdint.h>

typedef struct LearnReport {
    int n_ids, n_merges, n_rows;  /* ids with text; of them merges; rows of an embedding */
    int64_t n_documents, n_bytes; /* that were counted */
    int64_t n_pieces, n_kept;     /* different pieces, and those that were learned from */
    double bytes_per_token;       /* of the pieces that were learned from */
    double count_seconds, learn_seconds;
} LearnReport;

/* Reads the configuration as train_config_read does, and writes tokenizer.json, vocab.json,
 * merges.txt, tokenizer_config.json and config.yaml into the folder `out`. n_threads 0: one a
 * processor; the files do not depend on it. */
bool learn_tokenizer(const char *config_path, const char *const *sets, int n_sets, const char *out,
                     int n_threads, LearnReport *report, Error *err) MUST_USE;
/* Reads the configuration, and nothing that it names. */
bool learn_tokenizer_check(const char *config_path, Error *err) MUST_USE;

#endif
