/* libwen: Qwen3 and its relatives, from text to text. The only public header. Compile and link with
 * `pkg-config --cflags --libs wen`; docs/library.md tells more, examples/ has whole programs.
 *
 * The nouns. A wen_model is weights, tokenizer and chat template: immutable, shared by any number
 * of engines and threads. A wen_adapter changes it for those requests that name it. A wen_engine is
 * one thread that runs requests over a model, many at once. A wen_reply is one request in flight;
 * its events are taken with wen_next. A wen_error tells what went wrong.
 *
 * Ownership: what you open you close; what a reply hands you lives until the next wen_next on it;
 * every char * or int32_t * that a function made for you is freed with wen_free. Handles may be
 * closed in any order: a model lives on while an engine uses it, an engine's state while a reply is
 * not freed.
 *
 * Errors: a function that can fail takes a wen_error * last (NULL: not interested) and returns NULL
 * or false (0). The message is one line and says where and what to do.
 *
 * Threads: every function may be called from any thread, at the same time and on the same handles,
 * with two exceptions. One reply is read (wen_next) by one thread at a time; wen_cancel may come
 * from another. And who closes or frees a handle must be its last user: nobody may still be inside
 * a call on it. Callbacks say on which thread they come; a callback must not call into the handle
 * that it came from. The library starts threads of its own with all signals blocked, installs no
 * signal handler, never ends the process on bad input, and writes nothing to standard output or
 * error. After fork() a child must not use handles that its parent opened.
 *
 * Options: every option struct is made by its *_defaults function, then changed; zero is a value,
 * not "unset". A request's wen_sampling is part of wen_request_defaults.
 *
 *     wen_error err;
 *     wen_model *model = wen_model_open("builtin", NULL, &err);
 *     wen_engine *engine = model ? wen_engine_open(model, NULL, &err) : NULL;
 *     wen_request request = wen_request_defaults();
 *     request.messages = "[{\"role\": \"user\", \"content\": \"Why is the sky blue?\"}]";
 *     wen_reply *reply = engine ? wen_ask(engine, &request, &err) : NULL;
 *     for (wen_event event; reply && wen_next(reply, -1, &event) == WEN_NEXT_EVENT;)
 *         if (event.kind == WEN_EVENT_TEXT)
 *             fwrite(event.text, 1, event.text_bytes, stdout);
 *     wen_reply_free(reply);
 *     wen_engine_close(engine);
 *     wen_model_close(model);
 */
#ifndef WEN_H
#define WEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEN_API __attribute__((visibility("default")))

typedef struct wen_model wen_model;
typedef struct wen_adapter wen_adapter;
typedef struct wen_engine wen_engine;
typedef struct wen_reply wen_reply;

/* ---- Errors, versions, memory ---------------------------------------------------------------- */

typedef enum wen_error_code {
    WEN_ERROR_NONE = 0,
    WEN_ERROR_IO,          /* the operating system said no: file, disk */
    WEN_ERROR_FORMAT,      /* foreign bytes are malformed; the message says where */
    WEN_ERROR_UNSUPPORTED, /* well-formed, but not something this library does */
    WEN_ERROR_MEMORY,      /* it does not fit; the message has the numbers */
    WEN_ERROR_ARGUMENT,    /* the request is impossible */
    WEN_ERROR_LIMIT,       /* a documented limit was exceeded: context, queue, counts */
    WEN_ERROR_DEVICE,      /* the compute device failed or is missing */
    WEN_ERROR_CANCELLED,   /* stopped on request */
} wen_error_code;

typedef struct wen_error {
    wen_error_code code;
    char message[512]; /* one line, no newline at the end */
} wen_error;

/* The code's stable name, for machines: "io", "format", ... Static. */
WEN_API const char *wen_error_name(wen_error_code code);

/* Of this header; wen_version tells the library's. Programs that were compiled with one version run
 * with libraries of the same soname (libwen.so.0). */
#define WEN_VERSION "0.1.0"

/* The library's version, as in WEN_VERSION. Static. */
WEN_API const char *wen_version(void);

/* What the library is and what it finds on this machine, as one JSON object, to be freed:
 *
 *   version, compiler ("gcc 12.2.0"), machine ("x86_64"), checks (whether this is a debug build)
 *   builtin_bytes: the size of the built-in model; 0: there is none
 *   devices ["cpu", ...]: what wen_model_options.device may name, in this build
 *   levels [{name, is_usable}]: of instruction sets that it has kernels for, slowest first, and
 *   whether this processor runs them; WEN_ISA=NAME in the environment chooses one
 *   memory {total_bytes, available_bytes}
 */
