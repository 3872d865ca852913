/* A model as EvalAsker: see eval_asker.h. */
#include "eval/eval_asker.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

typedef struct Slot {
    wen_reply *reply;
    EvalTurn turn; /* what has come so far */
    json_t *call;  /* the call in work */
    Buf arguments; /* its */
} Slot;

typedef struct Live {
    wen_engine *engine;
    EvalSampling sampling;
    int n_slots;
    Slot *slots;
} Live;

static bool start(void *context, int slot, const EvalPrompt *prompt, Error *err)
{
    Live *live = context;
    Slot *s = &live->slots[slot];
    wen_error why;
    wen_request request = wen_request_defaults();
    char *messages = json_dumps(prompt->messages, JSON_COMPACT);
    char *tools = prompt->tools ? json_dumps(prompt->tools, JSON_COMPACT) : NULL;
    request.messages = messages;
    request.tools = tools;
    request.think = prompt->think;
    request.think_budget = prompt->budget;
    request.max_tokens = live->sampling.max_tokens;
    request.sampling.seed = prompt->seed;
    request.sampling.temperature = (float)live->sampling.temperature;
    request.sampling.top_p = (float)live->sampling.top_p;
    request.sampling.top_k = live->sampling.top_k;
    if (live->sampling.temperature == 0) {
        request.sampling.repetition_penalty = 1;
        request.sampling.presence_penalty = request.sampling.frequency_penalty = 0;
    }
    eval_turn_clear(&s->turn);
    s->reply = wen_ask(live->engine, &request, &why);
    free(messages);
    free(tools);
    return s->reply || error_set(err, (ErrorCode)why.code, "%s", why.message);
}

static void drop_call(Slot *s)
{
    json_decref(s->call);
    s->call = NULL;
    buf_clear(&s->arguments);
}

static void end_call(Slot *s)
{
    if (!s->call)
        return;
    const Str arguments = buf_str(&s->arguments);
    json_object_set_new(s->call, "arguments",
                        json_stringn(arguments.bytes ? arguments.data : "", arguments.bytes));
    json_array_append(s->turn.calls, s->call);
    drop_call(s);
}

static bool end_turn(EvalTurn *turn, const wen_event *event, Error *err)
{
    if (event->finish == WEN_FINISH_ERROR)
        return error_set(err, ERROR_DEVICE, "the model: %s", event->text);
    if (event->finish == WEN_FINISH_NO_MEMORY)
        return error_set(err, ERROR_MEMORY,
                         "keys and values do not fit; give more --kv-memory or less --ctx");
    turn->finish = wen_finish_name(event->finish);
    turn->prompt_tokens = event->usage.prompt_tokens;
    turn->thinking_tokens = event->usage.reasoning_tokens;
    turn->reply_tokens = event->usage.completion_tokens;
    turn->was_closed = event->usage.thought_was_closed;
    return true;
}

static bool take_event(Slot *s, const wen_event *event, Error *err)
{
    const Str text = {event->text, event->text_bytes};
    switch (event->kind) {
    case WEN_EVENT_THINKING:
        buf_add(&s->turn.thinking, text);
        return true;
    case WEN_EVENT_TEXT: /* a call that turns out to be none comes as text */
        drop_call(s);
        buf_add(&s->turn.content, text);
        return true;
    case WEN_EVENT_TOOL_NAME:
        drop_call(s);
        s->call = json_pack("{s:s%}", "name", text.data, text.bytes);
        return true;
    case WEN_EVENT_TOOL_ARGUMENTS:
        buf_add(&s->arguments, text);
        return true;
    case WEN_EVENT_TOOL_END:
        end_call(s);
        return true;
    case WEN_EVENT_TOKEN:
        return true;
    case WEN_EVENT_DONE:
        return end_turn(&s->turn, event, err);
    }
    return true;
}

static bool poll_slot(void *context, int slot, int timeout_ms, EvalTurn *turn, bool *is_done,
                      Error *err)
{
    Slot *s = &((Live *)context)->slots[slot];
    wen_event event;
    *is_done = false;
    while (!*is_done && wen_next(s->reply, timeout_ms, &event) == WEN_NEXT_EVENT) {
        timeout_ms = 0;
        if (!take_event(s, &event, err))
            return false;
        *is_done = event.kind == WEN_EVENT_DONE;
    }
    if (!*is_done)
        return true;
    wen_reply_free(s->reply);
    s->reply = NULL;
    drop_call(s);
    const EvalTurn whole = s->turn;
    s->turn = *turn;
    *turn = whole;
    return true;
}

EvalAsker eval_live_open(wen_engine *engine, const EvalSampling *sampling, int n_slots)
{
    Live *live = mem_alloc(sizeof *live);
    *live = (Live){engine, *sampling, n_slots, mem_alloc(sizeof(Slot) * (size_t)n_slots)};
    return (EvalAsker){n_slots, start, poll_slot, live};
}

void eval_live_close(EvalAsker *asker)
{
    Live *live = asker->context;
    for (int i = 0; live && i < live->n_slots; i++) {
        wen_reply_free(live->slots[i].reply);
        drop_call(&live->slots[i]);
        eval_turn_free(&live->slots[i].turn);
        buf_free(&live->slots[i].arguments);
    }
    if (live)
        mem_free(live->slots);
    mem_free(live);
    *asker = (EvalAsker){0};
}
