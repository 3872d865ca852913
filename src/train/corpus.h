/* Texts to learn a vocabulary from, counted piece by piece on all threads.
 *
 *   .txt    cut into blocks of about 64 KiB at line ends where no piece crosses
 *   .jsonl  a document a line: {"text": "..."}, or {"messages": [...], "tools": [...]}, which is
 *           rendered by the chat template; its added tokens are not counted, what is between is
 *
 * Nothing is held but the pieces. Files are mapped and read once. */
#ifndef WEN_TRAIN_CORPUS_H
#define WEN_TRAIN_CORPUS_H

#include "text/piece_counts.h"
#include "train/train_config.h"

typedef struct CorpusOptions {
    /* Weight w: a document counts floor(w) times, and once more with probability w - floor(w),
     * which is a function of the seed, the source and the document's number. */
    const TrainSource *sources;
    int n_sources;
    int64_t seed;
    int64_t bytes; /* of all sources' files, times weight; past it, weights shrink; 0: no limit */
    Str chat_template; /* of documents with messages */
    int n_threads;     /* 0: one a processor */
} CorpusOptions;

typedef struct CorpusReport {
    int64_t n_documents, n_bytes; /* as they count; a block of a .txt is a document */
} CorpusReport;

/* Adds to `counts`. Errors give file and line. */
bool corpus_count(const CorpusOptions *options, PieceCounts *counts, CorpusReport *report,
                  Error *err) MUST_USE;

#endif
