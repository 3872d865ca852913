/* Every spelling of thinking on, off and its budget, on every endpoint. The first of these that is
 * given decides on or off; the budget may come from any of them:
 *
 *   chat_template_kwargs {enable_thinking, thinking, thinking_budget}   vLLM, SGLang, llama.cpp
 *   enable_thinking                                                    DashScope, a usual mistake
 *   think: true, false, "low" ... "max"                                Ollama
 *   thinking {type: enabled, disabled, adaptive, budget_tokens}        Anthropic
 *   reasoning {effort, max_tokens, enabled}                            Responses, OpenRouter
 *   reasoning_effort: "none" ... "max"                                 OpenAI
 *   thinking_budget, thinking_token_budget, thinking_budget_tokens, reasoning_budget_tokens,
 *   reasoning_budget, custom_params {thinking_budget}                  DashScope, vLLM, llama.cpp
 *
 * An effort is a budget: none 0, minimal 512, low 1024, medium 4096 tokens, from high on no limit
 * (Qwen recommends at least 1024). A budget of 0 is off, a negative one no limit.
 *
 * Shown or not: include_reasoning, separate_reasoning and reasoning_format ("none": in the content,
 * between its tags; "hidden": not at all). */
#include "server/request_options.h"

#include "server/json_in.h"

#include <limits.h>
#include <string.h>

enum { UNSET = -2, NO_LIMIT = -1 };

typedef struct Thinking {
    int think;  /* UNSET, 0, 1 */
    int budget; /* UNSET, NO_LIMIT, tokens */
} Thinking;

static bool effort_from_name(const char *name, int *budget)
{
    static const struct {
        const char *name;
        int budget;
    } efforts[] = {{"none", 0},         {"off", 0},        {"minimal", 512},
                   {"low", 1024},       {"medium", 4096},  {"high", NO_LIMIT},
                   {"xhigh", NO_LIMIT}, {"max", NO_LIMIT}, {"auto", UNSET}};
    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++) {
        if (strcmp(efforts[i].name, name) == 0) {
            *budget = efforts[i].budget;
            return true;
        }
    }
    return false;
}

static void decide(Thinking *t, int think)
{
    if (t->think == UNSET)
        t->think = think;
}

static bool read_effort(Thinking *t, const json_t *object, const char *where, const char *name,
                        Fault *fault)
{
    const char *effort = NULL;
    int budget = UNSET;
    if (!in_text(object, where, name, &effort, fault))
        return false;
    if (!effort)
        return true;
    if (!effort_from_name(effort, &budget))
        return fault_set(fault, 400, name,
                         "%s%s: \"%.40s\" is none of none, minimal, low, medium, high, xhigh, max",
                         where, name, effort);
    if (budget == UNSET)
        return true;
    decide(t, budget != 0);
    if (budget != 0 && t->budget == UNSET)
        t->budget = budget;
    return true;
}

static bool read_switch(Thinking *t, const json_t *object, const char *where, const char *name,
                        Fault *fault)
{
    int think = UNSET;
    if (!in_switch(object, where, name, &think, fault))
        return false;
    if (think != UNSET)
        decide(t, think);
    return true;
}

static bool read_budget(Thinking *t, const json_t *object, const char *where, const char *name,
                        Fault *fault)
{
    int64_t budget = 0;
    if (!in_int(object, where, name, INT_MIN, INT_MAX, &budget, fault))
        return false;
    if (in_get(object, name))
        t->budget = budget < 0 ? NO_LIMIT : (int)budget;
    return true;
}

static bool read_kwargs(RequestOptions *o, Thinking *t, const json_t *object, const char *where,
                        Fault *fault)
{
    json_t *kwargs = NULL;
    if (!in_object(object, where, "chat_template_kwargs", &kwargs, fault))
        return false;
    if (!kwargs)
        return true;
    if (!read_switch(t, kwargs, "chat_template_kwargs.", "enable_thinking", fault) ||
        !read_switch(t, kwargs, "chat_template_kwargs.", "thinking", fault) ||
        !read_budget(t, kwargs, "chat_template_kwargs.", "thinking_budget", fault))
        return false;
    if (!o->kwargs)
        o->kwargs = json_object();
    json_object_update(o->kwargs, kwargs);
    return true;
}

