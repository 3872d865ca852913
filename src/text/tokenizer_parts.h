/* Inside the tokenizer: its parts, and what its loaders fill in. Only tokenizer*.c include this. */
#ifndef WEN_TEXT_TOKENIZER_PARTS_H
#define WEN_TEXT_TOKENIZER_PARTS_H

#include "base/mem.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/char_table.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

enum {
    TOKENIZER_FILE_BYTES_MAX = 256 << 20, /* of any one file */
    TOKENIZER_PART_BYTES_MAX =
        16 << 20, /* of what is read as a tree: everything but vocab, merges */
};

struct Tokenizer {
    Vocab vocab;
    Bpe bpe;
    CharTable chars;
    Pretokenizer *pretokenizer;
    AddedSet added;            /* all */
    AddedSet raw_added;        /* matched in the text as it is */
    AddedSet normalized_added; /* matched, in what is left, after normalization */
    bool normalizes;           /* to form C */
    bool adds_bos;
    int32_t bos_id, eos_id, pad_id, suffix_id; /* -1: none */
};

/* What a loader finds beside vocabulary and merges. Texts live in `arena`, or in the caller's
 * files, until the tokenizer is open. */
typedef struct TokenizerLoad {
    Tokenizer *t;
    Arena arena;
    Str regexes[PRETOKENIZER_REGEXES_MAX];
    int n_regexes;
    bool ignore_merges;
    Str bos, eos, pad;    /* texts; empty: not given */
    Str prefix, suffix;   /* what the post-processor puts around a text; empty: nothing */
    int add_bos, add_eos; /* 1, 0, or -1: not said */
    bool is_byte_level;   /* a ByteLevel pre-tokenizer was read */
} TokenizerLoad;

Str load_keep(TokenizerLoad *load, const char *text);

/* Adds an added token, or marks the ordinary token of that id and text as one. The same token again
 * is fine; another text for the id, or another id for the text, is an error. */
bool load_added(TokenizerLoad *load, int64_t id, Str text, unsigned flags, Error *err) MUST_USE;
/* Adds a token of the vocabulary proper, given in GPT-2's byte alphabet. One that has other
 * characters keeps its text, for decoding, but nothing is ever encoded to it. */
bool load_ordinary(TokenizerLoad *load, int64_t id, Str text, Error *err) MUST_USE;
/* Adds the next merge; both parts in the byte alphabet. */
bool load_merge(TokenizerLoad *load, Str left, Str right, Error *err) MUST_USE;
/* The same, from "left right". */
bool load_merge_line(TokenizerLoad *load, Str line, Error *err) MUST_USE;

/* tokenizer.json, whole. Messages begin with the place in it. */
bool load_tokenizer_json(TokenizerLoad *load, Str json, Error *err) MUST_USE;
bool load_vocab_json(TokenizerLoad *load, Str json, Error *err) MUST_USE;
bool load_merges_txt(TokenizerLoad *load, Str text, Error *err) MUST_USE;
bool load_gguf(TokenizerLoad *load, const TokenizerFiles *files, Error *err) MUST_USE;
/* tokenizer_config.json: added tokens, the names of bos, eos and pad. */
bool load_tokenizer_config(TokenizerLoad *load, Str json, Error *err) MUST_USE;
/* added_tokens.json, after the config. */
bool load_added_tokens_json(TokenizerLoad *load, Str json, Error *err) MUST_USE;

/* One component of tokenizer.json, as JSON text ("null" too). Names what is not implemented. */
bool load_component(TokenizerLoad *load, const char *key, Str json, Error *err) MUST_USE;

#endif
