/* See synth.h. */
#include "data/synth.h"

#include "base/bug.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "data/records.h"

#include <stdlib.h>
#include <string.h>

/* The prompt of question i, and its number among that prompt's; NULL: there is none. */
static const SynthPrompt *prompt_of(const SynthConfig *c, int64_t i, int64_t *number)
{
    for (int p = 0; p < c->n_prompts; p++) {
        if (i < c->prompts[p].count) {
            *number = i;
            return &c->prompts[p];
        }
        i -= c->prompts[p].count;
    }
    return NULL;
}

/* An entry for every list, drawn for question i of this prompt. */
static json_t *draw_values(const SynthConfig *c, const SynthPrompt *prompt, int64_t number)
{
    const char *name;
    json_t *list, *values = json_object();
    json_object_foreach((json_t *)c->lists, name, list)
    {
        const uint64_t bits = rng_counter((uint64_t)c->seed, str_hash(str_from(prompt->name)),
                                          str_hash(str_from(name)) ^ (uint64_t)number);
        json_object_set(values, name, json_array_get(list, (size_t)(bits % json_array_size(list))));
    }
    return values;
}

/* The text with each {name} that is a list replaced by its entry. */
static json_t *fill_in(const char *text, const json_t *values)
{
    Buf out = {0};
    while (*text) {
        char name[64] = "";
        const size_t n = *text == '{' ? strcspn(text, "}") : 0;
        if (n > 1 && n < sizeof name)
            memcpy(name, text + 1, n - 1);
        const char *value = json_string_value(json_object_get(values, name));
        if (value && text[n] == '}') {
            buf_puts(&out, value);
            text += n + 1;
        } else {
            buf_putc(&out, *text++);
        }
    }
    json_t *filled = json_stringn(out.data ? out.data : "", out.bytes);
    buf_free(&out);
    return filled;
}

json_t *synth_question(const SynthConfig *c, int64_t i)
{
    int64_t number;
    const SynthPrompt *prompt = prompt_of(c, i, &number);
    if (!prompt)
        return NULL;
    json_t *values = draw_values(c, prompt, number);
    json_t *question =
        json_pack("{s: o, s: s}", "user", fill_in(prompt->user, values), "prompt", prompt->name);
    if (prompt->system)
        json_object_set_new(question, "system", fill_in(prompt->system, values));
    json_object_set_new(question, "values", values);
    return question;
}

/* ---- What an answer makes ---------------------------------------------------------------------
 */

static Str trim(Str s)
{
    while (s.bytes > 0 && strchr(" \t\r\n", s.data[s.bytes - 1]))
        s.bytes--;
    while (s.bytes > 0 && strchr(" \t\r\n", s.data[0]))
        s = str_slice(s, 1, s.bytes);
    return s;
}

/* The inside of the one fenced block. False: there is none, or more than one. */
static bool find_block(Str answer, Str *inside)
{
    const Str fence = STR("```");
    const ptrdiff_t open = str_find(answer, fence, 0);
    const ptrdiff_t line = open < 0 ? -1 : str_find(answer, STR("\n"), (size_t)open);
    const ptrdiff_t close = line < 0 ? -1 : str_find(answer, STR("\n```"), (size_t)line);
    if (close < 0 || str_find(answer, fence, (size_t)close + 4) >= 0)
        return false;
    *inside = close > line ? str_slice(answer, (size_t)line + 1, (size_t)close + 1) : STR("");
    return true;
}

static json_t *make_messages(Str answer, size_t *bytes)
{
    json_t *pair = json_loadb(answer.data, answer.bytes, JSON_REJECT_DUPLICATES, NULL);
    json_t *q = json_object_get(pair, "question"), *a = json_object_get(pair, "answer"),
           *messages = NULL;
    if (json_is_string(q) && json_is_string(a) && json_object_size(pair) == 2 &&
        json_string_length(q) > 0 && json_string_length(a) > 0) {
        *bytes = json_string_length(q) + json_string_length(a);
        messages = json_pack("[{s: s, s: O}, {s: s, s: O}]", "role", "user", "content", q, "role",
                             "assistant", "content", a);
    }
    json_decref(pair);
    return messages;
}

/* {"text": ...} or {"messages": ...} of its kind; or {"failed": ...}. */
static json_t *make_content(const SynthPrompt *prompt, Str answer, size_t *bytes)
{
    json_t *value = NULL;
    Str text = answer;
    if (prompt->kind == SYNTH_DIALOGUE) {
        value = make_messages(answer, bytes);
        return value ? json_pack("{s: o}", "messages", value)
                     : ask_failed("the answer is not one object {\"question\", \"answer\"}");
    }
    if (prompt->kind == SYNTH_CODE && !find_block(answer, &text))
        return ask_failed("the answer does not hold exactly one block of code");
    *bytes = text.bytes;
    value = json_stringn(text.data, text.bytes);
    return value ? json_pack("{s: o}", "text", value) : ask_failed("the answer is not UTF-8");
}

json_t *synth_document(const SynthConfig *c, int64_t i, Str answer, bool is_whole)
{
    int64_t number = 0;
    size_t bytes = 0;
    const SynthPrompt *prompt = prompt_of(c, i, &number);
    ASSERT(prompt);
    if (!is_whole)
        return ask_failed("the answer was cut off");
    json_t *made = make_content(prompt, trim(answer), &bytes);
    if (json_object_get(made, "failed"))
        return made;
    if ((int64_t)bytes < prompt->min_bytes || (int64_t)bytes > prompt->max_bytes) {
        json_decref(made);
        return ask_failed("%zu bytes; %lld to %lld are wanted", bytes, (long long)prompt->min_bytes,
                          (long long)prompt->max_bytes);
    }
    Buf id = {0};
    buf_printf(&id, "%s-%lld", prompt->name, (long long)number);
    json_t *document = json_pack("{s: s, s: s, s: o}", "id", id.data, "prompt", prompt->name,
                                 "values", draw_values(c, prompt, number));
    json_object_update(document, made);
    json_decref(made);
    buf_free(&id);
    return document;
}

/* ---- The run ----------------------------------------------------------------------------------
 */

static bool next_question(void *context, int64_t i, json_t **question, Error *err)
{
    (void)err;
    *question = synth_question(((const SynthOptions *)context)->config, i);
    return true;
}

static json_t *judge(void *context, int64_t i, Str answer, bool is_whole)
{
    return synth_document(((const SynthOptions *)context)->config, i, answer, is_whole);
}

static bool write_document(void *context, int64_t number, json_t *line, Error *err)
{
    (void)number;
    return json_object_get(line, "failed") || record_write_json(line, context, err);
}

static bool ask_and_write(const SynthOptions *o, Journal *journal, AskReport *report, Error *err)
{
    const AskJob job = {(void *)o, next_question, judge, o->progress, o->stop};
    if (!ask_all(&o->asker, &job, journal, report, err) ||
        !ask_check(report, o->config->max_failed, o->out, err))
        return false;
    FileWriter *out = file_writer_open(o->out, err);
    const bool ok = out && journal_read(journal, write_document, out, err);
    return file_writer_finish(out, ok, err);
}

bool synth_run(const SynthOptions *options, AskReport *report, Error *err)
{
    Journal journal;
    *report = (AskReport){0};
    char *run = json_dumps(options->config->json, JSON_COMPACT | JSON_SORT_KEYS);
    bool ok = journal_open(&journal, options->out, str_from(run), err);
    free(run);
    if (!ok)
        return false;
    ok = ask_and_write(options, &journal, report, err);
    if (ok)
        journal_remove(&journal);
    else
        journal_close(&journal);
    return ok;
}
