/* Generated ids -> events: thinking, text, tool call, incrementally.
 *
 * The start state comes from the rendered prompt's tail and from token ids, never from a flag
 * (serving.md 2.3): a prompt that ends in an open <think> starts in the thought; one that ends in a
 * closed block starts in the answer; otherwise undecided until the first token that is not white
 * space. Tags count as tags only as added-token ids; their spelling in ordinary tokens is text
 * (except for models without such ids, where the text form is used: R1-Distill has ids, Qwen2.5 has
 * <tool_call> ids but no <think> and is given neither). */
#ifndef WEN_TEXT_REPLY_H
#define WEN_TEXT_REPLY_H

#include "text/tokenizer.h"

typedef enum ReplyEventKind {
    REPLY_THINKING,       /* text: a piece of the thought */
    REPLY_TEXT,           /* text: a piece of the answer */
    REPLY_TOOL_NAME,      /* text: the whole name; call_i: which call */
    REPLY_TOOL_ARGUMENTS, /* text: a piece of the raw arguments object */
    REPLY_TOOL_END,
} ReplyEventKind;

typedef struct ReplyEvent {
    ReplyEventKind kind;
    int call_i;
    Str text; /* borrowed until the next call on the parser; whole UTF-8 characters */
} ReplyEvent;

typedef struct ReplyParser ReplyParser;

typedef struct ReplyOptions {
    const int32_t *prompt; /* the prompt's ids: the start state */
    int n_prompt;
    bool parse_tools;      /* false: <tool_call> blocks are text */
} ReplyOptions;

ReplyParser *reply_new(const Tokenizer *t, const ReplyOptions *options);
void reply_free(ReplyParser *p);

/* Feeds one generated id (not the end-of-sequence one), then events can be taken until false. */
void reply_push(ReplyParser *p, int32_t id);
/* No more ids: releases what was held back; a tool call that is not whole JSON becomes text. */
void reply_finish(ReplyParser *p);
bool reply_next(ReplyParser *p, ReplyEvent *event);

/* Where the parser stands: for budgets, grammars and usage. */
typedef enum ReplyState { REPLY_UNDECIDED, REPLY_IN_THINKING, REPLY_IN_TEXT, REPLY_IN_TOOL } ReplyState;
ReplyState reply_state(const ReplyParser *p);
int reply_n_thinking_ids(const ReplyParser *p); /* ids between the tags so far, tags not counted */
int reply_n_calls(const ReplyParser *p);        /* complete tool calls so far */

#endif
