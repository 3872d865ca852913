/* The added tokens of every Qwen3 tokenizer, in its order. Their ids follow the vocabulary without
 * a gap. Source: added_tokens_decoder in Qwen/Qwen3-8B's tokenizer_config.json. */
#ifndef WEN_TEXT_QWEN_TOKENS_H
#define WEN_TEXT_QWEN_TOKENS_H

#include "base/str.h"

enum { QWEN_TOKENS = 26 };

typedef struct QwenToken {
    const char *text;
    bool is_special; /* dropped by skip_special_tokens */
} QwenToken;

extern const QwenToken qwen_tokens[QWEN_TOKENS];

/* models/chat_template.jinja, part of the program: renders as Qwen3's hybrid template does. */
Str qwen_chat_template(void);

#define QWEN_END_OF_TEXT "<|endoftext|>"
#define QWEN_TURN_END "<|im_end|>"

#endif
