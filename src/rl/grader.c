/* See grader.h. */
#include "rl/grader.h"

#include "engine/assets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCORE_MAX = 10, SCORE_TOKENS = 16 };

const char grader_template[] =
    "You grade a reply by comparing it with the reference answer. Other words for the same are "
    "right, another result is wrong.\n\n"
    "# Question\n{question}\n\n# Reference answer\n{reference}\n\n# Reply\n{reply}\n\n"
    "Say \"Score: N\" and nothing else. N is a whole number from 0 (wrong) to 10 (right and "
    "complete).";

struct Grader {
    GraderOptions options;
    Package *package;
    ModelText text;
    Model *model;
    TokenTrie *trie;
    Grammar *form;
    int32_t eos[CONFIG_EOS_MAX];
    int n_eos;
};

/* ---- What it reads ----------------------------------------------------------------------------
 */

static const char *const names[] = {"{question}", "{reference}", "{reply}"};
enum { QUESTION, REFERENCE, REPLY, N_NAMES };

/* The name that text begins with, or -1. */
static int name_at(const char *text)
{
    for (int i = 0; i < N_NAMES; i++)
        if (strncmp(text, names[i], strlen(names[i])) == 0)
            return i;
    return -1;
}

bool grader_check(const GraderOptions *options, Error *err)
{
    if (!options->template || strstr(options->template, names[REPLY]))
        return true;
    return error_set(err, ERROR_FORMAT,
                     "reward.judge_prompt: it has no {reply}, so the judge would not see what it "
                     "judges");
}

static void put_question(const Problem *p, Buf *out)
{
    if (p->n_messages == 1) {
        buf_add(out, p->messages[0].content);
        return;
    }
    for (int i = 0; i < p->n_messages; i++) {
        buf_printf(out, "%s%s: ", i ? "\n" : "", task_role_name(p->messages[i].role));
        buf_add(out, p->messages[i].content);
    }
}

static void put_reply(const TaskReply *reply, Buf *out)
{
    buf_add(out, reply->content);
    for (int i = 0; i < reply->n_calls; i++) {
        buf_puts(out, "\n(calls ");
        buf_add(out, reply->calls[i].name);
        buf_puts(out, " with ");
        buf_add(out, reply->calls[i].arguments);
        buf_puts(out, ")");
    }
}

bool grader_message(const char *template, const Problem *p, const TaskReply *reply, Buf *out,
                    Error *err)
{
    for (const char *at = template; *at;) {
        const int name = name_at(at);
        if (name < 0) {
            buf_putc(out, *at++);
            continue;
        }
        if (name == QUESTION)
            put_question(p, out);
        else if (name == REPLY)
            put_reply(reply, out);
        else if (p->answer.bytes > 0)
            buf_add(out, p->answer);
        else
            return error_set(err, ERROR_FORMAT,
                             "problem %.*s has no answer that the judge could compare with",
                             (int)p->id.bytes, p->id.data);
        at += strlen(names[name]);
    }
    return true;
}

bool grader_read(Str text, double *score)
{
    static const char begin[] = "Score: ";
    const size_t n = sizeof begin - 1;
    char number[8] = "", *end;
    if (text.bytes <= n || text.bytes > n + 2 || memcmp(text.data, begin, n) != 0 ||
        text.data[n] < '0' || text.data[n] > '9' || (text.data[n] == '0' && text.bytes > n + 1))
        return false;
    memcpy(number, text.data + n, text.bytes - n);
    const long value = strtol(number, &end, 10);
    *score = (double)value / SCORE_MAX;
    return *end == 0 && value <= SCORE_MAX;
}

/* ---- Opening ----------------------------------------------------------------------------------
 */

static bool open_model(Grader *g, Backend *b, Error *err)
{
    const char *path = g->options.path;
    if (!(g->package = package_open(path, true, err)) ||
        !model_text_open(&g->text, g->package, err))
        return false;
    if (!g->text.chat)
        return error_set(err, ERROR_UNSUPPORTED, "%s has no chat template, so nobody can ask it",
                         path);
    if (g->options.thought > 0 && !chat_template_is_hybrid(g->text.chat))
        return error_set(err, ERROR_UNSUPPORTED,
                         "reward.judge_thought: the chat template of %s has no switch for it",
                         path);
    if (!(g->model = model_open(g->package, b, NULL, err)) ||
        !(g->trie = token_trie_open(g->text.tokenizer, err)) ||
        !(g->form = grammar_from_regex(g->trie, STR("Score: ([0-9]|10)"), err)))
        return false;
    g->n_eos = assets_generation_eos(package_generation_config(g->package),
                                     g->model->config.n_vocab, g->eos);
    return true;
}

