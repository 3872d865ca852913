/* The form of an answer: from a request's texts to a grammar that all requests of an engine with
 * the same texts share. */
#include "api/api.h"

#include <string.h>

static const TokenTrie *model_trie(wen_model *m, Error *err)
{
    pthread_mutex_lock(&m->trie_mutex);
    if (!m->trie)
        m->trie = token_trie_open(m->tokenizer, err);
    const TokenTrie *trie = m->trie;
    pthread_mutex_unlock(&m->trie_mutex);
    return trie;
}

/* ---- What a request asks for ----------------------------------------------------------------- */

static bool has_tool_rules(const wen_model *m, const wen_request *r, bool parse_tools)
{
    if (!r->tools || r->regex || r->grammar || r->n_choices)
        return false;
    bool has_tags = tokenizer_added_id(m->tokenizer, "<tool_call>") >= 0 &&
                    tokenizer_added_id(m->tokenizer, "</tool_call>") >= 0;
    if (r->tool_choice == WEN_TOOLS_REQUIRED)
        return true; /* without tags it is refused */
    return has_tags && (r->tool_choice == WEN_TOOLS_NONE || parse_tools);
}

static bool check(const wen_request *r, bool parse_tools, Error *err)
{
    int n_forms =
        (r->json_schema != NULL) + (r->regex != NULL) + (r->grammar != NULL) + (r->n_choices != 0);
    bool names_tool = r->tool_name != NULL, requires_call = r->tool_choice == WEN_TOOLS_REQUIRED;
    if (n_forms > 1)
        return error_set(err, ERROR_ARGUMENT,
                         "json_schema, regex, grammar, choices: one form at most");
    if (r->tool_choice < WEN_TOOLS_AUTO || r->tool_choice > WEN_TOOLS_REQUIRED ||
        (names_tool && !requires_call))
        return error_set(err, ERROR_ARGUMENT,
                         "tool_choice: a tool is named only where one is required");
    if (requires_call && (!r->tools || !r->messages || !parse_tools || n_forms > 0))
        return error_set(err, ERROR_ARGUMENT,
                         "a tool call is required: that needs messages, tools and calls as events, "
                         "and no other form of the answer");
    return true;
}

/* Everything that the grammar is made from. */
static void put_key(const wen_request *r, bool has_tools, Buf *key)
{
    const char *const texts[] = {r->json_schema, r->regex, r->grammar, has_tools ? r->tools : NULL,
                                 has_tools ? r->tool_name : NULL};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        buf_putc(key, texts[i] ? '1' : '0');
        if (texts[i])
            buf_append(key, texts[i], strlen(texts[i]) + 1);
    }
    if (has_tools)
        buf_printf(key, "%d%d", r->tool_choice, r->makes_single_call);
    for (int i = 0; i < r->n_choices; i++)
        buf_append(key, r->choices[i], strlen(r->choices[i]) + 1);
}

static Grammar *make_choices(const TokenTrie *trie, const wen_request *r, Error *err)
{
    if (r->n_choices < 0 || r->n_choices > GRAMMAR_CHOICES_MAX) {
        error_set(err, ERROR_LIMIT, "%d choices; at most %d", r->n_choices, GRAMMAR_CHOICES_MAX);
        return NULL;
    }
    Str *texts = mem_alloc(sizeof *texts * (size_t)r->n_choices);
    for (int i = 0; i < r->n_choices; i++)
        texts[i] = str_from(r->choices[i]);
    Grammar *g = grammar_from_choices(trie, texts, r->n_choices, err);
    mem_free(texts);
    return g;
}

static Grammar *make(const TokenTrie *trie, const wen_request *r, bool has_tools, Error *err)
{
    static const ToolChoice choices[] = {[WEN_TOOLS_AUTO] = TOOL_CHOICE_AUTO,
                                         [WEN_TOOLS_NONE] = TOOL_CHOICE_NONE,
                                         [WEN_TOOLS_REQUIRED] = TOOL_CHOICE_REQUIRED};
    if (has_tools)
        return grammar_from_tools(
            trie,
            &(ToolRules){.tools = str_from(r->tools),
                         .choice = choices[r->tool_choice],
                         .name = r->tool_name,
                         .is_single = r->makes_single_call,
                         .answer_schema = r->json_schema ? str_from(r->json_schema) : (Str){0}},
            err);
    if (r->json_schema)
        return grammar_from_schema(trie, str_from(r->json_schema), err);
    if (r->regex)
        return grammar_from_regex(trie, str_from(r->regex), err);
    if (r->grammar)
        return grammar_from_gbnf(trie, str_from(r->grammar), err);
    return make_choices(trie, r, err);
}

/* ---- The cache ------------------------------------------------------------------------------- */

void grammar_cache_open(GrammarCache *cache) { pthread_mutex_init(&cache->mutex, NULL); }

void grammar_cache_close(GrammarCache *cache)
{
    for (int i = 0; i < GRAMMARS_KEPT; i++) {
        buf_free(&cache->kept[i].key);
        grammar_unref(cache->kept[i].grammar);
    }
    pthread_mutex_destroy(&cache->mutex);
}

/* With the mutex held: the grammar of this key, or the place for it, which may be the oldest's. */
static struct KeptGrammar *find_kept(GrammarCache *cache, Str key)
{
    struct KeptGrammar *oldest = &cache->kept[0];
    for (int i = 0; i < GRAMMARS_KEPT; i++) {
        struct KeptGrammar *kept = &cache->kept[i];
        if (kept->grammar && str_equal(buf_str(&kept->key), key))
            return kept;
        if (kept->last_used < oldest->last_used)
            oldest = kept;
    }
    return oldest;
}

bool request_grammar(wen_engine *e, const wen_request *r, bool parse_tools, Grammar **grammar,
                     Error *err)
{
    GrammarCache *cache = &e->grammars;
    bool has_tools = has_tool_rules(e->model, r, parse_tools);
    *grammar = NULL;
    if (!check(r, parse_tools, err))
        return false;
    if (!has_tools && !r->json_schema && !r->regex && !r->grammar && !r->n_choices)
        return true;
    const TokenTrie *trie = model_trie(e->model, err);
    if (!trie)
        return false;
    Buf key = {0};
    put_key(r, has_tools, &key);
    pthread_mutex_lock(&cache->mutex);
    struct KeptGrammar *kept = find_kept(cache, buf_str(&key));
    bool is_known = kept->grammar && str_equal(buf_str(&kept->key), buf_str(&key));
    Grammar *made = is_known ? kept->grammar : make(trie, r, has_tools, err);
    if (made && !is_known) {
        grammar_unref(kept->grammar);
        kept->grammar = made;
        buf_clear(&kept->key);
        buf_add(&kept->key, buf_str(&key));
    }
    if (made) {
        kept->last_used = ++cache->n_used;
        *grammar = grammar_ref(made);
    } else if (err->code != ERROR_MEMORY) {
        err->code = ERROR_ARGUMENT; /* whatever is wrong, it is the request's fault */
    }
    pthread_mutex_unlock(&cache->mutex);
    buf_free(&key);
    return made != NULL;
}
