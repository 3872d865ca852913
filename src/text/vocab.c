/* See vocab.h. */
#include "text/vocab.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

enum { FIRST_ENTRIES = 1024, FIRST_SLOTS = 4096 };

/* Reads n bytes, 0 to 8, into one number; different texts of one length give different numbers. */
static inline uint64_t load_up_to_8(const char *s, size_t n)
{
    uint64_t v = 0;
    if (n >= 8) {
        memcpy(&v, s, 8);
    } else if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, s, 4);
        memcpy(&high, s + n - 4, 4);
        v = (uint64_t)high << 32 | low;
    } else if (n > 0) {
        v = (uint64_t)(unsigned char)s[0] << 16 | (uint64_t)(unsigned char)s[n / 2] << 8 |
            (unsigned char)s[n - 1];
    }
    return v;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 Wide;
    Wide product = (Wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A slot's key: multiply-and-fold over 8 bytes at a time; the last 8 overlap those before. */
static inline uint64_t key_of(Str s)
{
    if (s.bytes <= 8)
        return load_up_to_8(s.data, s.bytes);
    uint64_t h = s.bytes;
    size_t i = 0;
    for (; i + 8 < s.bytes; i += 8)
        h = mix(h ^ load_up_to_8(s.data + i, 8), 0xbf58476d1ce4e5b9u);
    return mix(h ^ load_up_to_8(s.data + s.bytes - 8, 8), 0x94d049bb133111ebu);
}

static inline size_t home_of(uint64_t key, size_t bytes, size_t mask)
{
    return mix(key ^ bytes, 0x9e3779b97f4a7c15u) & mask;
}

void vocab_close(Vocab *vocab)
{
    buf_free(&vocab->bytes);
    mem_free(vocab->entries);
    mem_free(vocab->slots);
    *vocab = (Vocab){0};
}

/* The slot that holds these bytes, or the empty one where they belong. */
static inline VocabSlot *find_slot(const Vocab *vocab, Str bytes, uint64_t key)
{
    size_t mask = vocab->n_slots - 1;
    for (size_t i = home_of(key, bytes.bytes, mask);; i = (i + 1) & mask) {
        VocabSlot *slot = &vocab->slots[i];
        if (slot->id == 0)
            return slot;
        if (slot->key == key && slot->bytes == bytes.bytes &&
            (bytes.bytes <= 8 ||
             memcmp(vocab_bytes(vocab, slot->id - 1).data, bytes.data, bytes.bytes) == 0))
            return slot;
    }
}

int32_t vocab_find(const Vocab *vocab, Str bytes)
{
    if (vocab->n_slots == 0 || bytes.bytes > VOCAB_TOKEN_BYTES_MAX)
        return -1;
    return find_slot(vocab, bytes, key_of(bytes))->id - 1;
}

void vocab_set_apart(Vocab *vocab, int32_t id)
{
    Str bytes = vocab_bytes(vocab, id);
    find_slot(vocab, bytes, key_of(bytes))->is_apart = true;
}

int32_t vocab_find_whole(const Vocab *vocab, Str bytes)
{
    if (bytes.bytes > VOCAB_TOKEN_BYTES_MAX)
        return -1;
    const VocabSlot *slot = find_slot(vocab, bytes, key_of(bytes));
    return slot->is_apart ? -1 : slot->id - 1;
}

void vocab_prefetch(const Vocab *vocab, Str bytes)
{
    __builtin_prefetch(&vocab->slots[home_of(key_of(bytes), bytes.bytes, vocab->n_slots - 1)]);
}

static bool grow_slots(Vocab *vocab, Error *err)
{
    size_t n = vocab->n_slots ? vocab->n_slots * 2 : FIRST_SLOTS;
    VocabSlot *slots = mem_try_alloc(n * sizeof *slots, "the vocabulary", err);
    if (!slots)
        return false;
    mem_free(vocab->slots);
    vocab->slots = slots;
    vocab->n_slots = n;
    for (size_t id = 0; id < vocab->n; id++) {
        if (!(vocab->entries[id].flags & TOKEN_ORDINARY))
            continue;
        Str bytes = vocab_bytes(vocab, (int32_t)id);
        uint64_t key = key_of(bytes);
        *find_slot(vocab, bytes, key) =
            (VocabSlot){.key = key, .id = (int32_t)id + 1, .bytes = (uint16_t)bytes.bytes};
    }
    return true;
}

static bool reserve_id(Vocab *vocab, size_t id, Error *err)
{
    if (id >= vocab->capacity) {
        size_t capacity = vocab->capacity ? vocab->capacity : FIRST_ENTRIES;
        while (capacity <= id)
            capacity *= 2;
        VocabEntry *grown = mem_try_grow(vocab->entries, vocab->n * sizeof *grown,
                                         capacity * sizeof *grown, "the vocabulary", err);
        if (!grown)
            return false;
        vocab->entries = grown;
        vocab->capacity = capacity;
    }
    if (id >= vocab->n)
        vocab->n = id + 1;
    return true;
}

bool vocab_add(Vocab *vocab, int64_t id, Str bytes, unsigned flags, Error *err)
{
    char shown[TOKEN_SHOW_BYTES], other[TOKEN_SHOW_BYTES];
    if (id < 0 || id >= VOCAB_IDS_MAX)
        return error_set(err, ERROR_LIMIT, "token id %lld is not from 0 to %d", (long long)id,
                         VOCAB_IDS_MAX - 1);
    if (bytes.bytes == 0 || bytes.bytes > VOCAB_TOKEN_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "token %lld has %zu bytes; 1 to %d are possible",
                         (long long)id, bytes.bytes, VOCAB_TOKEN_BYTES_MAX);
    if (vocab_has(vocab, (int32_t)id))
        return error_set(err, ERROR_FORMAT, "id %lld is given twice: to \"%s\" and to \"%s\"",
                         (long long)id, token_show(vocab_bytes(vocab, (int32_t)id), other),
                         token_show(bytes, shown));
    if ((flags & TOKEN_ORDINARY) && (vocab->n_ordinary + 1) * 4 > vocab->n_slots * 3 &&
        !grow_slots(vocab, err))
        return false;
    if (flags & TOKEN_ORDINARY) {
        uint64_t key = key_of(bytes);
        VocabSlot *slot = find_slot(vocab, bytes, key);
        if (slot->id != 0)
            return error_set(err, ERROR_FORMAT, "token \"%s\" is given twice: ids %d and %lld",
                             token_show(bytes, shown), slot->id - 1, (long long)id);
        *slot = (VocabSlot){.key = key, .id = (int32_t)id + 1, .bytes = (uint16_t)bytes.bytes};
        vocab->n_ordinary++;
    }
    size_t offset = vocab->bytes.bytes;
    buf_add(&vocab->bytes, bytes);
    if (vocab->bytes.overflowed)
        return error_set(err, ERROR_LIMIT, "the vocabulary's text is too long");
    if (!reserve_id(vocab, (size_t)id, err))
        return false;
    vocab->entries[id] =
        (VocabEntry){(uint32_t)offset, (uint16_t)bytes.bytes, (uint8_t)(flags | TOKEN_PRESENT)};
    return true;
}

const char *token_show(Str bytes, char out[TOKEN_SHOW_BYTES])
{
    size_t n = bytes.bytes < TOKEN_SHOW_BYTES - 1 ? bytes.bytes : TOKEN_SHOW_BYTES - 1, tail;
    if (utf8_is_cut(str_slice(bytes, 0, n), &tail))
        n -= tail;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t length = utf8_decode(str_slice(bytes, i, n), &cp);
        if (length == 0 || cp < 0x20 || cp == 0x7F) {
            out[i++] = '?';
            continue;
        }
        memcpy(out + i, bytes.data + i, length);
        i += length;
    }
    out[n] = '\0';
    return out;
}

