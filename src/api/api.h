/* What the handles of wen.h are made of, and what the files of this folder share. */
#ifndef WEN_API_API_H
#define WEN_API_API_H

#include "engine/engine.h"
#include "text/chat.h"
#include "wen.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- api.c ----------------------------------------------------------------------------------- */

/* Hands an error out; `err` may be NULL. Returns false. */
bool api_fail(wen_error *err, const Error *from);
/* Memory that wen_free frees: n bytes and a NUL. */
char *api_copy_text(Str text);

/* Threads take turns in the order they came: all engines over one model share its backend, which
 * runs one operation at a time. */
typedef struct Turn {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t n_issued, n_served;
} Turn;
void turn_open(Turn *turn);
void turn_close(Turn *turn);
void turn_take(Turn *turn);
void turn_give(Turn *turn);

/* ---- api_model.c ----------------------------------------------------------------------------- */

typedef enum ThinkKind {
    THINK_NO_TEMPLATE, /* there is no chat template */
    THINK_NEVER,       /* the template knows no thought */
    THINK_HYBRID,      /* enable_thinking switches it */
    THINK_ALWAYS,      /* the prompt ends inside an open <think> */
} ThinkKind;

/* Elements of one type in a model's files. */
typedef struct TypeShare {
    const char *name; /* the file's own spelling, in the model's arena */
    int n_tensors;
    uint64_t bytes;
} TypeShare;

enum { TYPE_SHARES_MAX = 64 };

struct wen_model {
    atomic_int n_refs; /* the caller's and one for each engine */
    wen_load load;
    Turn turn; /* over backend and model */
    Backend *backend;
    Model *model; /* NULL unless WEN_LOAD_ALL */
    Tokenizer *tokenizer;
    ChatTemplate *chat; /* NULL: none */
    ThinkKind think_kind;
    Config config;      /* n_layers 0: there is none */
    json_t *generation; /* generation_config.json or NULL */
    char *path;
    bool is_gguf;
    TypeShare types[TYPE_SHARES_MAX];
    int n_types;
    uint64_t file_bytes; /* of all tensors */
    DType matrix_type;   /* what the model "is" */
    pthread_mutex_t trie_mutex;
    TokenTrie *trie; /* made for the first grammar; guarded by trie_mutex */
};

wen_model *model_ref(wen_model *model);
/* The built-in model, a GGUF file; no bytes: this program was linked without it. */
Str builtin_model(void);

/* ---- api_adapter.c --------------------------------------------------------------------------- */

/* Adapters in use, a reference to each. */
typedef struct AdapterList {
    AdapterUse uses[ENGINE_ADAPTERS_MAX];
    wen_adapter *handles[ENGINE_ADAPTERS_MAX];
    int n;
} AdapterList;
/* What was taken before an error stays in the list. */
bool adapter_list_take(AdapterList *list, const wen_model *model, const wen_adapter_use *uses,
                       int n, Error *err) MUST_USE;
void adapter_list_give(AdapterList *list);

/* ---- api_info.c ------------------------------------------------------------------------------ */

/* "f16" -> type; NULL: the model's default. */
bool kv_type_from_name(const wen_model *model, const char *name, DType *type, Error *err) MUST_USE;

/* ---- api_sampling.c -------------------------------------------------------------------------- */

/* Fills in what the request left unset. `thinks`: whether this request may think. */
Sampling sampling_resolve(const wen_model *model, const wen_sampling *asked, bool thinks);

/* ---- api_text.c ------------------------------------------------------------------------------ */

/* Parses JSON text; `what` names it in errors. */
json_t *api_parse_json(const char *text, const char *what, Error *err) MUST_USE;
/* The request's prompt as ids. */
bool prompt_build(const wen_model *model, const wen_request *request, Ids *ids,
                  Error *err) MUST_USE;

/* ---- api_grammar.c --------------------------------------------------------------------------- */

/* Grammars by what they were made from, the ones asked for last. Each engine has its own, as a
 * grammar belongs to one model thread. Zeroed is ready but for the mutex. */
