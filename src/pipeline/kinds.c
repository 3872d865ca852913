/* See kinds.h. */
#include "pipeline/kinds.h"

#include "base/str.h"
#include "data/label.h"
#include "data/mix_config.h"
#include "data/settings.h"
#include "data/synth.h"
#include "eval/task_list.h"
#include "rl/distill_config.h"
#include "rl/replies.h"
#include "rl/reward_config.h"
#include "rl/rl_config.h"
#include "tasks/mixture.h"
#include "train/learn_tokenizer.h"
#include "train/train_config.h"

#include <string.h>

static bool check_make(const char *path, Error *err)
{
    json_t *json = settings_read(path, err);
    Mixture *mix = mem_alloc(sizeof *mix);
    const bool ok = json && (mixture_read(mix, json, err) || error_add(err, "%s", path));
    mem_free(mix);
    json_decref(json);
    return ok;
}

static bool check_mix(const char *path, Error *err)
{
    MixConfig c;
    const bool ok = mix_config_read(&c, path, err);
    mix_config_close(&c);
    return ok;
}

static bool check_label(const char *path, Error *err)
{
    LabelConfig c;
    const bool ok = label_config_read(&c, path, err);
    label_config_close(&c);
    return ok;
}

static bool check_synth(const char *path, Error *err)
{
    SynthConfig c;
    const bool ok = synth_config_read(&c, path, err);
    synth_config_close(&c);
    return ok;
}

static bool check_sample(const char *path, Error *err)
{
    RepliesConfig c;
    const bool ok = replies_config_read(&c, path, NULL, 0, err);
    replies_config_close(&c);
    return ok;
}

static bool check_training(TrainStage stage, const char *path, Error *err)
{
    TrainConfig c;
    const bool ok = train_config_read(&c, stage, path, NULL, 0, err);
    if (ok)
        train_config_close(&c);
    return ok;
}

static bool check_pretrain(const char *path, Error *err)
{
    return check_training(STAGE_PRETRAIN, path, err);
}

static bool check_sft(const char *path, Error *err) { return check_training(STAGE_SFT, path, err); }

static bool check_reward(const char *path, Error *err)
{
    RewardConfig c;
    const bool ok = reward_config_read(&c, path, NULL, 0, err);
    if (ok)
        reward_config_close(&c);
    return ok;
}

static bool check_rl(const char *path, Error *err)
{
    RlConfig c;
    const bool ok = rl_config_read(&c, path, NULL, 0, err);
    if (ok)
        rl_config_close(&c);
    return ok;
}

static bool check_distill(const char *path, Error *err)
{
    DistillConfig c;
    const bool ok = distill_config_read(&c, path, NULL, 0, err);
    if (ok)
        distill_config_close(&c);
    return ok;
}

static int count_one(void *context, const json_t *messages, Error *err)
{
    (void)context, (void)messages, (void)err;
    return 1;
}

/* The names behind --tasks. */
static bool check_eval(const json_t *args, Error *err)
{
    const FamilyDraw draw = {.n = 1, .langs = {true, true, true, true}, .count = count_one};
    bool ok = true;
    for (size_t i = 0; ok && i + 1 < json_array_size(args); i++) {
        TaskList list = {0};
        if (strcmp(json_string_value(json_array_get(args, i)), "--tasks") != 0)
            continue;
        ok = task_list_read(&list, json_string_value(json_array_get(args, i + 1)), &draw, err);
        task_list_close(&list);
    }
    return ok;
}

#define TRAINED "/model", "/adapter", "/model.gguf"
static const StageKind kinds[] = {
    {"data make", OUT_FILE, true, true, {"/data.jsonl"}, NULL, check_make, NULL},
    {"data sample", OUT_FILE, true, true, {"/data.jsonl"}, NULL, check_sample, NULL},
    {"data label", OUT_FILE, true, true, {"/data.jsonl"}, NULL, check_label, NULL},
    {"data synth", OUT_FILE, true, true, {"/data.jsonl"}, NULL, check_synth, NULL},
    {"data mix", OUT_FILE, true, false, {"/data.jsonl"}, NULL, check_mix, NULL},
    {"data dedup", OUT_FILE, false, false, {"/data.jsonl"}, NULL, NULL, NULL},
    {"data decontaminate", OUT_FILE, false, false, {"/data.jsonl"}, NULL, NULL, NULL},
    {"train tokenizer",
     OUT_FOLDER,
     true,
     true,
     {""},
     "/tokenizer.json",
     learn_tokenizer_check,
     NULL},
    {"train pretrain", OUT_FOLDER, true, true, {TRAINED}, NULL, check_pretrain, NULL},
    {"train sft", OUT_FOLDER, true, true, {TRAINED}, NULL, check_sft, NULL},
    {"train reward", OUT_FOLDER, true, true, {TRAINED}, NULL, check_reward, NULL},
    {"train rl", OUT_FOLDER, true, true, {TRAINED}, NULL, check_rl, NULL},
    {"train distill", OUT_FOLDER, true, true, {TRAINED}, NULL, check_distill, NULL},
    {"eval", OUT_FOLDER, false, true, {"", "/results.json"}, "/results.json", NULL, check_eval},
    {"quantize", OUT_LAST, false, true, {"/model.gguf"}, NULL, NULL, NULL},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

const StageKind *stage_kind_find(const char *run, Error *err)
{
    Buf all = {0};
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].run, run) == 0)
            return &kinds[i];
    for (int i = 0; i < N_KINDS; i++)
        buf_printf(&all, "%s%s", i ? ", " : "", kinds[i].run);
    error_set(err, ERROR_FORMAT, "run: %.60s is not what a stage can do; there are %s", run,
              all.data);
    buf_free(&all);
    return NULL;
}
