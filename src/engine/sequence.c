/* See sequence.h. The order of things when a token arrives: end of sequence, token event, parser,
 * stop strings, limits, then the thought's budget and loop guard, then the grammar's own tokens. */
#include "engine/sequence_parts.h"

#include "base/bug.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/utf8.h"

#include <limits.h>
#include <string.h>

typedef struct EventRecord {
    EventKind kind;
    int call_i;
    size_t text_from, text_bytes;
    int32_t id;
    float logprob;
    bool is_forced;
    int top_from, n_top;
} EventRecord;

enum {
    LOOP_CHECK_EVERY = 16,  /* tokens between looks for a loop */
    LOOP_PERIOD_MAX = 512,  /* longest repeated passage that is recognised */
    LOOP_TOKENS_MIN = 192,  /* and it must fill at least this much, */
    LOOP_REPEATS_MIN = 4,   /* at least this often */
    ANSWER_ROOM_MAX = 1024, /* tokens kept for the answer ... */
    ANSWER_ROOM_SHARE = 4,  /* ... at most a quarter of max_tokens */
};

Sampling sampling_defaults(void)
{
    return (Sampling){.temperature = 0, .top_p = 1, .repetition_penalty = 1};
}

Request request_defaults(void)
{
    return (Request){.sampling = sampling_defaults(), .think_budget = -1, .n_logprobs = -1};
}

const char *finish_reason_name(FinishReason reason)
{
    static const char *const names[] = {"stop", "length", "tool_calls", "cancelled", "no_memory"};
    return names[reason];
}

/* ---- Events ---------------------------------------------------------------------------------- */

static EventRecord *event_push(Sequence *s, EventKind kind)
{
    if (s->n_events == s->n_events_max) {
        int grown = s->n_events_max ? 2 * s->n_events_max : 64;
        EventRecord *events = mem_alloc(sizeof *events * (size_t)grown);
        if (s->n_events)
            memcpy(events, s->events, sizeof *events * (size_t)s->n_events);
        mem_free(s->events);
        s->events = events;
        s->n_events_max = grown;
    }
    EventRecord *e = &s->events[s->n_events++];
    *e = (EventRecord){.kind = kind};
    return e;
}

static void event_push_text(Sequence *s, EventKind kind, int call_i, Str text)
{
    EventRecord *last = s->n_events > s->next_event ? &s->events[s->n_events - 1] : NULL;
    bool joins = last && last->kind == kind && last->call_i == call_i &&
                 (kind == EVENT_THINKING || kind == EVENT_TEXT || kind == EVENT_TOOL_ARGUMENTS);
    if (!joins) {
        last = event_push(s, kind);
        last->call_i = call_i;
        last->text_from = s->event_text.bytes;
    }
    buf_add(&s->event_text, text);
    last->text_bytes += text.bytes;
}

static void event_push_token(Sequence *s, const Sampled *sampled, bool is_forced)
{
    if (s->request.n_logprobs < 0)
        return;
    EventRecord *e = event_push(s, EVENT_TOKEN);
    e->id = sampled->id;
    e->is_forced = is_forced;
    if (is_forced)
        return;
    e->logprob = sampled->logprob;
    e->n_top = sampled->n_top < s->request.n_logprobs ? sampled->n_top : s->request.n_logprobs;
    e->top_from = s->n_tops;
    if (s->n_tops + e->n_top > s->n_tops_max) {
        int grown = 2 * s->n_tops_max + e->n_top + 64;
        TokenTop *tops = mem_alloc(sizeof *tops * (size_t)grown);
        if (s->n_tops)
            memcpy(tops, s->tops, sizeof *tops * (size_t)s->n_tops);
        mem_free(s->tops);
        s->tops = tops;
        s->n_tops_max = grown;
    }
    for (int i = 0; i < e->n_top; i++)
        s->tops[s->n_tops++] = (TokenTop){sampled->top_ids[i], sampled->top_logprobs[i]};
}

