/* One request in flight: its tokens, its pages, and the one state machine for thought, budget, stop
 * strings and end that every client shares. Knows no batch and no device. */
#ifndef WEN_ENGINE_SEQUENCE_H
#define WEN_ENGINE_SEQUENCE_H

#include "engine/engine.h"
#include "engine/page_table.h"

/* What generation is about, the same for all sequences of an engine. */
typedef struct SequenceRules {
    const Tokenizer *tokenizer;
    int context; /* positions a sequence can have */
    int n_eos;
    int32_t eos_ids[2 * CONFIG_EOS_MAX];
    Ids close_thought;  /* the text that ends a thought early, as ids; empty: model cannot think */
    Ids behind_thought; /* what stands between a thought and an answer that has a grammar */
    int32_t think_id, call_id; /* <think>, <tool_call>; -1: the model has none */
    bool has_draft_model;
} SequenceRules;

typedef enum SequenceState { SEQUENCE_WAITING, SEQUENCE_RUNNING, SEQUENCE_DONE } SequenceState;

typedef struct Sequence {
    int64_t id;
    const SequenceRules *rules;
    SequenceState state;
    Request request; /* its arrays point into `arena` */
    uint64_t salt;   /* the first page's prefix key: what beside tokens decides keys and values */

    Ids ids;      /* prompt, then everything generated or forced */
    PageTable kv; /* their keys and values */
    int n_cached; /* of the prompt, found in shared pages */

    /* What might come behind ids: engine_step.c puts it into the batch, as far as it is computed.
     * Only sequence_accept ever adds to ids. */
    int32_t drafts[DRAFTS_MAX];
    int n_drafts;
    DraftSource draft_source;
    Acceptance acceptance[N_DRAFT_SOURCES];
    PageTable draft_kv;     /* the draft model's own; n_computed counts ids, not drafts */
    int n_drafts_computed;  /* drafts that have keys and values behind those */
    Matcher *draft_matcher; /* where the answer would stand behind the drafts; NULL: none yet */

    ReplyParser *reply;
    StreamDecoder utf8; /* to know whether a character is unfinished */
    int32_t end_id;     /* the end token that was drawn, or -1 */
    float end_logprob;
    bool thought_is_closed; /* we closed it */
    int budget;             /* effective: tokens of thought, or INT_MAX */
    Buf pending;            /* answer text that might be the beginning of a stop string */
    Matcher *matcher;       /* of the request's grammar, where the answer stands; NULL: none */
    uint32_t *mask;         /* for the next token, with a matcher */

    /* For penalties: distinct ids and how often they were generated (0: only in the prompt). */
    int32_t *seen_ids, *seen_counts, *seen_slots;
    int n_seen;
    uint32_t seen_mask;

    struct EventRecord *events; /* queue; text in event_text */
    int n_events, n_events_max, next_event;
    Buf event_text;
    TokenTop *tops;
    int n_tops, n_tops_max;

    Usage usage;
    FinishReason reason;
    int stop_i;                  /* the stop string that ended it, or -1 */
    double started, first_token; /* clock_seconds; 0: not yet */
    Arena arena;                 /* lifetime: request */
} Sequence;

/* Whether a request is in order. Reads nothing that changes. */
bool sequence_check(const SequenceRules *rules, const Request *request, Error *err) MUST_USE;
/* Checks the request and copies it. */
Sequence *sequence_new(const SequenceRules *rules, int64_t id, const Request *request,
                       Error *err) MUST_USE;
void sequence_free(Sequence *s);

/* A token was drawn: take it in, emit events, force tokens if the thought must end, maybe finish.
 */
void sequence_accept(Sequence *s, const Sampled *sampled);
/* Ends it: releases held-back text and queues EVENT_DONE. The pages are the caller's. */
void sequence_finish(Sequence *s, FinishReason reason);
/* How its next token is to be drawn; borrows from s. Computes the grammar's mask. */
SampleRow sequence_sample_row(Sequence *s);

/* Forgets the drafts: those to come stand behind ids as they are now. */
void sequence_begin_drafts(Sequence *s);
/* How many drafts could be of use: all but the last token of a request come with a next one. */
int sequence_drafts_max(const Sequence *s);
/* Takes a draft, and behind it what the grammar leaves no choice about. False: it was not taken, as
 * the grammar forbids it, or it ends the answer; no more are wanted. */
bool sequence_push_draft(Sequence *s, int32_t id);
/* How a draft model is to draw the token behind the drafts. Borrows from s, as
 * sequence_sample_row does, and has its penalties of ids alone. */
SampleRow sequence_draft_row(Sequence *s);

bool sequence_next_event(Sequence *s, Event *event);

#endif
