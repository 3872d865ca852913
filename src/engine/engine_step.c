/* A step: admit, plan, guess, run, take in; see engine.h.
 *
 *   waiting --admit--> running --accept/finish--> done --engine_next(EVENT_DONE)--> gone
 *      ^                  |
 *      +---- preempt -----+      when pages run out: the youngest gives back its pages and starts
 *                                over later, from all its tokens; its answer does not change. */
#include "engine/engine_state.h"

#include "base/clock.h"

#include <string.h>

enum {
    CHUNK_TOKENS_MIN = 16,     /* of a prompt in a step, however slow the machine */
    CHUNK_TOKENS_UNKNOWN = 64, /* beside a stream, before any speed is known */
    MEASURED_TOKENS_MIN = 16,  /* a step of fewer tells little about a prompt's speed */
};

/* How long a step with prompts may take, so that streams get their tokens and a cancelled prompt
 * ends soon: two of the shared ones fit into 300 ms, as clients see waits of up to two steps
 * (docs/speed.md). Which tokens share a step never shows in an answer. */
static const double STEP_SECONDS_SHARED = 0.11, STEP_SECONDS_ALONE = 1;

/* ---- Who takes part -------------------------------------------------------------------------- */

/* True while somebody running computes the very page that s needs next: then s waits for it, so
 * that the n answers of one question, or questions behind one long prompt, compute it once. */
static bool is_in_the_making(const Engine *e, const Sequence *s)
{
    const size_t n = ((size_t)s->kv.n_pages + 1) * KV_PAGE_TOKENS;
    if (n >= (size_t)s->ids.n)
        return false;
    for (int i = 0; i < e->n_running; i++) {
        const Sequence *r = e->running[i];
        if ((size_t)r->kv.n_computed < n && (size_t)r->ids.n > n && r->salt == s->salt &&
            memcmp(r->ids.data, s->ids.data, sizeof(int32_t) * n) == 0)
            return true;
    }
    return false;
}

static void admit(Engine *e)
{
    for (int i = 0; i < e->n_waiting && e->n_running < e->max_sequences;) {
        Sequence *s = e->waiting[i];
        page_table_share(&s->kv, &e->kv, &s->ids, s->salt);
        if (is_in_the_making(e, s)) {
            engine_drop_pages(e, s);
            i++;
            continue;
        }
        int n_needed = s->ids.n / KV_PAGE_TOKENS + 1 - s->kv.n_pages;
        /* Somebody running will give pages back; alone, the step itself finds out. */
        if (n_needed > kv_n_available(&e->kv) && e->n_running > 0) {
            engine_drop_pages(e, s);
            return;
        }
        if (s->started == 0) {
            s->started = clock_seconds();
            s->n_cached =
                s->kv.n_computed < s->request.n_prompt ? s->kv.n_computed : s->request.n_prompt;
            e->stats.cached_tokens += (uint64_t)s->n_cached;
            e->stats.prompt_tokens += (uint64_t)s->request.n_prompt;
        }
        sequence_list_remove(e->waiting, &e->n_waiting, s);
        e->running[e->n_running++] = s;
        s->state = SEQUENCE_RUNNING;
    }
}

static void preempt(Engine *e, Sequence *s)
{
    sequence_list_remove(e->running, &e->n_running, s);
    engine_drop_pages(e, s);
    s->state = SEQUENCE_WAITING;
    sequence_list_push(&e->waiting, &e->n_waiting, &e->n_waiting_max, s, true);
    e->stats.n_preemptions++;
}

/* Makes room for n more positions of s, taking pages from younger sequences that are not in this
 * step's plan yet if need be. Returns how many positions there is room for. */
static int make_room(Engine *e, Sequence *s, int n)
{
    while (!page_table_grow(&s->kv, &e->kv, n)) {
        Sequence *youngest = e->running[e->n_running - 1];
        bool is_planned = false;
        for (int i = 0; i < e->n_planned; i++)
            is_planned |= e->planned[i].sequence == youngest;
        if (youngest == s || is_planned)
            break;
        preempt(e, youngest);
    }
    int room = page_table_room(&s->kv);
    return room < n ? room : n;
}

static void plan_one(Engine *e, Sequence *s, int n_tokens)
{
    int n = s->ids.n - s->kv.n_computed, left = n_tokens - e->n_planned_tokens;
    n = make_room(e, s, n < left ? n : left);
    if (n <= 0)
        return;
    e->planned[e->n_planned++] = (Planned){.sequence = s, .n_rows = n};
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
        if (e->running[i]->ids.n - e->running[i]->kv.n_computed == 1)
            plan_one(e, e->running[i], e->max_batch_tokens);
    const int n_tokens = step_tokens(e);
    for (int i = 0; i < e->n_running && e->n_planned_tokens < n_tokens; i++)
        if (e->running[i]->ids.n - e->running[i]->kv.n_computed > 1)
            plan_one(e, e->running[i], n_tokens);
}

/* ---- Guessing -------------------------------------------------------------------------------- */

