/* Many requests over one model: continuous batching on paged keys and values.
 *
 * One step takes every sequence's next tokens - a chunk of a prompt, or the one token drawn last -
 * through the model together, draws where a sequence has reached its end, and turns what was drawn
 * into typed events. Sequences with a common beginning share its pages. Nothing here is locked: an
 * engine belongs to one thread.
 *
 * A request's answer depends on the model, its prompt, its options and its seed, and on nothing
 * else that runs at the same time. */
#ifndef WEN_ENGINE_ENGINE_H
#define WEN_ENGINE_ENGINE_H

#include "engine/speculation.h"
#include "model/adapter.h"
#include "model/forward.h"
#include "model/kv.h"
#include "text/grammar.h"
#include "text/reply.h"
#include "text/tokenizer.h"

enum {
    ENGINE_TOP_MAX = SAMPLE_TOP_MAX,
    ENGINE_BIAS_MAX = 4096,
    ENGINE_STOPS_MAX = 16,
    ENGINE_ADAPTERS_MAX = 8,   /* of one request */
    ENGINE_SEQUENCES = 64,     /* unless the options say otherwise */
    ENGINE_BATCH_TOKENS = 512, /* likewise */
};

typedef struct EngineOptions {
    DType kv_type;
    int context;            /* 0: the model's maximum */
    size_t kv_bytes;        /* 0: half of the memory that is free now */
    int max_sequences;      /* running at once; 0: ENGINE_SEQUENCES */
    int max_batch_tokens;   /* of one step; 0: ENGINE_BATCH_TOKENS */
    const int32_t *eos_ids; /* in addition to the configuration's; borrowed during open */
    int n_eos;
    /* Speculation (speculation.h): bits 1 << DraftSource; 0: none. No answer depends on it. */
    unsigned speculation;
    /* With DRAFT_MODEL; borrowed until close. Its tokenizer must be the engine's. */
    Model *draft_model;
    const Tokenizer *draft_tokenizer;
    int n_drafts; /* always so many; 0: as many as pay, which is what to want outside of tests */
    /* In place of draft_lookup, with DRAFT_LOOKUP: a caller who knows better. NULL: none does. */
    int (*propose)(void *context, const int32_t *ids, int n_ids, int n_max, int32_t *drafts);
    void *propose_context;
} EngineOptions;

typedef struct Sampling {
    float temperature, top_p, min_p;
    int top_k;
    float repetition_penalty, presence_penalty, frequency_penalty;
    uint64_t seed;
    const int32_t *bias_ids; /* copied */
    const float *bias;
    int n_bias;
} Sampling;

/* Greedy, no penalties. */
Sampling sampling_defaults(void);

/* A low-rank adapter and how strongly it counts (1: as it was trained). */
typedef struct AdapterUse {
    const Adapter *adapter;
    float scale;
} AdapterUse;

typedef struct Request {
    const int32_t *prompt; /* copied */
    int n_prompt;          /* at least 1 */
    int max_tokens;        /* 0: the rest of the context */
    Sampling sampling;
    int think_budget;         /* tokens of thought; -1: no limit */
    bool no_answer_room;      /* do not close a thought early to keep room for the answer */
    bool no_loop_guard;       /* do not close a thought that repeats itself */
    const char *const *stops; /* copied; matched in the answer, not in the thought */
    int n_stops;
    int n_logprobs;   /* alternatives with EVENT_TOKEN; -1: no token events */
    bool parse_tools; /* <tool_call> blocks become events */
    bool ignore_eos;
    uint64_t cache_salt; /* prefixes are shared among equal salts only */
    /* The form of what comes behind the thought; NULL: free. A sequence takes its own reference.
     * Grammars that running requests use belong to the engine's thread. */
    Grammar *grammar;
    /* Their changes are added up, in this order. The list is copied; the adapters, which are of the
     * engine's model, stay the caller's until EVENT_DONE. */
    const AdapterUse *adapters;
    int n_adapters;
} Request;

Request request_defaults(void);

typedef enum FinishReason {
    FINISH_STOP,       /* the model ended, or a stop string came */
    FINISH_LENGTH,     /* max_tokens, or the context is full (usage tells which) */
    FINISH_TOOL_CALLS, /* ended with at least one tool call */
    FINISH_CANCELLED,
    FINISH_NO_MEMORY, /* the keys and values do not fit, even alone */
} FinishReason;

const char *finish_reason_name(FinishReason reason); /* "stop", "length", "tool_calls", ... */

typedef enum EventKind {
    EVENT_THINKING,
    EVENT_TEXT,
    EVENT_TOOL_NAME,
    EVENT_TOOL_ARGUMENTS,
    EVENT_TOOL_END,
    EVENT_TOKEN, /* one generated id, before the text it leads to */
    EVENT_DONE,
} EventKind;

