/* A letter - s: schema, r: regular expression, g: GBNF, t: tools - and the text of a grammar.
 * Whatever compiles has a mask that says what is accepted, and no dead end unless a search for one
 * was given up. */
#include "replay.h"
#include "reply_vocab.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/grammar.h"

static Grammar *compile(const TokenTrie *trie, char kind, Str text, Error *err)
{
    switch (kind) {
    case 's':
        return grammar_from_schema(trie, text, err);
    case 'r':
        return grammar_from_regex(trie, text, err);
    case 'g':
        return grammar_from_gbnf(trie, text, err);
    default:
        return grammar_from_tools(trie, &(ToolRules){.tools = text}, err);
    }
}

static void walk(Grammar *g, uint64_t seed)
{
    uint32_t mask[(N_TOKENS + 31) / 32];
    Rng rng = {seed};
    Matcher *m = matcher_new(g);
    for (int step = 0; step < 40; step++) {
        int32_t allowed[N_TOKENS];
        int n = 0;
        matcher_mask(m, mask);
        for (int32_t id = 0; id < N_TOKENS; id++)
            if (mask[id / 32] >> (id % 32) & 1)
                allowed[n++] = id;
        ASSERT(n > 0 || matcher_may_end(m) || grammar_stats(g).n_given_up > 0);
        if (n == 0)
            break;
        Ids forced = {0};
        matcher_forced(m, &forced);
        for (int i = 0; i < forced.n; i++)
            ASSERT(matcher_accept(m, forced.data[i]));
        if (forced.n == 0)
            ASSERT(matcher_accept(m, allowed[rng_below(&rng, (uint64_t)n)]));
        ids_free(&forced);
    }
    matcher_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static TokenTrie *trie;
    Error err = {0};
    if (!trie)
        trie = token_trie_open(open_reply_vocab(true), &err);
    if (n == 0 || n > 4096)
        return 0;
    Grammar *g = compile(trie, (char)data[0], (Str){(const char *)data + 1, n - 1}, &err);
    ASSERT(g || (err.code != ERROR_NONE && err.message[0]));
    for (uint64_t seed = 0; g && seed < 2; seed++)
        walk(g, seed);
    grammar_unref(g);
    return 0;
}