/* It has begun to answer, and its last token is in this step: alone, or behind some that the
 * grammar or the budget put there. */
static bool is_stream(const Planned *p)
{
    const Sequence *s = p->sequence;
    return s->usage.completion_tokens > 0 && p->n_rows <= DRAFT_ROWS_MAX &&
           p->n_rows == s->ids.n - s->kv.n_computed;
}

static bool uses_source(const Engine *e, DraftSource source)
{
    return e->options.speculation >> source & 1;
}

/* How many drafts of that source s gets. n_left: rows that the step has left for drafts. */
static int wanted(Engine *e, Sequence *s, DraftSource source, int n_left)
{
    int n_max = sequence_drafts_max(s);
    n_max = n_max < n_left ? n_max : n_left;
    if (n_max <= 0)
        return 0;
    if (e->options.n_drafts > 0)
        return e->options.n_drafts < n_max ? e->options.n_drafts : n_max;
    double seconds = source == DRAFT_MODEL ? e->drafter->seconds : 0;
    int n = draft_length(&e->step_cost, seconds, &s->acceptance[source], e->n_planned,
                         e->n_planned_tokens, n_max);
    if (n == 0)
        acceptance_fade(&s->acceptance[source]);
    return n;
}

static void look_up(Engine *e, Sequence *s, int n_left)
{
    const EngineOptions *o = &e->options;
    int32_t found[DRAFTS_MAX];
    int n = o->propose ? o->propose(o->propose_context, s->ids.data, s->ids.n, DRAFTS_MAX, found)
                       : draft_lookup(s->ids.data, s->ids.n, DRAFTS_MAX, found);
    int n_wanted = n > 0 ? wanted(e, s, DRAFT_LOOKUP, n_left) : 0;
    n = n < n_wanted ? n : n_wanted;
    s->draft_source = DRAFT_LOOKUP;
    for (int i = 0; i < n; i++) {
        if (i >= s->n_drafts && !sequence_push_draft(s, found[i]))
            break;
        if (s->drafts[i] != found[i]) /* the grammar had its own idea */
            break;
    }
}

/* Pages for the drafts, as far as there are any without taking them from others. */
static void make_draft_room(Engine *e, Planned *p, int n_left)
{
    Sequence *s = p->sequence;
    page_table_grow(&s->kv, &e->kv, p->n_rows + s->n_drafts);
    int room = page_table_room(&s->kv) - p->n_rows;
    n_left = n_left < room ? n_left : room;
    s->n_drafts = s->n_drafts < n_left ? s->n_drafts : n_left;
    s->n_drafts = s->n_drafts > 0 ? s->n_drafts : 0;
    p->n_rows += s->n_drafts;
    e->n_planned_tokens += s->n_drafts;
}

/* Drafts for the streams of the plan: more rows of theirs. */
static void guess(Engine *e)
{
    DraftJob jobs[DRAFT_ROWS_MAX];
    int n_jobs = 0, n_left = e->max_batch_tokens - e->n_planned_tokens, n_reserved = 0;
    n_left = n_left < DRAFT_ROWS_MAX ? n_left : DRAFT_ROWS_MAX;
    for (int i = 0; i < e->n_planned; i++) {
        Sequence *s = e->planned[i].sequence;
        e->planned[i].is_prompt = !is_stream(&e->planned[i]);
        s->n_drafts = 0;
        if (e->options.speculation == 0 || e->planned[i].is_prompt)
            continue;
        sequence_begin_drafts(s);
        if (uses_source(e, DRAFT_LOOKUP))
            look_up(e, s, n_left - n_reserved);
        n_reserved += s->n_drafts;
        if (s->n_drafts > 0 || !uses_source(e, DRAFT_MODEL))
            continue;
        int n = wanted(e, s, DRAFT_MODEL, n_left - n_reserved);
        if (n > 0)
            jobs[n_jobs++] = (DraftJob){.sequence = s, .n_wanted = n};
        n_reserved += n;
        s->draft_source = DRAFT_MODEL;
    }
    if (n_jobs > 0)
        drafter_run(e->drafter, jobs, n_jobs);
    for (int i = 0; i < e->n_planned; i++) {
        int before = e->planned[i].n_rows;
        make_draft_room(e, &e->planned[i], n_left);
        n_left -= e->planned[i].n_rows - before;
    }
}

/* ---- Running --------------------------------------------------------------------------------- */

