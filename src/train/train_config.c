/* See train_config.h. */
#include "train/train_config.h"

#include "train/yaml.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(TrainConfig, field)
static const Field fields[] = {
    {"model.shape", FIELD_JSON, AT(shape), 0, 0, 0, NULL, false},
    {"model.from", FIELD_TEXT, AT(from), 0, 0, 0, NULL, false},
    {"model.init_deviation", FIELD_REAL, AT(init_deviation), 1e-6, 10, 0.02, NULL, false},
    {"model.compute", FIELD_CHOICE, AT(compute), 0, 0, 1, "f32|bf16", false},
    {"model.tokenizer", FIELD_TEXT, AT(tokenizer), 0, 0, 0, NULL, false},
    {"model.freeze", FIELD_JSON, AT(freeze_list), 0, 0, 0, NULL, false},
    {"lora.rank", FIELD_INT, AT(learn.rank), 0, ADAPTER_RANK_MAX, 0, NULL, false},
    {"lora.alpha", FIELD_REAL, AT(learn.alpha), 1e-6, 1e6, 32, NULL, false},
    {"lora.rslora", FIELD_BOOL, AT(learn.is_rslora), 0, 1, 0, NULL, false},
    {"lora.targets", FIELD_JSON, AT(target_list), 0, 0, 0, NULL, false},
    {"data.sources", FIELD_JSON, AT(source_list), 0, 0, 0, NULL, false},
    {"data.seed", FIELD_INT64, AT(seed), 0, 9e15, 1, NULL, false},
    {"data.score", FIELD_CHOICE, AT(score), 0, 0, CHAT_TEXT, "all|last|text", false},
    {"data.long", FIELD_CHOICE, AT(long_documents), 0, 0, LONG_SPLIT, "split|cut|drop", false},
    {"batch.rows", FIELD_INT, AT(rows), 1, 1 << 20, 8, NULL, false},
    {"batch.tokens", FIELD_INT, AT(tokens), 2, 1 << 20, 256, NULL, false},
    {"batch.micro_rows", FIELD_INT, AT(micro_rows), 1, 1 << 20, 8, NULL, true},
    {"batch.grains", FIELD_INT, AT(grains), 1, 1024, 1, NULL, false},
    {"batch.recompute", FIELD_BOOL, AT(recomputes), 0, 1, 0, NULL, true},
    {"batch.balance", FIELD_REAL, AT(balance), 0, 1, 0.001, NULL, false},
    {"run.ranks", FIELD_INT, AT(ranks), 1, 256, 1, NULL, true},
    {"run.zero", FIELD_INT, AT(zero), 0, 2, 1, NULL, true},
    {"run.expert_parallel", FIELD_BOOL, AT(divides_experts), 0, 1, 0, NULL, true},
    {"optimizer.kind", FIELD_CHOICE, AT(optimizer.kind), 0, 0, 0, "adamw|muon", false},
    {"optimizer.beta1", FIELD_REAL, AT(optimizer.beta1), 0, 0.99999, 0.9, NULL, false},
    {"optimizer.beta2", FIELD_REAL, AT(optimizer.beta2), 0, 0.99999, 0.95, NULL, false},
    {"optimizer.eps", FIELD_REAL, AT(optimizer.eps), 1e-20, 1, 1e-8, NULL, false},
    {"optimizer.weight_decay", FIELD_REAL, AT(optimizer.weight_decay), 0, 10, 0.1, NULL, false},
    {"optimizer.clip", FIELD_REAL, AT(optimizer.clip), 0, 1e9, 1, NULL, false},
    {"optimizer.momentum", FIELD_REAL, AT(optimizer.momentum), 0, 0.99999, 0.95, NULL, false},
    {"optimizer.skip_z", FIELD_REAL, AT(optimizer.skip_z), 0, 1e9, 0, NULL, false},
    {"schedule.shape", FIELD_CHOICE, AT(schedule.shape), 0, 0, 3, "constant|linear|cosine|wsd",
     false},
    {"schedule.peak", FIELD_REAL, AT(schedule.peak), 0, 10, 1e-3, NULL, false},
    {"schedule.end", FIELD_REAL, AT(schedule.end), 0, 10, 0, NULL, false},
    {"schedule.warmup_steps", FIELD_INT64, AT(schedule.warmup_steps), 0, 1e12, 20, NULL, false},
    {"schedule.decay_steps", FIELD_INT64, AT(schedule.decay_steps), 0, 1e12, 0, NULL, false},
    {"schedule.steps", FIELD_INT64, AT(schedule.steps), 1, 1e12, 1000, NULL, false},
    {"output.checkpoint_every", FIELD_INT64, AT(checkpoint_every), 1, 1e12, 200, NULL, true},
    {"output.checkpoint_keep", FIELD_INT, AT(checkpoint_keep), 1, 1e6, 3, NULL, true},
    {"output.merge", FIELD_BOOL, AT(merges), 0, 1, 0, NULL, true},
    {"output.gguf", FIELD_TEXT, AT(gguf), 0, 0, 0, NULL, true},
    {"output.log_every", FIELD_INT64, AT(log_every), 1, 1e12, 1, NULL, true},
    {"eval.every", FIELD_INT64, AT(eval.every), 1, 1e12, 200, NULL, true},
    {"eval.sources", FIELD_JSON, AT(eval.source_list), 0, 0, 0, NULL, true},
    {"eval.tokens", FIELD_INT64, AT(eval.tokens), 1, 1e15, 262144, NULL, true},
    {"eval.problems", FIELD_TEXT, AT(eval.problems), 0, 0, 0, NULL, true},
    {"eval.per_family", FIELD_INT, AT(eval.per_family), 0, 1e9, 0, NULL, true},
    {"eval.prompts", FIELD_JSON, AT(eval.prompts), 0, 0, 0, NULL, true},
    {"eval.samples_every", FIELD_INT64, AT(eval.samples_every), 1, 1e12, 200, NULL, true},
    {"eval.max_tokens", FIELD_INT, AT(eval.max_tokens), 1, 1 << 24, 256, NULL, true},
    {"eval.greedy", FIELD_BOOL, AT(eval.is_greedy), 0, 1, 1, NULL, true},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

/* Defaults of a stage that are not pretrain's. */
static const struct {
    TrainStage stage;
    const char *key;
    double fallback;
} own_fallbacks[] = {
    {STAGE_SFT, "data.score", CHAT_ALL},     {STAGE_SFT, "data.long", LONG_DROP},
    {STAGE_SFT, "schedule.peak", 1e-5},      {STAGE_RL, "schedule.peak", 1e-6},
    {STAGE_RL, "schedule.shape", 0},         {STAGE_RL, "optimizer.weight_decay", 0},
    {STAGE_RL, "batch.tokens", 1024},        {STAGE_DISTILL, "data.score", CHAT_ALL},
    {STAGE_DISTILL, "data.long", LONG_DROP}, {STAGE_DISTILL, "schedule.peak", 1e-4},
    {STAGE_DISTILL, "schedule.shape", 0},    {STAGE_DISTILL, "optimizer.weight_decay", 0},
    {STAGE_DISTILL, "batch.tokens", 1024},   {STAGE_REWARD, "schedule.peak", 1e-5},
    {STAGE_REWARD, "schedule.shape", 0},     {STAGE_REWARD, "optimizer.weight_decay", 0},
    {STAGE_REWARD, "batch.tokens", 2048}};

/* The table of a stage: common keys with its defaults, then its own. */
static void make_table(TrainConfig *c, const FieldTable *more)
{
    c->n_fields = N_FIELDS + more->n;
    c->fields = mem_alloc(sizeof fields + sizeof *fields * (size_t)more->n);
    memcpy(c->fields, fields, sizeof fields);
    for (int i = 0; i < more->n; i++)
        c->fields[N_FIELDS + i] = more->fields[i];
    for (int i = 0; i < N_FIELDS; i++)
        for (size_t k = 0; k < sizeof own_fallbacks / sizeof *own_fallbacks; k++)
            if (own_fallbacks[k].stage == c->stage &&
                strcmp(c->fields[i].key, own_fallbacks[k].key) == 0)
                c->fields[i].fallback = own_fallbacks[k].fallback;
}

/* Item i of the list that is the value of `list`. */
static bool read_source(json_t *item, const char *list, size_t i, TrainSource *source, Error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(item, key, value)
    {
        if (strcmp(key, "path") != 0 && strcmp(key, "weight") != 0)
            return error_set(err, ERROR_FORMAT, "%s[%zu]: \"%s\" is neither path nor weight", list,
                             i, key);
    }
    source->path = json_string_value(json_object_get(item, "path"));
    if (!source->path)
        return error_set(err, ERROR_FORMAT, "%s[%zu]: its path is missing", list, i);
    if (!json_object_get(item, "weight"))
        json_object_set_new(item, "weight", json_real(1));
    source->weight = json_number_value(json_object_get(item, "weight"));
    if (!(source->weight > 0 && source->weight < 1e9))
        return error_set(err, ERROR_FORMAT, "%s[%zu]: its weight is not above 0", list, i);
    return true;
}

static bool read_sources(json_t *list, const char *name, TrainSource sources[TRAIN_SOURCES_MAX],
                         int *n, Error *err)
{
    if (json_array_size(list) == 0)
        return error_set(err, ERROR_FORMAT, "%s: a list of {path, weight} is needed", name);
    if (json_array_size(list) > TRAIN_SOURCES_MAX)
        return error_set(err, ERROR_LIMIT, "%s: at most %d", name, TRAIN_SOURCES_MAX);
    *n = (int)json_array_size(list);
    for (size_t i = 0; i < (size_t)*n; i++)
        if (!read_source(json_array_get(list, i), name, i, &sources[i], err))
            return false;
    return true;
}

bool train_sources_read(json_t *list, TrainSource sources[TRAIN_SOURCES_MAX], int *n, Error *err)
{
    return read_sources(list, "data.sources", sources, n, err);
}

static bool read_eval_sources(EvalOptions *eval, Error *err)
{
    return !eval->source_list ||
           read_sources(eval->source_list, "eval.sources", eval->sources, &eval->n_sources, err);
}

static bool read_freeze(TrainConfig *c, Error *err)
{
    const size_t n = json_array_size(c->freeze_list);
    if (c->freeze_list && !json_is_array(c->freeze_list))
        return error_set(err, ERROR_FORMAT, "model.freeze: it is not a list of names");
    if (n > TRAIN_FREEZE_MAX)
        return error_set(err, ERROR_LIMIT, "model.freeze: at most %d names", TRAIN_FREEZE_MAX);
    for (size_t i = 0; i < n; i++)
        if (!(c->freeze[i] = json_string_value(json_array_get(c->freeze_list, i))))
            return error_set(err, ERROR_FORMAT, "model.freeze[%zu]: it is not a name", i);
    c->learn.freeze = c->freeze;
    c->learn.n_freeze = (int)n;
    return true;
}

/* "all-linear", or a list of projections. */
static bool read_targets(TrainConfig *c, Error *err)
{
    const json_t *list = c->target_list;
    const char *word = json_string_value(list);
    if (!list || (word && strcmp(word, "all-linear") == 0))
        return true;
    if (json_array_size(list) == 0)
        return error_set(err, ERROR_FORMAT,
                         "lora.targets: it is all-linear or a list such as [q_proj, v_proj]");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        int p = 0;
        while (name && p < N_PROJECTIONS && strcmp(name, projection_name((Projection)p)) != 0)
            p++;
        if (!name || p == N_PROJECTIONS)
            return error_set(err, ERROR_FORMAT,
                             "lora.targets: \"%.40s\" is none of q_proj, k_proj, v_proj, o_proj, "
                             "gate_proj, up_proj, down_proj",
                             name ? name : "?");
        c->learn.projections |= 1u << p;
    }
    return true;
}

