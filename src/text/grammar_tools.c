/* Tool calls as a grammar, in the form in which the Qwen family was trained to write them:
 *
 *   <tool_call>\n{"name": "f", "arguments": {...}}\n</tool_call>
 *
 * The tags are tokens, the spacing is json.dumps' own, so all of it but the arguments is forced. */
#include "text/grammar_parts.h"
#include "text/schema.h"

#include <string.h>

typedef struct Tools {
    const ToolRules *asked;
    Rules *rules;
    json_t *any_object; /* {"type": "object"} */
    int32_t open_id, close_id;
    Error *err;
} Tools;

/* The schema of arguments, compiled on trial in rules of its own first: what fails must leave
 * nothing behind. */
static bool can_enforce(json_t *parameters, Error *err)
{
    Rules *trial = rules_open();
    int rule;
    bool ok = schema_compile(trial, parameters, true, &rule, err) &&
              rules_finish(trial, rule, NULL, NULL, err);
    rules_close(trial);
    return ok;
}

/* Arguments are an object whatever the schema says. */
static json_t *arguments_schema(Tools *t, json_t *parameters)
{
    if (!json_is_object(parameters))
        return json_incref(t->any_object);
    json_t *copy = json_deep_copy(parameters);
    if (!json_object_get(copy, "type"))
        json_object_set_new(copy, "type", json_string("object"));
    return copy;
}

static bool add_tool(Tools *t, const json_t *function, const char *name, int calls)
{
    Error why = {0};
    json_t *schema = arguments_schema(t, json_object_get(function, "parameters"));
    int arguments;
    bool ok = true;
    if (!can_enforce(schema, &why)) {
        if (json_is_true(json_object_get(function, "strict"))) {
            ok = error_set(t->err, why.code, "tool \"%.100s\": %.380s", name, why.message);
        } else {
            json_decref(schema);
            schema = json_incref(t->any_object);
        }
    }
    ok = ok && schema_compile(t->rules, schema, true, &arguments, t->err);
    json_decref(schema);
    if (!ok)
        return false;
    RxPool *p = t->rules->pool;
    Buf head = {0};
    buf_puts(&head, "\n{\"name\": \"");
    spell_text(&head, str_from(name), SPELL_JSON);
    buf_puts(&head, "\", \"arguments\": ");
    rules_add(t->rules, calls,
              (Sym[]){sym_rx(rx_token(p, t->open_id)), sym_rx(rx_literal(p, buf_str(&head))),
                      sym_rule(arguments), sym_rx(rx_literal(p, STR("}\n"))),
                      sym_rx(rx_token(p, t->close_id))},
              5);
    buf_free(&head);
    return true;
}

/* Rule `call`: a call of one of the tools. */
static bool add_tools(Tools *t, json_t *list, int call)
{
    size_t i;
    json_t *tool;
    bool has_any = false;
    if (!json_is_array(list) || json_array_size(list) > GRAMMAR_TOOLS_MAX)
        return error_set(t->err, ERROR_ARGUMENT, "tools: not an array of at most %d",
                         GRAMMAR_TOOLS_MAX);
    json_array_foreach(list, i, tool)
    {
        const json_t *function = json_object_get(tool, "function");
        function = function ? function : tool; /* some leave the wrapping out */
        const char *name = json_string_value(json_object_get(function, "name"));
        if (!name)
            return error_set(t->err, ERROR_ARGUMENT, "tools[%zu] has no name", i);
        if (t->asked->name && strcmp(name, t->asked->name) != 0)
            continue;
        has_any = true;
        if (!add_tool(t, function, name, call))
            return false;
    }
    if (!has_any && t->asked->name)
        return error_set(t->err, ERROR_ARGUMENT, "tool_choice names \"%.100s\", which is no tool",
                         t->asked->name);
    return has_any || t->asked->choice != TOOL_CHOICE_REQUIRED ||
           error_set(t->err, ERROR_ARGUMENT, "a call is required, but there are no tools");
}

