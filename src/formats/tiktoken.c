/* See tiktoken.h. */
#include "formats/tiktoken.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    TOKENS_MAX = 1 << 21,
    TOKEN_BYTES_MAX = 512,
    N_BYTES = 256,
    N_EXTRAS = 205 /* <|extra_0|> .. */
};

typedef struct Ranks {
    Str *tokens; /* [n], bytes in `arena` */
    int n;
    size_t capacity;
    Arena arena;
    int *slots; /* [n_slots]: rank + 1 by hash of the bytes, open addressing; 0: free */
    size_t n_slots;
} Ranks;

static size_t hash_of(Str s)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < s.bytes; i++)
        h = (h ^ (uint8_t)s.data[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 29);
}

/* The rank of the token with these bytes, or -1; *slot is where it is or would be. */
static int find(const Ranks *r, Str bytes, size_t *slot)
{
    for (*slot = hash_of(bytes) & (r->n_slots - 1);; *slot = (*slot + 1) & (r->n_slots - 1)) {
        const int rank = r->slots[*slot] - 1;
        if (rank < 0 || str_equal(r->tokens[rank], bytes))
            return rank;
    }
}

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Bytes of a base64 text, or -1. */
static int decode_base64(Str text, char out[TOKEN_BYTES_MAX])
{
    int n = 0;
    uint32_t bits = 0;
    int n_bits = 0;
    if (text.bytes % 4 != 0 || text.bytes / 4 * 3 > TOKEN_BYTES_MAX)
        return -1;
    while (text.bytes > 0 && text.data[text.bytes - 1] == '=')
        text.bytes--;
    for (size_t i = 0; i < text.bytes; i++) {
        const int v = sextet(text.data[i]);
        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (char)(bits >> n_bits);
        }
    }
    return n;
}

static bool read_line(Ranks *r, Str line, Error *err)
{
    char bytes[TOKEN_BYTES_MAX], rank[16];
    const ptrdiff_t space = str_find(line, STR(" "), 0);
    const Str digits = space >= 0 ? str_slice(line, (size_t)space + 1, line.bytes) : (Str){0};
    const int n = space > 0 ? decode_base64(str_slice(line, 0, (size_t)space), bytes) : -1;
    if (n < 1)
        return error_set(err, ERROR_FORMAT, "not a token in base64, a space and a rank");
    if (digits.bytes == 0 || digits.bytes >= sizeof rank)
        return error_set(err, ERROR_FORMAT, "rank %d is expected", r->n);
    memcpy(rank, digits.data, digits.bytes);
    rank[digits.bytes] = '\0';
    char *end;
    if (strtol(rank, &end, 10) != r->n || *end || end == rank)
        return error_set(err, ERROR_FORMAT, "rank %d is expected", r->n);
    if (r->n >= TOKENS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d tokens", TOKENS_MAX);
    r->tokens = mem_more(r->tokens, sizeof *r->tokens, (size_t)r->n, &r->capacity);
    r->tokens[r->n++] = (Str){arena_strndup(&r->arena, bytes, (size_t)n), (size_t)n};
    return true;
}

/* Every token has its place; a token twice is an error, and so is a byte that is none. */
static bool index_tokens(Ranks *r, Error *err)
{
    size_t slot;
    r->n_slots = 1024;
    while (r->n_slots < 2 * (size_t)r->n)
        r->n_slots *= 2;
    r->slots = mem_try_alloc(r->n_slots * sizeof *r->slots, "the vocabulary", err);
    if (!r->slots)
        return false;
    for (int i = 0; i < r->n; i++) {
        const int before = find(r, r->tokens[i], &slot);
        if (before >= 0)
            return error_set(err, ERROR_FORMAT, "line %d: the token of line %d again", i + 1,
                             before + 1);
        r->slots[slot] = i + 1;
    }
    for (int b = 0; b < N_BYTES; b++) {
        const char byte = (char)b;
        const int rank = find(r, (Str){&byte, 1}, &slot);
        if (rank < 0 || rank >= N_BYTES)
            return error_set(err, ERROR_FORMAT, "byte %d is not among the first 256 tokens", b);
    }
    return true;
}

static bool read_lines(Ranks *r, Str file, Error *err)
{
    int line_n = 0;
    for (size_t at = 0; at < file.bytes;) {
        const ptrdiff_t newline = str_find(file, STR("\n"), at);
        const size_t end = newline >= 0 ? (size_t)newline : file.bytes;
        Str line = str_slice(file, at, end);
        at = end + 1;
        line_n++;
        if (str_ends(line, STR("\r")))
            line.bytes--;
        if (line.bytes > 0 && !read_line(r, line, err))
            return error_add(err, "line %d", line_n);
    }
    return index_tokens(r, err);
}

/* Where the two parts meet that the bytes of a token end as; 0: they end as more. */
static size_t last_cut(const Ranks *r, int rank)
{
    const Str token = r->tokens[rank];
    uint16_t starts[TOKEN_BYTES_MAX + 1];
    size_t n = token.bytes, slot;
    for (size_t i = 0; i <= n; i++)
        starts[i] = (uint16_t)i;
    while (n > 2) {
        int best = rank;
        size_t best_at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            const int pair = find(r, str_slice(token, starts[i], starts[i + 2]), &slot);
            if (pair >= 0 && pair < best) {
                best = pair;
                best_at = i;
            }
        }
        if (best == rank)
            return 0;
        memmove(&starts[best_at + 1], &starts[best_at + 2], (n - best_at - 1) * sizeof starts[0]);
        n--;
    }
    return starts[1];
}

