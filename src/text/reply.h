/* Generated ids -> events: thinking, text, tool call, incrementally.
 *
 * The start state comes from the rendered prompt's tail and from token ids, never from a flag: what
 * stands behind the last turn's opening in the prompt is read as if it had been generated, so one
 * that ends in an open <think> starts in the thought, one that ends in a closed block in the
 * answer, and otherwise the first token that is not white space decides. Tags count as tags only as
 * added-token ids; their spelling in ordinary tokens is text, and so is a tag where it opens or
 * closes nothing. A model without such an id has no such tag.
 *
 * Newlines around the tags and at both ends of thought and answer are not part of them (so that
 * both are what Qwen's own example cuts out of a whole reply); neither is white space around tool
 * calls. A thought or answer of white space alone is none. Special tokens have no text. */
#ifndef WEN_TEXT_REPLY_H
#define WEN_TEXT_REPLY_H

#include "text/tokenizer.h"

typedef enum ReplyEventKind {
    REPLY_THINKING,       /* text: a piece of the thought */
    REPLY_TEXT,           /* text: a piece of the answer */
    REPLY_TOOL_NAME,      /* text: the whole name; call_i: which call, counted from 0 */
    REPLY_TOOL_ARGUMENTS, /* text: a piece of the arguments: raw JSON, one object in all */
    REPLY_TOOL_END,       /* only now it was a call: see below */
} ReplyEventKind;

typedef struct ReplyEvent {
    ReplyEventKind kind;
    int call_i;
    Str text; /* borrowed until the next call on the parser; whole UTF-8 characters */
} ReplyEvent;

/* A tool call is announced as soon as its name is known. If its block turns out to be malformed
 * afterwards there is no REPLY_TOOL_END; the whole block follows as REPLY_TEXT, and the next call
 * has the next call_i. Inside an open thought, a block counts from its name on (it then ends the
 * thought); one that is malformed before that stays part of the thought. */
typedef struct ReplyParser ReplyParser;

typedef struct ReplyOptions {
    const int32_t *prompt; /* the prompt's ids: the start state */
    int n_prompt;
    bool parse_tools; /* false: <tool_call> blocks are text */
    /* All of it is text, every newline kept: the completion of a raw prompt. A prompt without any
     * added token (but the one for the beginning of a text) is taken for one by itself. */
    bool plain;
} ReplyOptions;

ReplyParser *reply_new(const Tokenizer *t, const ReplyOptions *options);
void reply_free(ReplyParser *p); /* NULL is fine */

/* Feeds one generated id (not the end-of-sequence one), then events can be taken until false. */
void reply_push(ReplyParser *p, int32_t id);
/* No more ids: releases what was held back; a tool call that is not whole becomes text. */
void reply_finish(ReplyParser *p);
bool reply_next(ReplyParser *p, ReplyEvent *event);

/* Where the parser stands: for budgets, grammars and usage. */
typedef enum ReplyState {
    REPLY_UNDECIDED,
    REPLY_IN_THINKING,
    REPLY_IN_TEXT,
    REPLY_IN_TOOL,
} ReplyState;
ReplyState reply_state(const ReplyParser *p);
/* Nothing has been written yet, and a thought could still be opened. */
bool reply_may_open_thought(const ReplyParser *p);
int reply_n_thinking_ids(const ReplyParser *p); /* ids between the tags so far, tags not counted */
int reply_n_calls(const ReplyParser *p);        /* complete tool calls so far */

#endif
