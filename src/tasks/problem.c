/* Problems as lines of JSON. */
#include "tasks/problem_parts.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void problem_close(Problem *p)
{
    arena_close(&p->arena);
    *p = (Problem){0};
}

TaskReply problem_solution(Problem *p)
{
    TaskReply reply = {0};
    int n_calls = 0;
    for (int i = 0; i < p->n_solution; i++)
        n_calls += p->solution[i].n_calls;
    TaskCall *calls = ARENA_ARRAY(&p->arena, TaskCall, n_calls);
    for (int i = 0; i < p->n_solution; i++) {
        const TaskMessage *message = &p->solution[i];
        if (message->role != ROLE_ASSISTANT)
            continue;
        for (int c = 0; c < message->n_calls; c++)
            calls[reply.n_calls++] = message->calls[c];
        reply.thinking = p->mode == MODE_NO_THINK ? (Str){0} : message->thinking;
        reply.content = message->content;
    }
    reply.calls = calls;
    return reply;
}

/* ---- Writing --------------------------------------------------------------------------------- */

void message_write(const TaskMessage *message, Buf *out)
{
    buf_printf(out, "{\"role\": \"%s\", \"content\": ", task_role_name(message->role));
    buf_put_json(out, message->content);
    for (int c = 0; c < message->n_calls; c++) {
        buf_puts(out, c ? ", " : ", \"tool_calls\": [");
        buf_puts(out, "{\"type\": \"function\", \"function\": {\"name\": ");
        buf_put_json(out, message->calls[c].name);
        buf_puts(out, ", \"arguments\": ");
        buf_add(out, message->calls[c].arguments);
        buf_puts(out, c + 1 < message->n_calls ? "}}" : "}}]");
    }
}

void problem_write(const Problem *p, Buf *out)
{
    buf_puts(out, "{\"id\": ");
    buf_put_json(out, p->id);
    buf_puts(out, ", \"family\": ");
    buf_put_json(out, p->family_name);
    buf_printf(out, ", \"split\": \"%s\", \"difficulty\": %d, \"messages\": [",
               task_split_name(p->split), p->difficulty);
    for (int i = 0; i < p->n_messages; i++) {
        buf_puts(out, i ? ", " : "");
        message_write(&p->messages[i], out);
        buf_putc(out, '}');
    }
    buf_puts(out, "], ");
    if (p->tools.bytes > 0) {
        buf_puts(out, "\"tools\": ");
        buf_add(out, p->tools);
        buf_puts(out, ", ");
    }
    buf_puts(out, "\"answer\": ");
    if (p->answer_is_json)
        buf_add(out, p->answer);
    else
        buf_put_json(out, p->answer);
    buf_putc(out, '}');
}

/* ---- Reading --------------------------------------------------------------------------------- */

static Str keep_text(Problem *p, const char *text, size_t bytes)
{
    return (Str){arena_strndup(&p->arena, text, bytes), bytes};
}

static Str keep_string(Problem *p, const json_t *value)
{
    return keep_text(p, json_string_value(value), json_string_length(value));
}

static Str keep_dump(Problem *p, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    const Str kept = keep_text(p, text ? text : "null", text ? strlen(text) : 4);
    free(text);
    return kept;
}

static bool missing(Error *err, const char *what)
{
    return error_set(err, ERROR_FORMAT, "a problem needs %s", what);
}

static bool read_calls(Problem *p, const json_t *list, TaskMessage *message, Error *err)
{
    const size_t n = json_array_size(list);
    TaskCall *calls = ARENA_ARRAY(&p->arena, TaskCall, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i), *function = json_object_get(item, "function");
        const json_t *call = function ? function : item;
        const json_t *name = json_object_get(call, "name");
        const json_t *arguments = json_object_get(call, "arguments");
        if (!json_is_string(name) || !arguments)
            return missing(err, "name and arguments in every tool call");
        calls[i].name = keep_string(p, name);
        calls[i].arguments =
            json_is_string(arguments) ? keep_string(p, arguments) : keep_dump(p, arguments);
    }
    message->calls = calls;
    message->n_calls = (int)n;
    return true;
}

