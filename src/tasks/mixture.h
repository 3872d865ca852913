/* Mixtures: how many documents of which families, in which modes and languages.
 *
 * Document i of a mixture is a function of the mixture and i alone, so any number of threads may
 * make them and a file can be made again from its configuration. Three kinds:
 *
 *   chat      {"messages", "tools", "enable_thinking", "family"} for supervised training
 *   text      {"text"}: worked problems and descriptions in plain language, for pretraining
 *   problems  {"id", "family", "split", "difficulty", "messages", "answer"} for RL and eval
 *
 * docs/tasks.md explains the keys. */
#ifndef WEN_TASKS_MIXTURE_H
#define WEN_TASKS_MIXTURE_H

#include "tasks/tasks.h"

#include <jansson.h>

typedef enum MixtureKind { MIXTURE_CHAT, MIXTURE_TEXT, MIXTURE_PROBLEMS } MixtureKind;

enum { MIXTURE_ENTRIES_MAX = 128 };

typedef struct MixtureEntry {
    const TaskFamily *family;
    double weight;
    int difficulty_min, difficulty_max;
    double thinking;       /* the share of its documents that think */
    double langs[N_LANGS]; /* weights; 0 where the family does not have the language */
} MixtureEntry;

typedef struct Mixture {
    MixtureKind kind;
    TaskSplit split;
    int64_t seed, n_documents, max_bytes;
    /* Shares of documents; of chat only. */
    double thinking;   /* with a thought */
    double flagged;    /* of the thinking ones that need none: "/think" all the same */
    double hard_off;   /* of those without a thought and without earlier turns: by
                          enable_thinking = false instead of a flag */
    double system;     /* with a system prompt */
    double multi_turn; /* with one or two earlier turns of other families */
    double kept_flag;  /* of those: the last turn has no flag and keeps the earlier one */
    double cut;        /* of the thinking ones: the thought is cut, the stop text ends it */
    double idle_tools; /* with tools in the prompt that the question does not need */
    MixtureEntry entries[MIXTURE_ENTRIES_MAX];
    int n_entries;
} Mixture;

/* Every family once, equal weights, all difficulties and languages, the shares of
 * configs/chat.yaml.
 */
void mixture_all(Mixture *mix);
/* Over the defaults of mixture_all. Errors name the key. */
bool mixture_read(Mixture *mix, const json_t *config, Error *err) MUST_USE;

/* Room that making documents reuses; zeroed is ready. One a thread. */
typedef struct DocumentMaker {
    Problem problem, earlier;
    Buf line;
} DocumentMaker;
void document_maker_close(DocumentMaker *maker);

/* Appends document i as one line with its end. */
void mixture_document(const Mixture *mix, DocumentMaker *maker, int64_t i, Buf *out);

#endif