bool sequence_next_event(Sequence *s, Event *event)
{
    if (s->next_event == s->n_events) {
        s->next_event = s->n_events = s->n_tops = 0;
        buf_clear(&s->event_text);
        return false;
    }
    const EventRecord *e = &s->events[s->next_event++];
    *event = (Event){
        .kind = e->kind,
        .call_i = e->call_i,
        .text = str_slice(buf_str(&s->event_text), e->text_from, e->text_from + e->text_bytes),
        .id = e->id,
        .logprob = e->logprob,
        .is_forced = e->is_forced,
        .top = s->tops ? s->tops + e->top_from : NULL,
        .n_top = e->n_top,
        .reason = s->reason,
        .stop_i = s->stop_i,
        .usage = s->usage,
    };
    return true;
}

/* ---- Making ---------------------------------------------------------------------------------- */

bool sequence_check(const SequenceRules *rules, const Request *r, Error *err)
{
    const Sampling *p = &r->sampling;
    if (r->n_prompt < 1)
        return error_set(err, ERROR_ARGUMENT, "the prompt is empty");
    if (r->n_prompt >= rules->context)
        return error_set(err, ERROR_LIMIT,
                         "the prompt has %d tokens; the context is %d tokens, the answer included",
                         r->n_prompt, rules->context);
    for (int i = 0; i < r->n_prompt; i++)
        if (r->prompt[i] < 0 || r->prompt[i] >= tokenizer_n_tokens(rules->tokenizer))
            return error_set(err, ERROR_ARGUMENT, "prompt token %d: id %d is not in the vocabulary",
                             i, (int)r->prompt[i]);
    if (!(p->temperature >= 0 && p->temperature <= 100) || !(p->top_p > 0 && p->top_p <= 1) ||
        !(p->min_p >= 0 && p->min_p <= 1) || p->top_k < 0 || !(p->repetition_penalty > 0) ||
        !(p->presence_penalty >= -100 && p->presence_penalty <= 100) ||
        !(p->frequency_penalty >= -100 && p->frequency_penalty <= 100))
        return error_set(
            err, ERROR_ARGUMENT,
            "sampling: temperature 0 to 100, top_p above 0 to 1, min_p 0 to 1, top_k from "
            "0, repetition_penalty above 0, presence and frequency -100 to 100");
    if (r->max_tokens < 0 || r->n_stops < 0 || r->n_stops > ENGINE_STOPS_MAX || p->n_bias < 0 ||
        p->n_bias > ENGINE_BIAS_MAX || r->n_logprobs > ENGINE_TOP_MAX)
        return error_set(
            err, ERROR_LIMIT,
            "at most %d stop strings, %d logit biases and %d logprobs; max_tokens from 0",
            ENGINE_STOPS_MAX, ENGINE_BIAS_MAX, ENGINE_TOP_MAX);
    for (int i = 0; i < p->n_bias; i++)
        if (p->bias_ids[i] < 0 || p->bias_ids[i] >= tokenizer_n_tokens(rules->tokenizer))
            return error_set(err, ERROR_ARGUMENT, "logit bias: id %d is not in the vocabulary",
                             (int)p->bias_ids[i]);
    for (int i = 0; i < r->n_stops; i++)
        if (r->stops[i][0] == '\0')
            return error_set(err, ERROR_ARGUMENT, "stop string %d is empty", i + 1);
    return true;
}

/* Adapters that count for nothing are left out, so that the request is as one without them. */
static void copy_adapters(Sequence *s, const Request *r)
{
    AdapterUse *uses = ARENA_ARRAY(&s->arena, AdapterUse, r->n_adapters);
    int n = 0;
    s->salt = r->cache_salt;
    for (int i = 0; i < r->n_adapters; i++) {
        const AdapterUse *use = &r->adapters[i];
        if (use->scale == 0)
            continue;
        uses[n++] = *use;
        s->salt = rng_mix(s->salt ^ use->adapter->identity) ^
                  str_hash((Str){(const char *)&use->scale, sizeof use->scale});
    }
    s->request.adapters = uses;
    s->request.n_adapters = n;
}

