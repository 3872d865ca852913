/* See chat.h. A template is asked once, when it is opened, how it wants tool calls: Qwen3's take a
 * string or an object as arguments, Qwen2.5's and Qwen3-Coder's an object, DeepSeek-R1's a string
 * and a null content beside it. */
#include "text/chat.h"

#include <string.h>

struct ChatTemplate {
    JinjaTemplate *jinja;
    char *bos_token, *eos_token;
    bool takes_strings, takes_objects; /* as arguments of a call */
    bool wants_null;                   /* as content beside calls */
};

static bool is_from_assistant(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && strcmp(role, "assistant") == 0;
}

/* Whether the template or the model wrote a string: the two token texts, and assistant messages. */
static bool is_trusted(void *context, const JinjaPlace *place)
{
    (void)context;
    const JinjaPlace *below = NULL;
    for (; place->parent; place = place->parent)
        below = place;
    if (strcmp(place->key, "messages") == 0)
        return below && is_from_assistant(below->value);
    return !below && (strcmp(place->key, "bos_token") == 0 || strcmp(place->key, "eos_token") == 0);
}

static bool render_messages(const ChatTemplate *t, const ChatRender *request, json_t *messages,
                            JinjaOutput *out, Error *err)
{
    json_t *variables = json_object();
    if (request->kwargs)
        json_object_update(variables, request->kwargs);
    json_object_set(variables, "messages", messages);
    json_object_set_new(variables, "tools",
                        request->tools ? json_incref(request->tools) : json_null());
    json_object_set_new(variables, "add_generation_prompt",
                        json_boolean(request->add_generation_prompt));
    if (request->enable_thinking >= 0)
        json_object_set_new(variables, "enable_thinking", json_boolean(request->enable_thinking));
    json_object_set_new(variables, "bos_token", json_string(t->bos_token));
    json_object_set_new(variables, "eos_token", json_string(t->eos_token));
    bool ok = jinja_render(t->jinja, variables, is_trusted, NULL, out, err);
    json_decref(variables);
    return ok;
}

/* The text of content parts, "\n" between them; NULL and an error for a part that is not text. */
static json_t *join_parts(json_t *parts, size_t message_i, Error *err)
{
    Buf text = {0};
    size_t i;
    json_t *part;
    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        json_t *value = json_is_string(part) ? part : json_object_get(part, "text");
        if (!json_is_string(value) || (type && strcmp(type, "text") != 0)) {
            error_set(err, ERROR_UNSUPPORTED,
                      "messages[%zu].content[%zu]: type \"%.60s\": only text can be read",
                      message_i, i, type ? type : "none");
            buf_free(&text);
            return NULL;
        }
        if (i > 0)
            buf_putc(&text, '\n');
        buf_append(&text, json_string_value(value), json_string_length(value));
    }
    json_t *joined = json_stringn(buf_str(&text).data, text.bytes);
    buf_free(&text);
    return joined;
}

/* json.dumps of a value, as a string: what a template's own tojson would write. */
static json_t *dumped(json_t *value)
{
    json_t *variables = json_pack("{s:O}", "x", value), *text = NULL;
    JinjaTemplate *t = jinja_parse(STR("{{ x|tojson }}"), NULL);
    JinjaOutput out = {0};
    if (t && variables && jinja_render(t, variables, NULL, NULL, &out, NULL))
        text = json_stringn(buf_str(&out.text).data, out.text.bytes);
    jinja_output_free(&out);
    jinja_free(t);
    json_decref(variables);
    return text;
}

/* The arguments in the form that the template renders; a new reference. What cannot be brought into
 * it stays. */
static json_t *convert_arguments(const ChatTemplate *t, json_t *arguments)
{
    json_t *converted = NULL;
    if (json_is_string(arguments) && !t->takes_strings && t->takes_objects) {
        converted = json_loadb(json_string_value(arguments), json_string_length(arguments),
                               JSON_ALLOW_NUL, NULL);
        if (converted && !json_is_object(converted)) {
            json_decref(converted);
            converted = NULL;
        }
    } else if (json_is_object(arguments) && !t->takes_objects && t->takes_strings) {
        converted = dumped(arguments);
    }
    return converted ? converted : json_incref(arguments);
}

static json_t *convert_calls(const ChatTemplate *t, const json_t *calls)
{
    json_t *converted = json_array(), *call;
    size_t i;
    json_array_foreach(calls, i, call)
    {
        json_t *copy = json_copy(call);
        json_t *function = json_copy(json_object_get(call, "function"));
        json_t *holder = json_is_object(function) ? function : copy;
        json_t *arguments = json_object_get(holder, "arguments");
        if (arguments)
            json_object_set_new(holder, "arguments", convert_arguments(t, arguments));
        if (json_is_object(function))
            json_object_set(copy, "function", function);
        json_decref(function);
        json_array_append_new(converted, copy);
    }
    return converted;
}