WEN_API char *wen_about(void);

/* Frees what a function of this header made. NULL is fine. */
WEN_API void wen_free(void *memory);

/* ---- Models ---------------------------------------------------------------------------------- */

typedef enum wen_load {
    WEN_LOAD_ALL,     /* ready for an engine */
    WEN_LOAD_HEADERS, /* what the files say, no weights in memory: for wen_model_info */
    WEN_LOAD_TEXT,    /* tokenizer and template; a folder with only these will do */
} wen_load;

typedef struct wen_model_options {
    wen_load load;
    const char *device;        /* "cpu", "cuda" or "auto" */
    int n_threads;             /* 0: one for each processor */
    double yarn_factor;        /* stretches the context with YaRN; 0: as the files say, 1: off */
    int yarn_original;         /* positions the model was trained for; 0: as the files say */
    const char *template_file; /* a Jinja chat template in place of the model's; NULL: none */
    bool profiles;             /* operations are timed, for wen_model_profile */
    /* Called on the opening thread as tensors are packed; NULL: silent. */
    void (*progress)(void *context, int done, int total);
    void *progress_context;
} wen_model_options;

WEN_API wen_model_options wen_model_options_defaults(void);

/* path: a .gguf file (of a split one, the first), a folder with config.json and safetensors, or
 * "builtin", the model inside the library. options NULL: the defaults. */
WEN_API wen_model *wen_model_open(const char *path, const wen_model_options *options,
                                  wen_error *err);
WEN_API void wen_model_close(wen_model *model); /* NULL is fine */

/* What a model is, as one JSON object, to be freed:
 *
 *   path, format ("gguf", "safetensors")
 *   architecture, parameters, active_parameters, n_layers, d_model, n_heads, n_kv_heads, head_dim,
 *   d_ff, n_vocab, n_experts, n_experts_used, d_expert, is_tied
 *   types [{type, n_tensors, bytes}], type (the matrices')
 *   context, yarn (null or {factor, original})
 *   template ("none", "plain", "hybrid": thinking can be switched, "thinking": it cannot)
 *   tokenizer {n_tokens, bos_id, suffix_id (behind a text to embed), pad_id}: null where there is
 *   none; eos_ids
 *   sampling {thinking, not_thinking}: {temperature, top_p, top_k, min_p, repetition_penalty}
 *   memory {context, kv_type, weights_bytes, kv_bytes, kv_bytes_per_token, step_bytes, total_bytes,
 *           available_bytes, fits}: the plan for `context` tokens (0: the model's maximum) with
 *   keys and values of type `kv_type` ("f32" "f16" "bf16" "q8_0"; NULL: the default); with weights
 *   in memory read_bytes_per_token too: what of them a step of one token reads
 *
 *   device {name, isa, n_threads}
 *
 * A model without weights (WEN_LOAD_TEXT) has path, format, template, tokenizer, eos_ids, sampling.
 */
WEN_API char *wen_model_info(const wen_model *model, int context, const char *kv_type,
                             wen_error *err);

/* What the model's device reaches at best, measured: a second's bytes and operations (a
 * multiplication and an addition are two), with all threads. */
typedef struct wen_limits {
    double read_bytes_per_s;                              /* from memory */
    double f32_ops_per_s, bf16_ops_per_s, int8_ops_per_s; /* on registers */
} wen_limits;

/* The best of n_rounds, some tens of milliseconds each. Waits for the step in progress; takes a
 * gigabyte of memory meanwhile. */
WEN_API bool wen_model_limits(wen_model *model, int n_rounds, wen_limits *limits, wen_error *err);

/* Where the time of all steps so far went, as a JSON object, to be freed: steps, seconds, and
 * operations [{operation, k, n, calls, seconds, bytes}], longest first; k and n are the inputs and
 * outputs of a product, or its columns and 0; bytes are those of weights. NULL: the model was
 * opened without `profiles`. */
WEN_API char *wen_model_profile(wen_model *model);

/* ---- Adapters -------------------------------------------------------------------------------- */

/* A low-rank adapter (LoRA) for a model: a folder in PEFT's layout, adapter_config.json and
 * adapter_model.safetensors. The model's own weights stay as they are, so requests with different
 * adapters, and without, run side by side. One that was made for another shape of model is an error
 * that names the tensor. Needs a model opened with WEN_LOAD_ALL. */
WEN_API wen_adapter *wen_adapter_open(wen_model *model, const char *path, wen_error *err);
WEN_API void wen_adapter_close(wen_adapter *adapter); /* NULL is fine */

/* An adapter and how strongly it counts: 1 as it was trained, 0 not at all. */
typedef struct wen_adapter_use {
    wen_adapter *adapter;
    float scale;
} wen_adapter_use;