static void copy_request(Sequence *s, const Request *r)
{
    s->request = *r;
    Sampling *p = &s->request.sampling;
    int32_t *bias_ids = ARENA_ARRAY(&s->arena, int32_t, p->n_bias);
    float *bias = ARENA_ARRAY(&s->arena, float, p->n_bias);
    if (p->n_bias) {
        memcpy(bias_ids, p->bias_ids, sizeof(int32_t) * (size_t)p->n_bias);
        memcpy(bias, p->bias, sizeof(float) * (size_t)p->n_bias);
    }
    p->bias_ids = bias_ids;
    p->bias = bias;
    const char **stops = ARENA_ARRAY(&s->arena, const char *, r->n_stops);
    for (int i = 0; i < r->n_stops; i++)
        stops[i] = arena_strndup(&s->arena, r->stops[i], strlen(r->stops[i]));
    s->request.stops = stops;
    copy_adapters(s, r);
    int room = s->rules->context - r->n_prompt;
    if (r->max_tokens == 0 || r->max_tokens > room) {
        s->request.max_tokens = room;
        s->usage.context_is_full = true; /* if the limit is reached, it is the context's */
    }
}

/* How long a thought may get: what was asked, and so that the answer has room. */
static int effective_budget(const Sequence *s)
{
    int budget = s->request.think_budget >= 0 ? s->request.think_budget : INT_MAX;
    if (s->request.no_answer_room)
        return budget;
    int max_tokens = s->request.max_tokens, close = s->rules->close_thought.n;
    int room = max_tokens / ANSWER_ROOM_SHARE;
    room = room < ANSWER_ROOM_MAX ? room : ANSWER_ROOM_MAX;
    int rest = max_tokens - close - room;
    /* Too short for a thought, its end and an answer: then nothing is gained by cutting. */
    if (rest < close)
        return budget;
    return budget < rest ? budget : rest;
}

/* ---- Penalties: which ids were seen ---------------------------------------------------------- */

static bool has_penalties(const Sampling *p)
{
    return p->repetition_penalty != 1 || p->presence_penalty != 0 || p->frequency_penalty != 0;
}

static void seen_add(Sequence *s, int32_t id, int count)
{
    if (!s->seen_slots)
        return;
    uint32_t slot = (uint32_t)rng_mix((uint32_t)id) & s->seen_mask;
    while (s->seen_slots[slot] > 0 && s->seen_ids[s->seen_slots[slot] - 1] != id)
        slot = (slot + 1) & s->seen_mask;
    if (s->seen_slots[slot] == 0) {
        s->seen_ids[s->n_seen] = id;
        s->seen_slots[slot] = ++s->n_seen;
    }
    s->seen_counts[s->seen_slots[slot] - 1] += count;
}

static bool seen_open(Sequence *s, int n_ids_max, Error *err)
{
    if (!has_penalties(&s->request.sampling))
        return true;
    size_t n_slots = 64;
    while (n_slots < 2 * (size_t)n_ids_max)
        n_slots *= 2;
    size_t bytes = sizeof(int32_t) * (size_t)n_ids_max;
    s->seen_mask = (uint32_t)(n_slots - 1);
    s->seen_ids = arena_try_alloc(&s->arena, bytes, "a request", err);
    s->seen_counts = arena_try_alloc(&s->arena, bytes, "a request", err);
    s->seen_slots = arena_try_alloc(&s->arena, sizeof(int32_t) * n_slots, "a request", err);
    if (!s->seen_ids || !s->seen_counts || !s->seen_slots)
        return false;
    for (int i = 0; i < s->ids.n; i++)
        seen_add(s, s->ids.data[i], 0);
    return true;
}

/* ---- The grammar ----------------------------------------------------------------------------- */

/* Thoughts are free, and the answer begins with the first token that is not one's opening. */
bool sequence_is_ruled(const Sequence *s)
{
    return s->matcher && reply_state(s->reply) != REPLY_IN_THINKING;
}

static bool may_open_thought(const Sequence *s)
{
    return s->budget > 0 && s->rules->think_id >= 0 && reply_may_open_thought(s->reply);
}

static void mask_set(uint32_t *mask, int32_t id, bool is_allowed)
{
    uint32_t bit = UINT32_C(1) << (id % 32);
    mask[id / 32] = is_allowed ? mask[id / 32] | bit : mask[id / 32] & ~bit;
}

