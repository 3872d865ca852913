/* See engine.h. Opening and closing, requests coming and going; engine_step.c has the step. */
#include "engine/engine_state.h"

#include "base/clock.h"

#include <string.h>

enum { N_PAGES_MAX = 1 << 26 };

/* Qwen's own words (qwen3-facts: docs/source/getting_started/quickstart.md of QwenLM/Qwen3). */
static const char close_thought_text[] =
    "\n\nConsidering the limited time by the user, I have to give the solution based on the "
    "thinking directly now.\n</think>\n\n";

/* ---- Open and close -------------------------------------------------------------------------- */

static bool add_eos(SequenceRules *rules, const int32_t *ids, int n, Error *err)
{
    for (int i = 0; i < n; i++) {
        bool is_known = false;
        for (int j = 0; j < rules->n_eos; j++)
            is_known |= rules->eos_ids[j] == ids[i];
        if (is_known)
            continue;
        if (rules->n_eos == (int)(sizeof rules->eos_ids / sizeof *rules->eos_ids))
            return error_set(err, ERROR_LIMIT, "too many end-of-sequence ids");
        rules->eos_ids[rules->n_eos++] = ids[i];
    }
    return true;
}

static bool make_rules(Engine *e, const Tokenizer *tokenizer, const EngineOptions *options,
                       Error *err)
{
    const Config *c = &e->model->config;
    SequenceRules *rules = &e->rules;
    rules->tokenizer = tokenizer;
    int32_t own = tokenizer_eos_id(tokenizer);
    if (!add_eos(rules, c->eos_ids, c->n_eos, err) ||
        !add_eos(rules, options->eos_ids, options->n_eos, err) ||
        !add_eos(rules, &own, own >= 0 ? 1 : 0, err))
        return false;
    if (tokenizer_n_tokens(tokenizer) > c->n_vocab)
        return error_set(err, ERROR_FORMAT,
                         "the tokenizer has %d tokens, the model's embedding only %d rows",
                         tokenizer_n_tokens(tokenizer), c->n_vocab);
    rules->think_id = tokenizer_added_id(tokenizer, "<think>");
    rules->call_id = tokenizer_added_id(tokenizer, "<tool_call>");
    if (tokenizer_added_id(tokenizer, "</think>") >= 0)
        return tokenizer_encode_all(tokenizer, str_from(close_thought_text), &rules->close_thought,
                                    err) &&
               tokenizer_encode_plain(tokenizer, STR("\n\n"), &rules->behind_thought, err);
    return true;
}

