/* See next_turn.h. */
#include "server/next_turn.h"

#include "server/server_state.h"

#include <stdlib.h>

static bool is_worth_it(const Exchange *x)
{
    if (x->n_choices != 1 || x->n_done != 1 || !x->options.ask.messages || x->fault.status)
        return false;
    const Choice *c = &x->choices[0];
    if (c->usage.reasoning_tokens == 0 || c->text.bytes == 0 || c->n_calls > 0)
        return false;
    wen_engine_stats stats = wen_engine_get_stats(x->model->engine);
    return stats.n_running == 0 && stats.n_waiting == 0;
}

static void append(json_t *messages, const char *role, Str content)
{
    json_t *message = json_object();
    json_object_set_new(message, "role", json_string(role));
    json_object_set_new(message, "content", json_stringn(content.data, content.bytes));
    json_array_append_new(messages, message);
}

void next_turn_prepare(const Exchange *x)
{
    if (!is_worth_it(x))
        return;
    json_t *messages = json_loads(x->options.ask.messages, JSON_ALLOW_NUL, NULL);
    append(messages, "assistant", buf_str(&x->choices[0].text));
    append(messages, "user", STR("?"));
    char *text = json_dumps(messages, JSON_COMPACT);
    wen_request ask = wen_request_defaults();
    ask.messages = text;
    ask.tools = x->options.ask.tools;
    ask.template_kwargs = x->options.ask.template_kwargs;
    ask.think = x->options.ask.think;
    ask.cache_salt = x->options.ask.cache_salt;
    ask.adapters = x->options.ask.adapters;
    ask.n_adapters = x->options.ask.n_adapters;
    ask.max_tokens = 1;
    ask.parses_tools = 0;
    wen_reply *reply = wen_ask(x->model->engine, &ask, NULL);
    models_set_preparing(x->call->server->models, x->model, reply);
    free(text);
    json_decref(messages);
}