enum { GRAMMARS_KEPT = 32 };
typedef struct GrammarCache {
    pthread_mutex_t mutex;
    struct KeptGrammar {
        Buf key;
        Grammar *grammar;
        uint64_t last_used;
    } kept[GRAMMARS_KEPT];
    uint64_t n_used;
} GrammarCache;

void grammar_cache_open(GrammarCache *cache);
void grammar_cache_close(GrammarCache *cache);
/* The grammar that a request asks for, a reference for the caller, or NULL without an error: none.
 * parse_tools: calls become events. */
bool request_grammar(wen_engine *engine, const wen_request *request, bool parse_tools,
                     Grammar **grammar, Error *err) MUST_USE;

/* ---- api_engine.c, api_reply.c: the model thread and its clients ----------------------------- */

/* Events that wait for their reader. Two a reply: the model thread fills one while the other is
 * read, so what a reader holds stays where it is. */
typedef struct QueuedEvent {
    wen_event_kind kind;
    int call_i;
    size_t text_from, text_bytes;
    int32_t id;
    float logprob;
    bool is_forced;
    int top_from, n_top;
} QueuedEvent;

typedef struct EventQueue {
    QueuedEvent *items;
    int n, n_max, next;
    Buf text; /* a NUL behind each event's */
    wen_top *tops;
    int n_tops, n_tops_max;
} EventQueue;

typedef struct ScoreJob ScoreJob;

/* What waits for the model thread, oldest first: a reply to begin, or ids to score or embed. */
typedef struct Task {
    struct Task *next;
    wen_reply *reply; /* or NULL: */
    ScoreJob *score;
} Task;

struct ScoreJob {
    Task task;
    const int32_t *ids;
    int n_ids, n_top;
    wen_score_each *score_each;   /* or NULL: */
    wen_logits_each *logits_each; /* or NULL: */
    float *vector;
    void *context;
    bool is_done, ok;
    Error err;
    pthread_cond_t done;
};

struct wen_reply {
    /* Fixed when asked. */
    wen_engine *engine;
    Request request; /* its arrays in `arena`; unused once the engine has its copy */
    AdapterList adapters;
    Arena arena; /* lifetime: request */
    /* The model thread's. */
    Task task;
    wen_reply *next_active;
    int64_t id;
    /* Guarded by engine->mutex. */
    bool is_cancelled, is_released, is_done;
    EventQueue back;
    wen_finish finish;
    wen_usage usage;
    int stop_i;
    pthread_cond_t arrived;
    /* The reader's. */
    EventQueue front;
    bool was_told; /* WEN_EVENT_DONE was handed out */
};

struct wen_engine {
    wen_model *model;
    wen_model *draft; /* NULL: none */
    Engine *engine;   /* the model thread's, but for engine_check and engine_context */
    pthread_t thread;
    int n_replies_max;
    AdapterList adapters; /* unless a request says otherwise */
    wen_reply *active;    /* the model thread's: replies that the Engine works on */
    GrammarCache grammars;
    /* Guarded by mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t work;
    bool is_closing;
    int n_refs; /* the caller's and one for each reply and running score */
    int n_unfinished;
    Task *first, *last;
    EngineStats stats;
};

/* The turns over both models of an engine, for whatever touches their backends. */
void engine_take_turn(wen_engine *engine);
void engine_give_turn(wen_engine *engine);
/* With mutex held: appends a task and wakes the model thread. False, with an error, once closing.
 */
bool engine_post(wen_engine *engine, Task *task, Error *err) MUST_USE;
/* With mutex held, which is given up: drops a reference. */
void engine_unref_unlock(wen_engine *engine);

/* With mutex held, all of these: */
void reply_push_event(wen_reply *reply, const Event *event);
void reply_push_done(wen_reply *reply, wen_finish finish, const Usage *usage, const char *text);
/* Frees it; its reference to the engine is the caller's to drop. */
void reply_destroy(wen_reply *reply);
/* Runs on the model thread, mutex not held. */
void score_run(wen_engine *engine, ScoreJob *job);

#endif
