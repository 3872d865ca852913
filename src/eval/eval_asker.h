/* Who is asked: a model behind wen.h (eval_live), or a script in a test. Many conversations are in
 * work at once, each in a slot of its own. */
#ifndef WEN_EVAL_ASKER_H
#define WEN_EVAL_ASKER_H

#include "eval/task.h"
#include "wen.h"

#include <stdint.h>

typedef struct EvalPrompt {
    const json_t *messages, *tools; /* tools NULL: none */
    int think, budget;              /* as in EvalSetting */
    int64_t seed;
} EvalPrompt;

typedef struct EvalAsker {
    int n_slots;
    /* Sends a prompt; its reply is waited for in this slot. */
    bool (*start)(void *context, int slot, const EvalPrompt *prompt, Error *err);
    /* Whether the reply is whole: then it is in `turn` and the slot is free. Waits at most
     * timeout_ms. */
    bool (*poll)(void *context, int slot, int timeout_ms, EvalTurn *turn, bool *is_done,
                 Error *err);
    void *context;
} EvalAsker;

/* How the model draws. */
typedef struct EvalSampling {
    double temperature; /* 0: always the likeliest, without penalties */
    double top_p;       /* NAN, -1: as the model's generation_config.json says */
    int top_k;
    int max_tokens; /* of a reply, the thought included */
} EvalSampling;

/* The engine is borrowed until eval_live_close. */
EvalAsker eval_live_open(wen_engine *engine, const EvalSampling *sampling, int n_slots);
void eval_live_close(EvalAsker *asker);

#endif