static bool check_learning(const TrainConfig *c, Error *err)
{
    if (c->learn.rank == 0 && c->merges)
        return error_set(err, ERROR_FORMAT, "output.merge: it needs an adapter (lora.rank)");
    if (c->learn.rank > 0 && c->learn.n_freeze > 0)
        return error_set(err, ERROR_FORMAT,
                         "model.freeze: with lora.rank all of the model is frozen; give one of the "
                         "two");
    if (c->learn.rank > 0 && !c->from)
        return error_set(err, ERROR_FORMAT,
                         "lora.rank: an adapter needs a model to stand beside (model.from)");
    if (c->learn.rank > 0 && c->shape)
        return error_set(err, ERROR_FORMAT,
                         "lora.rank: an adapter stands beside its model as it is; leave out "
                         "model.shape");
    if (c->learn.rank > 0 && c->gguf && !c->merges)
        return error_set(err, ERROR_FORMAT,
                         "output.gguf: an adapter is written as a folder; output.merge: true also "
                         "writes a model");
    return true;
}

/* What one key alone cannot say. */
static bool check_together(TrainConfig *c, Error *err)
{
    if (!c->from && !c->shape)
        return error_set(err, ERROR_FORMAT,
                         "model: give from, a checkpoint to go on from, or shape");
    if (c->shape && !json_is_object(c->shape))
        return error_set(err, ERROR_FORMAT, "model.shape: it holds the keys of a config.json");
    if (!c->from && !c->tokenizer)
        return error_set(err, ERROR_FORMAT, "model.tokenizer: it is needed with model.shape");
    if (c->gguf && strcmp(c->gguf, "none") == 0)
        c->gguf = NULL;
    if (c->gguf && !package_convert_knows(c->gguf))
        return error_set(err, ERROR_FORMAT,
                         "output.gguf: no type %.40s; none, or one that wen quantize knows",
                         c->gguf);
    if (!check_learning(c, err))
        return false;
    if (c->tokens % 2)
        return error_set(err, ERROR_FORMAT, "batch.tokens: %d is odd", c->tokens);
    if (c->grains & (c->grains - 1))
        return error_set(err, ERROR_FORMAT, "batch.grains: %d is not a power of two", c->grains);
    if (c->rows % c->grains)
        return error_set(err, ERROR_FORMAT, "batch.rows: %d rows cannot be divided into %d grains",
                         c->rows, c->grains);
    if (c->grains % c->ranks)
        return error_set(
            err, ERROR_FORMAT,
            "run.ranks: %d ranks cannot divide batch.grains, which is %d; a rank takes "
            "whole grains",
            c->ranks, c->grains);
    if (c->divides_experts && c->ranks > 1 &&
        (c->eval.source_list || c->eval.problems || c->eval.prompts))
        return error_set(
            err, ERROR_FORMAT,
            "run.expert_parallel: eval.sources, problems and prompts are looked at by one "
            "rank, which has to hold all experts; leave one or the other out");
    if (c->schedule.warmup_steps + c->schedule.decay_steps > c->schedule.steps)
        return error_set(err, ERROR_FORMAT, "schedule: warm-up and decay are longer than steps");
    return true;
}