static bool make_pages(Engine *e, const EngineOptions *options, Error *err)
{
    const Config *c = &e->model->config;
    int context = options->context ? options->context : c->context_max;
    if (context < 1 || context > c->context_max)
        return error_set(err, ERROR_ARGUMENT,
                         "context %d: the model's maximum is %d (stretch it with YaRN)", context,
                         c->context_max);
    size_t page_bytes = kv_page_bytes(c, options->kv_type);
    size_t bytes = options->kv_bytes ? options->kv_bytes : mem_available_bytes() / 2;
    /* More than every sequence at full length would never be used. */
    size_t full = ((size_t)context + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    size_t n_pages = bytes / page_bytes, enough = full * (size_t)e->max_sequences;
    n_pages = n_pages < enough ? n_pages : enough;
    n_pages = n_pages < N_PAGES_MAX ? n_pages : N_PAGES_MAX;
    if (n_pages < 1)
        return error_set(err, ERROR_MEMORY,
                         "%zu bytes for keys and values are less than one page of %zu: raise "
                         "--kv-memory",
                         bytes, page_bytes);
    if (n_pages < full) {
        if (options->context)
            return error_set(
                err, ERROR_MEMORY,
                "a context of %d tokens needs %zu MiB for keys and values; %zu MiB are "
                "allowed: raise --kv-memory or lower --ctx",
                context, full * page_bytes >> 20, bytes >> 20);
        context = (int)(n_pages * KV_PAGE_TOKENS);
    }
    e->rules.context = context;
    return kv_open(&e->kv, e->model->backend, c, options->kv_type, (int)n_pages, err);
}

size_t engine_step_bytes(const Config *c, int max_batch_tokens, int max_sequences, int context)
{
    const int t = max_batch_tokens, s = max_sequences, n_logits = s + DRAFT_ROWS_MAX;
    const int table = s * ((context + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
    return forward_step_bytes(c, t) + step_mat_bytes(t, c->d_model) +
           step_mat_bytes(n_logits, c->d_model) + step_mat_bytes(n_logits, c->n_vocab) +
           4 * step_mat_bytes(1, t) + step_mat_bytes(1, table) +
           step_mat_bytes(s, (int)(sizeof(SeqSpan) / sizeof(float)) + MEM_ALIGN);
}

bool engine_reserve(Model *model, int t, int s, Error *err)
{
    const Config *c = &model->config;
    Backend *b = model->backend;
    int widest = c->d_model > c->d_ff ? c->d_model : c->d_ff;
    widest = c->n_heads * c->head_dim > widest ? c->n_heads * c->head_dim : widest;
    widest = c->d_expert > widest ? c->d_expert : widest;
    int n_rows = c->n_experts_used > 1 ? t * c->n_experts_used : t;
    return b->reserve(b, n_rows, widest, err) && b->reserve(b, s, c->n_vocab, err);
}

static bool make_buffers(Engine *e, Error *err)
{
    const int t = e->max_batch_tokens, s = e->max_sequences, n_logits = s + DRAFT_ROWS_MAX;
    size_t bytes = engine_step_bytes(&e->model->config, t, s, e->rules.context);
    if (!step_open(&e->step, e->model->backend, bytes, err) || !engine_reserve(e->model, t, s, err))
        return false;
    e->running = mem_alloc(sizeof(Sequence *) * (size_t)s);
    e->planned = mem_alloc(sizeof(Planned) * (size_t)s);
    e->host_ids = mem_alloc(sizeof(int32_t) * (size_t)t);
    e->host_positions = mem_alloc(sizeof(int32_t) * (size_t)t);
    e->host_rows = mem_alloc(sizeof(int32_t) * (size_t)t);
    e->host_spans = mem_alloc(sizeof(SeqSpan) * (size_t)s);
    e->adapted = mem_alloc(sizeof(AdaptedRows) * (size_t)s * ENGINE_ADAPTERS_MAX);
    e->sample_rows = mem_alloc(sizeof(SampleRow) * (size_t)n_logits);
    e->sampled = mem_try_alloc(sizeof(Sampled) * (size_t)n_logits, "sampling", err);
    return e->sampled != NULL;
}

/* Drafts are ids: they mean something only where both models have the same tokens. */
static bool check_draft_model(const Engine *e, const Tokenizer *mine, const EngineOptions *o,
                              Error *err)
{
    const Tokenizer *other = o->draft_tokenizer;
    const int n = tokenizer_n_tokens(mine);
    if (tokenizer_n_tokens(other) != n)
        return error_set(err, ERROR_ARGUMENT,
                         "the draft model's tokenizer has %d tokens, the model's %d: drafts need "
                         "the same tokenizer",
                         tokenizer_n_tokens(other), n);
    for (int id = 0; id < n; id++) {
        Str a = tokenizer_bytes(mine, id), b = tokenizer_bytes(other, id);
        if (a.bytes != b.bytes || (a.bytes && memcmp(a.data, b.data, a.bytes) != 0))
            return error_set(err, ERROR_ARGUMENT,
                             "the draft model's tokenizer has another token %d than the model's: "
                             "drafts need the same tokenizer",
                             id);
    }
    if (o->draft_model->config.n_vocab < n)
        return error_set(err, ERROR_ARGUMENT,
                         "the draft model's embedding has %d rows for %d tokens",
                         o->draft_model->config.n_vocab, n);
    if (o->draft_model->config.context_max < e->rules.context)
        return error_set(err, ERROR_ARGUMENT,
                         "the draft model's context is at most %d tokens, the engine's %d: lower "
                         "--ctx",
                         o->draft_model->config.context_max, e->rules.context);
    return true;
}

static bool open_drafter(Engine *e, const Tokenizer *tokenizer, Error *err)
{
    const EngineOptions *o = &e->options;
    if (!(o->speculation >> DRAFT_MODEL & 1))
        return true;
    if (!check_draft_model(e, tokenizer, o, err))
        return false;
    e->drafter = drafter_open(o->draft_model, o->kv_type, e->kv.n_pages, e->rules.context, err);
    e->rules.has_draft_model = true;
    return e->drafter != NULL;
}

Engine *engine_open(Model *model, const Tokenizer *tokenizer, const EngineOptions *options,
                    Error *err)
{
    Engine *e = mem_alloc(sizeof *e);
    e->model = model;
    e->options = *options;
    e->options.eos_ids = NULL; /* borrowed until here */
    e->max_sequences = options->max_sequences ? options->max_sequences : ENGINE_SEQUENCES;
    e->max_batch_tokens =
        options->max_batch_tokens ? options->max_batch_tokens : ENGINE_BATCH_TOKENS;
    if (e->max_batch_tokens < e->max_sequences)
        e->max_batch_tokens =
            e->max_sequences; /* every running stream gets its token in each step */
    if (make_rules(e, tokenizer, options, err) && make_pages(e, options, err) &&
        make_buffers(e, err) && open_drafter(e, tokenizer, err))
        return e;
    engine_close(e);
    return NULL;
}

void engine_close(Engine *e)
{
    if (!e)
        return;
    for (int i = 0; i < e->n_all; i++)
        sequence_free(e->all[i]);
    drafter_close(e->drafter);
    kv_close(&e->kv);
    step_close(&e->step);
    ids_free(&e->rules.close_thought);
    ids_free(&e->rules.behind_thought);
    mem_free(e->all);
    mem_free(e->waiting);
    mem_free(e->running);
    mem_free(e->planned);
    mem_free(e->host_ids);
    mem_free(e->host_positions);
    mem_free(e->host_rows);
    mem_free(e->host_spans);
    mem_free(e->adapted);
    mem_free(e->sample_rows);
    mem_free(e->sampled);
    mem_free(e);
}

int engine_context(const Engine *e) { return e->rules.context; }

bool engine_check(const Engine *e, const Request *r, Error *err)
{
    return sequence_check(&e->rules, r, err) && adapters_check(e, r->adapters, r->n_adapters, err);
}

/* ---- Lists ----------------------------------------------------------------------------------- */

void sequence_list_push(Sequence ***list, int *n, int *n_max, Sequence *s, bool at_front)
{
    if (*n >= *n_max) {
        int grown = *n_max ? 2 * *n_max : 16;
        Sequence **items = mem_alloc(sizeof *items * (size_t)grown);
        if (*n)
            memcpy(items, *list, sizeof *items * (size_t)*n);
        mem_free(*list);
        *list = items;
        *n_max = grown;
    }
    if (at_front)
        memmove(*list + 1, *list, sizeof **list * (size_t)*n);
    (*list)[at_front ? 0 : *n] = s;
    (*n)++;
}

void sequence_list_remove(Sequence **list, int *n, const Sequence *s)
{
    for (int i = 0; i < *n; i++) {
        if (list[i] == s) {
            memmove(list + i, list + i + 1, sizeof *list * (size_t)(*n - i - 1));
            (*n)--;
            return;
        }
    }
}

static Sequence *find_sequence(const Engine *e, int64_t id)
{
    for (int i = 0; i < e->n_all; i++)
        if (e->all[i]->id == id)
            return e->all[i];
    return NULL;
}

/* ---- Requests -------------------------------------------------------------------------------- */

void engine_drop_pages(Engine *e, Sequence *s)
{
    page_table_drop(&s->kv, &e->kv);
    if (e->drafter)
        page_table_drop(&s->draft_kv, &e->drafter->kv);
}

void engine_retire(Engine *e, Sequence *s)
{
    sequence_list_remove(e->running, &e->n_running, s);
    sequence_list_remove(e->waiting, &e->n_waiting, s);
    engine_drop_pages(e, s);
}

int64_t engine_add(Engine *e, const Request *request, Error *err)
{
    Sequence *s = engine_check(e, request, err)
                      ? sequence_new(&e->rules, e->last_id + 1, request, err)
                      : NULL;
    if (!s)
        return 0;
    s->salt ^= positions_salt(&e->model->config, request->n_prompt);
    e->last_id++;
    sequence_list_push(&e->all, &e->n_all, &e->n_all_max, s, false);
    if (s->state == SEQUENCE_WAITING)
        sequence_list_push(&e->waiting, &e->n_waiting, &e->n_waiting_max, s, false);
    return s->id;
}

void engine_cancel(Engine *e, int64_t id)
{
    Sequence *s = find_sequence(e, id);
    if (!s || s->state == SEQUENCE_DONE)
        return;
    sequence_finish(s, FINISH_CANCELLED);
    engine_retire(e, s);
}

bool engine_next(Engine *e, int64_t id, Event *event)
{
    if (e->delivered) { /* its EVENT_DONE was handed out last time: text is no longer borrowed */
        sequence_list_remove(e->all, &e->n_all, e->delivered);
        sequence_free(e->delivered);
        e->delivered = NULL;
    }
    Sequence *s = find_sequence(e, id);
    if (!s || !sequence_next_event(s, event))
        return false;
    if (event->kind == EVENT_DONE)
        e->delivered = s;
    return true;
}

EngineStats engine_stats(const Engine *e)
{
    EngineStats stats = e->stats;
    stats.n_running = e->n_running;
    stats.n_waiting = e->n_waiting;
    stats.n_pages = e->kv.n_pages;
    stats.n_pages_held = e->kv.n_held;
    stats.n_pages_cached = e->kv.n_pages - e->kv.n_held - e->kv.n_free;
    return stats;
}
