/* What `wen doctor` looks at. */
#ifndef WEN_CLI_DOCTOR_CHECKS_H
#define WEN_CLI_DOCTOR_CHECKS_H

#include "base/str.h"

#include <jansson.h>

typedef enum Verdict {
    VERDICT_OK,
    VERDICT_NOTE, /* all works; this would make it better, or more possible */
    VERDICT_BAD,  /* something will not work, or many times slower */
} Verdict;

typedef struct Finding {
    Verdict verdict;
    Buf found;  /* what there is, one line */
    Buf advice; /* what to do, lines; empty for VERDICT_OK */
} Finding;

typedef struct Check {
    const char *name;
    /* about: what wen_about says. */
    void (*look)(const json_t *about, Finding *finding);
} Check;

/* Ends with a NULL name. */
extern const Check doctor_checks[];

#endif
