/* Training runs, watched: the folders of --train, read and never written.
 *
 *   GET /v1/runs                     {"data": [{"id", "modified", "files": {NAME: bytes}}]}
 *   GET /v1/runs/ID/FILE?from=N      the file's whole lines from byte N on, or its last -N bytes'
 *
 * A run is a folder of --train that holds log.csv or results.json, or one inside it, at most three
 * levels down; its id is the path from the --train folder's own name on. The files are log.csv,
 * samples.jsonl, rollouts.jsonl and results.json, nothing else, and no link is followed below the
 * folders that were named: whatever is asked, no other file is read.
 *
 * The answer's header Wen-Next is the N to go on with, Wen-File changes when the file has become
 * another one. N behind the end (a resumed run cuts what it repeats) is a 416: begin again. */
#ifndef WEN_SERVER_RUNS_H
#define WEN_SERVER_RUNS_H

#include "base/error.h"
#include "server/http.h"

/* Whether all folders are there and can be told apart by their names. */
bool runs_check(const char *const *folders, int n, Error *err) MUST_USE;

#endif