/* What the next token may be where `matcher` stands; NULL: anything. */
static const uint32_t *make_mask(Sequence *s, Matcher *matcher)
{
    const SequenceRules *rules = s->rules;
    if (!s->matcher)
        return NULL;
    if (!sequence_is_ruled(s)) {
        /* A call inside of the thought would get around the grammar: the thought is closed first.
         */
        memset(s->mask, 0xFF, sizeof *s->mask * (size_t)grammar_trie(s->request.grammar)->n_words);
        if (rules->call_id >= 0)
            mask_set(s->mask, rules->call_id, false);
        return s->mask;
    }
    matcher_mask(matcher, s->mask);
    if (may_open_thought(s))
        mask_set(s->mask, rules->think_id, true);
    for (int i = 0; i < rules->n_eos && matcher_may_end(matcher); i++)
        if (rules->eos_ids[i] < tokenizer_n_tokens(rules->tokenizer))
            mask_set(s->mask, rules->eos_ids[i], true);
    return s->mask;
}

SampleRow sequence_sample_row_at(Sequence *s, Matcher *matcher, int position)
{
    const Sampling *p = &s->request.sampling;
    return (SampleRow){
        .temperature = p->temperature,
        .top_k = p->top_k,
        .top_p = p->top_p,
        .min_p = p->min_p,
        .repetition_penalty = p->repetition_penalty,
        .presence_penalty = p->presence_penalty,
        .frequency_penalty = p->frequency_penalty,
        .seed = p->seed,
        .position = (uint64_t)position,
        .n_allowed = tokenizer_n_tokens(s->rules->tokenizer),
        .seen_ids = s->seen_ids,
        .seen_counts = s->seen_counts,
        .n_seen = s->n_seen,
        .bias_ids = p->bias_ids,
        .bias = p->bias,
        .n_bias = p->n_bias,
        .mask = make_mask(s, matcher),
        .n_top = s->request.n_logprobs > 0 ? s->request.n_logprobs : 0,
    };
}

SampleRow sequence_sample_row(Sequence *s)
{
    return sequence_sample_row_at(s, s->matcher, s->ids.n);
}

/* ---- Text, stop strings ---------------------------------------------------------------------- */

/* Emits the pending answer text but for a tail that could begin a stop string. Returns true when a
 * stop string was found; the text before it has then been emitted. */
static bool release_text(Sequence *s, bool all)
{
    Str text = buf_str(&s->pending);
    size_t emit = text.bytes;
    bool is_stopped = false;
    for (int i = 0; i < s->request.n_stops; i++) {
        ptrdiff_t at = str_find(text, str_from(s->request.stops[i]), 0);
        if (at >= 0 && (size_t)at < emit) {
            emit = (size_t)at;
            is_stopped = true;
            s->stop_i = i;
        }
    }
    for (int i = 0; !is_stopped && !all && i < s->request.n_stops; i++) {
        Str stop = str_from(s->request.stops[i]);
        size_t from = text.bytes >= stop.bytes ? text.bytes - stop.bytes + 1 : 0;
        for (; from < emit; from++)
            if (str_starts(stop, str_slice(text, from, text.bytes)))
                emit = from;
    }
    if (emit > 0)
        event_push_text(s, EVENT_TEXT, 0, str_slice(text, 0, emit));
    if (is_stopped || emit == text.bytes) {
        buf_clear(&s->pending);
    } else if (emit > 0) {
        memmove(s->pending.data, s->pending.data + emit, s->pending.bytes - emit + 1);
        s->pending.bytes -= emit;
    }
    return is_stopped;
}

/* Moves the parser's events into the queue. Returns true when a stop string was found. */
static bool drain_reply(Sequence *s)
{
    static const EventKind kinds[] = {
        [REPLY_THINKING] = EVENT_THINKING,   [REPLY_TEXT] = EVENT_TEXT,
        [REPLY_TOOL_NAME] = EVENT_TOOL_NAME, [REPLY_TOOL_ARGUMENTS] = EVENT_TOOL_ARGUMENTS,
        [REPLY_TOOL_END] = EVENT_TOOL_END,
    };
    ReplyEvent event;
    while (reply_next(s->reply, &event)) {
        if (event.kind == REPLY_TEXT) {
            buf_add(&s->pending, event.text);
            if (release_text(s, false))
                return true;
            continue;
        }
        if (release_text(s, true))
            return true;
        event_push_text(s, kinds[event.kind], event.call_i, event.text);
    }
    return false;
}

/* ---- The state machine ----------------------------------------------------------------------- */

bool sequence_is_end(const Sequence *s, int32_t id)
{
    for (int i = 0; i < s->rules->n_eos; i++)
        if (s->rules->eos_ids[i] == id)
            return !s->request.ignore_eos;
    return false;
}

