/* Prompts outside a small model's scope: a right reply says so, in the prompt's language.
 *
 * configs/eval/out_of_scope.jsonl holds 200 of them, 100 in English and 100 in Chinese, written by
 * hand and by nobody who looked at what the refusal family of src/tasks asks. It is part of the
 * program. */
#ifndef WEN_EVAL_SCOPE_H
#define WEN_EVAL_SCOPE_H

#include "tasks/tasks.h"

extern const char scope_family[]; /* "out_of_scope" */
Str scope_problems(void);

/* Whether the reply declines and nothing else: its first sentence (behind a "Sorry!") says "I do
 * not know", "I cannot", "我不知道", "这个我做不到" or the like, in this language (en or zh), and
 * what follows is about the model: short, without a number, without a "but" that takes it back
 * ("but I can count letters" does not). */
bool scope_is_declined(Str reply, TaskLang lang);

#endif
