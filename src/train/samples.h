/* Answers to a few fixed prompts as training goes on: samples.jsonl, and TensorBoard's texts.
 *
 * eval.prompts is a list, or the path of a JSONL file, of
 *   "text" or {"prompt": "text"}   a text that the model goes on with
 *   {"messages": [...]}            a conversation that it answers, with a thought and without one
 * A line of samples.jsonl: {"step", "prompt_i", "prompt" or "messages", "mode": "think" | "plain",
 * "thinking", "content", "tool_calls" (if any), "tokens", "finish"}. */
#ifndef WEN_TRAIN_SAMPLES_H
#define WEN_TRAIN_SAMPLES_H

#include "train/asker.h"
#include "train/run_log.h"
#include "train/train_config.h"

typedef struct Samples Samples;

/* What the model can be asked: without a chat template, texts only. */
typedef struct SampleRules {
    bool has_chat, is_hybrid;
} SampleRules;

/* No prompts: fine. */
Samples *samples_open(const TrainConfig *c, const SampleRules *rules, Error *err) MUST_USE;
void samples_close(Samples *s); /* NULL is fine */
int samples_count(const Samples *s);
/* Opens FOLDER/samples.jsonl; call once before the first samples_run. */
bool samples_start(Samples *s, const char *folder, int64_t steps_done, Error *err) MUST_USE;
bool samples_run(Samples *s, int64_t step, const Asker *asker, RunLog *log, Error *err) MUST_USE;

#endif
