/* What a package knows about text: its tokenizer and its chat template. */
#ifndef WEN_TRAIN_MODEL_TEXT_H
#define WEN_TRAIN_MODEL_TEXT_H

#include "formats/package.h"
#include "text/chat.h"

typedef struct ModelText {
    Tokenizer *tokenizer;
    ChatTemplate *chat; /* NULL: the package has none */
} ModelText;

bool model_text_open(ModelText *t, const Package *package, Error *err) MUST_USE;
void model_text_close(ModelText *t); /* a zeroed one is fine */

#endif
