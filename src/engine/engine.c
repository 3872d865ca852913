/* See engine.h. A step: admit, plan, run, take in.
 *
 *   waiting --admit--> running --accept/finish--> done --engine_next(EVENT_DONE)--> gone
 *      ^                  |
 *      +---- preempt -----+      when pages run out: the youngest gives back its pages and starts
 *                                over later, from all its tokens; its answer does not change. */
#include "engine/engine_state.h"

#include "base/bug.h"
#include "base/clock.h"

#include <string.h>

enum {
    N_PAGES_MAX = 1 << 26,
    CHUNK_TOKENS_MIN = 16,     /* of a prompt in a step, however slow the machine */
    CHUNK_TOKENS_UNKNOWN = 64, /* beside a stream, before any speed is known */
    MEASURED_TOKENS_MIN = 16,  /* a step of fewer tells little about a prompt's speed */
};

/* How long a step with prompts may take, so that streams get their tokens and a cancelled prompt
 * ends soon. Which tokens share a step never shows in an answer. */
static const double STEP_SECONDS_SHARED = 0.2, STEP_SECONDS_ALONE = 1;

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
    const int t = max_batch_tokens, s = max_sequences;
    const int table = s * ((context + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
    return forward_step_bytes(c, t) + step_mat_bytes(t, c->d_model) +
           step_mat_bytes(s, c->d_model) + step_mat_bytes(s, c->n_vocab) +
           4 * step_mat_bytes(1, t) + step_mat_bytes(1, table) +
           step_mat_bytes(s, (int)(sizeof(SeqSpan) / sizeof(float)) + MEM_ALIGN);
}

static bool make_buffers(Engine *e, Error *err)
{
    const Config *c = &e->model->config;
    Backend *b = e->model->backend;
    const int t = e->max_batch_tokens, s = e->max_sequences;
    size_t bytes = engine_step_bytes(c, t, s, e->rules.context);
    int widest = c->d_model > c->d_ff ? c->d_model : c->d_ff;
    widest = c->n_heads * c->head_dim > widest ? c->n_heads * c->head_dim : widest;
    widest = c->d_expert > widest ? c->d_expert : widest;
    int n_rows = c->n_experts_used > 1 ? t * c->n_experts_used : t;
    if (!step_open(&e->step, b, bytes, err) || !b->reserve(b, n_rows, widest, err) ||
        !b->reserve(b, s, c->n_vocab, err))
        return false;
    e->running = mem_alloc(sizeof(Sequence *) * (size_t)s);
    e->planned = mem_alloc(sizeof(Planned) * (size_t)s);
    e->host_ids = mem_alloc(sizeof(int32_t) * (size_t)t);
    e->host_positions = mem_alloc(sizeof(int32_t) * (size_t)t);
    e->host_rows = mem_alloc(sizeof(int32_t) * (size_t)t);
    e->host_spans = mem_alloc(sizeof(SeqSpan) * (size_t)s);
    e->adapted = mem_alloc(sizeof(AdaptedRows) * (size_t)s * ENGINE_ADAPTERS_MAX);
    e->sample_rows = mem_alloc(sizeof(SampleRow) * (size_t)s);
    e->sampled = mem_try_alloc(sizeof(Sampled) * (size_t)s, "sampling", err);
    return e->sampled != NULL;
}

Engine *engine_open(Model *model, const Tokenizer *tokenizer, const EngineOptions *options,
                    Error *err)
{
    Engine *e = mem_alloc(sizeof *e);
    e->model = model;
    e->max_sequences = options->max_sequences ? options->max_sequences : ENGINE_SEQUENCES;
    e->max_batch_tokens =
        options->max_batch_tokens ? options->max_batch_tokens : ENGINE_BATCH_TOKENS;
    if (e->max_batch_tokens < e->max_sequences)
        e->max_batch_tokens =
            e->max_sequences; /* every running stream gets its token in each step */
    if (make_rules(e, tokenizer, options, err) && make_pages(e, options, err) &&
        make_buffers(e, err))
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

static void list_push(Sequence ***list, int *n, int *n_max, Sequence *s, bool at_front)
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

static void list_remove(Sequence **list, int *n, const Sequence *s)
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

/* ---- Pages of a sequence --------------------------------------------------------------------- */

static void drop_pages(Engine *e, Sequence *s)
{
    for (int i = 0; i < s->n_pages; i++)
        kv_release(&e->kv, s->pages[i]);
    s->n_pages = 0;
    s->n_computed = 0;
}

static uint64_t page_key(const Sequence *s, int i)
{
    uint64_t before = i > 0 ? s->keys[i - 1] : s->salt;
    return kv_key(before, s->ids.data + (size_t)i * KV_PAGE_TOKENS);
}

/* Takes over the pages that others have already computed for the same beginning. The last token is
 * always computed anew: its logits are needed. */
static void share_prefix(Engine *e, Sequence *s)
{
    int n_full = (s->ids.n - 1) / KV_PAGE_TOKENS;
    while (s->n_pages < n_full) {
        int i = s->n_pages;
        s->keys[i] = page_key(s, i);
        int32_t page = kv_find(&e->kv, s->keys[i], s->ids.data + (size_t)i * KV_PAGE_TOKENS);
        if (page < 0)
            break;
        s->pages[s->n_pages++] = page;
    }
    s->n_computed = s->n_pages * KV_PAGE_TOKENS;
}

static void publish_pages(Engine *e, Sequence *s, int computed_before)
{
    for (int i = computed_before / KV_PAGE_TOKENS; i < s->n_computed / KV_PAGE_TOKENS; i++) {
        s->keys[i] = page_key(s, i);
        kv_publish(&e->kv, s->pages[i], s->keys[i], s->ids.data + (size_t)i * KV_PAGE_TOKENS);
    }
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void retire(Engine *e, Sequence *s)
{
    list_remove(e->running, &e->n_running, s);
    list_remove(e->waiting, &e->n_waiting, s);
    drop_pages(e, s);
}

int64_t engine_add(Engine *e, const Request *request, Error *err)
{
    Sequence *s = engine_check(e, request, err)
                      ? sequence_new(&e->rules, e->last_id + 1, request, err)
                      : NULL;
    if (!s)
        return 0;
    e->last_id++;
    list_push(&e->all, &e->n_all, &e->n_all_max, s, false);
    if (s->state == SEQUENCE_WAITING)
        list_push(&e->waiting, &e->n_waiting, &e->n_waiting_max, s, false);
    return s->id;
}

void engine_cancel(Engine *e, int64_t id)
{
    Sequence *s = find_sequence(e, id);
    if (!s || s->state == SEQUENCE_DONE)
        return;
    sequence_finish(s, FINISH_CANCELLED);
    retire(e, s);
}

bool engine_next(Engine *e, int64_t id, Event *event)
{
    if (e->delivered) { /* its EVENT_DONE was handed out last time: text is no longer borrowed */
        list_remove(e->all, &e->n_all, e->delivered);
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

/* ---- A step ---------------------------------------------------------------------------------- */

/* True while somebody running computes the very page that s needs next: then s waits for it, so
 * that the n answers of one question, or questions behind one long prompt, compute it once. */
static bool is_in_the_making(const Engine *e, const Sequence *s)
{
    const size_t n = ((size_t)s->n_pages + 1) * KV_PAGE_TOKENS;
    if (n >= (size_t)s->ids.n)
        return false;
    for (int i = 0; i < e->n_running; i++) {
        const Sequence *r = e->running[i];
        if ((size_t)r->n_computed < n && (size_t)r->ids.n > n && r->salt == s->salt &&
            memcmp(r->ids.data, s->ids.data, sizeof(int32_t) * n) == 0)
            return true;
    }
    return false;
}

static void admit(Engine *e)
{
    for (int i = 0; i < e->n_waiting && e->n_running < e->max_sequences;) {
        Sequence *s = e->waiting[i];
        share_prefix(e, s);
        if (is_in_the_making(e, s)) {
            drop_pages(e, s);
            i++;
            continue;
        }
        int n_needed = s->ids.n / KV_PAGE_TOKENS + 1 - s->n_pages;
        /* Somebody running will give pages back; alone, the step itself finds out. */
        if (n_needed > kv_n_available(&e->kv) && e->n_running > 0) {
            drop_pages(e, s);
            return;
        }
        if (s->started == 0) {
            s->started = clock_seconds();
            s->n_cached = s->n_computed < s->request.n_prompt ? s->n_computed : s->request.n_prompt;
            e->stats.cached_tokens += (uint64_t)s->n_cached;
            e->stats.prompt_tokens += (uint64_t)s->request.n_prompt;
        }
        list_remove(e->waiting, &e->n_waiting, s);
        e->running[e->n_running++] = s;
        s->state = SEQUENCE_RUNNING;
    }
}

static void preempt(Engine *e, Sequence *s)
{
    list_remove(e->running, &e->n_running, s);
    drop_pages(e, s);
    s->state = SEQUENCE_WAITING;
    list_push(&e->waiting, &e->n_waiting, &e->n_waiting_max, s, true);
    e->stats.n_preemptions++;
}

/* Makes room for n more positions of s, taking pages from younger sequences that are not in this
 * step's plan yet if need be. Returns how many positions there is room for. */
static int make_room(Engine *e, Sequence *s, int n)
{
    while (s->n_pages * KV_PAGE_TOKENS < s->n_computed + n) {
        int32_t page = kv_take(&e->kv);
        if (page >= 0) {
            s->pages[s->n_pages++] = page;
            continue;
        }
        Sequence *youngest = e->running[e->n_running - 1];
        bool is_planned = false;
        for (int i = 0; i < e->n_planned; i++)
            is_planned |= e->planned[i].sequence == youngest;
        if (youngest == s || is_planned)
            break;
        preempt(e, youngest);
    }
    int room = s->n_pages * KV_PAGE_TOKENS - s->n_computed;
    return room < n ? room : n;
}

static void plan_one(Engine *e, Sequence *s, int n_tokens)
{
    int n = s->ids.n - s->n_computed, left = n_tokens - e->n_planned_tokens;
    n = make_room(e, s, n < left ? n : left);
    if (n <= 0)
        return;
    e->planned[e->n_planned++] = (Planned){s, e->n_planned_tokens, n};
    e->n_planned_tokens += n;
}

/* Tokens that this step may have. */
static int step_tokens(const Engine *e)
{
    const int n_streams = e->n_planned_tokens;
    double seconds = n_streams > 0 ? STEP_SECONDS_SHARED : STEP_SECONDS_ALONE;
    double n = n_streams > 0 ? CHUNK_TOKENS_UNKNOWN : e->max_batch_tokens;
    if (e->token_seconds > 0)
        n = seconds / e->token_seconds;
    n = n > CHUNK_TOKENS_MIN ? n : CHUNK_TOKENS_MIN;
    n += n_streams;
    return n < e->max_batch_tokens ? (int)n : e->max_batch_tokens;
}

/* Streams that only wait for their next token go first, then prompts, oldest first. */
static void plan(Engine *e)
{
    e->n_planned = e->n_planned_tokens = 0;
    for (int i = 0; i < e->n_running; i++)
        if (e->running[i]->ids.n - e->running[i]->n_computed == 1)
            plan_one(e, e->running[i], e->max_batch_tokens);
    const int n_tokens = step_tokens(e);
    for (int i = 0; i < e->n_running && e->n_planned_tokens < n_tokens; i++)
        if (e->running[i]->ids.n - e->running[i]->n_computed > 1)
            plan_one(e, e->running[i], n_tokens);
}

static void measure(Engine *e, double seconds)
{
    const double now = seconds / e->n_planned_tokens;
    if (e->n_planned_tokens >= MEASURED_TOKENS_MIN)
        e->token_seconds = e->token_seconds > 0 ? 0.5 * (e->token_seconds + now) : now;
}

static void *upload(Engine *e, const void *host, size_t bytes)
{
    Backend *b = e->model->backend;
    void *device = step_take(&e->step, bytes);
    b->upload(b, device, host, bytes);
    return device;
}

static Batch make_batch(Engine *e)
{
    adapted_group(e);
    for (int i = 0; i < e->n_planned; i++) {
        const Planned *p = &e->planned[i];
        const Sequence *s = p->sequence;
        memcpy(e->host_ids + p->first_row, s->ids.data + s->n_computed,
               sizeof(int32_t) * (size_t)p->n_rows);
        for (int r = 0; r < p->n_rows; r++)
            e->host_positions[p->first_row + r] = s->n_computed + r;
        e->host_spans[i] = (SeqSpan){
            .first_row = p->first_row,
            .n_rows = p->n_rows,
            .first_position = s->n_computed,
            .pages = upload(e, s->pages, sizeof(int32_t) * (size_t)s->n_pages),
        };
    }
    const size_t t = (size_t)e->n_planned_tokens;
    return (Batch){
        .n_tokens = e->n_planned_tokens,
        .n_seqs = e->n_planned,
        .ids = upload(e, e->host_ids, sizeof(int32_t) * t),
        .positions = upload(e, e->host_positions, sizeof(int32_t) * t),
        .seqs = upload(e, e->host_spans, sizeof(SeqSpan) * (size_t)e->n_planned),
        .n_adapted = adapted_list(e),
        .adapted = e->adapted,
    };
}

/* Draws for every planned sequence whose last known token was in this step. */
static void draw(Engine *e, Mat hidden)
{
    int n = 0;
    for (int i = 0; i < e->n_planned; i++) {
        const Planned *p = &e->planned[i];
        if (p->sequence->n_computed + p->n_rows < p->sequence->ids.n)
            continue;
        e->host_rows[n] = p->first_row + p->n_rows - 1;
        e->sample_rows[n++] = sequence_sample_row(p->sequence);
    }
    if (n == 0)
        return;
    Backend *b = e->model->backend;
    Mat logits = step_mat(&e->step, n, e->model->config.n_vocab);
    const int32_t *rows = upload(e, e->host_rows, sizeof(int32_t) * (size_t)n);
    head_logits(e->model, hidden, rows, &e->step, logits);
    b->sample(b, logits, e->sample_rows, e->sampled);
}

static void take_in(Engine *e)
{
    int n = 0;
    for (int i = 0; i < e->n_planned; i++) {
        const Planned *p = &e->planned[i];
        Sequence *s = p->sequence;
        int before = s->n_computed;
        s->n_computed += p->n_rows;
        publish_pages(e, s, before);
        if (s->n_computed < s->ids.n)
            continue;
        sequence_accept(s, &e->sampled[n++]);
        e->stats.generated_tokens++;
        if (s->state == SEQUENCE_DONE)
            retire(e, s);
    }
}

bool engine_step(Engine *e)
{
    admit(e);
    if (e->n_running == 0)
        return false;
    plan(e);
    e->stats.n_steps++;
    if (e->n_planned == 0) {
        /* Even alone, the oldest finds no page: it can never go on. */
        Sequence *s = e->running[0];
        sequence_finish(s, FINISH_NO_MEMORY);
        retire(e, s);
        return true;
    }
    const double started = clock_seconds();
    e->step.used = 0;
    Batch batch = make_batch(e);
    Mat hidden = step_mat(&e->step, batch.n_tokens, e->model->config.d_model);
    forward(e->model, e->kv.store, &batch, &e->step, NULL, hidden);
    draw(e, hidden);
    measure(e, clock_seconds() - started);
    take_in(e);
    return true;
}
