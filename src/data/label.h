/* Labels on documents, by a model: educational value, field, safety, whatever axes a configuration
 * names. The model is shown a document and asked for one JSON object with exactly the axes;
 * anything else (a missing or further member, a number out of range, words around the object, an
 * answer that was cut off) is a failure, and that document gets no labels.
 *
 *     prompt: |            # {axes} becomes the list of axes and what they may be
 *       You judge texts for ... Answer with one JSON object and nothing else: {axes}
 *     axes:
 *       - {name: value, low: 0, high: 5, about: "educational value, 0 none, 5 a textbook"}
 *       - {name: field, choices: [mathematics, code, other], about: "..."}
 *     max_bytes: 6000      # of a document that the model is shown
 *     max_tokens: 200      # of an answer
 *     temperature: 0
 *     think: false
 *     seed: 1
 *     max_failed: 0.5      # share of failures from which the run counts as failed
 *
 * Labels go into the document's "labels" (beside others that it has), where mix.h finds them. */
#ifndef WEN_DATA_LABEL_H
#define WEN_DATA_LABEL_H

#include "data/ask.h"

enum { LABEL_AXES_MAX = 32 };

typedef struct LabelAxis {
    const char *name, *about; /* about: NULL if absent */
    const json_t *choices;    /* an array of strings; NULL: a whole number */
    int64_t low, high;
} LabelAxis;

typedef struct LabelConfig {
    LabelAxis axes[LABEL_AXES_MAX];
    int n_axes;
    const char *prompt;
    int max_bytes, max_tokens;
    double temperature, max_failed;
    bool thinks;
    int64_t seed;
    json_t *json; /* owned; the texts above are its */
} LabelConfig;

bool label_config_read(LabelConfig *c, const char *path, Error *err) MUST_USE;
void label_config_close(LabelConfig *c);

/* The labels in a model's answer, a new reference, or {"failed": "..."}. */
json_t *label_parse(const LabelConfig *c, Str answer, bool is_whole);

typedef struct LabelOptions {
    const LabelConfig *config;
    const char *const *paths; /* [n_paths] */
    int n_paths;
    const char *out;
    Asker asker;
    void (*progress)(void *context, int64_t n_done, int64_t n_failed); /* NULL: silent */
    const volatile int *stop;                                          /* see ask.h */
} LabelOptions;

/* Labels all documents of the files; OUT.part holds the answers until all are there. */
bool label_run(const LabelOptions *options, AskReport *report, Error *err) MUST_USE;

#endif