static bool read_data_sources(TrainConfig *c, Error *err)
{
    if (c->stage == STAGE_PRETRAIN || c->stage == STAGE_SFT ||
        (c->stage == STAGE_DISTILL && c->source_list))
        return train_sources_read(c->source_list, c->sources, &c->n_sources, err);
    if (!c->source_list)
        return true;
    return error_set(err, ERROR_FORMAT,
                     c->stage == STAGE_REWARD
                         ? "data.sources: this stage trains on reward.pairs"
                         : "data.sources: this stage trains on its own answers");
}

bool train_config_read_more(TrainConfig *c, TrainStage stage, const FieldTable *more,
                            const char *path, const char *const *sets, int n_sets, Error *err)
{
    *c = (TrainConfig){.stage = stage};
    make_table(c, more);
    const FieldTable table = {c->fields, c->n_fields};
    c->json = fields_read(&table, path, sets, n_sets, c, err);
    if (!c->json) {
        train_config_close(c);
        return false;
    }
    c->compute = (int)c->compute == 0 ? DTYPE_F32 : DTYPE_BF16; /* the choice's index until here */
    if (read_data_sources(c, err) && read_eval_sources(&c->eval, err) && read_freeze(c, err) &&
        read_targets(c, err) && check_together(c, err))
        return true;
    train_config_close(c);
    return error_add(err, "%s", path);
}

bool train_config_read(TrainConfig *c, TrainStage stage, const char *path, const char *const *sets,
                       int n_sets, Error *err)
{
    return train_config_read_more(c, stage, &(FieldTable){NULL, 0}, path, sets, n_sets, err);
}

void train_config_close(TrainConfig *c)
{
    json_decref(c->json);
    mem_free(c->fields);
    *c = (TrainConfig){0};
}

void train_config_write(const TrainConfig *c, Buf *out) { yaml_write(c->json, out); }

bool train_config_differs(const TrainConfig *c, const json_t *old, Buf *difference)
{
    const FieldTable table = {c->fields, c->n_fields};
    return fields_differ(&table, c->json, old, difference);
}