/* Ollama's: a switch or an effort. */
static bool read_think(Thinking *t, const json_t *object, const char *where, Fault *fault)
{
    return json_is_string(in_get(object, "think")) ? read_effort(t, object, where, "think", fault)
                                                   : read_switch(t, object, where, "think", fault);
}

/* Anthropic's. */
static bool read_typed(Thinking *t, const json_t *object, const char *where, Fault *fault)
{
    json_t *thinking = NULL;
    const char *type = NULL;
    if (json_is_boolean(in_get(object, "thinking")))
        return read_switch(t, object, where, "thinking", fault);
    if (!in_object(object, where, "thinking", &thinking, fault) ||
        !in_text(thinking, "thinking.", "type", &type, fault) ||
        !read_budget(t, thinking, "thinking.", "budget_tokens", fault))
        return false;
    if (!type || strcmp(type, "adaptive") == 0 || strcmp(type, "auto") == 0)
        return true;
    if (strcmp(type, "enabled") != 0 && strcmp(type, "disabled") != 0)
        return fault_set(fault, 400, "thinking.type",
                         "thinking.type: \"%.40s\" is none of enabled, disabled, adaptive", type);
    decide(t, strcmp(type, "enabled") == 0);
    return true;
}

static bool read_reasoning(Thinking *t, const json_t *object, const char *where, Fault *fault)
{
    json_t *reasoning = NULL;
    return in_object(object, where, "reasoning", &reasoning, fault) &&
           read_switch(t, reasoning, "reasoning.", "enabled", fault) &&
           read_budget(t, reasoning, "reasoning.", "max_tokens", fault) &&
           read_effort(t, reasoning, "reasoning.", "effort", fault);
}

static bool read_budgets(Thinking *t, const json_t *object, const char *where, Fault *fault)
{
    static const char *const names[] = {"reasoning_budget", "reasoning_budget_tokens",
                                        "thinking_budget_tokens", "thinking_token_budget",
                                        "thinking_budget"};
    json_t *custom = NULL;
    if (!in_object(object, where, "custom_params", &custom, fault) ||
        !read_budget(t, custom, "custom_params.", "thinking_budget", fault))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!read_budget(t, object, where, names[i], fault))
            return false;
    return true;
}

static bool read_visibility(RequestOptions *o, const json_t *object, const char *where,
                            Fault *fault)
{
    const char *format = NULL;
    int is_included = UNSET, is_separate = UNSET;
    if (!in_text(object, where, "reasoning_format", &format, fault) ||
        !in_switch(object, where, "include_reasoning", &is_included, fault) ||
        !in_switch(object, where, "separate_reasoning", &is_separate, fault))
        return false;
    if (format) {
        o->merges_thinking = strcmp(format, "none") == 0 || strcmp(format, "raw") == 0;
        o->hides_thinking = strcmp(format, "hidden") == 0;
    }
    if (is_included != UNSET)
        o->hides_thinking = !is_included;
    if (is_separate != UNSET)
        o->merges_thinking = !is_separate;
    return true;
}

bool options_read_thinking(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    Thinking t = {UNSET, UNSET};
    if (!read_kwargs(o, &t, object, where, fault) ||
        !read_switch(&t, object, where, "enable_thinking", fault) ||
        !read_think(&t, object, where, fault) || !read_typed(&t, object, where, fault) ||
        !read_budgets(&t, object, where, fault) || !read_reasoning(&t, object, where, fault) ||
        !read_effort(&t, object, where, "reasoning_effort", fault) ||
        !read_visibility(o, object, where, fault))
        return false;
    if (t.think != UNSET)
        o->ask.think = t.think;
    if (t.budget != UNSET)
        o->ask.think_budget = t.budget;
    if (o->ask.think_budget == 0)
        o->ask.think = 0;
    return true;
}
