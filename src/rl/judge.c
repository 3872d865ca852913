/* See judge.h. */
#include "rl/judge.h"

#include "tasks/tasks.h"

#include <stdlib.h>

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