typedef struct Usage {
    int prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
    bool context_is_full;    /* FINISH_LENGTH because of the context, not max_tokens */
    bool thought_was_closed; /* by the budget, the answer's room or the loop guard */
    int drafted_tokens;      /* tried ahead (speculation.h), */
    int accepted_tokens;     /* and found to be what came */
    double prefill_seconds;  /* from the first step to the first token drawn */
    double decode_seconds;   /* from then to the end */
} Usage;

typedef struct TokenTop {
    int32_t id;
    float logprob;
} TokenTop;

typedef struct Event {
    EventKind kind;
    int call_i;          /* tool events: which call, from 0 */
    Str text;            /* borrowed until the next engine_step or engine_next */
    int32_t id;          /* EVENT_TOKEN; EVENT_DONE: the end token that was drawn, or -1 */
    float logprob;       /* of the raw logits; 0 for forced tokens */
    bool is_forced;      /* put there by the budget or the grammar, not drawn */
    const TokenTop *top; /* EVENT_TOKEN: n_top alternatives, best first; borrowed likewise */
    int n_top;
    FinishReason reason; /* EVENT_DONE */
    int stop_i;          /* EVENT_DONE: the stop string that ended it, -1: none did */
    Usage usage;         /* EVENT_DONE */
} Event;

typedef struct Engine Engine;

/* model and tokenizer are borrowed until close. */
Engine *engine_open(Model *model, const Tokenizer *tokenizer, const EngineOptions *options,
                    Error *err) MUST_USE;
void engine_close(Engine *engine); /* NULL is fine */

/* Positions a sequence can have: the context, or what the pages hold. */
int engine_context(const Engine *engine);

/* Device memory that the activations of a step take: for plans. */
size_t engine_step_bytes(const Config *c, int max_batch_tokens, int max_sequences, int context);
/* Reserves what the backend's operations need for steps of that size. */
bool engine_reserve(Model *model, int max_batch_tokens, int max_sequences, Error *err) MUST_USE;

/* Whether a request is in order: a prompt that does not fit is an error with both numbers, as are
 * ids out of range. The one function that any thread may call at any time. */
bool engine_check(const Engine *engine, const Request *request, Error *err) MUST_USE;

/* Queues a request; returns its id (> 0), or 0 when it is not in order (engine_check). */
int64_t engine_add(Engine *engine, const Request *request, Error *err) MUST_USE;

/* One step for everything that is queued. False when there was nothing to do. */
bool engine_step(Engine *engine);

/* Takes the next event of a request; false when there is none yet. After EVENT_DONE the id is gone.
 */
bool engine_next(Engine *engine, int64_t id, Event *event);

/* Ends a request at once: its pages are free when this returns; EVENT_DONE follows. */
void engine_cancel(Engine *engine, int64_t id);

typedef struct EngineStats {
    int n_running, n_waiting;
    int n_pages, n_pages_held, n_pages_cached;
    uint64_t n_steps, n_preemptions;
    uint64_t prompt_tokens, cached_tokens, generated_tokens;
    uint64_t n_drafts; /* times that a sequence had some */
    uint64_t drafted_tokens, accepted_tokens;
} EngineStats;
EngineStats engine_stats(const Engine *engine);

/* ---- score.c ----------------------------------------------------------------------------------
 */

/* What is scored: ids, under the model with these adapters. */
typedef struct ScoreInput {
    const int32_t *ids;
    int n_ids;
    const AdapterUse *adapters;
    int n_adapters;
} ScoreInput;

/* Log-probabilities of given ids, position by position. `each` is called in order: logprob is that
 * of ids[pos] under what comes before (NAN at position 0); top holds the n_top best predictions for
 * position pos + 1 with raw logits. Returning false stops. Runs between two steps,
 * in pages of its own. */
typedef struct ScoreTop {
    int32_t id;
    float logit, logprob;
} ScoreTop;
typedef bool ScoreEach(void *context, int pos, int32_t id, float logprob, const ScoreTop *top,
                       int n_top);
bool engine_score(Engine *engine, const ScoreInput *input, int n_top, ScoreEach *each,
                  void *context, Error *err) MUST_USE;
/* All logits of all positions, [n_ids, n_vocab], in blocks of rows: for comparisons. */
typedef bool LogitsEach(void *context, int pos, int n_rows, const float *logits, int n_vocab);
bool engine_logits(Engine *engine, const ScoreInput *input, LogitsEach *each, void *context,
                   Error *err) MUST_USE;
/* The final hidden state of the last id, [d_model], scaled to length 1. */
bool engine_embed(Engine *engine, const ScoreInput *input, float *vector, Error *err) MUST_USE;

#endif