static bool read_message(Problem *p, const json_t *from, TaskMessage *message, Error *err)
{
    const json_t *role = json_object_get(from, "role"), *content = json_object_get(from, "content");
    int r = 0;
    while (r <= ROLE_TOOL && strcmp(task_role_name((TaskRole)r),
                                    json_is_string(role) ? json_string_value(role) : "") != 0)
        r++;
    if (r > ROLE_TOOL)
        return missing(err, "a role (system, user, assistant, tool) in every message");
    if (content && !json_is_string(content) && !json_is_null(content))
        return missing(err, "text as every message's content");
    message->role = (TaskRole)r;
    message->content = json_is_string(content) ? keep_string(p, content) : STR("");
    const json_t *calls = json_object_get(from, "tool_calls");
    return !calls || read_calls(p, calls, message, err);
}

/* The language and the seed are in the id, "FAMILY-SPLIT-DIFFICULTY-LANG-SEED"; another id means
 * English. */
static void read_id(Problem *p)
{
    size_t from[2] = {0, 0}; /* where the last two parts begin */
    for (size_t i = 0; i < p->id.bytes; i++)
        if (p->id.data[i] == '-') {
            from[0] = from[1];
            from[1] = i + 1;
        }
    if (from[0] > 0 && task_lang_parse(str_slice(p->id, from[0], from[1] - 1), &p->lang))
        p->seed = strtoull(p->id.data + from[1], NULL, 10);
}

/* The last flag of a user's turn or the system prompt decides on the thought (tasks.h, TaskMode).
 */
static void read_mode(Problem *p)
{
    p->mode = p->family && p->family->has_flags ? MODE_THINK : MODE_ANY;
    for (int i = 0; i < p->n_messages; i++) {
        const TaskMessage *message = &p->messages[i];
        if (message->role != ROLE_USER && message->role != ROLE_SYSTEM)
            continue;
        if (str_ends(message->content, STR(" /think")))
            p->mode = MODE_THINK;
        else if (str_ends(message->content, STR(" /no_think")))
            p->mode = MODE_NO_THINK;
    }
}

static bool read_fields(Problem *p, const json_t *line, Error *err)
{
    const json_t *id = json_object_get(line, "id"), *family = json_object_get(line, "family");
    const json_t *split = json_object_get(line, "split"), *tools = json_object_get(line, "tools");
    const json_t *messages = json_object_get(line, "messages");
    const json_t *answer = json_object_get(line, "answer");
    if (!json_is_string(id) || !json_is_string(family))
        return missing(err, "\"id\" and \"family\"");
    p->family = task_find(json_string_value(family));
    p->family_name = keep_string(p, family);
    p->id = keep_string(p, id);
    read_id(p);
    if (split && (!json_is_string(split) ||
                  !task_split_parse(str_from(json_string_value(split)), &p->split)))
        return missing(err, "\"split\" train, rl or eval");
    p->difficulty = (int)json_integer_value(json_object_get(line, "difficulty"));
    if (!json_is_array(messages) || json_array_size(messages) == 0 || !answer)
        return missing(err, "\"messages\" and \"answer\"");
    p->answer_is_json = !json_is_string(answer);
    p->answer = json_is_string(answer) ? keep_string(p, answer) : keep_dump(p, answer);
    if (json_is_array(tools))
        p->tools = keep_dump(p, tools);
    p->n_messages = (int)json_array_size(messages);
    TaskMessage *list = ARENA_ARRAY(&p->arena, TaskMessage, p->n_messages);
    p->messages = list;
    for (int i = 0; i < p->n_messages; i++)
        if (!read_message(p, json_array_get(messages, (size_t)i), &list[i], err))
            return error_add(err, "message %d", i + 1);
    read_mode(p);
    return true;
}

bool problem_read(Problem *p, Str line, Error *err)
{
    const Arena arena = p->arena;
    *p = (Problem){.arena = arena};
    arena_reset(&p->arena);
    json_error_t at;
    json_t *json = json_loadb(line.data, line.bytes, 0, &at);
    if (!json)
        return error_set(err, ERROR_FORMAT, "byte %d: %s", at.position, at.text);
    const bool ok = read_fields(p, json, err);
    json_decref(json);
    return ok;
}
