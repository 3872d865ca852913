/* See live.h. */
#include "rl/live.h"

#include "engine/assets.h"
#include "engine/engine.h"
#include "text/chat.h"

#include <string.h>

/* A reply as it comes in. */
typedef struct Listener {
    int64_t id; /* 0: done */
    Buf thinking, content, arguments;
    json_t *calls, *call;
} Listener;

/* ---- Prompts
 * --------------------------------------------------------------------------------------------- */

static bool prompt_ids(const ModelText *text, const Question *q, Ids *ids, Error *err)
{
    if (!q->messages)
        return tokenizer_encode_all(text->tokenizer, str_from(q->prompt), ids, err);
    const ChatRender render = {.messages = q->messages,
                               .tools = json_array_size(q->tools) > 0 ? q->tools : NULL,
                               .add_generation_prompt = true,
                               .enable_thinking = q->thinks};
    JinjaOutput out = {0};
    const bool ok = chat_render(text->chat, &render, &out, err) &&
                    tokenizer_encode(text->tokenizer, buf_str(&out.text), out.untrusted,
                                     out.n_untrusted, ids, err);
    jinja_output_free(&out);
    return ok;
}

static bool make_prompts(const ModelText *text, const Question *questions, int n, Ids *prompts,
                         int *longest, Error *err)
{
    for (int i = 0; i < n; i++) {
        if (!prompt_ids(text, &questions[i], &prompts[i], err))
            return error_add(err, "question %d", i + 1);
        if (prompts[i].n == 0)
            return error_set(err, ERROR_ARGUMENT, "question %d: its prompt is empty", i + 1);
        *longest = prompts[i].n > *longest ? prompts[i].n : *longest;
    }
    return true;
}

/* ---- Replies
 * --------------------------------------------------------------------------------------------- */

static void end_call(Listener *l)
{
    if (!l->call)
        return;
    json_object_set_new(
        l->call, "arguments",
        json_stringn(l->arguments.bytes ? l->arguments.data : "", l->arguments.bytes));
    json_array_append_new(l->calls, l->call);
    l->call = NULL;
}

static void take_event(Listener *l, const Event *event, Reply *reply)
{
    switch (event->kind) {
    case EVENT_THINKING:
        buf_add(&l->thinking, event->text);
        break;
    case EVENT_TEXT: /* a call that turns out to be none comes as text */
        json_decref(l->call);
        l->call = NULL;
        buf_add(&l->content, event->text);
        break;
    case EVENT_TOOL_NAME:
        json_decref(l->call);
        l->call = json_pack("{s:s%}", "name", event->text.data, event->text.bytes);
        buf_clear(&l->arguments);
        break;
    case EVENT_TOOL_ARGUMENTS:
        buf_add(&l->arguments, event->text);
        break;
    case EVENT_TOOL_END:
        end_call(l);
        break;
    case EVENT_TOKEN:
        break;
    case EVENT_DONE:
        l->id = 0;
        reply->n_tokens = event->usage.completion_tokens;
        reply->finish = finish_reason_name(event->reason);
        break;
    }
}

static void close_listener(Listener *l, Reply *reply)
{
    reply->thinking = mem_strndup(l->thinking.bytes ? l->thinking.data : "", l->thinking.bytes);
    reply->content = mem_strndup(l->content.bytes ? l->content.data : "", l->content.bytes);
    reply->tool_calls = l->calls;
    json_decref(l->call);
    buf_free(&l->thinking);
    buf_free(&l->content);
    buf_free(&l->arguments);
}

static void run(Engine *engine, Listener *listeners, Reply *replies, int n)
{
    while (engine_step(engine))
        for (int i = 0; i < n; i++) {
            Event event;
            while (listeners[i].id && engine_next(engine, listeners[i].id, &event))
                take_event(&listeners[i], &event, &replies[i]);
        }
}

/* ---- Asking
 * --------------------------------------------------------------------------------------------- */

static Request request_for(const Trainer *t, const AskOptions *options, const Question *q,
                           const Ids *prompt, int i)
{
    const ChatTemplate *chat = trainer_text(t)->chat;
    Request request = request_defaults();
    request.prompt = prompt->data;
    request.n_prompt = prompt->n;
    request.max_tokens = options->max_tokens;
    request.parse_tools = json_array_size(q->tools) > 0;
    if (!options->is_greedy)
        request.sampling = assets_sampling(trainer_generation(t),
                                           chat && chat_template_is_hybrid(chat), q->thinks != 0);
    request.sampling.seed = options->seed + (uint64_t)i;
    return request;
}

static Engine *open_engine(Trainer *t, int n, int longest, int max_tokens, Error *err)
{
    Model *model = trainer_model(t);
    int32_t eos[CONFIG_EOS_MAX];
    const int context = longest + max_tokens;
    const EngineOptions options = {
        .kv_type = DTYPE_F32, /* as in training */
        .context = context < model->config.context_max ? context : model->config.context_max,
        .max_sequences = n < ENGINE_SEQUENCES ? n : ENGINE_SEQUENCES,
        .eos_ids = eos,
        .n_eos = assets_generation_eos(trainer_generation(t), model->config.n_vocab, eos),
    };
    return engine_open(model, trainer_text(t)->tokenizer, &options, err);
}

static bool ask(void *context, const AskOptions *options, const Question *questions, int n,
                Reply *replies, Error *err)
{
    Trainer *t = context;
    Ids *prompts = mem_alloc(sizeof *prompts * (size_t)n);
    Listener *listeners = mem_alloc(sizeof *listeners * (size_t)n);
    Engine *engine = NULL;
    int longest = 0;
    bool ok = make_prompts(trainer_text(t), questions, n, prompts, &longest, err) &&
              (engine = open_engine(t, n, longest, options->max_tokens, err)) != NULL;
    const AdapterUse adapter = {trainer_adapter(t), 1};
    for (int i = 0; ok && i < n; i++) {
        Request request = request_for(t, options, &questions[i], &prompts[i], i);
        request.adapters = &adapter;
        request.n_adapters = adapter.adapter != NULL;
        listeners[i].calls = json_array();
        listeners[i].id = engine_add(engine, &request, err);
        ok = listeners[i].id > 0 || error_add(err, "question %d", i + 1);
    }
    if (ok)
        run(engine, listeners, replies, n);
    engine_close(engine);
    for (int i = 0; i < n; i++) {
        close_listener(&listeners[i], &replies[i]);
        ids_free(&prompts[i]);
    }
    mem_free(prompts);
    mem_free(listeners);
    return ok;
}

Asker live_asker(Trainer *t) { return (Asker){ask, t}; }
