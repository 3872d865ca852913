/* See reward_model.h. */
#include "rl/reward_model.h"

#include "model/forward.h"
#include "train/loss.h"

#include <math.h>

enum { BATCH_TOKENS = 2048 }; /* together at most, but for one conversation that is longer */

struct RewardModel {
    RewardText text;
    Model *model; /* NULL until it is loaded */
};

RewardModel *reward_model_open(const char *path, const char *token, Error *err)
{
    RewardModel *m = mem_alloc(sizeof *m);
    if (reward_text_open(&m->text, path, NULL, 0, token, err))
        return m;
    reward_model_close(m);
    error_add(err, "reward.model");
    return NULL;
}

void reward_model_close(RewardModel *m)
{
    if (!m)
        return;
    model_close(m->model);
    reward_text_close(&m->text);
    mem_free(m);
}

bool reward_model_load(RewardModel *m, Backend *backend, Error *err)
{
    m->model = model_open(m->text.package, backend, NULL, err);
    return m->model || error_add(err, "reward.model");
}

const RewardText *reward_model_text(const RewardModel *m) { return &m->text; }

/* ---- Conversations through the model ----------------------------------------------------------
 */

/* Memory for batches of some size, and what one is made of. */
typedef struct Room {
    int tokens, seqs, pages; /* at most */
    KvStore *kv;
    Step step;
    int32_t *ids, *positions, *page_table, *rows; /* host */
    SeqSpan *spans;
    Arena arena;
} Room;

