/* The tokens of one vocabulary: id -> bytes, and bytes -> id for the ordinary ones. */
#ifndef WEN_TEXT_VOCAB_H
#define WEN_TEXT_VOCAB_H

#include "base/str.h"

enum {
    VOCAB_IDS_MAX = (1 << 21) - 1, /* an id is below this; bpe.h packs pairs of ids into 42 bits */
    VOCAB_TOKEN_BYTES_MAX = 4096,
};

enum {
    TOKEN_PRESENT = 1,     /* has text */
    TOKEN_ORDINARY = 2,    /* a part of byte-pair merging */
    TOKEN_ADDED = 4,       /* matched as a whole in the text, before anything else */
    TOKEN_SPECIAL = 8,     /* added, and dropped by skip_special_tokens */
    TOKEN_NORMALIZED = 16, /* added, matched in the normalized text instead of the raw one */
};

typedef struct VocabEntry {
    uint32_t offset; /* of its bytes */
    uint16_t bytes;
    uint8_t flags;
} VocabEntry;

/* A token of at most 8 bytes is compared inside its slot: encoding touches one cache line for it.
 */
typedef struct VocabSlot {
    uint64_t key; /* the bytes themselves, if at most 8; else a hash */
    int32_t id;   /* plus 1; 0: empty */
    uint16_t bytes;
    bool is_apart; /* a piece with these bytes is not this token, see vocab_set_apart */
} VocabSlot;

typedef struct Vocab {
    Buf bytes;
    VocabEntry *entries; /* [n]; those without TOKEN_PRESENT are holes */
    size_t n, capacity;
    VocabSlot *slots; /* ordinary tokens by their bytes; open addressing */
    size_t n_slots, n_ordinary;
} Vocab;

void vocab_close(Vocab *vocab); /* a zeroed Vocab is ready for use */

/* Adds a token. An id twice, an ordinary text twice, or a number past a limit is an error. */
bool vocab_add(Vocab *vocab, int64_t id, Str bytes, unsigned flags, Error *err) MUST_USE;

/* The ordinary token with these bytes, or -1. */
int32_t vocab_find(const Vocab *vocab, Str bytes);

/* From now on vocab_find_whole does not find this ordinary token. */
void vocab_set_apart(Vocab *vocab, int32_t id);

/* The token that a whole piece is, or -1: as vocab_find, less the tokens that were set apart. */
int32_t vocab_find_whole(const Vocab *vocab, Str bytes);

/* Asks the processor to bring near what vocab_find_whole will read. */
void vocab_prefetch(const Vocab *vocab, Str bytes);

static inline Str vocab_bytes(const Vocab *vocab, int32_t id)
{
    const VocabEntry *e = &vocab->entries[id];
    return (Str){vocab->bytes.data + e->offset, e->bytes};
}

static inline bool vocab_has(const Vocab *vocab, int32_t id)
{
    return id >= 0 && (size_t)id < vocab->n && (vocab->entries[id].flags & TOKEN_PRESENT);
}

/* The text for a message: one line, cut, with '?' for what cannot be shown. Returns out. */
enum { TOKEN_SHOW_BYTES = 64 };
const char *token_show(Str bytes, char out[TOKEN_SHOW_BYTES]);

/* Turns text in GPT-2's byte alphabet into the bytes it stands for: 33..126, 161..172 and 174..255
 * are themselves, the other 68 bytes, in order, are U+0100, U+0101, ... `out` has room for
 * text.bytes. False when a character is not in the alphabet. Source: openai/gpt-2 encoder.py. */
bool byte_alphabet_decode(Str text, char *out, size_t *n_out);
/* The other way: appends the text that stands for these bytes. */
void byte_alphabet_encode(Str bytes, Buf *out);
/* A vocabulary numbers the bytes in the order of those characters: 0 is '!', 188 the byte 0. */
int byte_alphabet_id(unsigned char byte);
unsigned char byte_alphabet_byte(int id); /* id: 0 .. 255 */

#endif
