/* See responses_input.h. */
#include "server/responses_input.h"

#include "server/json_in.h"

#include <string.h>

typedef struct Conversation {
    json_t *out;
    Buf thinking; /* waits for its assistant message */
    json_t
        *caller; /* the assistant message that calls are added to, borrowed from `out`, or NULL */
} Conversation;

static json_t *text_of(const Buf *buf)
{
    return json_stringn(buf->data ? buf->data : "", buf->bytes);
}

static json_t *add_message(Conversation *c, const char *role, json_t *content)
{
    json_t *message = json_object();
    json_object_set_new(message, "role", json_string(role));
    json_object_set_new(message, "content", content);
    if (strcmp(role, "assistant") == 0 && c->thinking.bytes) {
        json_object_set_new(message, "reasoning_content", text_of(&c->thinking));
        buf_clear(&c->thinking);
    }
    json_array_append_new(c->out, message);
    return message;
}

static bool add_said(Conversation *c, const json_t *item, const char *where, Fault *fault)
{
    const char *role = json_string_value(json_object_get(item, "role"));
    Buf text = {0};
    if (role && strcmp(role, "developer") == 0)
        role = "system";
    if (!role || (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0 &&
                  strcmp(role, "system") != 0))
        return fault_set(fault, 400, where, "%s: role must be user, assistant, system or developer",
                         where);
    bool ok = in_content(json_object_get(item, "content"), where, &text, fault);
    json_t *message = ok ? add_message(c, role, text_of(&text)) : NULL;
    c->caller = ok && strcmp(role, "assistant") == 0 ? message : NULL;
    buf_free(&text);
    return ok;
}

static bool add_call(Conversation *c, const json_t *item, const char *where, Fault *fault)
{
    const json_t *name = json_object_get(item, "name");
    const json_t *arguments = json_object_get(item, "arguments");
    if (!json_is_string(name) || !json_is_string(arguments))
        return fault_set(fault, 400, where, "%s: a function_call needs name and arguments, strings",
                         where);
    if (!c->caller)
        c->caller = add_message(c, "assistant", json_string(""));
    json_t *calls = json_object_get(c->caller, "tool_calls");
    if (!calls) {
        calls = json_array();
        json_object_set_new(c->caller, "tool_calls", calls);
    }
    json_t *function = json_object(), *call = json_object();
    json_object_set(function, "name", (json_t *)name);
    json_object_set(function, "arguments", (json_t *)arguments);
    json_object_set(call, "id", json_object_get(item, "call_id"));
    json_object_set_new(call, "type", json_string("function"));
    json_object_set_new(call, "function", function);
    json_array_append_new(calls, call);
    return true;
}

static bool add_result(Conversation *c, const json_t *item, const char *where, Fault *fault)
{
    Buf text = {0};
    bool ok = in_content(json_object_get(item, "output"), where, &text, fault);
    if (ok) {
        json_t *message = add_message(c, "tool", text_of(&text));
        json_object_set(message, "tool_call_id", json_object_get(item, "call_id"));
    }
    c->caller = NULL;
    buf_free(&text);
    return ok;
}

/* Its own text when it is there, else the summary. */
static void add_thinking(Conversation *c, const json_t *item)
{
    json_t *parts = json_object_get(item, "content"), *part;
    size_t i;
    if (json_array_size(parts) == 0)
        parts = json_object_get(item, "summary");
    json_array_foreach(parts, i, part)
    {
        const json_t *text = json_object_get(part, "text");
        if (json_is_string(text))
            buf_append(&c->thinking, json_string_value(text), json_string_length(text));
    }
    c->caller = NULL;
}

static bool add_item(Conversation *c, const json_t *item, size_t i, Fault *fault)
{
    char where[48];
    const char *type = json_string_value(json_object_get(item, "type"));
    snprintf(where, sizeof where, "input[%zu]", i);
    if (!json_is_object(item))
        return fault_set(fault, 400, where, "%s: must be an object", where);
    if (!type || strcmp(type, "message") == 0)
        return add_said(c, item, where, fault);
    if (strcmp(type, "function_call") == 0)
        return add_call(c, item, where, fault);
    if (strcmp(type, "function_call_output") == 0)
        return add_result(c, item, where, fault);
    if (strcmp(type, "reasoning") == 0) {
        add_thinking(c, item);
        return true;
    }
    return fault_set(fault, 400, where, "%s: type \"%.60s\" cannot be read", where, type);
}

static bool add_input(Conversation *c, const json_t *input, Fault *fault)
{
    size_t i;
    json_t *item;
    if (json_is_string(input)) {
        add_message(c, "user", json_incref((json_t *)input));
        return true;
    }
    if (json_array_size(input) == 0)
        return fault_set(fault, 400, "input", "input: must be a string or an array of items");
    json_array_foreach(input, i, item)
    {
        if (!add_item(c, item, i, fault))
            return false;
    }
    return true;
}

json_t *responses_messages(const json_t *body, Fault *fault)
{
    const char *instructions = NULL, *previous = NULL;
    Conversation c = {.out = json_array()};
    bool ok = in_text(body, "", "instructions", &instructions, fault) &&
              in_text(body, "", "previous_response_id", &previous, fault);
    if (ok && previous)
        ok = fault_set(fault, 400, "previous_response_id",
                       "previous_response_id: this server keeps no responses; send the whole "
                       "conversation in \"input\"");
    if (ok && instructions)
        add_message(&c, "system", json_string(instructions));
    ok = ok && add_input(&c, in_get(body, "input"), fault);
    buf_free(&c.thinking);
    if (ok)
        return c.out;
    json_decref(c.out);
    return NULL;
}
