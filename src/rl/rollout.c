/* See rollout.h. */
#include "rl/rollout.h"

#include "base/bug.h"
#include "tasks/tool_box.h"

#include <string.h>

/* What an answer is about while it grows. */
typedef struct Speaker {
    Rollout *rollout;
    const Problem *problem;
    json_t *messages; /* the conversation so far, episodes only */
    json_t *tools;
    ToolBox *box;
    int64_t id; /* of its request; 0: none is running */
    Buf name, arguments;
    int first_call; /* of this turn */
} Speaker;

typedef struct Making {
    Engine *engine;
    const ModelText *text;
    const RolloutOptions *options;
    int32_t end; /* the token that ends a turn, or -1 */
} Making;

/* ---- Prompts
 * --------------------------------------------------------------------------------------------- */

static json_t *parse(Str text, const char *what, Error *err)
{
    json_error_t where;
    json_t *json = json_loadb(text.data, text.bytes, JSON_ALLOW_NUL, &where);
    if (!json)
        error_set(err, ERROR_FORMAT, "%s: %s", what, where.text);
    return json;
}

static json_t *message_json(const TaskMessage *m)
{
    json_t *json = json_pack("{s:s, s:s%}", "role", task_role_name(m->role), "content",
                             m->content.data ? m->content.data : "", m->content.bytes);
    json_t *calls = json_array();
    for (int i = 0; i < m->n_calls; i++)
        json_array_append_new(
            calls, json_pack("{s:s, s:{s:s%, s:s%}}", "type", "function", "function", "name",
                             m->calls[i].name.data, m->calls[i].name.bytes, "arguments",
                             m->calls[i].arguments.data, m->calls[i].arguments.bytes));
    if (m->n_calls > 0)
        json_object_set(json, "tool_calls", calls);
    json_decref(calls);
    return json;
}

int rollout_thinks(const RolloutOptions *options, const Problem *problem, int problem_i)
{
    const int wanted = options->thinks;
    if (wanted >= 0 && problem->mode != MODE_ANY)
        return problem->mode == MODE_THINK;
    return wanted == THINKS_BOTH ? problem_i % 2 : wanted;
}

/* A problem whose turns carry flags of their own is asked with the switch on: they decide. */
static int thinks(const Making *m, const Speaker *s)
{
    if (m->options->thinks >= 0 && s->problem->mode != MODE_ANY)
        return 1;
    return rollout_thinks(m->options, s->problem, s->rollout->problem_i);
}

static bool render(const Making *m, const Speaker *s, json_t *messages, bool add_prompt,
                   JinjaOutput *out, Error *err)
{
    const ChatRender request = {.messages = messages,
                                .tools = s->tools,
                                .add_generation_prompt = add_prompt,
                                .enable_thinking = thinks(m, s)};
    return chat_render(m->text->chat, &request, out, err);
}

/* The conversation of a problem and its prompt's ids. */
static bool open_speaker(const Making *m, Speaker *s, Error *err)
{
    const Problem *p = s->problem;
    JinjaOutput out = {0};
    s->messages = json_array();
    for (int i = 0; i < p->n_messages; i++)
        json_array_append_new(s->messages, message_json(&p->messages[i]));
    if (p->tools.bytes > 0 && !(s->tools = parse(p->tools, "tools", err)))
        return false;
    if (p->family && p->family->is_episode && !(s->box = tool_box_open(p, err)))
        return false;
    const bool ok = render(m, s, s->messages, true, &out, err) &&
                    tokenizer_encode(m->text->tokenizer, buf_str(&out.text), out.untrusted,
                                     out.n_untrusted, &s->rollout->ids, err);
    jinja_output_free(&out);
    s->rollout->n_prompt = s->rollout->ids.n;
    return ok || error_add(err, "problem %.*s", (int)p->id.bytes, p->id.data);
}

static void close_speaker(Speaker *s)
{
    json_decref(s->messages);
    json_decref(s->tools);
    tool_box_close(s->box);
    buf_free(&s->name);
    buf_free(&s->arguments);
}

/* ---- Tokens and events
 * ------------------------------------------------------------------------------- */

