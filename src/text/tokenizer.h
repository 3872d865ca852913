/* Byte-level BPE as the Qwen family uses it: text <-> ids.
 *
 * Encoding: added tokens ("<|im_end|>", "<think>") are matched first, leftmost longest, on the raw
 * text; each stretch between them is NFC-normalized, split by the Qwen rule (pretokenize.h), and
 * each piece merged by rank. Which added tokens may be matched where is the caller's choice: see
 * TextSpan. A tokenizer is immutable and may be used by many threads. */
#ifndef WEN_TEXT_TOKENIZER_H
#define WEN_TEXT_TOKENIZER_H

#include "base/str.h"

/* What a tokenizer is made from: give tokenizer_json, or vocab_json + merges_txt (with
 * tokenizer_config_json or added_tokens_json for the added tokens), or the GGUF arrays. The rest
 * stays empty. Borrowed during the call. */
typedef struct TokenizerFiles {
    Str tokenizer_json, vocab_json, merges_txt;
    Str tokenizer_config_json, added_tokens_json;
    const Str *tokens, *merges; /* GGUF: bytes in GPT-2 alphabet; "a b" */
    const int32_t *token_types;
    int n_tokens, n_merges;
    Str pre;
    int32_t bos_id, eos_id, pad_id; /* -1: not given */
    bool add_bos;
} TokenizerFiles;

typedef struct Tokenizer Tokenizer;

Tokenizer *tokenizer_open(const TokenizerFiles *files, Error *err) MUST_USE;
void tokenizer_close(Tokenizer *t); /* NULL is fine */

/* Ids 0 .. n-1 have text (the model's head may have more rows; those are padding). */
int tokenizer_n_tokens(const Tokenizer *t);
/* The id of an added token by its exact text, or -1. */
int32_t tokenizer_added_id(const Tokenizer *t, const char *text);
bool tokenizer_is_added(const Tokenizer *t, int32_t id);
/* Added and marked special: dropped by skip_special_tokens (<|im_end|>, but not <think>). */
bool tokenizer_is_special(const Tokenizer *t, int32_t id);
int32_t tokenizer_bos_id(const Tokenizer *t); /* -1: none */
int32_t tokenizer_eos_id(const Tokenizer *t);
int32_t tokenizer_pad_id(const Tokenizer *t);
/* The reference puts the bos token before a text (never done by tokenizer_encode, as templates
 * print it themselves). */
bool tokenizer_adds_bos(const Tokenizer *t);
/* The token that the reference puts behind a text (embedding models), or -1. */
int32_t tokenizer_suffix_id(const Tokenizer *t);
/* The bytes of one token; empty for an id without text. Borrowed. */
Str tokenizer_bytes(const Tokenizer *t, int32_t id);

/* A growing list of ids. Zeroed is ready; free with ids_free. */
typedef struct Ids {
    int32_t *data;
    int n, capacity;
} Ids;
void ids_push(Ids *ids, int32_t id);
void ids_free(Ids *ids);

/* Bytes from .. to-1 of a text were not written by the template: added tokens may not match any of
 * them. Sorted, disjoint. */
typedef struct TextSpan {
    size_t from, to;
} TextSpan;

/* Appends the ids of `text`. Added tokens match everywhere but where they would touch an untrusted
 * span. Invalid UTF-8 is an error that gives the byte offset. */
bool tokenizer_encode(const Tokenizer *t, Str text, const TextSpan *untrusted, int n_untrusted,
                      Ids *ids, Error *err) MUST_USE;
/* The two common cases: everything matched (the reference behaviour) or nothing (plain). */
bool tokenizer_encode_all(const Tokenizer *t, Str text, Ids *ids, Error *err) MUST_USE;
bool tokenizer_encode_plain(const Tokenizer *t, Str text, Ids *ids, Error *err) MUST_USE;

/* Appends the exact bytes (which need not be UTF-8). skip_special drops special tokens. An id
 * without text is an error. */
bool tokenizer_decode(const Tokenizer *t, const int32_t *ids, int n_ids, bool skip_special,
                      Buf *out, Error *err) MUST_USE;

/* Streaming decode: feed ids, take text that is always whole characters; ill-formed bytes become
 * U+FFFD only once it is certain that nothing can complete them. */
typedef struct StreamDecoder {
    char held[4];
    int n_held;
} StreamDecoder;
void stream_decoder_push(StreamDecoder *d, Str bytes, Buf *out);
void stream_decoder_flush(StreamDecoder *d, Buf *out);

#endif
