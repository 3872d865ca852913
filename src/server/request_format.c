/* Every spelling of the form that an answer must have:
 *
 *   response_format {type: text, json_object, json_schema {schema}}   OpenAI's chat
 *   text {format {type, schema}}                                       OpenAI's responses
 *   output_format, output_config {format}                              Anthropic
 *   format: "json" or a schema                                         Ollama
 *   json_schema, regex, grammar = ebnf                                 llama.cpp, SGLang
 *   structured_outputs {json, json_object, regex, choice, grammar}     vLLM
 *   guided_json, guided_regex, guided_choice, guided_grammar           vLLM before
 *
 * A schema is an object, or JSON text of one. Two forms at once are a 400. */
#include "server/request_options.h"

#include "server/json_in.h"

#include <string.h>

static const char any_object[] = "{\"type\":\"object\"}";

static bool read_schema(RequestOptions *o, const json_t *schema, const char *where, Fault *fault)
{
    if (json_is_string(schema) && strlen(json_string_value(schema)) == json_string_length(schema))
        o->ask.json_schema = json_string_value(schema);
    else if (json_is_object(schema) || json_is_boolean(schema))
        o->ask.json_schema = options_dump(o, schema);
    else
        return fault_set(fault, 400, where, "%s: must be a JSON Schema", where);
    return true;
}

/* {type, schema} or OpenAI's {type, json_schema {schema}}. */
static bool read_typed(RequestOptions *o, const json_t *format, const char *where, Fault *fault)
{
    const char *type = json_string_value(json_object_get(format, "type"));
    const json_t *inner = in_get(format, "json_schema");
    const json_t *schema = in_get(inner ? inner : format, "schema");
    if (!type)
        return fault_set(fault, 400, where, "%s: must be an object with a type", where);
    if (strcmp(type, "text") == 0)
        return true;
    if (strcmp(type, "json_object") == 0 && !schema) {
        o->ask.json_schema = any_object;
        return true;
    }
    if (strcmp(type, "json_object") != 0 && strcmp(type, "json_schema") != 0)
        return fault_set(fault, 400, where,
                         "%s: type \"%.60s\" is none of text, json_object, "
                         "json_schema",
                         where, type);
    return read_schema(o, schema, where, fault);
}

static bool read_choices(RequestOptions *o, const json_t *object, const char *where,
                         const char *name, Fault *fault)
{
    json_t *choices = NULL, *choice;
    size_t i;
    if (!in_array(object, where, name, &choices, fault))
        return false;
    if (!choices)
        return true;
    const char **texts = ARENA_ARRAY(&o->arena, const char *, json_array_size(choices) + 1);
    json_array_foreach(choices, i, choice)
    {
        texts[i] = json_string_value(choice);
        if (!texts[i] || strlen(texts[i]) != json_string_length(choice))
            return fault_set(fault, 400, name, "%s%s: must be an array of strings", where, name);
    }
    if (json_array_size(choices) == 0)
        return fault_set(fault, 400, name, "%s%s: has no choice", where, name);
    o->ask.choices = texts;
    o->ask.n_choices = (int)json_array_size(choices);
    return true;
}

/* Ollama's. */
static bool read_format(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    const json_t *format = in_get(object, "format");
    const char *word = json_string_value(format);
    if (!format || (word && !*word))
        return true;
    if (word && strcmp(word, "json") != 0)
        return fault_set(fault, 400, "format", "%sformat: must be \"json\" or a JSON Schema",
                         where);
    if (word)
        o->ask.json_schema = any_object;
    return word || read_schema(o, format, "format", fault);
}

static bool read_schema_member(RequestOptions *o, const json_t *object, const char *name,
                               Fault *fault)
{
    const json_t *schema = in_get(object, name);
    return !schema || read_schema(o, schema, name, fault);
}

static bool read_vllm(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    json_t *outputs = NULL;
    bool is_object = false;
    if (!in_object(object, where, "structured_outputs", &outputs, fault))
        return false;
    if (in_get(outputs, "structural_tag") || in_get(object, "structural_tag"))
        return fault_set(fault, 501, "structural_tag",
                         "structural_tag: this form of an answer cannot be enforced here");
    static const char place[] = "structured_outputs.";
    if (!read_schema_member(o, outputs, "json", fault) ||
        !in_bool(outputs, place, "json_object", &is_object, fault) ||
        !in_text(outputs, place, "regex", &o->ask.regex, fault) ||
        !in_text(outputs, place, "grammar", &o->ask.grammar, fault) ||
        !read_choices(o, outputs, place, "choice", fault))
        return false;
    if (is_object)
        o->ask.json_schema = any_object;
    return read_schema_member(o, object, "guided_json", fault) &&
           in_text(object, where, "guided_regex", &o->ask.regex, fault) &&
           in_text(object, where, "guided_grammar", &o->ask.grammar, fault) &&
           read_choices(o, object, where, "guided_choice", fault);
}

static bool read_typed_members(RequestOptions *o, const json_t *object, Fault *fault)
{
    const struct {
        const char *name;
        const json_t *value;
    } members[] = {
        {"response_format", in_get(object, "response_format")},
        {"text.format", in_get(json_object_get(object, "text"), "format")},
        {"output_format", in_get(object, "output_format")},
        {"output_config.format", in_get(json_object_get(object, "output_config"), "format")},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (members[i].value && !read_typed(o, members[i].value, members[i].name, fault))
            return false;
    return true;
}

bool options_read_format(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    return read_typed_members(o, object, fault) && read_format(o, object, where, fault) &&
           read_schema_member(o, object, "json_schema", fault) &&
           in_text(object, where, "regex", &o->ask.regex, fault) &&
           in_text(object, where, "grammar", &o->ask.grammar, fault) &&
           in_text(object, where, "ebnf", &o->ask.grammar, fault) &&
           read_vllm(o, object, where, fault);
}