/* Room for what is known of each id; new places are zero. */
static void fit(Rollout *r)
{
    if (r->ids.n <= r->capacity)
        return;
    const int capacity = r->ids.capacity;
    bool *is_sampled = mem_alloc(sizeof *is_sampled * (size_t)capacity);
    float *logprobs = mem_alloc(sizeof *logprobs * (size_t)capacity);
    if (r->capacity > 0) {
        memcpy(is_sampled, r->is_sampled, sizeof *is_sampled * (size_t)r->capacity);
        memcpy(logprobs, r->logprobs, sizeof *logprobs * (size_t)r->capacity);
    }
    mem_free(r->is_sampled);
    mem_free(r->logprobs);
    r->is_sampled = is_sampled;
    r->logprobs = logprobs;
    r->capacity = capacity;
}

static void add_token(Rollout *r, const Event *e)
{
    ids_push(&r->ids, e->id);
    fit(r);
    r->is_sampled[r->ids.n - 1] = !e->is_forced;
    r->logprobs[r->ids.n - 1] = e->is_forced ? 0 : e->logprob;
    r->n_sampled += !e->is_forced;
}

static Str keep(Rollout *r, const Buf *text)
{
    char *copy = arena_alloc(&r->arena, text->bytes + 1);
    if (text->bytes > 0)
        memcpy(copy, text->data, text->bytes);
    copy[text->bytes] = 0;
    return (Str){copy, text->bytes};
}

static void add_call(Speaker *s)
{
    Rollout *r = s->rollout;
    TaskCall *more = ARENA_ARRAY(&r->arena, TaskCall, r->n_calls + 1);
    if (r->n_calls > 0)
        memcpy(more, r->calls, sizeof *more * (size_t)r->n_calls);
    more[r->n_calls++] = (TaskCall){keep(r, &s->name), keep(r, &s->arguments)};
    r->calls = more;
}

/* True when the request is done. */
static bool take_event(Speaker *s, const Event *e)
{
    Rollout *r = s->rollout;
    switch (e->kind) {
    case EVENT_THINKING:
        buf_add(&r->thinking, e->text);
        break;
    case EVENT_TEXT:
        buf_add(&r->content, e->text);
        break;
    case EVENT_TOOL_NAME:
        buf_clear(&s->name);
        buf_clear(&s->arguments);
        buf_add(&s->name, e->text);
        break;
    case EVENT_TOOL_ARGUMENTS:
        buf_add(&s->arguments, e->text);
        break;
    case EVENT_TOOL_END:
        add_call(s);
        break;
    case EVENT_TOKEN:
        add_token(r, e);
        break;
    case EVENT_DONE:
        r->finish = e->reason;
        if (e->id >= 0)
            add_token(r, e); /* the end is as much a choice as any other token */
        return true;
    }
    return false;
}

/* ---- Turns
 * -----------------------------------------------------------------------------------------------
 */

static bool ask(const Making *m, Speaker *s, int i, Error *err)
{
    Rollout *r = s->rollout;
    const AdapterUse adapter = {m->options->adapter, 1};
    Request request = request_defaults();
    request.adapters = &adapter;
    request.n_adapters = adapter.adapter != NULL;
    request.prompt = r->ids.data;
    request.n_prompt = r->ids.n;
    request.max_tokens = m->options->max_tokens - r->n_sampled;
    request.sampling = m->options->sampling ? *m->options->sampling : sampling_defaults();
    if (!m->options->sampling)
        request.sampling.temperature = 1;
    request.sampling.seed = m->options->seed + (uint64_t)i;
    request.no_answer_room = request.no_loop_guard = true; /* what was sampled, and nothing else */
    request.n_logprobs = 0;
    request.parse_tools = s->tools != NULL;
    buf_clear(&r->thinking);
    buf_clear(&r->content);
    s->first_call = r->n_calls;
    r->n_turns++;
    fit(r);
    s->id = engine_add(m->engine, &request, err);
    return s->id > 0;
}