/* calls = call (newline call)*, or one call. */
static int add_calls(const Tools *t, int call)
{
    if (t->asked->is_single)
        return call;
    int calls = rules_new(t->rules), more = rules_new(t->rules);
    Sym newline = sym_rx(rx_literal(t->rules->pool, STR("\n")));
    rules_add(t->rules, calls, (Sym[]){sym_rule(call), sym_rule(more)}, 2);
    rules_add(t->rules, more, NULL, 0);
    rules_add(t->rules, more, (Sym[]){newline, sym_rule(calls)}, 2);
    return calls;
}

/* What is not in the way of a call: any text, as tokens that are no tags. */
static bool add_answer(Tools *t, int *answer)
{
    if (t->asked->answer_schema.bytes) {
        json_error_t where;
        json_t *schema = json_loadb(t->asked->answer_schema.data, t->asked->answer_schema.bytes,
                                    JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
        bool ok = schema
                      ? schema_compile(t->rules, schema, false, answer, t->err)
                      : error_set(t->err, ERROR_FORMAT, "the schema is not JSON: %s", where.text);
        json_decref(schema);
        return ok;
    }
    *answer = rules_new(t->rules);
    rules_add(t->rules, *answer, (Sym[]){sym_rx(RX_ALL)}, 1);
    return true;
}

static bool add_root(Tools *t, json_t *list, int *root)
{
    const ToolRules *asked = t->asked;
    int answer, call = rules_new(t->rules);
    *root = rules_new(t->rules);
    if (asked->choice != TOOL_CHOICE_NONE && !add_tools(t, list, call))
        return false;
    if (asked->choice == TOOL_CHOICE_REQUIRED) {
        rules_add(t->rules, *root, (Sym[]){sym_rule(add_calls(t, call))}, 1);
        return true;
    }
    if (!add_answer(t, &answer))
        return false;
    rules_add(t->rules, *root, (Sym[]){sym_rule(answer)}, 1);
    if (asked->choice == TOOL_CHOICE_NONE)
        return true;
    if (asked->answer_schema.bytes) { /* JSON or calls */
        rules_add(t->rules, *root, (Sym[]){sym_rule(add_calls(t, call))}, 1);
        return true;
    }
    /* Text and calls by turns; a single call ends it. */
    Sym with_call[] = {sym_rule(answer), sym_rule(call), sym_rule(*root)};
    rules_add(t->rules, *root, with_call, asked->is_single ? 2 : 3);
    return true;
}

Grammar *grammar_from_tools(const TokenTrie *trie, const ToolRules *asked, Error *err)
{
    json_error_t where;
    Tools t = {.asked = asked,
               .rules = rules_open(),
               .any_object = json_pack("{s:s}", "type", "object"),
               .open_id = tokenizer_added_id(trie->tokenizer, "<tool_call>"),
               .close_id = tokenizer_added_id(trie->tokenizer, "</tool_call>"),
               .err = err};
    json_t *list = json_loadb(asked->tools.data, asked->tools.bytes, JSON_ALLOW_NUL, &where);
    int root = 0;
    rules_new(t.rules); /* rule 0 is nobody's */
    bool ok = true;
    if (!list && asked->choice != TOOL_CHOICE_NONE)
        ok =
            error_set(err, ERROR_FORMAT, "tools are not JSON: line %d: %s", where.line, where.text);
    else if (asked->choice != TOOL_CHOICE_NONE && (t.open_id < 0 || t.close_id < 0))
        ok = error_set(err, ERROR_UNSUPPORTED,
                       "this model has no <tool_call> tokens: its calls cannot be enforced");
    ok = ok && add_root(&t, list, &root) && rules_finish(t.rules, root, NULL, NULL, err);
    json_decref(list);
    json_decref(t.any_object);
    if (ok)
        return grammar_make(trie, t.rules);
    rules_close(t.rules);
    return NULL;
}
