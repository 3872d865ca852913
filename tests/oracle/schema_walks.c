/* Random answers under schemas, for another implementation to judge: schema_walks CASES.jsonl N
 * prints {"line": of CASES, "text": an answer} a line, at most N for each schema, over a vocabulary
 * of bytes and some longer tokens. Letters are preferred to what else is allowed, and ends to both.
 */
#include "reply_vocab.h"

#include "base/file.h"
#include "base/rng.h"
#include "text/grammar.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 400 };

/* One answer; false when it has not come to its end. */
static bool walk(const TokenTrie *trie, Grammar *g, Rng *rng, Buf *text)
{
    uint32_t mask[(N_TOKENS + 31) / 32];
    Matcher *m = matcher_new(g);
    bool is_over = false;
    for (int step = 0; step < STEPS_MAX && !is_over; step++) {
        int32_t allowed[N_TOKENS];
        int n = 0;
        matcher_mask(m, mask);
        for (int32_t id = 0; id < N_TOKENS; id++)
            if (mask[id / 32] >> (id % 32) & 1)
                allowed[n++] = id;
        is_over = matcher_may_end(m) && (n == 0 || rng_below(rng, 3) == 0);
        if (is_over || n == 0)
            break;
        int32_t id = allowed[rng_below(rng, (uint64_t)n)];
        static const char closers[] = "\"}]";
        for (const char *c = closers; *c && rng_below(rng, 2) == 0; c++)
            for (int i = 0; i < n; i++)
                id = allowed[i] == *c ? *c : id;
        matcher_accept(m, id);
        buf_add(text, tokenizer_bytes(trie->tokenizer, id));
    }
    is_over = is_over || matcher_must_end(m);
    matcher_free(m);
    return is_over;
}

static void walk_line(const TokenTrie *trie, int line, const json_t *test, int n_walks)
{
    Error err = {0};
    char *schema = json_dumps(json_object_get(test, "schema"), JSON_ENCODE_ANY);
    Grammar *g = grammar_from_schema(trie, str_from(schema), &err);
    Rng rng = {(uint64_t)line};
    for (int i = 0; g && i < n_walks; i++) {
        Buf text = {0}, out = {0};
        if (walk(trie, g, &rng, &text)) {
            buf_printf(&out, "{\"line\": %d, \"text\": ", line);
            buf_put_json(&out, buf_str(&text));
            printf("%s}\n", out.data);
        }
        buf_free(&text);
        buf_free(&out);
    }
    grammar_unref(g);
    free(schema);
}

int main(int argc, char **argv)
{
    Error err = {0};
    Buf file = {0};
    if (argc != 3 || !file_read(&file, argv[1], 1 << 24, &err)) {
        fprintf(stderr, "usage: schema_walks CASES.jsonl N %s\n", err.message);
        return 2;
    }
    Tokenizer *tokenizer = open_reply_vocab(true);
    TokenTrie *trie = token_trie_open(tokenizer, &err);
    int line = 0;
    for (char *at = file.data; *at;) {
        char *end = strchr(at, '\n');
        json_t *test = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
        walk_line(trie, ++line, test, atoi(argv[2]));
        json_decref(test);
        at = end + 1;
    }
    token_trie_close(trie);
    tokenizer_close(tokenizer);
    buf_free(&file);
    return 0;
}