/* A copy of one message in the template's form; NULL and an error when there is none. */
static json_t *convert_message(const ChatTemplate *t, json_t *message, size_t i, Error *err)
{
    if (!json_is_object(message) || !json_is_string(json_object_get(message, "role"))) {
        error_set(err, ERROR_ARGUMENT, "messages[%zu]: must be an object with a role", i);
        return NULL;
    }
    json_t *copy = json_copy(message);
    json_t *content = json_object_get(message, "content");
    json_t *calls = json_object_get(message, "tool_calls");
    bool has_calls = json_is_array(calls) && json_array_size(calls) > 0;
    if (json_is_array(content)) {
        json_t *joined = join_parts(content, i, err);
        if (!joined) {
            json_decref(copy);
            return NULL;
        }
        json_object_set_new(copy, "content", joined);
    } else if (is_from_assistant(message) && (!content || json_is_null(content))) {
        json_object_set_new(copy, "content", json_string(""));
    }
    if (has_calls) {
        json_object_set_new(copy, "tool_calls", convert_calls(t, calls));
        if (t->wants_null && json_string_length(json_object_get(copy, "content")) == 0)
            json_object_set_new(copy, "content", json_null());
    }
    return copy;
}

static json_t *convert_messages(const ChatTemplate *t, const json_t *messages, Error *err)
{
    json_t *converted = json_array(), *message;
    size_t i;
    json_array_foreach(messages, i, message)
    {
        json_t *copy = convert_message(t, message, i, err);
        if (!copy) {
            json_decref(converted);
            return NULL;
        }
        json_array_append_new(converted, copy);
    }
    return converted;
}

bool chat_render(const ChatTemplate *t, const ChatRender *request, JinjaOutput *out, Error *err)
{
    buf_clear(&out->text);
    out->n_untrusted = 0;
    if (!json_is_array(request->messages))
        return error_set(err, ERROR_ARGUMENT, "messages: must be an array");
    if (request->tools && !json_is_array(request->tools))
        return error_set(err, ERROR_ARGUMENT, "tools: must be an array");
    if (request->kwargs && !json_is_object(request->kwargs))
        return error_set(err, ERROR_ARGUMENT, "template variables: must be an object");
    if (request->raw)
        return render_messages(t, request, request->messages, out, err);
    json_t *messages = convert_messages(t, request->messages, err);
    bool ok = messages && render_messages(t, request, messages, out, err);
    json_decref(messages);
    return ok;
}

/* Renders a call with the given arguments and content; true when the arguments come out readable.
 */
static bool renders_call(const ChatTemplate *t, json_t *arguments, json_t *content)
{
    json_t *messages =
        json_pack("[{s:s, s:s}, {s:s, s:O, s:[{s:s, s:s, s:{s:s, s:O}}]}]", "role", "user",
                  "content", "u", "role", "assistant", "content", content, "tool_calls", "id", "1",
                  "type", "function", "function", "name", "f", "arguments", arguments);
    ChatRender request = {.messages = messages, .enable_thinking = -1, .raw = true};
    JinjaOutput out = {0};
    bool ok = messages && chat_render(t, &request, &out, NULL);
    Str text = buf_str(&out.text);
    ok = ok && (str_find(text, STR("{\"probe\": \"x\"}"), 0) >= 0 ||
                str_find(text, STR("<parameter=probe>"), 0) >= 0);
    jinja_output_free(&out);
    json_decref(messages);
    return ok;
}

static void probe_calls(ChatTemplate *t)
{
    json_t *string = json_string("{\"probe\": \"x\"}"), *object = json_pack("{s:s}", "probe", "x");
    json_t *empty = json_string(""), *null = json_null();
    t->takes_strings = renders_call(t, string, empty);
    t->takes_objects = renders_call(t, object, empty);
    if (!t->takes_strings && !t->takes_objects) {
        t->takes_strings = renders_call(t, string, null);
        t->takes_objects = renders_call(t, object, null);
        t->wants_null = t->takes_strings || t->takes_objects;
    }
    json_decref(string);
    json_decref(object);
    json_decref(empty);
}

static char *copied(Str s) { return mem_strndup(s.bytes ? s.data : "", s.bytes); }

ChatTemplate *chat_template_open(Str source, Str bos_token, Str eos_token, Error *err)
{
    JinjaTemplate *jinja = jinja_parse(source, err);
    if (!jinja)
        return NULL;
    ChatTemplate *t = mem_alloc(sizeof *t);
    *t = (ChatTemplate){
        .jinja = jinja, .bos_token = copied(bos_token), .eos_token = copied(eos_token)};
    probe_calls(t);
    return t;
}

void chat_template_close(ChatTemplate *t)
{
    if (!t)
        return;
    jinja_free(t->jinja);
    mem_free(t->bos_token);
    mem_free(t->eos_token);
    mem_free(t);
}

bool chat_template_is_hybrid(const ChatTemplate *t)
{
    return jinja_mentions(t->jinja, "enable_thinking");
}