Grader *grader_open(const GraderOptions *options, Backend *backend, Error *err)
{
    Grader *g = mem_alloc(sizeof *g);
    g->options = *options;
    if (!g->options.template)
        g->options.template = grader_template;
    if (open_model(g, backend, err))
        return g;
    grader_close(g);
    error_add(err, "judge");
    return NULL;
}

void grader_close(Grader *g)
{
    if (!g)
        return;
    grammar_unref(g->form);
    token_trie_close(g->trie);
    model_close(g->model);
    model_text_close(&g->text);
    package_close(g->package);
    mem_free(g);
}

/* ---- Asking -----------------------------------------------------------------------------------
 */

/* A question to it. */
typedef struct Asked {
    Ids prompt;
    Buf content;
    int64_t id; /* 0: answered */
} Asked;

static bool make_prompt(const Grader *g, const Problem *p, const TaskReply *reply, Ids *ids,
                        Error *err)
{
    Buf text = {0};
    JinjaOutput out = {0};
    bool ok = grader_message(g->options.template, p, reply, &text, err);
    json_t *messages =
        ok ? json_pack("[{s:s, s:s%}]", "role", "user", "content", text.data, text.bytes) : NULL;
    if (ok && !messages)
        ok = error_set(err, ERROR_FORMAT, "problem %.*s: its answer is not UTF-8", (int)p->id.bytes,
                       p->id.data);
    const ChatRender render = {
        .messages = messages,
        .add_generation_prompt = true,
        .enable_thinking = chat_template_is_hybrid(g->text.chat) ? g->options.thought > 0 : -1};
    ok = ok && chat_render(g->text.chat, &render, &out, err) &&
         tokenizer_encode(g->text.tokenizer, buf_str(&out.text), out.untrusted, out.n_untrusted,
                          ids, err);
    jinja_output_free(&out);
    json_decref(messages);
    buf_free(&text);
    return ok;
}

static Engine *open_engine(const Grader *g, int longest, int n, Error *err)
{
    const int wanted = longest + g->options.thought + SCORE_TOKENS;
    const int most = g->model->config.context_max;
    const EngineOptions options = {
        .kv_type = DTYPE_F32,
        .context = wanted < most ? wanted : most,
        .max_sequences = n < ENGINE_SEQUENCES ? n : ENGINE_SEQUENCES,
        .eos_ids = g->eos,
        .n_eos = g->n_eos,
    };
    return engine_open(g->model, g->text.tokenizer, &options, err);
}

static void listen(Engine *engine, Asked *asked, int n)
{
    while (engine_step(engine))
        for (int i = 0; i < n; i++) {
            Event event;
            while (asked[i].id && engine_next(engine, asked[i].id, &event)) {
                if (event.kind == EVENT_TEXT)
                    buf_add(&asked[i].content, event.text);
                else if (event.kind == EVENT_DONE)
                    asked[i].id = 0;
            }
        }
}

static bool ask(const Grader *g, Asked *asked, int n, Error *err)
{
    int longest = 0;
    for (int i = 0; i < n; i++)
        longest = asked[i].prompt.n > longest ? asked[i].prompt.n : longest;
    Engine *engine = open_engine(g, longest, n, err);
    bool ok = engine != NULL;
    for (int i = 0; i < n && ok; i++) {
        Request request = request_defaults();
        request.prompt = asked[i].prompt.data;
        request.n_prompt = asked[i].prompt.n;
        request.max_tokens = g->options.thought + SCORE_TOKENS;
        request.sampling = sampling_defaults();
        request.think_budget = g->options.thought;
        request.grammar = g->form;
        asked[i].id = engine_add(engine, &request, err);
        ok = asked[i].id > 0;
    }
    if (ok)
        listen(engine, asked, n);
    engine_close(engine);
    return ok;
}

bool grader_score(Grader *g, const Problem *problems, Rollouts *rollouts, Error *err)
{
    const int n = rollouts->n;
    Asked *asked = mem_alloc(sizeof *asked * (size_t)n);
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        const TaskReply reply = rollout_reply(&rollouts->items[i]);
        ok = make_prompt(g, &problems[rollouts->items[i].problem_i], &reply, &asked[i].prompt, err);
    }
    ok = ok && ask(g, asked, n, err);
    for (int i = 0; i < n && ok; i++) {
        const Str said = buf_str(&asked[i].content);
        ok = grader_read(said, &rollouts->items[i].score) ||
             error_set(err, ERROR_FORMAT, "it said \"%.*s\"; \"Score: N\" is expected",
                       (int)(said.bytes < 80 ? said.bytes : 80), said.data);
    }
    for (int i = 0; i < n; i++) {
        ids_free(&asked[i].prompt);
        buf_free(&asked[i].content);
    }
    mem_free(asked);
    return ok || error_add(err, "judge");
}
