/* A small tokenizer for the reply parser's tests: one token for each byte, some longer ones that
 * cut a reply in awkward places, and Qwen's tags. */
#ifndef WEN_TESTS_REPLY_VOCAB_H
#define WEN_TESTS_REPLY_VOCAB_H

#include "support.h"

#include "base/utf8.h"
#include "text/tokenizer.h"

#include <stdio.h>

static const char *const longer_tokens[] = {
    "\n\n", " the",     "{\"name\": \"", "\", \"arguments\": {",
    "}}\n", "\n{\"",    "<function=",    "</parameter>\n",
    " \n",  "\xE6\x97", "\xA5x",         "think>",
    "call", "\":",
};
static const char *const added_tokens[] = {
    "<|im_start|>", "<|im_end|>",   "<think>",         "</think>",
    "<tool_call>",  "</tool_call>", "<tool_response>",
};
enum {
    N_LONGER = sizeof longer_tokens / sizeof *longer_tokens,
    N_ADDED = sizeof added_tokens / sizeof *added_tokens,
    N_SPECIAL = 2,
    FIRST_ADDED = 256 + N_LONGER,
    IM_END = FIRST_ADDED + 1,
    THINK = FIRST_ADDED + 2,
    TOOL_CALL = FIRST_ADDED + 4,
    N_TOKENS = FIRST_ADDED + N_ADDED,
};

/* A byte in the alphabet in which GPT-2's vocabulary spells bytes. */
static inline void spell_byte(Buf *out, unsigned char byte)
{
    static const unsigned char ranges[][2] = {{33, 126}, {161, 172}, {174, 255}};
    uint32_t cp = 256;
    char bytes[4];
    for (int b = 0; b < 256; b++) {
        bool is_itself = false;
        for (int r = 0; r < 3; r++)
            is_itself |= b >= ranges[r][0] && b <= ranges[r][1];
        if (b == byte) {
            cp = is_itself ? byte : cp;
            break;
        }
        cp += !is_itself;
    }
    buf_append(out, bytes, utf8_encode(cp, bytes));
}

static inline Tokenizer *open_reply_vocab(bool with_tags)
{
    static char spelled[N_TOKENS][64];
    Str tokens[N_TOKENS], merges[] = {STR("a b")};
    int32_t types[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++) {
        Buf text = {0};
        if (i < 256)
            spell_byte(&text, (unsigned char)i);
        for (const char *c = i >= 256 && i < FIRST_ADDED ? longer_tokens[i - 256] : ""; *c; c++)
            spell_byte(&text, (unsigned char)*c);
        if (i >= FIRST_ADDED)
            buf_printf(&text, "%s%s", with_tags || i < THINK ? "" : "x",
                       added_tokens[i - FIRST_ADDED]);
        snprintf(spelled[i], sizeof spelled[i], "%s", text.data);
        buf_free(&text);
        tokens[i] = str_from(spelled[i]);
        types[i] = i < FIRST_ADDED ? 1 : i < FIRST_ADDED + N_SPECIAL ? 3 : 4;
    }
    Error err = {0};
    Tokenizer *t = tokenizer_open(&(TokenizerFiles){.tokens = tokens,
                                                    .merges = merges,
                                                    .n_merges = 0,
                                                    .token_types = types,
                                                    .n_tokens = N_TOKENS,
                                                    .pre = STR("qwen2"),
                                                    .bos_id = -1,
                                                    .eos_id = IM_END,
                                                    .pad_id = -1},
                                  &err);
    if (!t)
        fail_msg("%s", err.message);
    return t;
}

#endif
