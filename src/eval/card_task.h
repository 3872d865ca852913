/* The dialogue of Qwen3's model card as a task: letters counted over three turns, with and without
 * a thought, as the flags say, the model's own answers in between. */
#ifndef WEN_EVAL_CARD_TASK_H
#define WEN_EVAL_CARD_TASK_H

#include "eval/task.h"

/* acc: all three turns; turn_1 .. turn_3: each by itself, answer and thought. */
EvalTask *card_task_open(void);

#endif
