/* What an answer must look like: JSON Schema, regular expression, choice, GBNF or tool calls, as
 * masks over the vocabulary. docs/grammar.md tells the whole story.
 *
 * A grammar is rules over terminals; a terminal is a regular expression over bytes (rx.h) or one
 * token by its id. It is followed by an automaton that is made as it is reached: a state is a set
 * of (rest of a terminal, what comes behind it), where "behind" is a set of stacks that share their
 * tails. States are kept once, so the same place in the text is the same state, for all requests
 * that share the grammar, and has its mask computed once.
 *
 * Making a grammar may happen on any thread. Once it is made it belongs, with all its matchers, to
 * one thread at a time; only grammar_ref and grammar_unref are for all. */
#ifndef WEN_TEXT_GRAMMAR_H
#define WEN_TEXT_GRAMMAR_H

#include "text/token_trie.h"

typedef struct Grammar Grammar;

enum {
    GRAMMAR_TEXT_BYTES_MAX = 4 << 20,
    GRAMMAR_CHOICES_MAX = 65536,
    GRAMMAR_TOOLS_MAX = 1024,
};

/* Each made with one reference. The trie is borrowed until the last one is gone. Errors name what
 * is not supported and where: ERROR_FORMAT for malformed text, ERROR_UNSUPPORTED, ERROR_LIMIT, and
 * ERROR_ARGUMENT where nothing could be accepted. */

/* JSON that the schema (draft 2020-12, and what earlier drafts spell otherwise) accepts. */
Grammar *grammar_from_schema(const TokenTrie *trie, Str schema, Error *err) MUST_USE;
/* Text that the expression matches as a whole (rx_parse.h). */
Grammar *grammar_from_regex(const TokenTrie *trie, Str pattern, Error *err) MUST_USE;
/* One of these texts. */
Grammar *grammar_from_choices(const TokenTrie *trie, const Str *texts, int n, Error *err) MUST_USE;
/* GBNF, llama.cpp's notation; the answer is what rule `root` derives. */
Grammar *grammar_from_gbnf(const TokenTrie *trie, Str text, Error *err) MUST_USE;

typedef enum ToolChoice {
    TOOL_CHOICE_AUTO,     /* text, calls, or both: a call that is begun is a valid one */
    TOOL_CHOICE_NONE,     /* no call */
    TOOL_CHOICE_REQUIRED, /* calls and no text */
} ToolChoice;

typedef struct ToolRules {
    Str tools; /* JSON array in OpenAI's shape */
    ToolChoice choice;
    const char *name;  /* with REQUIRED: only this tool; NULL: any */
    bool is_single;    /* at most one call */
    Str answer_schema; /* with AUTO: text is not free but JSON by this schema; empty: free */
} ToolRules;

/* Calls as the model writes them: <tool_call>\n{"name": ..., "arguments": ...}\n</tool_call>, the
 * tags as tokens. A tool whose parameters cannot be enforced gets any JSON object as arguments; if
 * it says "strict": true, it is an error that names the tool. */
Grammar *grammar_from_tools(const TokenTrie *trie, const ToolRules *rules, Error *err) MUST_USE;

Grammar *grammar_ref(Grammar *g);
void grammar_unref(Grammar *g); /* NULL is fine */

/* ---- Following a text ------------------------------------------------------------------------ */

typedef struct Matcher Matcher;

Matcher *matcher_new(Grammar *g);
void matcher_free(Matcher *m); /* NULL is fine */

/* m stands where `other`, of the same grammar, stands. */
void matcher_follow(Matcher *m, const Matcher *other);
/* Takes a token. False: it is not allowed here, and nothing has changed. */
bool matcher_accept(Matcher *m, int32_t id);
/* The text may end here. */
bool matcher_may_end(const Matcher *m);
/* Nothing can follow: it must end here. */
bool matcher_must_end(Matcher *m);
/* mask [trie->n_words]: bit id set when the token may come next. */
void matcher_mask(Matcher *m, uint32_t *mask);
/* Appends the tokens that must come next, as the tokenizer would cut the text that is certain; none
 * of the last ones that another continuation could have cut otherwise. They are not taken yet. */
void matcher_forced(Matcher *m, Ids *ids);

const TokenTrie *grammar_trie(const Grammar *g);
/* States of the automaton so far, and masks that were found computed: for tests and figures. */
typedef struct GrammarStats {
    size_t n_states, n_expressions, n_masks, n_masks_found;
    size_t n_given_up; /* searches for dead ends that took too long: masks may lead into one */
} GrammarStats;
GrammarStats grammar_stats(const Grammar *g);

#endif