/* ---- Text ------------------------------------------------------------------------------------ */

/* Text -> ids, to be freed; *n_ids of them. UTF-8, `bytes` long. is_plain false: special tokens
 * such as "<|im_end|>" are matched wherever their text stands; true: nowhere. */
WEN_API bool wen_tokenize(const wen_model *model, const char *text, size_t bytes, bool is_plain,
                          int32_t **ids, int *n_ids, wen_error *err);

/* Ids -> their exact bytes, which need not be UTF-8, to be freed; a NUL follows, not counted in
 * *bytes (which may be NULL). skips_special leaves out control tokens. */
WEN_API char *wen_detokenize(const wen_model *model, const int32_t *ids, int n_ids,
                             bool skips_special, size_t *bytes, wen_error *err);

/* The bytes of one token; *bytes 0 for an id without text. Borrowed from the model. */
WEN_API const char *wen_token_text(const wen_model *model, int32_t id, size_t *bytes);

/* Messages -> the exact prompt text, to be freed, as the reference implementation renders it.
 * request: a JSON object with "messages" and, if wanted, "tools", "enable_thinking",
 * "add_generation_prompt" (default true) and "chat_template_kwargs" (an object of further template
 * variables). *bytes may be NULL. */
WEN_API char *wen_render(const wen_model *model, const char *request, size_t *bytes,
                         wen_error *err);

/* ---- Engines --------------------------------------------------------------------------------- */

/* Speculation: tokens that might come next are computed together with the last one and kept as far
 * as the model draws them itself. It changes the speed of an answer and no byte of it; whether it
 * pays is measured, reply by reply. */
typedef enum wen_speculation {
    WEN_SPECULATE_AUTO, /* LOOKUP, and where that finds nothing the draft model, if there is one */
    WEN_SPECULATE_OFF,
    WEN_SPECULATE_LOOKUP, /* what came before in the same conversation comes again */
    WEN_SPECULATE_DRAFT,  /* the draft model alone */
} wen_speculation;

typedef struct wen_engine_options {
    int context;         /* positions of a conversation; 0: the model's maximum, as memory allows */
    const char *kv_type; /* of keys and values: "f32" "f16" "bf16" "q8_0"; NULL: f32 for f32
                            weights, bf16 for bf16 weights, else f16 */
    size_t kv_bytes;     /* at most, for keys and values, taken as used; 0: half of free memory */
    int max_sequences;   /* replies computed side by side; 0: 64 */
    int max_replies;     /* unfinished replies, waiting ones included; 0: 1024 */
    /* [n_adapters], at most 8: of requests that leave theirs to the engine, and of scores. */
    const wen_adapter_use *adapters;
    int n_adapters;
    wen_speculation speculation;
    /* A smaller model with the same tokenizer, for WEN_SPECULATE_DRAFT; NULL: none. It lives on
     * while the engine uses it, and has as many keys and values as the engine, beside kv_bytes. */
    wen_model *draft;
} wen_engine_options;

WEN_API wen_engine_options wen_engine_options_defaults(void);

/* options NULL: the defaults. The model must have been opened with WEN_LOAD_ALL. */
WEN_API wen_engine *wen_engine_open(wen_model *model, const wen_engine_options *options,
                                    wen_error *err);
/* Cancels what is running, waits for the step in progress. NULL is fine. */
WEN_API void wen_engine_close(wen_engine *engine);

/* Positions a conversation can have, the answer included. */
WEN_API int wen_engine_context(const wen_engine *engine);

typedef struct wen_engine_stats {
    int n_running, n_waiting;              /* replies */
    int n_pages, n_pages_held;             /* of keys and values; 64 positions each */
    int n_pages_cached;                    /* kept for prompts that begin alike */
    uint64_t n_steps, n_preemptions;       /* since open, as all below */
    uint64_t prompt_tokens, cached_tokens; /* cached: of the prompts, not computed again */
    uint64_t generated_tokens;
    uint64_t n_drafts;        /* times that a reply had tokens tried ahead (wen_speculation), */
    uint64_t drafted_tokens;  /* how many those were, */
    uint64_t accepted_tokens; /* and how many of them were what came */
} wen_engine_stats;

/* As of the last step. */
WEN_API wen_engine_stats wen_engine_get_stats(wen_engine *engine);

/* ---- Replies --------------------------------------------------------------------------------- */

/* How tokens are drawn. What is unset (NAN, -1) comes from the model's generation_config.json, else
 * from the built-in defaults; where that file holds the values of Qwen3's hybrid models and the
 * request does not think, 0.7 / 0.8 / 20 are taken (Qwen's recommendation for that mode). */
