/* OUT/report.html: what became of a run, for people: figures, plots of every column of log.csv,
 * right answers by family and mode, samples, the configuration. One file that needs no other. */
#ifndef WEN_TRAIN_REPORT_H
#define WEN_TRAIN_REPORT_H

#include "train/run_table.h"

/* A figure for the top of the page. */
typedef struct ReportFact {
    const char *name;
    char value[40];
} ReportFact;

/* Made from what the folder holds (log.csv, config.yaml, samples.jsonl) and the facts, which come
 * first. `status`: the line under the title. */
bool report_write(const char *folder, const char *title, const char *status,
                  const ReportFact *facts, int n_facts, Error *err) MUST_USE;

/* The plots of a log, for other reports: a <div class="plots">. */
void report_plots(const RunTable *table, Buf *html);

#endif
