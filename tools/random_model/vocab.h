/* The vocabulary that a made model carries: a real one, or a small one learnt on the spot. */
#ifndef WEN_TOOLS_VOCAB_H
#define WEN_TOOLS_VOCAB_H

#include "base/mem.h"
#include "formats/gguf.h"

enum { VOCAB_ADDED_MAX = 64 };

/* Ids: tokens, then added ones. Strings live in the arena. */
typedef struct Vocab {
    Str *tokens; /* [n_tokens] in GPT-2's byte alphabet */
    Str *merges; /* [n_merges] "a b", best first */
    int n_tokens, n_merges;
    Str added[VOCAB_ADDED_MAX]; /* ids n_tokens .. */
    bool is_special[VOCAB_ADDED_MAX];
    int n_added;
    Arena arena;
} Vocab;

/* Byte-level BPE in Qwen's layout: the 256 bytes in GPT-2's order, up to 704 merges learnt from
 * sentences.h, Qwen's 26 added tokens. The same on every machine. */
void vocab_make(Vocab *vocab);
/* From dir/tokenizer.json. */
bool vocab_load(Vocab *vocab, const char *dir, Error *err) MUST_USE;
void vocab_close(Vocab *vocab);

/* The id of an added token, or -1. */
int vocab_added_id(const Vocab *vocab, const char *text);
int vocab_n_ids(const Vocab *vocab);

/* tokenizer.json, vocab.json, merges.txt, added_tokens.json and tokenizer_config.json (with the
 * chat template) into dir. */
bool vocab_write_files(const Vocab *vocab, const char *dir, Str chat_template, const char *eos,
                       Error *err) MUST_USE;
/* The tokenizer.* keys; ids up to n_rows - 1 that have no text become unused entries. */
void vocab_put_gguf(const Vocab *vocab, GgufWriter *w, int n_rows, Str chat_template,
                    const char *eos);

#endif