/* Bytes as characters: GPT-2's alphabet (openai/gpt-2, encoder.py). */
static void put_alphabet(Buf *out, Str bytes)
{
    for (size_t i = 0; i < bytes.bytes; i++) {
        const uint8_t b = (uint8_t)bytes.data[i];
        int code = b;
        if (b <= 32)
            code = 0x100 + b;
        else if (b >= 127 && b <= 160)
            code = 0x100 + 33 + b - 127;
        else if (b == 173)
            code = 0x100 + 67;
        if (code >= 0x80) {
            buf_putc(out, (char)(0xc0 | code >> 6));
            code = 0x80 | (code & 63);
        }
        buf_putc(out, (char)code);
    }
}

static bool put_merges(const Ranks *r, Buf *out, Error *err)
{
    for (int i = N_BYTES; i < r->n; i++) {
        const size_t cut = last_cut(r, i);
        if (cut == 0 || r->tokens[i].bytes < 2)
            return error_set(err, ERROR_FORMAT, "line %d: its token is no merge of two before it",
                             i + 1);
        put_alphabet(out, str_slice(r->tokens[i], 0, cut));
        buf_putc(out, ' ');
        put_alphabet(out, str_slice(r->tokens[i], cut, r->tokens[i].bytes));
        buf_putc(out, '\n');
    }
    return true;
}

static void put_vocab(const Ranks *r, Buf *out)
{
    Buf token = {0};
    for (int i = 0; i < r->n; i++) {
        token.bytes = 0;
        put_alphabet(&token, r->tokens[i]);
        buf_puts(out, i ? "," : "{");
        buf_put_json(out, buf_str(&token));
        buf_printf(out, ":%d", i);
    }
    buf_putc(out, '}');
    buf_free(&token);
}

bool tiktoken_read(Str file, Buf *vocab_json, Buf *merges_txt, Buf *added_tokens_json, Error *err)
{
    Ranks r = {0};
    const bool ok = read_lines(&r, file, err) && put_merges(&r, merges_txt, err);
    if (ok) {
        put_vocab(&r, vocab_json);
        buf_printf(added_tokens_json, "{\"<|endoftext|>\":%d,\"<|im_start|>\":%d,\"<|im_end|>\":%d",
                   r.n, r.n + 1, r.n + 2);
        for (int i = 0; i < N_EXTRAS; i++)
            buf_printf(added_tokens_json, ",\"<|extra_%d|>\":%d", i, r.n + 3 + i);
        buf_putc(added_tokens_json, '}');
    }
    mem_free(r.tokens);
    mem_free(r.slots);
    arena_close(&r.arena);
    return ok;
}
