/* The configuration of a training run: YAML, read once and checked in full before anything is
 * computed. A key that does not exist is an error that names the nearest one. docs/training.md
 * lists the keys. (Hyper-parameters of the model itself: model/config.h.) */
#ifndef WEN_TRAIN_TRAIN_CONFIG_H
#define WEN_TRAIN_TRAIN_CONFIG_H

#include "train/chat_data.h"
#include "train/fields.h"
#include "train/optim.h"

enum { TRAIN_SOURCES_MAX = 64, TRAIN_FREEZE_MAX = 64 };

/* Stages share all keys; some have defaults of their own. */
typedef enum TrainStage {
    STAGE_PRETRAIN, /* on every token */
    STAGE_SFT,      /* on what the assistant says in conversations */
    STAGE_RL,       /* on its own answers, as they are rewarded; data.* is not used */
    STAGE_DISTILL,  /* towards a teacher, on its own answers or, with data.sources, on those */
    STAGE_REWARD    /* to tell the better of two answers; data.* is not used */
} TrainStage;

typedef struct TrainSource {
    const char *path;
    double weight; /* its share of documents drawn, relative to the others' */
} TrainSource;

/* What is looked at as a run goes on (evaluation.h). */
typedef struct EvalOptions {
    json_t *source_list; /* borrowed, as all here */
    TrainSource sources[TRAIN_SOURCES_MAX];
    int n_sources;
    int64_t every, tokens; /* steps between evaluations; tokens scored of each source at most */
    const char *problems;  /* NULL: none */
    int per_family;        /* problems of each family at most; 0: all */
    json_t *prompts;       /* a list or a path; NULL: none */
    int64_t samples_every;
    int max_tokens; /* of a reply */
    bool is_greedy;
} EvalOptions;

typedef struct TrainConfig {
    TrainStage stage;
    /* model */
    const char *from; /* a checkpoint to go on from; NULL: random weights of `shape` */
    json_t *shape;    /* config.json's keys; with `from`: those that change (continued.h) */
    double init_deviation;
    DType compute;         /* F32 or BF16 */
    const char *tokenizer; /* a model whose tokenizer is used; NULL: that of `from` */
    json_t *freeze_list;   /* borrowed from json */
    const char *freeze[TRAIN_FREEZE_MAX];
    /* lora */
    json_t *target_list;
    LearnOptions learn; /* what these say */
    /* data */
    json_t *source_list; /* borrowed from json */
    TrainSource sources[TRAIN_SOURCES_MAX];
    int n_sources;
    int64_t seed;
    ChatScore score;
    LongDocuments long_documents;
    /* batch */
    int rows, tokens; /* of the global batch: rows of so many tokens */
    int micro_rows;   /* at a time */
    int grains;
    bool recomputes;
    double balance; /* coefficient of the load-balancing loss */
    /* run: what changes nothing in the result */
    int ranks;            /* a power of two that divides grains */
    int zero;             /* ZeroStage */
    bool divides_experts; /* over the ranks */
    OptimOptions optimizer;
    Schedule schedule;
    int64_t checkpoint_every, log_every;
    int checkpoint_keep;
    bool merges;      /* with an adapter: writes the model that contains it, too */
    const char *gguf; /* type of OUT/model.gguf; NULL: none is written */
    EvalOptions eval;
    json_t *json;  /* complete, defaults filled in; owned */
    Field *fields; /* what it was read by; owned */
    int n_fields;
} TrainConfig;

/* The value of data.sources, for every stage that has one: [{path, weight}], weight 1 if absent
 * (and then put into the JSON). Paths are borrowed from it. */
bool train_sources_read(json_t *list, TrainSource sources[TRAIN_SOURCES_MAX], int *n,
                        Error *err) MUST_USE;

/* Reads `path`, then applies n_sets texts "a.b=value". */
bool train_config_read(TrainConfig *c, TrainStage stage, const char *path, const char *const *sets,
                       int n_sets, Error *err) MUST_USE;
/* The same for a stage with keys of its own: `c` is the first member of a struct that the offsets
 * of `more` count from. */
bool train_config_read_more(TrainConfig *c, TrainStage stage, const FieldTable *more,
                            const char *path, const char *const *sets, int n_sets,
                            Error *err) MUST_USE;
void train_config_close(TrainConfig *c); /* a zeroed one is fine */

/* The configuration with all defaults, as YAML. */
void train_config_write(const TrainConfig *c, Buf *out);
/* What differs in keys that a resumed run may not change, "key: old -> new" apart by ";"; false
 * when nothing does. `old`: the json of the run that is resumed. */
bool train_config_differs(const TrainConfig *c, const json_t *old, Buf *difference);

#endif
