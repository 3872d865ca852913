/* Splitting text into the pieces that byte-pair merging may not cross.
 *
 * The Qwen rule is written out by hand (qwen_piece_end); a tokenizer.json with other regular
 * expressions runs them through PCRE2, one after the other, each splitting what the one before
 * left. Text is valid UTF-8, already normalized. Immutable once made; a PieceScan belongs to one
 * thread. */
#ifndef WEN_TEXT_PRETOKENIZE_H
#define WEN_TEXT_PRETOKENIZE_H

#include "base/str.h"
#include "text/char_table.h"

/* The regular expression of every Qwen2, Qwen2.5 and Qwen3 tokenizer.json. */
extern const char QWEN_REGEX[];
/* What ByteLevel's own splitting does (use_regex), from GPT-2. */
extern const char GPT2_REGEX[];

typedef struct Pretokenizer Pretokenizer;

/* No expression: the whole text is one piece. PRETOKENIZER_REGEXES_MAX at most. */
enum { PRETOKENIZER_REGEXES_MAX = 8 };
Pretokenizer *pretokenizer_open(const CharTable *table, const Str *regexes, int n_regexes,
                                Error *err) MUST_USE;
void pretokenizer_close(Pretokenizer *p); /* NULL is fine */
/* True when there is exactly one expression and it is Qwen's. */
bool pretokenizer_is_qwen(const Pretokenizer *p);

/* The end of the piece that begins at `at` < text.bytes under the Qwen rule. */
size_t qwen_piece_end(const CharTable *table, Str text, size_t at);

/* Splitting for any other Pretokenizer. `each` returns false (with err set) to stop. */
typedef bool PieceHandler(void *context, Str piece, Error *err);
bool pretokenizer_split(const Pretokenizer *p, Str text, PieceHandler *each, void *context,
                        Error *err) MUST_USE;

#endif
