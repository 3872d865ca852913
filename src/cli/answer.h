/* One reply of the model: shown as it comes, and gathered. */
#ifndef WEN_CLI_ANSWER_H
#define WEN_CLI_ANSWER_H

#include "cli/display.h"
#include "wen.h"

typedef struct ToolCall {
    Buf name, arguments; /* arguments: the raw JSON */
} ToolCall;

/* Zeroed is ready; free with answer_free. */
typedef struct Answer {
    Buf thinking, content;
    Buf logprobs; /* JSON objects, comma-separated */
    ToolCall *calls;
    int n_calls, n_calls_max;
    wen_finish finish;
    wen_usage usage;
    int64_t seed;
    Buf error; /* WEN_FINISH_ERROR: what happened */
    bool was_interrupted;
} Answer;

/* Reads the reply to its end and frees it; Ctrl-C ends it early. Shown thoughts and text go to the
 * terminal (a program that reads standard output gets the text alone) as they arrive, with a line
 * end behind them. The model names tokens for `logprobs`. */
void answer_read(Answer *answer, wen_reply *reply, const wen_model *model, DisplayStyle style);
void answer_free(Answer *answer);

/* Why the answer is not whole, in words for the person; false when it is. */
bool answer_is_cut(const Answer *answer, int context, Buf *why);

/* The object of `wen run --json`. load_seconds: how long opening the model took. */
void answer_put_json(const Answer *answer, double load_seconds, bool has_logprobs, Buf *out);

#endif