/* The turn that has ended, as a message behind the others. */
static void add_turn(Speaker *s)
{
    const Rollout *r = s->rollout;
    const TaskMessage turn = {.role = ROLE_ASSISTANT,
                              .content = buf_str(&r->content),
                              .calls = r->calls + s->first_call,
                              .n_calls = r->n_calls - s->first_call};
    json_t *json = message_json(&turn);
    if (r->thinking.bytes > 0)
        json_object_set_new(json, "reasoning_content",
                            json_stringn(r->thinking.data, r->thinking.bytes));
    json_array_append_new(s->messages, json);
}

/* The turn, then the tools' responses, really made. */
static void call_tools(Speaker *s)
{
    const Rollout *r = s->rollout;
    Buf response = {0};
    add_turn(s);
    for (int i = s->first_call; i < r->n_calls; i++) {
        buf_clear(&response);
        tool_box_call(s->box, &r->calls[i], &response);
        const TaskMessage message = {.role = ROLE_TOOL, .content = buf_str(&response)};
        json_array_append_new(s->messages, message_json(&message));
    }
    buf_free(&response);
}

/* The messages, each turn of the model with a thought: Qwen3's template writes an empty think block
 * into the last turn, and leaves it out of that turn once a tool's response follows. */
static json_t *with_thoughts(const json_t *messages)
{
    json_t *copy = json_deep_copy(messages);
    size_t i;
    json_t *message;
    json_array_foreach(copy, i, message)
    {
        const char *role = json_string_value(json_object_get(message, "role"));
        if (role && strcmp(role, "assistant") == 0 &&
            !json_object_get(message, "reasoning_content"))
            json_object_set_new(message, "reasoning_content", json_string("."));
    }
    return copy;
}

/* Appends what the template puts between the end of a turn that called tools and the next one: the
 * renderings with and without the responses differ by it. What stands behind the turn's end token
 * in the shorter one (a newline) belongs to it too. */
static bool add_responses(const Making *m, Speaker *s, Error *err)
{
    Rollout *r = s->rollout;
    JinjaOutput before = {0}, after = {0};
    const size_t n_messages = json_array_size(s->messages);
    json_t *longer = with_thoughts(s->messages), *shorter = json_copy(longer);
    while (json_array_size(shorter) > n_messages - (size_t)(r->n_calls - s->first_call))
        json_array_remove(shorter, json_array_size(shorter) - 1);
    bool ok = render(m, s, shorter, false, &before, err) && render(m, s, longer, true, &after, err);
    const Str end = m->end >= 0 ? tokenizer_bytes(m->text->tokenizer, m->end) : (Str){"", 0};
    if (ok) {
        size_t from = before.text.bytes;
        ok = after.text.bytes >= from && memcmp(after.text.data, before.text.data, from) == 0;
        while (end.bytes > 0 && from > end.bytes &&
               memcmp(after.text.data + from - end.bytes, end.data, end.bytes) != 0)
            from--;
        if (!ok)
            error_set(err, ERROR_UNSUPPORTED,
                      "the chat template rewrites earlier turns, so tool "
                      "responses cannot follow sampled tokens");
        TextSpan *spans = mem_alloc(sizeof *spans * (size_t)(after.n_untrusted + 1));
        int n_spans = 0;
        for (int i = 0; i < after.n_untrusted; i++)
            if (after.untrusted[i].to > from)
                spans[n_spans++] =
                    (TextSpan){after.untrusted[i].from > from ? after.untrusted[i].from - from : 0,
                               after.untrusted[i].to - from};
        const Str tail = {after.text.data + from, after.text.bytes - from};
        ok = ok && tokenizer_encode(m->text->tokenizer, tail, spans, n_spans, &r->ids, err);
        mem_free(spans);
    }
    json_decref(shorter);
    json_decref(longer);
    jinja_output_free(&before);
    jinja_output_free(&after);
    fit(r);
    return ok;
}

/* The answer is whole, or as much of it as there will be. */
static void end_answer(const Making *m, Speaker *s)
{
    if (!m->options->keeps_turns)
        return;
    add_turn(s);
    s->rollout->turns = json_array();
    for (size_t i = (size_t)s->problem->n_messages; i < json_array_size(s->messages); i++)
        json_array_append(s->rollout->turns, json_array_get(s->messages, i));
}

