/* See judge.h. */
#include "rl/judge.h"

#include "tasks/tool_box.h"

#include <stdlib.h>
#include <string.h>

static Str text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return str_from(text ? text : "");
}

static double judge(const Problem *problem, const Reply *reply)
{
    const size_t n = json_array_size(reply->tool_calls);
    TaskCall *calls = mem_alloc(sizeof *calls * (n + 1));
    for (size_t i = 0; i < n; i++) {
        const json_t *call = json_array_get(reply->tool_calls, i);
        calls[i] = (TaskCall){text_of(call, "name"), text_of(call, "arguments")};
    }
    const TaskReply taken = {.thinking = str_from(reply->thinking),
                             .content = str_from(reply->content),
                             .calls = calls,
                             .n_calls = (int)n};
    const double score = task_score(problem, &taken);
    mem_free(calls);
    return score;
}

double judge_reply(void *context, const json_t *problem, const Reply *reply)
{
    const char *family = json_string_value(json_object_get(problem, "family"));
    if (!family || !task_find(family))
        return score_same_text(context, problem, reply);
    Problem read = {0};
    char *line = json_dumps(problem, JSON_COMPACT);
    /* A line that has a family's name and not its form is not one of its problems. */
    const double score = problem_read(&read, str_from(line), NULL)
                             ? judge(&read, reply)
                             : score_same_text(context, problem, reply);
    problem_close(&read);
    free(line);
    return score;
}

/* ---- Episodes -------------------------------------------------------------------------------- */

/* Makes the calls of a message; the responses go behind it, unless `out` is NULL. */
static void make_calls(ToolBox *box, const json_t *calls, json_t *out)
{
    const json_t *item;
    size_t i;
    Buf response = {0};
    json_array_foreach(calls, i, item)
    {
        const json_t *function = json_object_get(item, "function");
        const TaskCall call = {text_of(function, "name"), text_of(function, "arguments")};
        buf_clear(&response);
        tool_box_call(box, &call, &response);
        const Str text = buf_str(&response);
        if (out)
            json_array_append_new(out, json_pack("{s:s, s:s%}", "role", "tool", "content",
                                                 text.bytes ? text.data : "", text.bytes));
    }
    buf_free(&response);
}

/* The reply as a message. */
static json_t *message_of(const Reply *reply)
{
    const json_t *call;
    size_t i;
    json_t *calls = json_array();
    json_array_foreach(reply->tool_calls, i, call)
        json_array_append_new(calls, json_pack("{s:s, s:O}", "type", "function", "function", call));
    json_t *message = json_pack("{s:s, s:s, s:o}", "role", "assistant", "content", reply->content,
                                "tool_calls", calls);
    if (reply->thinking[0])
        json_object_set_new(message, "reasoning_content", json_string(reply->thinking));
    return message;
}

static json_t *go_on(const Problem *p, json_t *messages, const Reply *reply)
{
    ToolBox *box = tool_box_open(p, NULL);
    if (!box)
        return NULL;
    json_t *next = json_copy(messages), *turn = message_of(reply);
    /* What the box holds by now: the calls so far, made again. */
    for (size_t i = (size_t)p->n_messages; i < json_array_size(messages); i++)
        make_calls(box, json_object_get(json_array_get(messages, i), "tool_calls"), NULL);
    json_array_append_new(next, turn);
    make_calls(box, json_object_get(turn, "tool_calls"), next);
    tool_box_close(box);
    return next;
}

json_t *judge_follow(void *context, const json_t *problem, json_t *messages, const Reply *reply)
{
    (void)context;
    const char *name = json_string_value(json_object_get(problem, "family"));
    const TaskFamily *family = name ? task_find(name) : NULL;
    if (!family || !family->is_episode || json_array_size(reply->tool_calls) == 0 ||
        strcmp(reply->finish, "tool_calls") != 0)
        return NULL;
    Problem read = {0};
    char *line = json_dumps(problem, JSON_COMPACT);
    json_t *next = problem_read(&read, str_from(line), NULL) ? go_on(&read, messages, reply) : NULL;
    problem_close(&read);
    free(line);
    return next;
}
