/* See reply.h.
 *
 *      id -> tag? --no--> bytes -> whole characters -+-> tool block (reply_call.c)
 *             |                                      +-> thought or answer -> held back -> event
 *             +-> a change of state
 *
 * Held back are white space at the beginning of a thought, an answer or what follows a tool call
 * (until something else shows that there is one), and newlines, which may turn out to be the last.
 */
#include "text/reply.h"

#include "base/mem.h"
#include "text/reply_call.h"

#include <string.h>

typedef struct QueuedEvent {
    ReplyEventKind kind;
    int call_i;
    size_t from, to; /* of `texts` */
} QueuedEvent;

typedef enum Tag { TAG_NONE = -1, TAG_THINK, TAG_THINK_END, TAG_CALL, TAG_CALL_END, N_TAGS } Tag;

struct ReplyParser {
    const Tokenizer *tokenizer;
    int32_t tags[N_TAGS]; /* ids, -1: the model has none */
    bool parse_tools, plain;

    ReplyState state; /* never IN_TOOL: that is in_call */
    bool has_begun;   /* this stretch of thought or answer has had more than white space */
    bool has_text;    /* the answer has had a piece */
    Buf held;

    bool in_call, is_announced;
    bool call_in_thought;
    int n_call_ids; /* of a block in a thought, which may still become thinking */
    bool tag_in_prompt;
    size_t raw_in_prompt; /* bytes of the block */
    CallParser call;

    StreamDecoder decoder;
    Buf decoded;
    int n_thinking, n_names, n_calls;

    QueuedEvent *events;
    int n_events, n_taken, max_events;
    Buf texts;
};

