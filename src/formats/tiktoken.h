/* Inside formats/: qwen.tiktoken, the first Qwen's vocabulary (QwenLM/Qwen, tokenization_qwen.py):
 * a line a token, its bytes in base64, a space, its rank, which is its id. It has no merges; they
 * follow from the ranks: the bytes of a token, merged by the tokens before it, end as two parts. */
#ifndef WEN_FORMATS_TIKTOKEN_H
#define WEN_FORMATS_TIKTOKEN_H

#include "base/error.h"
#include "base/str.h"

/* The same vocabulary as vocab.json and merges.txt have it, and as added_tokens.json the tokens
 * that the first Qwen adds behind it. Messages begin with the line. */
bool tiktoken_read(Str file, Buf *vocab_json, Buf *merges_txt, Buf *added_tokens_json,
                   Error *err) MUST_USE;

#endif
