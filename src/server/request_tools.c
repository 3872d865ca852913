/* Tools and their choice; see request_options.h.
 *
 * A tool is a function in one of three shapes, told apart by their members:
 *   {"type": "function", "function": {"name", "description", "parameters"}}    OpenAI chat, Ollama
 *   {"type": "function", "name", "description", "parameters"}                  OpenAI responses
 *   {"name", "description", "input_schema"}                                    Anthropic
 * tool_choice is "auto", "none", "required" (or "any"), or an object with such a type, or one that
 * names a function. */
#include "server/request_options.h"

#include "server/json_in.h"

#include <string.h>

static json_t *make_tool(const char *name, json_t *description, json_t *parameters)
{
    json_t *function = json_object(), *tool = json_object();
    json_object_set_new(function, "name", json_string(name));
    if (json_is_string(description))
        json_object_set(function, "description", description);
    json_object_set_new(function, "parameters",
                        json_is_object(parameters) ? json_incref(parameters) : json_object());
    json_object_set_new(tool, "type", json_string("function"));
    json_object_set_new(tool, "function", function);
    return tool;
}

/* One tool in OpenAI's chat shape, a new reference. */
static json_t *convert_tool(json_t *tool, size_t i, Fault *fault)
{
    json_t *function = json_object_get(tool, "function");
    json_t *schema = json_object_get(tool, "input_schema");
    const char *type = json_string_value(json_object_get(tool, "type"));
    json_t *holder = json_is_object(function) ? function : tool;
    const char *name = json_string_value(json_object_get(holder, "name"));
    char path[48];
    snprintf(path, sizeof path, "tools[%zu]", i);
    if (!json_is_object(tool)) {
        fault_set(fault, 400, path, "%s: must be an object", path);
        return NULL;
    }
    if (type && strcmp(type, "function") != 0 && !(strcmp(type, "custom") == 0 && schema)) {
        fault_set(fault, 400, path, "%s: type \"%.60s\": only functions can be given as tools",
                  path, type);
        return NULL;
    }
    if (!name || !*name || strlen(name) > 256) {
        fault_set(fault, 400, path, "%s: needs a name of 1 to 256 bytes", path);
        return NULL;
    }
    if (json_is_object(function))
        return json_incref(tool);
    return make_tool(name, json_object_get(tool, "description"),
                     schema ? schema : json_object_get(tool, "parameters"));
}

static bool read_tools(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    json_t *tools = NULL, *tool;
    size_t i;
    if (!in_array(object, where, "tools", &tools, fault))
        return false;
    if (!tools)
        return true;
    json_decref(o->tools);
    o->tools = json_array();
    json_array_foreach(tools, i, tool)
    {
        json_t *converted = convert_tool(tool, i, fault);
        if (!converted)
            return false;
        json_array_append_new(o->tools, converted);
    }
    if (json_array_size(o->tools) == 0) {
        json_decref(o->tools);
        o->tools = NULL;
    }
    return true;
}

static bool choice_from_word(RequestOptions *o, const char *word)
{
    if (strcmp(word, "auto") == 0)
        o->ask.tool_choice = WEN_TOOLS_AUTO;
    else if (strcmp(word, "none") == 0)
        o->ask.tool_choice = WEN_TOOLS_NONE;
    else if (strcmp(word, "required") == 0 || strcmp(word, "any") == 0)
        o->ask.tool_choice = WEN_TOOLS_REQUIRED;
    else
        return false;
    return true;
}

static bool read_choice(RequestOptions *o, const json_t *object, Fault *fault)
{
    const json_t *choice = in_get(object, "tool_choice");
    if (!choice)
        return true;
    const json_t *function = json_object_get(choice, "function");
    const char *type =
        json_string_value(json_is_string(choice) ? choice : json_object_get(choice, "type"));
    const char *name = json_string_value(json_object_get(function ? function : choice, "name"));
    bool disables_parallel = false;
    if (json_is_object(choice) &&
        !in_bool(choice, "tool_choice.", "disable_parallel_tool_use", &disables_parallel, fault))
        return false;
    o->ask.makes_single_call |= disables_parallel;
    if (type && choice_from_word(o, type))
        return true;
    if (json_is_object(choice) && name) {
        o->ask.tool_choice = WEN_TOOLS_REQUIRED;
        o->ask.tool_name = name;
        return true;
    }
    return fault_set(fault, 400, "tool_choice",
                     "tool_choice: must be \"auto\", \"none\", \"required\" or an object that "
                     "names a function");
}

bool options_read_tools(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    int is_parallel = -1;
    if (!read_tools(o, object, where, fault) || !read_choice(o, object, fault) ||
        !in_switch(object, where, "parallel_tool_calls", &is_parallel, fault))
        return false;
    if (is_parallel >= 0)
        o->ask.makes_single_call = !is_parallel;
    return true;
}

static bool has_tool(const RequestOptions *o, const char *name)
{
    size_t i;
    json_t *tool;
    json_array_foreach(o->tools, i, tool)
    {
        json_t *function = json_object_get(tool, "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) == 0)
            return true;
    }
    return false;
}

bool options_finish_tools(RequestOptions *o, Fault *fault)
{
    const char *name = o->ask.tool_name;
    if (name && !has_tool(o, name))
        return fault_set(fault, 400, "tool_choice", "tool_choice: there is no tool \"%.200s\"",
                         name);
    if (o->ask.tool_choice == WEN_TOOLS_REQUIRED && !o->tools)
        return fault_set(fault, 400, "tool_choice",
                         "tool_choice: a call is required, but there are no tools");
    o->ask.parses_tools = o->tools && o->ask.tool_choice != WEN_TOOLS_NONE;
    return true;
}
