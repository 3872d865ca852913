/* See anthropic.h. */
#include "server/anthropic.h"

#include "server/json_in.h"

#include <string.h>

/* One turn being put together. */
typedef struct Turn {
    json_t *out; /* the conversation so far */
    const char *role;
    Buf text, thinking;
    bool has_text;
    json_t *calls; /* or NULL */
} Turn;

static json_t *text_of(const Buf *buf)
{
    return json_stringn(buf->data ? buf->data : "", buf->bytes);
}

static bool add_result(Turn *t, const json_t *block, const char *where, Fault *fault)
{
    Buf text = {0};
    if (!in_content(json_object_get(block, "content"), where, &text, fault)) {
        buf_free(&text);
        return false;
    }
    json_t *message = json_object();
    json_object_set_new(message, "role", json_string("tool"));
    json_object_set(message, "tool_call_id", json_object_get(block, "tool_use_id"));
    json_object_set_new(message, "content", text_of(&text));
    json_array_append_new(t->out, message);
    buf_free(&text);
    return true;
}

static bool add_call(Turn *t, const json_t *block, const char *where, Fault *fault)
{
    const json_t *name = json_object_get(block, "name");
    json_t *input = json_object_get(block, "input");
    if (!json_is_string(name) || !json_is_object(input))
        return fault_set(fault, 400, where, "%s: a tool_use needs a name and an input object",
                         where);
    json_t *function = json_object(), *call = json_object();
    json_object_set(function, "name", (json_t *)name);
    json_object_set(function, "arguments", input);
    json_object_set(call, "id", json_object_get(block, "id"));
    json_object_set_new(call, "type", json_string("function"));
    json_object_set_new(call, "function", function);
    if (!t->calls)
        t->calls = json_array();
    json_array_append_new(t->calls, call);
    return true;
}

static bool add_text(Buf *text, const json_t *block, const char *key, const char *where,
                     Fault *fault)
{
    const json_t *value = json_object_get(block, key);
    if (!json_is_string(value))
        return fault_set(fault, 400, where, "%s: \"%s\" must be a string", where, key);
    if (text->bytes)
        buf_putc(text, '\n');
    buf_append(text, json_string_value(value), json_string_length(value));
    return true;
}

static bool add_block(Turn *t, const json_t *block, const char *where, Fault *fault)
{
    const char *type = json_string_value(json_object_get(block, "type"));
    if (!type)
        return fault_set(fault, 400, where, "%s: must be an object with a type", where);
    if (strcmp(type, "text") == 0) {
        t->has_text = true;
        return add_text(&t->text, block, "text", where, fault);
    }
    if (strcmp(type, "thinking") == 0)
        return add_text(&t->thinking, block, "thinking", where, fault);
    if (strcmp(type, "redacted_thinking") == 0)
        return true;
    if (strcmp(type, "tool_result") == 0 && strcmp(t->role, "user") == 0)
        return add_result(t, block, where, fault);
    if (strcmp(type, "tool_use") == 0 && strcmp(t->role, "assistant") == 0)
        return add_call(t, block, where, fault);
    return fault_set(fault, 400, where, "%s: type \"%.60s\" cannot be read in a turn of the %s",
                     where, type, t->role);
}

static void end_turn(Turn *t, bool had_blocks)
{
    bool is_assistant = strcmp(t->role, "assistant") == 0;
    if (t->has_text || !had_blocks || is_assistant) {
        json_t *message = json_object();
        json_object_set_new(message, "role", json_string(t->role));
        json_object_set_new(message, "content", text_of(&t->text));
        if (t->thinking.bytes)
            json_object_set_new(message, "reasoning_content", text_of(&t->thinking));
        if (t->calls)
            json_object_set(message, "tool_calls", t->calls);
        json_array_append_new(t->out, message);
    }
    json_decref(t->calls);
    buf_free(&t->text);
    buf_free(&t->thinking);
}

static bool add_turn(json_t *out, const json_t *message, size_t i, Fault *fault)
{
    char where[64];
    const json_t *content = json_object_get(message, "content");
    Turn t = {.out = out, .role = json_string_value(json_object_get(message, "role"))};
    snprintf(where, sizeof where, "messages[%zu]", i);
    if (!t.role || (strcmp(t.role, "user") != 0 && strcmp(t.role, "assistant") != 0 &&
                    strcmp(t.role, "system") != 0))
        return fault_set(fault, 400, where, "%s: role must be user or assistant", where);
    bool ok = true;
    size_t n_blocks = json_array_size(content);
    if (json_is_array(content)) {
        for (size_t k = 0; k < n_blocks && ok; k++) {
            snprintf(where, sizeof where, "messages[%zu].content[%zu]", i, k);
            ok = add_block(&t, json_array_get(content, k), where, fault);
        }
    } else if (json_is_string(content)) {
        buf_append(&t.text, json_string_value(content), json_string_length(content));
    } else {
        ok = fault_set(fault, 400, where, "%s.content: must be a string or an array of blocks",
                       where);
    }
    end_turn(&t, n_blocks > 0);
    return ok;
}

static bool add_system(json_t *out, const json_t *system, Fault *fault)
{
    Buf text = {0};
    bool ok = in_content(system, "system", &text, fault);
    if (ok && text.bytes > 0) {
        json_t *message = json_object();
        json_object_set_new(message, "role", json_string("system"));
        json_object_set_new(message, "content", text_of(&text));
        json_array_append_new(out, message);
    }
    buf_free(&text);
    return ok;
}

json_t *anthropic_messages(const json_t *body, Fault *fault)
{
    json_t *messages = NULL, *message, *out = json_array();
    size_t i;
    bool ok = in_array(body, "", "messages", &messages, fault) &&
              add_system(out, in_get(body, "system"), fault);
    if (ok && json_array_size(messages) == 0)
        ok = fault_set(fault, 400, "messages",
                       "messages: must be an array with at least one message");
    json_array_foreach(messages, i, message) { ok = ok && add_turn(out, message, i, fault); }
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}
