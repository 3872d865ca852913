/* See samples.h. */
#include "train/samples.h"

#include "base/mem.h"
#include "train/jsonl.h"

#include <stdio.h>
#include <string.h>

enum { PROMPTS_MAX = 1024 };

struct Samples {
    const TrainConfig *config;
    SampleRules rules;
    json_t *prompts; /* objects with "prompt" or "messages" */
    JsonLines *lines;
};

/* ---- Reading
 * --------------------------------------------------------------------------------------------- */

static bool add_prompt(void *samples, json_t *item, const char *place, Error *err)
{
    Samples *s = samples;
    json_t *messages = json_object_get(item, "messages");
    if (json_array_size(s->prompts) == PROMPTS_MAX)
        return error_set(err, ERROR_LIMIT, "%s: more than %d prompts", place, PROMPTS_MAX);
    if (json_is_string(item)) {
        json_array_append_new(s->prompts, json_pack("{s:O}", "prompt", item));
        return true;
    }
    if (json_array_size(messages) > 0) {
        if (!s->rules.has_chat)
            return error_set(err, ERROR_ARGUMENT,
                             "%s: the model has no chat template, which \"messages\" need; give a "
                             "text to go on with",
                             place);
        for (size_t i = 0; i < json_array_size(messages); i++)
            if (!json_is_string(json_object_get(json_array_get(messages, i), "role")))
                return error_set(err, ERROR_FORMAT, "%s: a message has no \"role\"", place);
    } else if (!json_is_string(json_object_get(item, "prompt"))) {
        return error_set(err, ERROR_FORMAT,
                         "%s: a prompt is a text, {\"prompt\": text} or {\"messages\": [...]}",
                         place);
    }
    json_array_append(s->prompts, item);
    return true;
}

static bool read_prompts(Samples *s, json_t *value, Error *err)
{
    if (!value)
        return true;
    if (json_is_string(value))
        return jsonl_read(json_string_value(value), add_prompt, s, err);
    if (!json_is_array(value))
        return error_set(err, ERROR_FORMAT, "it is a list of prompts, or the path of a JSONL file");
    for (size_t i = 0; i < json_array_size(value); i++) {
        char place[32];
        snprintf(place, sizeof place, "[%zu]", i);
        if (!add_prompt(s, json_array_get(value, i), place, err))
            return false;
    }
    return true;
}

Samples *samples_open(const TrainConfig *c, const SampleRules *rules, Error *err)
{
    Samples *s = mem_alloc(sizeof *s);
    s->config = c;
    s->rules = *rules;
    s->prompts = json_array();
    if (read_prompts(s, c->eval.prompts, err))
        return s;
    samples_close(s);
    error_add(err, "eval.prompts");
    return NULL;
}

void samples_close(Samples *s)
{
    if (!s)
        return;
    json_lines_close(s->lines);
    json_decref(s->prompts);
    mem_free(s);
}

int samples_count(const Samples *s) { return (int)json_array_size(s->prompts); }

bool samples_start(Samples *s, const char *folder, int64_t steps_done, Error *err)
{
    s->lines = json_lines_open(folder, "samples.jsonl", steps_done, err);
    return s->lines != NULL;
}

/* ---- Asking
 * --------------------------------------------------------------------------------------------- */

static bool keep_sample(Samples *s, int64_t step, size_t i, const Question *q, const Reply *r,
                        RunLog *log, Error *err)
{
    const char *mode = q->thinks == 1 ? "think" : "plain";
    json_t *line = json_pack("{s:I, s:I}", "step", (json_int_t)step, "prompt_i", (json_int_t)i);
    json_object_update(line, json_array_get(s->prompts, i));
    json_object_set_new(line, "mode", json_string(mode));
    json_object_set_new(line, "thinking", json_string(r->thinking));
    json_object_set_new(line, "content", json_string(r->content));
    if (json_array_size(r->tool_calls) > 0)
        json_object_set(line, "tool_calls", r->tool_calls);
    json_object_set_new(line, "tokens", json_integer(r->n_tokens));
    json_object_set_new(line, "finish", json_string(r->finish));
    const bool ok = json_lines_add(s->lines, line, err);
    json_decref(line);
    char tag[64];
    Buf text = {0};
    snprintf(tag, sizeof tag, "samples/%zu_%s", i, mode);
    if (r->thinking[0])
        buf_printf(&text, "*%s*\n\n", r->thinking);
    buf_puts(&text, r->content);
    run_log_text(log, step, tag, buf_str(&text));
    buf_free(&text);
    return ok;
}

bool samples_run(Samples *s, int64_t step, const Asker *asker, RunLog *log, Error *err)
{
    const size_t n = json_array_size(s->prompts);
    const EvalOptions *eval = &s->config->eval;
    const AskOptions options = {eval->max_tokens, eval->is_greedy, (uint64_t)s->config->seed};
    Question *questions = mem_alloc(sizeof *questions * 2 * n);
    Reply *replies = mem_alloc(sizeof *replies * 2 * n);
    size_t *prompt_of = mem_alloc(sizeof *prompt_of * 2 * n);
    int n_asked = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *prompt = json_array_get(s->prompts, i);
        json_t *messages = json_object_get(prompt, "messages");
        const int n_modes = messages && s->rules.is_hybrid ? 2 : 1;
        for (int mode = 0; mode < n_modes; mode++) {
            questions[n_asked] =
                (Question){.messages = messages,
                           .prompt = json_string_value(json_object_get(prompt, "prompt")),
                           .tools = messages ? json_object_get(prompt, "tools") : NULL,
                           .thinks = n_modes == 2 ? mode : -1};
            prompt_of[n_asked++] = i;
        }
    }
    bool ok = asker->ask(asker->context, &options, questions, n_asked, replies, err);
    for (int i = 0; ok && i < n_asked; i++)
        ok = keep_sample(s, step, prompt_of[i], &questions[i], &replies[i], log, err);
    replies_free(replies, n_asked);
    mem_free(prompt_of);
    mem_free(replies);
    mem_free(questions);
    return ok;
}
