/* A tokenizer of single bytes, two newlines, and the added tokens of chat templates, for the tests
 * of data. */
#ifndef WEN_TESTS_TRAIN_CHAT_VOCAB_H
#define WEN_TESTS_TRAIN_CHAT_VOCAB_H

#include "reply_vocab.h"

#include <string.h>

/* Added tokens: Qwen's tags and DeepSeek's, ids from 256; the first ones are special. */
static const char *const chat_tokens[] = {
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<｜begin▁of▁sentence｜>",
    "<｜end▁of▁sentence｜>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
};
enum {
    CHAT_TEXT_END = 256, /* <|endoftext|> */
    N_CHAT_TOKENS = sizeof chat_tokens / sizeof *chat_tokens,
    N_CHAT_SPECIAL = 7,
};

static inline Tokenizer *open_chat_vocab(void)
{
    static char spelled[256][8];
    Str tokens[256 + N_CHAT_TOKENS + 1], merges[] = {STR("\xC4\x8A \xC4\x8A")};
    int32_t types[256 + N_CHAT_TOKENS + 1];
    for (int i = 0; i < 256; i++) {
        Buf text = {0};
        spell_byte(&text, (unsigned char)i);
        memcpy(spelled[i], text.data, text.bytes);
        tokens[i] = (Str){spelled[i], text.bytes};
        types[i] = 1;
        buf_free(&text);
    }
    for (int i = 0; i < N_CHAT_TOKENS; i++) {
        tokens[256 + i] = str_from(chat_tokens[i]);
        types[256 + i] = i < N_CHAT_SPECIAL ? 3 : 4;
    }
    tokens[256 + N_CHAT_TOKENS] = STR("\xC4\x8A\xC4\x8A");
    types[256 + N_CHAT_TOKENS] = 1;
    const TokenizerFiles files = {.tokens = tokens,
                                  .token_types = types,
                                  .n_tokens = 256 + N_CHAT_TOKENS + 1,
                                  .merges = merges,
                                  .n_merges = 1,
                                  .pre = STR("qwen2"),
                                  .bos_id = -1,
                                  .eos_id = 258,
                                  .pad_id = -1};
    Error err = {0};
    Tokenizer *t = tokenizer_open(&files, &err);
    if (!t)
        fail_msg("%s", err.message);
    return t;
}

#endif