static int pages_of(int n_tokens) { return (n_tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS; }

static int chunk_rows(const Config *c, int n)
{
    return n < loss_chunk_rows(c) ? n : loss_chunk_rows(c);
}

/* How many of n conversations make the next batch. */
static int batch_size(const Ids *conversations, int n)
{
    int n_tokens = conversations[0].n, taken = 1;
    while (taken < n && n_tokens + conversations[taken].n <= BATCH_TOKENS)
        n_tokens += conversations[taken++].n;
    return taken;
}

static void measure(Room *room, const Ids *conversations, int n)
{
    for (int from = 0, size; from < n; from += size) {
        int tokens = 0, pages = 0;
        size = batch_size(conversations + from, n - from);
        for (int i = from; i < from + size; i++) {
            tokens += conversations[i].n;
            pages += pages_of(conversations[i].n);
        }
        room->tokens = tokens > room->tokens ? tokens : room->tokens;
        room->pages = pages > room->pages ? pages : room->pages;
        room->seqs = size > room->seqs ? size : room->seqs;
    }
}

static bool room_open(Room *room, const Model *m, const Ids *conversations, int n, Error *err)
{
    const Config *c = &m->config;
    Backend *b = m->backend;
    *room = (Room){0};
    measure(room, conversations, n);
    const int chunk = chunk_rows(c, room->seqs);
    const size_t head = step_mat_bytes(chunk, c->n_vocab) + step_mat_bytes(chunk, c->d_model);
    const size_t forward_bytes = forward_step_bytes(c, room->tokens);
    int cols = c->d_model > c->d_ff ? c->d_model : c->d_ff;
    cols = cols > c->n_heads * c->head_dim ? cols : c->n_heads * c->head_dim;
    cols = cols > c->d_expert ? cols : c->d_expert;
    room->ids = ARENA_ARRAY(&room->arena, int32_t, room->tokens);
    room->positions = ARENA_ARRAY(&room->arena, int32_t, room->tokens);
    room->page_table = ARENA_ARRAY(&room->arena, int32_t, room->pages);
    room->rows = ARENA_ARRAY(&room->arena, int32_t, room->seqs);
    room->spans = ARENA_ARRAY(&room->arena, SeqSpan, room->seqs);
    room->kv = b->kv_new(b, DTYPE_F32, c->n_layers, c->n_kv_heads, c->head_dim, room->pages, err);
    /* Lists of the batch are measured as matrices of a column: as long as floats. */
    return room->kv &&
           step_open(&room->step, b,
                     step_mat_bytes(room->tokens, c->d_model) +
                         2 * step_mat_bytes(room->tokens, 1) + step_mat_bytes(room->pages, 1) +
                         step_mat_bytes(room->seqs, 1) +
                         step_mat_bytes(room->seqs, (int)(sizeof(SeqSpan) / sizeof(float))) +
                         (forward_bytes > head ? forward_bytes : head),
                     err) &&
           b->reserve(b, c->n_experts_used > 1 ? room->tokens * c->n_experts_used : room->tokens,
                      cols, err);
}

static void room_close(Room *room, Backend *b)
{
    if (room->kv)
        b->kv_free(b, room->kv);
    step_close(&room->step);
    arena_close(&room->arena);
}

static void *put(Room *room, const void *host, size_t bytes)
{
    void *device = step_take(&room->step, bytes);
    room->step.backend->upload(room->step.backend, device, host, bytes);
    return device;
}

/* n conversations as a batch on the device; *rows: their last tokens. */
static Batch lay_out(Room *room, const Config *c, const Ids *conversations, int n, int32_t **rows)
{
    int n_tokens = 0, n_pages = 0;
    room->step.used = 0;
    for (int s = 0; s < n; s++) {
        room->spans[s] = (SeqSpan){.first_row = n_tokens, .n_rows = conversations[s].n};
        positions_place(c, conversations[s].n, &room->spans[s]);
        for (int i = 0; i < conversations[s].n; i++, n_tokens++) {
            room->ids[n_tokens] = conversations[s].data[i];
            room->positions[n_tokens] = i;
        }
        room->rows[s] = n_tokens - 1;
        n_pages += pages_of(conversations[s].n);
    }
    for (int i = 0; i < n_pages; i++)
        room->page_table[i] = i;
    const int32_t *pages = put(room, room->page_table, sizeof(int32_t) * (size_t)n_pages);
    for (int s = 0; s < n; pages += pages_of(conversations[s].n), s++)
        room->spans[s].pages = pages;
    *rows = put(room, room->rows, sizeof(int32_t) * (size_t)n);
    return (Batch){.n_tokens = n_tokens,
                   .n_seqs = n,
                   .ids = put(room, room->ids, sizeof(int32_t) * (size_t)n_tokens),
                   .positions = put(room, room->positions, sizeof(int32_t) * (size_t)n_tokens),
                   .seqs = put(room, room->spans, sizeof(SeqSpan) * (size_t)n)};
}

static void score_batch(const RewardModel *m, Room *room, const Ids *conversations, int n,
                        float *scores)
{
    const Config *c = &m->model->config;
    Backend *b = m->model->backend;
    int32_t *rows;
    const Batch batch = lay_out(room, c, conversations, n, &rows);
    const Mat hidden = step_mat(&room->step, batch.n_tokens, c->d_model);
    forward(m->model, room->kv, &batch, &room->step, NULL, hidden);
    const size_t mark = room->step.used;
    for (int from = 0, size; from < n; from += size) {
        size = chunk_rows(c, n - from);
        const Mat logits = step_mat(&room->step, size, c->n_vocab);
        head_logits(m->model, hidden, rows + from, &room->step, logits);
        for (int i = 0; i < size; i++)
            b->fetch(b, &scores[from + i],
                     logits.data + (size_t)i * (size_t)logits.stride + m->text.token,
                     sizeof(float));
        room->step.used = mark;
    }
}

bool reward_model_scores(RewardModel *m, const Ids *conversations, int n, float *scores, Error *err)
{
    Backend *b = m->model->backend;
    const int most = m->model->config.context_max;
    Room room;
    for (int i = 0; i < n; i++)
        if (conversations[i].n > most)
            return error_set(err, ERROR_LIMIT,
                             "a conversation has %d tokens; the context of %s is %d",
                             conversations[i].n, package_path(m->text.package), most);
    const bool ok = room_open(&room, m->model, conversations, n, err);
    for (int from = 0, size; ok && from < n; from += size) {
        size = batch_size(conversations + from, n - from);
        score_batch(m, &room, conversations + from, size, scores + from);
    }
    room_close(&room, b);
    return ok;
}

/* ---- Rollouts ---------------------------------------------------------------------------------
 */

/* The problem's messages and what followed. */
static bool read_rollout(const RewardModel *m, const Problem *p, const Rollout *r, Ids *ids,
                         Error *err)
{
    Buf line = {0};
    problem_write(p, &line);
    json_t *problem = json_loadb(line.data, line.bytes, 0, NULL);
    json_t *messages = json_object_get(problem, "messages");
    json_array_extend(messages, r->turns);
    const bool ok =
        reward_text_ids(&m->text, messages, json_object_get(problem, "tools"), ids, err);
    json_decref(problem);
    buf_free(&line);
    return ok || error_add(err, "problem %.*s", (int)p->id.bytes, p->id.data);
}

bool reward_model_score(RewardModel *m, const Problem *problems, Rollouts *rollouts, Error *err)
{
    const int n = rollouts->n;
    Arena arena = {0};
    Ids *conversations = ARENA_ARRAY(&arena, Ids, n);
    float *scores = ARENA_ARRAY(&arena, float, n);
    bool ok = true;
    for (int i = 0; i < n; i++)
        conversations[i] = (Ids){0};
    for (int i = 0; i < n && ok; i++)
        ok = read_rollout(m, &problems[rollouts->items[i].problem_i], &rollouts->items[i],
                          &conversations[i], err);
    ok = ok && reward_model_scores(m, conversations, n, scores, err);
    for (int i = 0; i < n; i++) {
        if (ok)
            rollouts->items[i].score = 1 / (1 + exp(-(double)scores[i]));
        ids_free(&conversations[i]);
    }
    arena_close(&arena);
    return ok || error_add(err, "reward.model");
}