typedef struct wen_sampling {
    float temperature;                         /* 0: always the likeliest; NAN: unset */
    float top_p, min_p;                        /* 1 and 0: off; NAN: unset */
    int top_k;                                 /* 0: off; -1: unset */
    float repetition_penalty;                  /* 1: off; NAN: unset */
    float presence_penalty, frequency_penalty; /* 0: off; NAN: unset */
    int64_t seed;                              /* -1: drawn, and reported in WEN_EVENT_DONE */
    const int32_t *bias_ids;                   /* [n_bias]; bias is added to these ids' logits */
    const float *bias;
    int n_bias;
} wen_sampling;

typedef enum wen_tool_choice {
    WEN_TOOLS_AUTO,     /* text, calls or both; a call that is begun follows its tool's schema */
    WEN_TOOLS_NONE,     /* no call */
    WEN_TOOLS_REQUIRED, /* calls and no text */
} wen_tool_choice;

typedef struct wen_request {
    /* The prompt, one of three. Text in messages is untrusted: special tokens in it stay text. */
    const char *messages; /* JSON array in OpenAI's shape, rendered by the model's template */
    const char *prompt;   /* text as it is, special tokens matched, behind the token that the model
                             wants at the beginning (few do) */
    const int32_t *ids;   /* [n_ids] */
    int n_ids;

    const char *tools;           /* with messages: JSON array in OpenAI's shape; NULL: none */
    const char *template_kwargs; /* with messages: JSON object, more variables; NULL: none */
    bool continues_last;         /* with messages: the last one, the assistant's, is gone on with */
    int think;                   /* with messages: 1 on, 0 off, -1 as the model does by itself */
    int think_budget; /* tokens of thought, then it is closed; 0 is think off; -1: no limit */
    int max_tokens;   /* of thought and answer together; 0: the rest of the context */
    wen_sampling sampling;
    const char *const *stops; /* [n_stops], at most 16: the answer ends before any of these */
    int n_stops;
    int n_logprobs;   /* -1: no WEN_EVENT_TOKEN; 0 .. 128: with that many alternatives */
    int parses_tools; /* <tool_call> blocks become events: 1 yes, 0 no, -1 if tools are given */
    bool ignores_eos; /* goes on until another limit; for measuring */

    /* The form of the answer, at most one of these four; thoughts stay free. It is enforced token
     * by token, and what it leaves no choice about is put in without asking the model
     * (wen_event.is_forced). What cannot be enforced is WEN_ERROR_ARGUMENT, and the message names
     * it. docs/grammar.md has the details. */
    const char *json_schema; /* JSON that this JSON Schema accepts; "{\"type\": \"object\"}" for any
                                object */
    const char *regex;       /* text that this expression matches as a whole */
    const char *grammar;     /* GBNF, llama.cpp's notation */
    const char *const *choices; /* [n_choices]: one of these texts */
    int n_choices;

    /* With tools, if calls become events (but NONE, which always holds): calls as the model writes
     * them, names and arguments enforced. With json_schema, AUTO means JSON or calls; with the
     * other forms, no calls. */
    wen_tool_choice tool_choice;
    const char *tool_name;  /* with WEN_TOOLS_REQUIRED: this tool; NULL: any */
    bool makes_single_call; /* at most one call */
    const char *cache_salt; /* computed prompts are shared among equal salts only; NULL: one */
    /* [n_adapters], at most 8, whose changes are added up; -1: the engine's. */
    const wen_adapter_use *adapters;
    int n_adapters;
} wen_request;

WEN_API wen_request wen_request_defaults(void);

/* The ids that a request's prompt becomes, to be freed: what wen_ask would compute. */
WEN_API bool wen_prompt_ids(const wen_model *model, const wen_request *request, int32_t **ids,
                            int *n_ids, wen_error *err);

/* Queues a request, which is copied. Errors that the request itself holds (bad JSON, a prompt that
 * does not fit, with both numbers) come from here, later trouble as WEN_FINISH_ERROR. */
WEN_API wen_reply *wen_ask(wen_engine *engine, const wen_request *request, wen_error *err);

typedef enum wen_event_kind {
    WEN_EVENT_THINKING,       /* text: a piece of the thought */
    WEN_EVENT_TEXT,           /* text: a piece of the answer */
    WEN_EVENT_TOOL_NAME,      /* text: the whole name; call_i counts calls from 0 */
    WEN_EVENT_TOOL_ARGUMENTS, /* text: a piece of the raw JSON */
    WEN_EVENT_TOOL_END,
    WEN_EVENT_TOKEN, /* text: the token's bytes, perhaps not whole characters; id, logprob, top */
    WEN_EVENT_DONE,  /* the last one: finish, usage, seed */
} wen_event_kind;

