/* The folder of a run: what was replied, a line a reply, in samples_TASK.jsonl, written as the
 * replies come, so that a run that was stopped goes on; and run.json, which says what the replies
 * are of.
 *
 * A line has the keys of lm-evaluation-harness' samples (doc_id, doc, target, arguments, resps,
 * filtered_resps, filter, metrics, doc_hash, and each metric), filter being the setting; "turns"
 * has everything that was said. */
#ifndef WEN_EVAL_SAMPLES_H
#define WEN_EVAL_SAMPLES_H

#include "eval/record.h"

/* Makes the folder, or finds that it holds replies of the same `identity` (an object: model,
 * sampling, seed, ...). A difference is an error that names it. */
bool eval_samples_folder(const char *dir, const json_t *identity, Error *err) MUST_USE;

/* "DIR/samples_TASK.jsonl", to be freed with mem_free. */
char *eval_samples_path(const char *dir, const char *task);

typedef struct SampleFile SampleFile;

/* Reads what is there of this task into the records. A line cut by the end of a process is dropped;
 * one that is malformed is an error with its number. */
SampleFile *eval_samples_open(const char *dir, EvalRecords *r, int task_i, Error *err) MUST_USE;
void eval_samples_close(SampleFile *f); /* NULL is fine */
bool eval_samples_add(SampleFile *f, Str line, Error *err) MUST_USE;
bool eval_samples_flush(SampleFile *f, Error *err) MUST_USE;

/* Appends the line of one case, with its end. turns: [{"thinking", "content", "tool_calls",
 * "finish", "tokens"}]. */
void eval_sample_line(const EvalTask *task, const EvalSetting *setting, int case_i,
                      const EvalCase *c, const json_t *turns, const EvalRecord *record, Buf *out);
/* A turn as an object of such a list. */
json_t *eval_sample_turn(const EvalTurn *turn);

#endif