static void measure(Engine *e, double seconds)
{
    const double now = seconds / e->n_planned_tokens;
    bool has_prompt = false;
    for (int i = 0; i < e->n_planned; i++)
        has_prompt |= e->planned[i].is_prompt;
    if (!has_prompt)
        step_cost_add(&e->step_cost, e->n_planned_tokens, seconds);
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
        const int first = s->kv.n_computed, n_known = p->n_rows - s->n_drafts;
        int32_t *ids = e->host_ids + p->first_row;
        memcpy(ids, s->ids.data + first, sizeof(int32_t) * (size_t)n_known);
        memcpy(ids + n_known, s->drafts, sizeof(int32_t) * (size_t)s->n_drafts);
        for (int r = 0; r < p->n_rows; r++)
            e->host_positions[p->first_row + r] = first + r;
        e->host_spans[i] = (SeqSpan){
            .first_row = p->first_row,
            .n_rows = p->n_rows,
            .first_position = first,
            .pages = upload(e, s->kv.pages, sizeof(int32_t) * (size_t)s->kv.n_pages),
        };
        positions_place(&e->model->config, s->request.n_prompt, &e->host_spans[i]);
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

/* Logits of every planned sequence whose last known token is in this step: of that row, and of the
 * drafts' behind it. */
static Mat make_logits(Engine *e, Mat hidden)
{
    int n = 0;
    for (int i = 0; i < e->n_planned; i++) {
        Planned *p = &e->planned[i];
        const int n_known = p->sequence->ids.n - p->sequence->kv.n_computed;
        p->first_logits = n - (n_known - 1);
        for (int r = n_known - 1; r < p->n_rows; r++)
            e->host_rows[n++] = p->first_row + r;
    }
    if (n == 0)
        return (Mat){0};
    Mat logits = step_mat(&e->step, n, e->model->config.n_vocab);
    const int32_t *rows = upload(e, e->host_rows, sizeof(int32_t) * (size_t)n);
    head_logits(e->model, hidden, rows, &e->step, logits);
    return logits;
}

/* ---- Taking in ------------------------------------------------------------------------------- */

/* The row whose logits say what comes behind the last of s->ids, or -1: it was not computed,
 * because it is not in this step or because a draft was wrong. */
static int next_row(const Engine *e, Planned *p)
{
    const Sequence *s = p->sequence;
    const int last = s->ids.n - 1 - s->kv.n_computed;
    const int32_t *in_batch = e->host_ids + p->first_row;
    const int32_t *known = s->ids.data + s->kv.n_computed;
    while (p->n_true < p->n_rows && p->n_true <= last && in_batch[p->n_true] == known[p->n_true])
        p->n_true++;
    return s->state == SEQUENCE_RUNNING && last < p->n_true ? last : -1;
}

/* Draws and takes in, a token of each sequence at a time: what a draft's token would have been
 * drawn under - mask, penalties, budget - is known when it stands in ids, and not before. */
static void draw(Engine *e, Mat logits)
{
    Backend *b = e->model->backend;
    for (;;) {
        bool is_any = false;
        memset(e->sample_rows, 0, sizeof *e->sample_rows * (size_t)logits.rows);
        for (int i = 0; i < e->n_planned; i++) {
            Planned *p = &e->planned[i];
            p->drawn_row = next_row(e, p);
            if (p->drawn_row < 0)
                continue;
            e->sample_rows[p->first_logits + p->drawn_row] = sequence_sample_row(p->sequence);
            is_any = true;
        }
        if (!is_any)
            return;
        b->sample(b, logits, e->sample_rows, e->sampled);
        for (int i = 0; i < e->n_planned; i++) {
            const Planned *p = &e->planned[i];
            if (p->drawn_row < 0)
                continue;
            sequence_accept(p->sequence, &e->sampled[p->first_logits + p->drawn_row]);
            e->stats.generated_tokens++;
        }
    }
}

/* What has come true of the drafts. */
static void settle_drafts(Engine *e, Sequence *s, int n_true)
{
    if (s->n_drafts == 0)
        return;
    acceptance_add(&s->acceptance[s->draft_source], s->n_drafts, n_true);
    s->usage.drafted_tokens += s->n_drafts;
    s->usage.accepted_tokens += n_true;
    e->stats.n_drafts++;
    e->stats.drafted_tokens += (uint64_t)s->n_drafts;
    e->stats.accepted_tokens += (uint64_t)n_true;
}

static void take_in(Engine *e)
{
    for (int i = 0; i < e->n_planned; i++) {
        const Planned *p = &e->planned[i];
        Sequence *s = p->sequence;
        const int n_known = p->n_rows - s->n_drafts;
        const int n_true = p->n_true > n_known ? p->n_true - n_known : 0;
        settle_drafts(e, s, n_true);
        if (e->drafter)
            drafter_settle(e->drafter, s, n_true);
        page_table_advance(&s->kv, &e->kv, &s->ids, s->salt, n_known + n_true);
        s->n_drafts = 0;
        if (s->state == SEQUENCE_DONE)
            engine_retire(e, s);
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
        engine_retire(e, s);
        return true;
    }
    guess(e);
    const double started = clock_seconds();
    e->step.used = 0;
    Batch batch = make_batch(e);
    Mat hidden = step_mat(&e->step, batch.n_tokens, e->model->config.d_model);
    forward(e->model, e->kv.store, &batch, &e->step, NULL, hidden);
    draw(e, make_logits(e, hidden));
    measure(e, clock_seconds() - started);
    take_in(e);
    return true;
}
