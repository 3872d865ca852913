/* A vocabulary in the files that Qwen3 comes with, byte for byte in their layout, so that
 * Transformers, llama.cpp and tokenizer_open read them. The added tokens are qwen_tokens.h's, with
 * the ids behind the vocabulary. */
#ifndef WEN_TEXT_TOKENIZER_WRITE_H
#define WEN_TEXT_TOKENIZER_WRITE_H

#include "text/bpe_train.h"

/* Each appends the contents of one file. */
void tokenizer_write_json(const BpeVocab *v, Buf *out);   /* tokenizer.json */
void tokenizer_write_vocab(const BpeVocab *v, Buf *out);  /* vocab.json */
void tokenizer_write_merges(const BpeVocab *v, Buf *out); /* merges.txt */
/* tokenizer_config.json; `context`: model_max_length. */
void tokenizer_write_config(const BpeVocab *v, Str chat_template, int context, Buf *out);

#endif
