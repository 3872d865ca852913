/* What a stage of a pipeline can be: a maker's command, what it makes, and how its configuration is
 * checked before anything runs. To add a command, add its line in kinds.c. */
#ifndef WEN_PIPELINE_KINDS_H
#define WEN_PIPELINE_KINDS_H

#include "base/error.h"

#include <jansson.h>

enum { KIND_OUTPUTS_MAX = 4 };

/* Where the command is told to write. */
typedef enum KindOut {
    OUT_FOLDER, /* --out FOLDER */
    OUT_FILE,   /* --out FOLDER/outputs[0] */
    OUT_LAST    /* FOLDER/outputs[0], the last word */
} KindOut;

typedef struct StageKind {
    const char *run; /* "train sft": what follows `wen` */
    KindOut out;
    bool takes_config; /* its first word is a configuration; else it has words of its own */
    bool takes_threads;
    /* Below the stage's folder, for later stages. "" is the folder itself. After a command that
     * worked at least one of them is there. */
    const char *outputs[KIND_OUTPUTS_MAX];
    const char *proof; /* a file that says so where the folder itself is the output; else NULL */
    /* Reads a configuration as the command will, without looking at its inputs; NULL: there is
     * nothing to read. */
    bool (*check)(const char *path, Error *err);
    /* The same for words of its own; NULL: the command says so when its turn comes. */
    bool (*check_args)(const json_t *args, Error *err);
} StageKind;

/* NULL, and an error that lists them, for another one. */
const StageKind *stage_kind_find(const char *run, Error *err) MUST_USE;

#endif
