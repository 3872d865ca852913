/* Tokenizer files and texts. The first byte says what the rest is, in parts that a NUL ends:
 *   J  tokenizer.json, tokenizer_config.json, a text
 *   V  vocab.json, merges.txt, added_tokens.json, a text
 *   T  a text, for a small tokenizer that is there already
 * Whatever opens must encode the text and give it back, in form C if not as it was. */
#include "replay.h"
#include "small_vocab.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>
#include <utf8proc.h>

static Str next_part(Str *rest)
{
    ptrdiff_t end = str_find(*rest, STR("\0"), 0);
    size_t n = end < 0 ? rest->bytes : (size_t)end;
    Str part = str_slice(*rest, 0, n);
    *rest = str_slice(*rest, n + 1, rest->bytes);
    return part;
}

static bool is_form_c(Str text, Str other)
{
    utf8proc_uint8_t *normal = NULL;
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.bytes, &normal,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    bool is = n >= 0 && str_equal((Str){(char *)normal, (size_t)n}, other);
    free(normal);
    return is;
}

static void check_stream(const Tokenizer *t, const Ids *ids, const Buf *bytes)
{
    StreamDecoder d = {0};
    Buf streamed = {0}, lossy = {0};
    for (int i = 0; i < ids->n; i++)
        stream_decoder_push(&d, tokenizer_bytes(t, ids->data[i]), &streamed);
    stream_decoder_flush(&d, &streamed);
    utf8_append_lossy(&lossy, buf_str(bytes));
    ASSERT(str_equal(buf_str(&streamed), buf_str(&lossy)));
    buf_free(&streamed);
    buf_free(&lossy);
}

static void check_text(const Tokenizer *t, Str text)
{
    Error err = {0};
    Ids plain = {0}, all = {0}, spanned = {0};
    Buf back = {0};
    if (tokenizer_encode_plain(t, text, &plain, &err)) {
        bool ok = tokenizer_decode(t, plain.data, plain.n, false, &back, &err);
        ASSERT(ok && (str_equal(buf_str(&back), text) || is_form_c(text, buf_str(&back))));
        check_stream(t, &plain, &back);
        for (int i = 0; i < plain.n; i++)
            ASSERT(!tokenizer_is_special(t, plain.data[i]) ||
                   tokenizer_bytes(t, plain.data[i]).bytes == 1);
    }
    if (tokenizer_encode_all(t, text, &all, &err)) {
        buf_clear(&back);
        bool ok = tokenizer_decode(t, all.data, all.n, false, &back, &err);
        ASSERT(ok);
        check_stream(t, &all, &back);
    }
    const TextSpan spans[] = {{text.bytes / 5, text.bytes / 4}, {text.bytes / 2, text.bytes}};
    if (!tokenizer_encode(t, text, spans, 2, &spanned, &err))
        spanned.n = 0;
    ids_free(&plain);
    ids_free(&all);
    ids_free(&spanned);
    buf_free(&back);
}

static Tokenizer *small_tokenizer(void)
{
    static Tokenizer *t;
    if (!t)
        t = open_small((Small){0});
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    Str rest = {(const char *)data + 1, n - 1};
    if (data[0] == 'T') {
        check_text(small_tokenizer(), rest);
        return 0;
    }
    TokenizerFiles files = no_files();
    if (data[0] == 'J') {
        files.tokenizer_json = next_part(&rest);
        files.tokenizer_config_json = next_part(&rest);
    } else {
        files.vocab_json = next_part(&rest);
        files.merges_txt = next_part(&rest);
        files.added_tokens_json = next_part(&rest);
    }
    Error err = {0};
    Tokenizer *t = tokenizer_open(&files, &err);
    if (t)
        check_text(t, rest);
    else
        ASSERT(err.code != ERROR_NONE && err.message[0] && !strchr(err.message, '\n'));
    tokenizer_close(t);
    return 0;
}
