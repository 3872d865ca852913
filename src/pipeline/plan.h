/* A pipeline as it is written down: a folder with pipeline.yaml, which names stages in order, and
 * the stages' configurations beside it.
 *
 *     stages:
 *       - {name: texts, run: data make, config: texts.yaml}
 *       - {name: tok, run: train tokenizer, config: tokenizer.yaml}
 *       - {name: s1, run: train pretrain, config: s1.yaml}
 *       - {name: exam, run: eval, args: ["${s1}/model", --tasks, "chain,letters", -n, "200"]}
 *
 * In a configuration and in args, "${NAME}/PATH" is what the earlier stage NAME makes, and
 * "${folder}/PATH" a file in the pipeline's folder. Reading checks all of it: stages, files,
 * references and what they refer to. docs/pipeline.md explains it to users. */
#ifndef WEN_PIPELINE_PLAN_H
#define WEN_PIPELINE_PLAN_H

#include "base/str.h"
#include "pipeline/kinds.h"

#include <jansson.h>

enum { PLAN_STAGES_MAX = 64 };

typedef struct PlanStage {
    const char *name;
    const StageKind *kind;
    const char *config;          /* its file's name in the folder; NULL: none */
    json_t *settings;            /* the configuration with --set applied, references as they are */
    json_t *args;                /* texts; NULL: none */
    bool needs[PLAN_STAGES_MAX]; /* earlier stages that it refers to */
    uint64_t files;              /* hash of the files of the folder that it refers to */
} PlanStage;

typedef struct Plan {
    char *folder;
    json_t *json; /* of pipeline.yaml; owns the texts */
    PlanStage stages[PLAN_STAGES_MAX];
    int n;
} Plan;

/* sets: "STAGE.a.b=VALUE", for keys of that stage's configuration. */
bool plan_read(Plan *p, const char *folder, const char *const *sets, int n_sets,
               Error *err) MUST_USE;
void plan_close(Plan *p); /* a zeroed one is fine */

int plan_find(const Plan *p, const char *name); /* -1: no stage of this name */

/* A stage's configuration or args with stages below `out` in place of their references; a new
 * reference. The plan has been read, so nothing can be wrong with them. */
json_t *plan_resolve(const Plan *p, int stage_i, const json_t *value, const char *out);

#endif