/* After a turn: another one, or the end. */
static bool go_on(const Making *m, Speaker *s, int i, Error *err)
{
    Rollout *r = s->rollout;
    s->id = 0;
    if (!s->box || r->finish != FINISH_TOOL_CALLS || r->n_turns >= m->options->max_turns ||
        r->n_sampled >= m->options->max_tokens) {
        end_answer(m, s);
        return true;
    }
    call_tools(s);
    if (!add_responses(m, s, err))
        return false;
    if (r->ids.n + 1 >= engine_context(m->engine))
        return true;
    return ask(m, s, i, err);
}

static bool run(const Making *m, Speaker *speakers, int n, Error *err)
{
    while (engine_step(m->engine))
        for (int i = 0; i < n; i++) {
            Event event;
            bool is_done = false;
            while (speakers[i].id && !is_done && engine_next(m->engine, speakers[i].id, &event))
                is_done = take_event(&speakers[i], &event);
            if (is_done && !go_on(m, &speakers[i], i, err))
                return false;
        }
    return true;
}

/* ---- All
 * -------------------------------------------------------------------------------------------------
 */

static Engine *open_engine(Model *model, const ModelText *text, int longest, int n,
                           const RolloutOptions *options, Error *err)
{
    /* Responses of tools take room too: as much as the model's own tokens. */
    const int wanted = longest + 2 * options->max_tokens, most = model->config.context_max;
    const int at_once = options->n_at_once > 0 ? options->n_at_once : ENGINE_SEQUENCES;
    const EngineOptions engine = {
        .kv_type = DTYPE_F32,
        .context = wanted < most ? wanted : most,
        .max_sequences = n < at_once ? n : at_once,
        .eos_ids = options->eos_ids,
        .n_eos = options->n_eos,
    };
    return engine_open(model, text->tokenizer, &engine, err);
}

bool rollouts_make(Rollouts *r, Model *model, const ModelText *text, Problem *problems, int n,
                   const RolloutOptions *options, Error *err)
{
    ASSERT(text->chat);
    const int n_answers = n * options->group;
    Making m = {.text = text, .options = options, .end = model_text_answer_end(text)};
    Speaker *speakers = mem_alloc(sizeof *speakers * (size_t)n_answers);
    int longest = 0;
    bool ok = true;
    *r = (Rollouts){mem_alloc(sizeof *r->items * (size_t)n_answers), n_answers};
    for (int i = 0; i < n_answers && ok; i++) {
        Rollout *rollout = &r->items[i];
        rollout->problem_i = i / options->group;
        speakers[i] = (Speaker){.rollout = rollout, .problem = &problems[rollout->problem_i]};
        ok = open_speaker(&m, &speakers[i], err);
        longest = rollout->n_prompt > longest ? rollout->n_prompt : longest;
    }
    ok = ok && (m.engine = open_engine(model, text, longest, n_answers, options, err)) != NULL;
    for (int i = 0; i < n_answers && ok; i++)
        ok = ask(&m, &speakers[i], i, err);
    ok = ok && run(&m, speakers, n_answers, err);
    engine_close(m.engine);
    for (int i = 0; i < n_answers; i++)
        close_speaker(&speakers[i]);
    mem_free(speakers);
    return ok;
}

void rollouts_free(Rollouts *r)
{
    for (int i = 0; i < r->n; i++) {
        Rollout *rollout = &r->items[i];
        ids_free(&rollout->ids);
        mem_free(rollout->is_sampled);
        mem_free(rollout->logprobs);
        buf_free(&rollout->thinking);
        buf_free(&rollout->content);
        json_decref(rollout->turns);
        arena_close(&rollout->arena);
    }
    mem_free(r->items);
    *r = (Rollouts){0};
}

TaskReply rollout_reply(const Rollout *r)
{
    return (TaskReply){.thinking = buf_str(&r->thinking),
                       .content = buf_str(&r->content),
                       .calls = r->calls,
                       .n_calls = r->n_calls};
}