static void queue(ReplyParser *p, ReplyEventKind kind, int call_i, Str text)
{
    QueuedEvent *last = p->n_events > p->n_taken ? &p->events[p->n_events - 1] : NULL;
    bool joins = last && last->kind == kind && last->call_i == call_i && kind != REPLY_TOOL_NAME &&
                 kind != REPLY_TOOL_END;
    size_t from = p->texts.bytes;
    buf_add(&p->texts, text);
    if (joins) {
        last->to = p->texts.bytes;
        return;
    }
    if (p->n_events == p->max_events) {
        int max = p->max_events ? p->max_events * 2 : 8;
        QueuedEvent *grown = mem_alloc(sizeof *grown * (size_t)max);
        if (p->n_events)
            memcpy(grown, p->events, sizeof *grown * (size_t)p->n_events);
        mem_free(p->events);
        p->events = grown;
        p->max_events = max;
    }
    p->events[p->n_events++] = (QueuedEvent){kind, call_i, from, p->texts.bytes};
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool is_only_blank(Str s)
{
    for (size_t i = 0; i < s.bytes; i++)
        if (!is_blank(s.data[i]))
            return false;
    return true;
}

/* Text of the thought or the answer. */
static void flow(ReplyParser *p, Str text)
{
    bool in_thought = p->state == REPLY_IN_THINKING;
    buf_add(&p->held, text);
    Str s = buf_str(&p->held);
    if (!p->has_begun) {
        if (is_only_blank(s))
            return;
        p->has_begun = true;
        /* Behind a tool call the newlines stand between two pieces of text, and stay. */
        while ((in_thought || !p->has_text) && s.data[0] == '\n')
            s = str_slice(s, 1, s.bytes);
    }
    size_t end = s.bytes;
    while (end > 0 && s.data[end - 1] == '\n')
        end--;
    if (end > 0) {
        queue(p, in_thought ? REPLY_THINKING : REPLY_TEXT, 0, str_slice(s, 0, end));
        p->has_text |= !in_thought;
    }
    size_t n_newlines = s.bytes - end;
    buf_clear(&p->held);
    for (size_t i = 0; i < n_newlines; i++)
        buf_putc(&p->held, '\n');
}

/* A stretch of thought or answer is over, another begins; what is held back was not part of it. */
static void change_state(ReplyParser *p, ReplyState state)
{
    p->state = state;
    p->has_begun = false;
    buf_clear(&p->held);
}

static void begin_call(ReplyParser *p)
{
    p->call_in_thought = p->state == REPLY_IN_THINKING;
    if (!p->call_in_thought)
        p->state = REPLY_IN_TEXT;
    p->in_call = true;
    p->is_announced = false;
    p->n_call_ids = 1;
    p->tag_in_prompt = false;
    p->raw_in_prompt = 0;
    call_begin(&p->call);
}

/* The block was no call: it becomes what it would have been without the tag. */
static void give_back(ReplyParser *p)
{
    p->in_call = false;
    if (p->state == REPLY_IN_THINKING)
        p->n_thinking += p->n_call_ids;
    if (!p->tag_in_prompt)
        flow(p, tokenizer_bytes(p->tokenizer, p->tags[TAG_CALL]));
    flow(p, str_slice(buf_str(&p->call.raw), p->raw_in_prompt, p->call.raw.bytes));
}

static void emit_call(ReplyParser *p)
{
    if (p->call.has_name && !p->is_announced) {
        change_state(p, REPLY_IN_TEXT);
        p->is_announced = true;
        queue(p, REPLY_TOOL_NAME, p->n_names++, buf_str(&p->call.name));
    }
    if (p->is_announced && p->call.arguments.bytes > 0) {
        queue(p, REPLY_TOOL_ARGUMENTS, p->n_names - 1, buf_str(&p->call.arguments));
        buf_clear(&p->call.arguments);
    }
}

/* The block ends here, with its end tag or without. */
static void end_call(ReplyParser *p)
{
    if (p->call.status != CALL_COMPLETE) {
        give_back(p);
        return;
    }
    if (!p->call.has_arguments)
        queue(p, REPLY_TOOL_ARGUMENTS, p->n_names - 1, STR("{}"));
    queue(p, REPLY_TOOL_END, p->n_names - 1, (Str){0});
    p->n_calls++;
    p->in_call = false;
    change_state(p, REPLY_IN_TEXT);
}

static void take_text(ReplyParser *p, Str text)
{
    if (text.bytes == 0)
        return;
    if (p->plain) {
        queue(p, REPLY_TEXT, 0, text);
    } else if (p->in_call) {
        if (call_feed(&p->call, text) == CALL_BROKEN)
            give_back(p);
        else
            emit_call(p);
    } else {
        if (p->state == REPLY_UNDECIDED && !is_only_blank(text))
            p->state = REPLY_IN_TEXT;
        flow(p, text);
    }
}

static void take_bytes(ReplyParser *p, Str bytes)
{
    buf_clear(&p->decoded);
    stream_decoder_push(&p->decoder, bytes, &p->decoded);
    take_text(p, buf_str(&p->decoded));
}

static void flush_decoder(ReplyParser *p)
{
    buf_clear(&p->decoded);
    stream_decoder_flush(&p->decoder, &p->decoded);
    take_text(p, buf_str(&p->decoded));
}

static Tag tag_of(const ReplyParser *p, int32_t id)
{
    for (int tag = 0; tag < N_TAGS && !p->plain; tag++)
        if (id == p->tags[tag])
            return (Tag)tag;
    return TAG_NONE;
}

/* Lets a tag act. False: it opens or closes nothing here, so it is text. */
static bool take_tag(ReplyParser *p, Tag tag)
{
    if (p->in_call) {
        if (call_is_in_value(&p->call))
            return false;
        bool is_closed = tag == TAG_CALL_END && p->call.status == CALL_COMPLETE;
        end_call(p);
        return is_closed || take_tag(p, tag);
    }
    bool in_thought = p->state == REPLY_IN_THINKING, is_open = p->state == REPLY_UNDECIDED;
    switch (tag) {
    case TAG_THINK:
        if (is_open)
            change_state(p, REPLY_IN_THINKING);
        /* Some models open the thought once more behind a prompt that already did. */
        return is_open || (in_thought && !p->has_begun);
    case TAG_THINK_END:
        if (is_open || in_thought)
            change_state(p, REPLY_IN_TEXT);
        return is_open || in_thought;
    case TAG_CALL:
        if (p->parse_tools)
            begin_call(p);
        return p->parse_tools;
    default:
        return false;
    }
}

static void count_id(ReplyParser *p, Tag tag)
{
    if (p->in_call && p->call_in_thought && !p->is_announced)
        p->n_call_ids++;
    else if (p->state == REPLY_IN_THINKING && !p->in_call && tag != TAG_THINK_END)
        p->n_thinking++;
}

void reply_push(ReplyParser *p, int32_t id)
{
    Tag tag = tag_of(p, id);
    if (tag != TAG_NONE) {
        flush_decoder(p);
        if (take_tag(p, tag))
            return;
    }
    count_id(p, tag);
    if (!tokenizer_is_special(p->tokenizer, id))
        take_bytes(p, tokenizer_bytes(p->tokenizer, id));
}

void reply_finish(ReplyParser *p)
{
    flush_decoder(p);
    if (p->in_call)
        end_call(p);
    buf_clear(&p->held);
}

bool reply_next(ReplyParser *p, ReplyEvent *event)
{
    if (p->n_taken == p->n_events) {
        p->n_taken = p->n_events = 0;
        buf_clear(&p->texts);
        return false;
    }
    const QueuedEvent *e = &p->events[p->n_taken++];
    *event = (ReplyEvent){e->kind, e->call_i, str_slice(buf_str(&p->texts), e->from, e->to)};
    return true;
}

/* Where the reply begins in the prompt: at the last thinking tag of the last turn, or behind the
 * last added token that is no tag; -1 when it has neither. */
static int tail_start(const ReplyParser *p, const int32_t *prompt, int n_prompt)
{
    for (int i = n_prompt - 1; i >= 0; i--) {
        Tag tag = tag_of(p, prompt[i]);
        if (tag == TAG_THINK || tag == TAG_THINK_END)
            return i;
        bool begins_text = prompt[i] == tokenizer_bos_id(p->tokenizer);
        if (tag == TAG_NONE && !begins_text && tokenizer_is_added(p->tokenizer, prompt[i]))
            return i + 1;
    }
    return -1;
}

/* What the prompt holds of the reply is not reported again, but for a call that it leaves open. */
static void forget_prompt(ReplyParser *p)
{
    bool has_open_call = p->in_call && p->is_announced;
    int kept = p->n_events;
    while (has_open_call && p->events[kept - 1].call_i == p->n_names - 1) {
        p->events[--kept].call_i = 0;
        if (p->events[kept].kind == REPLY_TOOL_NAME)
            break;
    }
    p->n_taken = kept;
    if (kept == p->n_events)
        p->n_taken = p->n_events = 0;
    p->n_names = has_open_call;
    p->n_calls = p->n_thinking = p->n_call_ids = 0;
    p->tag_in_prompt = p->in_call;
    p->raw_in_prompt = p->call.raw.bytes;
    buf_clear(&p->held);
}

static void read_prompt(ReplyParser *p, const int32_t *prompt, int n_prompt)
{
    int i = tail_start(p, prompt, n_prompt);
    if (i < 0) {
        p->plain = n_prompt > 0; /* no turns: the text is simply continued */
        return;
    }
    /* Behind <|im_start|> the line with the role is not the reply's. */
    if (i > 0 && prompt[i - 1] == tokenizer_added_id(p->tokenizer, "<|im_start|>")) {
        for (bool in_role = true; i < n_prompt && in_role; i++) {
            Str text = tokenizer_bytes(p->tokenizer, prompt[i]);
            ptrdiff_t newline = str_find(text, STR("\n"), 0);
            in_role = newline < 0;
            if (!in_role)
                take_bytes(p, str_slice(text, (size_t)newline + 1, text.bytes));
        }
    }
    for (; i < n_prompt; i++)
        reply_push(p, prompt[i]);
    forget_prompt(p);
}

ReplyParser *reply_new(const Tokenizer *t, const ReplyOptions *options)
{
    static const char *const tags[N_TAGS] = {"<think>", "</think>", "<tool_call>", "</tool_call>"};
    ReplyParser *p = mem_alloc(sizeof *p);
    p->tokenizer = t;
    p->parse_tools = options->parse_tools;
    p->plain = options->plain;
    for (int i = 0; i < N_TAGS; i++)
        p->tags[i] = tokenizer_added_id(t, tags[i]);
    if (!p->plain)
        read_prompt(p, options->prompt, options->n_prompt);
    return p;
}

void reply_free(ReplyParser *p)
{
    if (!p)
        return;
    buf_free(&p->held);
    buf_free(&p->decoded);
    buf_free(&p->texts);
    call_close(&p->call);
    mem_free(p->events);
    mem_free(p);
}

ReplyState reply_state(const ReplyParser *p)
{
    bool may_be_thought = p->call_in_thought && !p->is_announced;
    return p->in_call && !may_be_thought ? REPLY_IN_TOOL : p->state;
}

bool reply_may_open_thought(const ReplyParser *p)
{
    return !p->plain && p->state == REPLY_UNDECIDED && !p->in_call && p->tags[TAG_THINK] >= 0;
}

int reply_n_thinking_ids(const ReplyParser *p) { return p->n_thinking; }

int reply_n_calls(const ReplyParser *p) { return p->n_calls; }