void sequence_finish(Sequence *s, FinishReason reason)
{
    if (s->state == SEQUENCE_DONE)
        return;
    reply_finish(s->reply);
    bool was_stopped = drain_reply(s) || release_text(s, true);
    if (was_stopped)
        reason = FINISH_STOP;
    if (reason == FINISH_STOP && reply_n_calls(s->reply) > 0)
        reason = FINISH_TOOL_CALLS;
    double now = clock_seconds();
    s->state = SEQUENCE_DONE;
    s->reason = reason;
    s->usage.prompt_tokens = s->request.n_prompt;
    s->usage.cached_tokens = s->n_cached;
    s->usage.reasoning_tokens = reply_n_thinking_ids(s->reply);
    s->usage.context_is_full &= reason == FINISH_LENGTH;
    if (s->first_token > 0)
        s->usage.decode_seconds = now - s->first_token;
    else if (s->started > 0)
        s->usage.prefill_seconds = now - s->started;
    EventRecord *done = event_push(s, EVENT_DONE);
    done->id = s->end_id;
    done->logprob = s->end_logprob;
}

/* Adds one token, drawn or forced. Returns false when that ended the sequence. */
static bool take_token(Sequence *s, const Sampled *sampled, bool is_forced)
{
    ids_push(&s->ids, sampled->id);
    s->usage.completion_tokens++;
    seen_add(s, sampled->id, 1);
    event_push_token(s, sampled, is_forced);
    reply_push(s->reply, sampled->id);
    if (drain_reply(s)) {
        sequence_finish(s, FINISH_STOP);
        return false;
    }
    if (s->usage.completion_tokens >= s->request.max_tokens) {
        sequence_finish(s, FINISH_LENGTH);
        return false;
    }
    return true;
}

/* Takes what the grammar leaves no choice about, without asking the model. */
static void take_forced(Sequence *s)
{
    Ids forced = {0};
    matcher_forced(s->matcher, &forced);
    for (int i = 0; i < forced.n; i++)
        if (!take_token(s, &(Sampled){.id = forced.data[i]}, true) ||
            !matcher_accept(s->matcher, forced.data[i]))
            break;
    ids_free(&forced);
    if (s->state != SEQUENCE_DONE && matcher_must_end(s->matcher))
        sequence_finish(s, FINISH_STOP);
}

/* A token of the answer: the grammar goes on. */
static void follow_grammar(Sequence *s, int32_t id)
{
    if (matcher_accept(s->matcher, id))
        take_forced(s);
    else /* the mask was empty: no token of this vocabulary goes on */
        sequence_finish(s, FINISH_STOP);
}

static bool take_all(Sequence *s, const Ids *ids)
{
    for (int i = 0; i < ids->n; i++)
        if (!take_token(s, &(Sampled){.id = ids->data[i]}, true))
            return false;
    return true;
}

static void close_thought(Sequence *s)
{
    s->thought_is_closed = true;
    s->usage.thought_was_closed = true;
    if (take_all(s, &s->rules->close_thought) && sequence_is_ruled(s))
        take_forced(s);
}

static bool can_close_thought(const Sequence *s)
{
    return !s->thought_is_closed && s->rules->close_thought.n > 0 &&
           reply_state(s->reply) == REPLY_IN_THINKING;
}

/* True when the last tokens of the thought are one passage over and over. */
static bool is_looping(const Sequence *s)
{
    int n_thought = reply_n_thinking_ids(s->reply);
    if (s->request.no_loop_guard || n_thought < LOOP_TOKENS_MIN || n_thought % LOOP_CHECK_EVERY)
        return false;
    const int32_t *end = s->ids.data + s->ids.n;
    for (int period = 1; period <= LOOP_PERIOD_MAX; period++) {
        int span = period * (LOOP_REPEATS_MIN - 1);
        span = span > LOOP_TOKENS_MIN - period ? span : LOOP_TOKENS_MIN - period;
        if (span + period > n_thought)
            continue;
        int n = 0;
        while (n < span && end[-1 - n] == end[-1 - n - period])
            n++;
        if (n == span)
            return true;
    }
    return false;
}

