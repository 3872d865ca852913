/* What an engine needs beside the model, made from a package. */
#ifndef WEN_ENGINE_ASSETS_H
#define WEN_ENGINE_ASSETS_H

#include "engine/engine.h"
#include "formats/package.h"
#include "text/tokenizer.h"

/* The package's tokenizer, whichever files it comes as. It does not borrow from the package. */
Tokenizer *assets_tokenizer(const Package *package, Error *err) MUST_USE;

/* The eos ids below n_vocab of a generation_config.json (NULL: none); returns how many. */
int assets_generation_eos(const json_t *generation, int n_vocab, int32_t ids[CONFIG_EOS_MAX]);

/* How tokens are drawn when nobody says: as generation_config.json does, else as Qwen recommends
 * (README and docs/source/getting_started/quickstart.md of QwenLM/Qwen3). `is_hybrid`: the template
 * can switch the thought; `thinks`: this request may think. */
Sampling assets_sampling(const json_t *generation, bool is_hybrid, bool thinks);

#endif
