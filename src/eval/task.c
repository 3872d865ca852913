/* See task.h. */
#include "eval/task.h"

#include "base/mem.h"

void eval_turn_clear(EvalTurn *turn)
{
    const Buf thinking = turn->thinking, content = turn->content;
    json_decref(turn->calls);
    *turn =
        (EvalTurn){.thinking = thinking, .content = content, .calls = json_array(), .finish = ""};
    buf_clear(&turn->thinking);
    buf_clear(&turn->content);
}

void eval_turn_free(EvalTurn *turn)
{
    buf_free(&turn->thinking);
    buf_free(&turn->content);
    json_decref(turn->calls);
    *turn = (EvalTurn){0};
}

void eval_case_close(const EvalTask *task, EvalCase *c)
{
    if (task->close_case)
        task->close_case(c);
    json_decref(c->doc);
    json_decref(c->messages);
    json_decref(c->tools);
    *c = (EvalCase){0};
}

void eval_task_close(EvalTask *task)
{
    if (task && task->close)
        task->close(task);
    mem_free(task);
}

static json_t *text(Str s) { return json_stringn_nocheck(s.bytes ? s.data : "", s.bytes); }

void eval_case_say(EvalCase *c, const char *role, Str content)
{
    json_array_append_new(c->messages,
                          json_pack("{s:s, s:o}", "role", role, "content", text(content)));
}

void eval_case_keep_turn(EvalCase *c, const EvalTurn *turn)
{
    json_t *message =
        json_pack("{s:s, s:o}", "role", "assistant", "content", text(buf_str(&turn->content)));
    if (turn->thinking.bytes > 0)
        json_object_set_new(message, "reasoning_content", text(buf_str(&turn->thinking)));
    json_t *calls = json_array(), *call;
    size_t i;
    json_array_foreach(turn->calls, i, call)
        json_array_append_new(calls, json_pack("{s:s, s:O}", "type", "function", "function", call));
    if (i > 0)
        json_object_set(message, "tool_calls", calls);
    json_decref(calls);
    json_array_append_new(c->messages, message);
}
