/* Texts written by a model: textbooks, questions with answers, code, from a set of prompts; the
 * step of Qwen3's recipe that Qwen2.5, Qwen2.5-Math and Qwen2.5-Coder did.
 *
 *     seed: 1
 *     max_tokens: 1500
 *     temperature: 0.8         # absent: the model's own
 *     think: false
 *     max_failed: 0.5          # share of failures from which the run counts as failed
 *     lists:
 *       topic: [fractions, area, speed]
 *       reader: [a child of ten, a student]
 *     prompts:
 *       - name: textbook
 *         count: 100           # how many are asked for
 *         system: You write textbooks.
 *         user: Write a section about {topic} for {reader}.
 *         makes: text          # or dialogue, or code
 *         min_bytes: 200       # of what it makes
 *         max_bytes: 20000
 *
 * {name} takes an entry of the list, drawn by seed, prompt and number. `text`: the answer is the
 * document. `dialogue`: the answer is one JSON object {"question", "answer"}, which becomes two
 * messages. `code`: the answer holds exactly one fenced block, whose inside is the document. An
 * answer that is cut off, too short or long, or of another form is a failure and is left out. */
#ifndef WEN_DATA_SYNTH_H
#define WEN_DATA_SYNTH_H

#include "data/ask.h"

enum { SYNTH_PROMPTS_MAX = 256 };

typedef enum SynthKind { SYNTH_TEXT, SYNTH_DIALOGUE, SYNTH_CODE } SynthKind;

typedef struct SynthPrompt {
    const char *name, *system, *user; /* system: NULL if absent */
    SynthKind kind;
    int64_t count, min_bytes, max_bytes;
} SynthPrompt;

typedef struct SynthConfig {
    SynthPrompt prompts[SYNTH_PROMPTS_MAX];
    int n_prompts;
    const json_t *lists; /* name -> array of texts; NULL: none */
    int64_t seed, max_tokens;
    double temperature, max_failed; /* temperature NAN: the model's own */
    bool thinks;
    json_t *json; /* owned; the texts above are its */
} SynthConfig;

bool synth_config_read(SynthConfig *c, const char *path, Error *err) MUST_USE;
void synth_config_close(SynthConfig *c);

/* Question i as {"system", "user", "prompt", "values": {name: entry}}, a new reference; NULL behind
 * the last. */
json_t *synth_question(const SynthConfig *c, int64_t i);
/* The document that an answer makes, a new reference: {"id", "prompt", "values", "text" or
 * "messages"}; or {"failed": "..."}. */
json_t *synth_document(const SynthConfig *c, int64_t i, Str answer, bool is_whole);

typedef struct SynthOptions {
    const SynthConfig *config;
    const char *out;
    Asker asker;
    void (*progress)(void *context, int64_t n_done, int64_t n_failed); /* NULL: silent */
    const volatile int *stop;                                          /* see ask.h */
} SynthOptions;

bool synth_run(const SynthOptions *options, AskReport *report, Error *err) MUST_USE;

#endif