typedef enum wen_finish {
    WEN_FINISH_STOP,       /* the model ended, or a stop string came */
    WEN_FINISH_LENGTH,     /* max_tokens, or usage.context_is_full */
    WEN_FINISH_TOOL_CALLS, /* ended with at least one tool call */
    WEN_FINISH_CANCELLED,
    WEN_FINISH_NO_MEMORY, /* keys and values do not fit, even alone */
    WEN_FINISH_ERROR,     /* the event's text says what */
} wen_finish;

/* "stop", "length", "tool_calls", "cancelled", "no_memory", "error". Static. */
WEN_API const char *wen_finish_name(wen_finish finish);

typedef struct wen_usage {
    int prompt_tokens;
    int cached_tokens; /* of the prompt, found computed */
    int completion_tokens;
    int reasoning_tokens;    /* of the completion, the thought */
    bool context_is_full;    /* WEN_FINISH_LENGTH because of the context, not max_tokens */
    bool thought_was_closed; /* by the budget, for the answer's room, or because it went round */
    int drafted_tokens;      /* tried ahead (wen_speculation), */
    int accepted_tokens;     /* and of those, what came */
    double prefill_seconds;  /* until the first token */
    double decode_seconds;   /* from then to the end */
} wen_usage;

typedef struct wen_top {
    int32_t id;
    float logprob;
} wen_top;

typedef struct wen_event {
    wen_event_kind kind;
    const char *text; /* whole UTF-8 characters (but TOKEN), a NUL behind; never NULL */
    size_t text_bytes;
    int call_i;
    int32_t id;         /* TOKEN */
    float logprob;      /* TOKEN: log-softmax of the raw logits; 0 if is_forced */
    bool is_forced;     /* TOKEN: put there to end the thought or by the form, not drawn */
    const wen_top *top; /* TOKEN: n_top alternatives, best first */
    int n_top;
    wen_finish finish; /* DONE */
    int stop_i;        /* DONE: the stop string that ended the answer; -1: none did */
    wen_usage usage;   /* DONE */
    int64_t seed;      /* DONE: the one that was used */
} wen_event;

typedef enum wen_next_result {
    WEN_NEXT_END = -1,    /* WEN_EVENT_DONE was handed out before */
    WEN_NEXT_TIMEOUT = 0, /* nothing yet */
    WEN_NEXT_EVENT = 1,
} wen_next_result;

/* Waits up to timeout_ms (-1: for ever, 0: not at all) for the next event. */
WEN_API wen_next_result wen_next(wen_reply *reply, int timeout_ms, wen_event *event);

/* Tokens of its prompt. */
WEN_API int wen_reply_prompt_tokens(const wen_reply *reply);

/* Asks the reply to end; it still ends with WEN_EVENT_DONE. */
WEN_API void wen_cancel(wen_reply *reply);

/* Cancels if need be and does not wait. NULL is fine. */
WEN_API void wen_reply_free(wen_reply *reply);

/* ---- Scoring --------------------------------------------------------------------------------- */

typedef struct wen_score_top {
    int32_t id;
    float logit, logprob;
} wen_score_top;

/* Position by position: logprob is that of `id` under what comes before (NAN at position 0); top,
 * [n_top] with raw logits and largest first, predicts position pos + 1. Return false to stop. */
typedef bool wen_score_each(void *context, int pos, int32_t id, float logprob,
                            const wen_score_top *top, int n_top);

/* Log-probabilities of given ids [n_ids], at most the context. Runs between two steps
 * of the engine; `each` is called on the engine's thread while this function waits. */
WEN_API bool wen_score(wen_engine *engine, const int32_t *ids, int n_ids, int n_top,
                       wen_score_each *each, void *context, wen_error *err);

/* The embedding of given ids: the final hidden state of the last one (the pooling of Qwen3's
 * embedding models), scaled to length 1, in vector [d_model] (wen_model_info has d_model). */
WEN_API bool wen_embed(wen_engine *engine, const int32_t *ids, int n_ids, float *vector,
                       wen_error *err);

/* All logits, in order, in blocks of rows: logits [n_rows, n_vocab] of positions pos .. */
typedef bool wen_logits_each(void *context, int pos, int n_rows, const float *logits, int n_vocab);

WEN_API bool wen_logits(wen_engine *engine, const int32_t *ids, int n_ids, wen_logits_each *each,
                        void *context, wen_error *err);

#ifdef __cplusplus
}
#endif

#endif