/* The byte that a character stands for, or -1. */
static int alphabet_byte(unsigned cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return (int)cp;
    if (cp < 0x100 || cp > 0x143)
        return -1;
    unsigned i = cp - 0x100; /* 0..32, then 127..160, then 173 */
    return (int)(i <= 32 ? i : i <= 66 ? i - 33 + 127 : 173);
}

bool byte_alphabet_decode(Str text, char *out, size_t *n_out)
{
    const unsigned char *s = (const unsigned char *)text.data;
    size_t n = 0;
    for (size_t i = 0; i < text.bytes;) {
        unsigned cp = s[i++];
        if (cp >= 0x80) {
            if (cp < 0xC2 || cp > 0xC5 || i >= text.bytes || (s[i] & 0xC0) != 0x80)
                return false;
            cp = (cp & 0x1Fu) << 6 | (s[i++] & 0x3Fu);
        }
        int byte = alphabet_byte(cp);
        if (byte < 0)
            return false;
        out[n++] = (char)byte;
    }
    *n_out = n;
    return true;
}

unsigned char byte_alphabet_byte(int id)
{
    if (id < 94)
        return (unsigned char)(id + 33);
    if (id < 106)
        return (unsigned char)(id - 94 + 161);
    if (id < 188)
        return (unsigned char)(id - 106 + 174);
    return (unsigned char)alphabet_byte((unsigned)id - 188 + 0x100);
}

int byte_alphabet_id(unsigned char byte)
{
    if (byte >= 33 && byte <= 126)
        return byte - 33;
    if (byte >= 161 && byte != 173)
        return byte < 173 ? byte - 161 + 94 : byte - 174 + 106;
    return 188 + (byte <= 32 ? byte : byte == 173 ? 67 : byte - 127 + 33);
}

void byte_alphabet_encode(Str bytes, Buf *out)
{
    for (size_t i = 0; i < bytes.bytes; i++) {
        const unsigned char byte = (unsigned char)bytes.data[i];
        const int id = byte_alphabet_id(byte);
        char character[4];
        const size_t n = utf8_encode(id < 188 ? byte : (uint32_t)id - 188 + 0x100, character);
        buf_append(out, character, n);
    }
}
