/* What an engine needs beside the model, made from a package. */
#ifndef WEN_ENGINE_ASSETS_H
#define WEN_ENGINE_ASSETS_H

#include "formats/package.h"
#include "text/tokenizer.h"

/* The package's tokenizer, whichever files it comes as. It does not borrow from the package. */
Tokenizer *assets_tokenizer(const Package *package, Error *err) MUST_USE;

#endif
