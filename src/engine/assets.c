/* See assets.h. */
#include "engine/assets.h"

Tokenizer *assets_tokenizer(const Package *package, Error *err)
{
    const PackageText *text = package_text(package);
    const TokenizerFiles files = {
        .tokenizer_json = text->tokenizer_json,
        .vocab_json = text->vocab_json,
        .merges_txt = text->merges_txt,
        .tokenizer_config_json = text->tokenizer_config_json,
        .added_tokens_json = text->added_tokens_json,
        .tokens = text->tokens,
        .merges = text->merges,
        .token_types = text->token_types,
        .n_tokens = text->n_tokens,
        .n_merges = text->n_merges,
        .pre = text->pre,
        .bos_id = text->bos_id,
        .eos_id = text->eos_id,
        .pad_id = text->pad_id,
        .add_bos = text->add_bos,
    };
    Tokenizer *t = tokenizer_open(&files, err);
    if (!t)
        error_add(err, "%s", package_path(package));
    return t;
}