/* True while the bytes so far end inside a character that the next token would complete. */
static bool is_inside_character(Sequence *s, int32_t id)
{
    char tail[8];
    Str bytes = tokenizer_bytes(s->rules->tokenizer, id);
    size_t kept = bytes.bytes < 4 ? bytes.bytes : 4, held = (size_t)s->utf8.n_held;
    memcpy(tail, s->utf8.held, held);
    if (kept)
        memcpy(tail + held, bytes.data + bytes.bytes - kept, kept);
    size_t cut = 0;
    bool is_cut = utf8_is_cut((Str){tail, held + kept}, &cut);
    s->utf8.n_held = is_cut ? (int)cut : 0;
    memcpy(s->utf8.held, tail + held + kept - s->utf8.n_held, (size_t)s->utf8.n_held);
    return is_cut;
}

void sequence_accept(Sequence *s, const Sampled *sampled)
{
    if (s->first_token == 0) {
        s->first_token = clock_seconds();
        s->usage.prefill_seconds = s->first_token - s->started;
    }
    if (sequence_is_end(s, sampled->id)) {
        /* An end inside the thought would leave the user without an answer: ask for it. */
        if (can_close_thought(s) && !s->request.no_answer_room) {
            close_thought(s);
            return;
        }
        s->end_id = sampled->id;
        s->end_logprob = sampled->logprob;
        sequence_finish(s, FINISH_STOP);
        return;
    }
    bool is_cut = is_inside_character(s, sampled->id);
    bool ruled = sequence_is_ruled(s);
    if (!take_token(s, sampled, false))
        return;
    if (can_close_thought(s) && !is_cut &&
        (reply_n_thinking_ids(s->reply) >= s->budget || is_looping(s)))
        close_thought(s);
    else if (ruled && sequence_is_ruled(s))
        follow_grammar(s, sampled->id);
    else if (sequence_is_ruled(s) && take_all(s, &s->rules->behind_thought))
        take_forced(s); /* the model has closed its thought */
}

static bool open_grammar(Sequence *s, Error *err)
{
    int n_words = grammar_trie(s->request.grammar)->n_words;
    s->mask = arena_try_alloc(&s->arena, sizeof *s->mask * (size_t)n_words, "a request", err);
    if (!s->mask)
        return false;
    s->matcher = matcher_new(s->request.grammar);
    return true;
}

Sequence *sequence_new(const SequenceRules *rules, int64_t id, const Request *request, Error *err)
{
    if (!sequence_check(rules, request, err))
        return NULL;
    Sequence *s = mem_alloc(sizeof *s);
    s->id = id;
    s->stop_i = -1;
    s->rules = rules;
    s->end_id = -1;
    copy_request(s, request);
    int n_ids_max = request->n_prompt + s->request.max_tokens;
    int n_pages_max = (n_ids_max + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    s->ids.data = mem_try_alloc(sizeof(int32_t) * (size_t)n_ids_max, "a request", err);
    if (!s->ids.data || !page_table_open(&s->kv, &s->arena, n_pages_max, err) ||
        (rules->has_draft_model && !page_table_open(&s->draft_kv, &s->arena, n_pages_max, err)))
        goto fail;
    memcpy(s->ids.data, request->prompt, sizeof(int32_t) * (size_t)request->n_prompt);
    s->ids.n = request->n_prompt;
    s->ids.capacity = n_ids_max;
    if (!seen_open(s, n_ids_max, err))
        goto fail;
    ReplyOptions reply = {
        .prompt = s->ids.data, .n_prompt = s->ids.n, .parse_tools = s->request.parse_tools};
    s->reply = reply_new(rules->tokenizer, &reply);
    s->budget = effective_budget(s);
    if (request->grammar && !open_grammar(s, err))
        goto fail;
    if (s->budget == 0 && can_close_thought(s))
        close_thought(s);
    else if (sequence_is_ruled(s) && !may_open_thought(s))
        take_forced(s);
    return s;
fail:
    sequence_free(s);
    return NULL;
}

void sequence_free(Sequence *s)
{
    if (!s)
        return;
    reply_free(s->reply);
    matcher_free(s->matcher);
    matcher_free(s->draft_matcher);
    ids_free(&s->ids);
    buf_free(&s->pending);
    buf_free(&s->event_text);
    mem_free(s->events);
    mem_free(s->tops);
    arena_close(&s->arena);
    mem_free(s);
}
