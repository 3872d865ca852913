/* See replies.h. A batch of problems is one call of rollouts_make and one line of the journal. */
#include "rl/replies.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "data/journal.h"
#include "data/seen.h"
#include "engine/assets.h"
#include "rl/reply_filters.h"

#include <stdlib.h>
#include <string.h>

/* Answers of a batch for each that runs at once: few wait for the last ones of a batch. */
enum { ROUNDS_A_BATCH = 16, COUNTS = 10 };

/* Counts of a journal line: families by their place in the table, then all others. */
typedef struct Tally {
    RepliesCount *items;
    int n;
} Tally;

typedef struct Asked {
    DocumentMaker *makers; /* [n_max]: each holds a problem */
    Problem *problems;     /* [n_max]: copies, which borrow from those */
    int n;
    int64_t first; /* of all problems */
} Asked;

typedef struct Run {
    const RepliesConfig *config;
    const RepliesOptions *options;
    FileMap map; /* of problems.path */
    Str *lines;
    int64_t n_problems;
    int batch_problems;
    Backend *backend;
    Package *package;
    ModelText text;
    Model *model;
    Asked batch;
    Tally tally;
    Buf made;
    FileWriter *out;
    Seen seen;
    Units units;
} Run;

/* ---- Problems -------------------------------------------------------------------------------- */

static bool check_line(const RepliesConfig *c, Problem *p, Str line, int64_t number, Error *err)
{
    if (!problem_read(p, line, err))
        return error_add(err, "%s:%lld", c->path, (long long)number);
    if (!p->family && !c->keeps_all)
        return error_set(err, ERROR_FORMAT,
                         "%s:%lld: no family \"%.60s\", so nobody can say whether a reply is "
                         "right; keep.which: all takes every reply",
                         c->path, (long long)number, p->family_name.data);
    return true;
}

static bool read_problems(Run *r, Error *err)
{
    const RepliesConfig *c = r->config;
    Problem problem = {0};
    int64_t number = 0, n_max = 0;
    if (!file_map(&r->map, c->path, err))
        return false;
    const char *data = (const char *)r->map.data;
    for (size_t i = 0; i < r->map.bytes; i++)
        n_max += data[i] == '\n';
    r->lines = mem_try_alloc(sizeof *r->lines * (size_t)(n_max + 1), "problems", err);
    bool ok = r->lines != NULL;
    for (size_t at = 0, end; ok && at < r->map.bytes; at = end + 1) {
        const char *newline = memchr(data + at, '\n', r->map.bytes - at);
        end = newline ? (size_t)(newline - data) : r->map.bytes;
        const Str line = {data + at, end - at};
        number++;
        if (line.bytes == 0)
            continue;
        ok = check_line(c, &problem, line, number, err);
        r->lines[r->n_problems++] = line;
    }
    problem_close(&problem);
    return ok && (r->n_problems > 0 ||
                  error_set(err, ERROR_FORMAT, "%s: there is no problem in it", c->path));
}

static bool open_problems(Run *r, Error *err)
{
    const RepliesConfig *c = r->config;
    if (c->path && !read_problems(r, err))
        return false;
    if (!c->path)
        r->n_problems = c->mix->n_documents;
    int n = (c->n_at_once * ROUNDS_A_BATCH + c->group - 1) / c->group;
    n += n % 2; /* so that every other problem stays every other one */
    r->batch_problems = n;
    r->batch.makers = mem_alloc(sizeof *r->batch.makers * (size_t)n);
    r->batch.problems = mem_alloc(sizeof *r->batch.problems * (size_t)n);
    return true;
}

static bool fill_batch(Run *r, int64_t first, Error *err)
{
    Asked *b = &r->batch;
    const int64_t left = r->n_problems - first;
    b->first = first;
    b->n = left < r->batch_problems ? (int)left : r->batch_problems;
    for (int i = 0; i < b->n; i++) {
        DocumentMaker *maker = &b->makers[i];
        buf_clear(&r->made);
        if (!r->lines)
            mixture_document(r->config->mix, maker, first + i, &r->made);
        else if (!problem_read(&maker->problem, r->lines[first + i], err))
            return false;
        b->problems[i] = maker->problem;
    }
    return true;
}

/* ---- What is kept ---------------------------------------------------------------------------- */

static bool is_whole(const Rollout *r)
{
    return r->turns && (r->finish == FINISH_STOP || r->finish == FINISH_TOOL_CALLS);
}

/* The calls of an episode have to be answered. */
static bool is_over(const Rollout *r, const Problem *p)
{
    const bool is_episode = p->family && p->family->is_episode;
    return is_whole(r) && (!is_episode || r->finish == FINISH_STOP);
}

static uint64_t key_of(const Rollout *r)
{
    char *text = json_dumps(r->turns, JSON_COMPACT);
    const uint64_t key = hash_bytes(0, str_from(text ? text : ""));
    free(text);
    return key;
}

typedef struct Candidate {
    const Rollout *rollout;
    uint64_t key, order; /* lower ones are taken first */
} Candidate;

static int by_order(const void *a, const void *b)
{
    const Candidate *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

/* Marks of a thought in an answer: the chat template would cut the answer there. */
static bool has_marks(const Rollout *r)
{
    size_t i;
    json_t *turn;
    json_array_foreach(r->turns, i, turn)
    {
        const char *content = json_string_value(json_object_get(turn, "content"));
        if (content && (strstr(content, "<think>") || strstr(content, "</think>")))
            return true;
    }
    return false;
}

/* A thought is there or not, and its marks are nowhere else. */
static bool follows(const Rollout *r, const TaskReply *reply, bool thinks)
{
    return (reply->thinking.bytes > 0) == thinks && !has_marks(r);
}

/* Without memory to look, a reply is left out. */
static bool is_unfit(Run *r, const Problem *p, const TaskReply *reply)
{
    const RepliesConfig *c = r->config;
    double thought = 0, answer = 0;
    if (c->same_script && reply_changes_script(p, reply))
        return true;
    return c->repetition < 1 && (!reply_repetition(&r->units, reply->thinking, &thought, NULL) ||
                                 !reply_repetition(&r->units, reply->content, &answer, NULL) ||
                                 thought > c->repetition || answer > c->repetition);
}

/* The replies of one problem that may be kept, counted and in the order of choice. */
static int sift(Run *r, int problem_i, int thinks, const Rollout *group, Candidate *out,
                RepliesCount *count)
{
    const RepliesConfig *c = r->config;
    const Problem *p = &r->batch.problems[problem_i];
    const int64_t right_before = count->right;
    int n = 0;
    for (int j = 0; j < c->group; j++) {
        const TaskReply reply = rollout_reply(&group[j]);
        const bool is_right = p->family && is_over(&group[j], p) && task_score(p, &reply) >= 1;
        const uint64_t key = is_over(&group[j], p) ? key_of(&group[j]) : 0;
        bool is_new = true;
        count->replies++;
        count->right += is_right;
        for (int k = 0; k < n; k++)
            is_new = is_new && out[k].key != key;
        if (!is_over(&group[j], p))
            count->cut++;
        else if (thinks >= 0 && !follows(&group[j], &reply, thinks == 1))
            count->other_mode++;
        else if (is_unfit(r, p, &reply))
            count->unfit++;
        else if (!is_new)
            count->repeated++;
        else if (is_right || c->keeps_all)
            out[n++] = (Candidate){&group[j], key,
                                   c->at_random ? rng_counter((uint64_t)c->seed, key, 1)
                                                : (uint64_t)group[j].n_sampled};
    }
    count->problems++;
    count->solved += count->right > right_before;
    if ((double)(count->right - right_before) < c->least_solved * c->group)
        return 0;
    qsort(out, (size_t)n, sizeof *out, by_order);
    return c->per_problem > 0 && n > c->per_problem ? c->per_problem : n;
}

/* ---- Documents ------------------------------------------------------------------------------- */

/* Behind the last question. */
static void add_flag(json_t *messages, const char *flag)
{
    size_t i = json_array_size(messages);
    while (i-- > 0) {
        json_t *message = json_array_get(messages, i);
        if (strcmp(json_string_value(json_object_get(message, "role")), "user") != 0)
            continue;
        Buf text = {0};
        buf_puts(&text, json_string_value(json_object_get(message, "content")));
        buf_puts(&text, flag);
        json_object_set_new(message, "content", json_stringn(text.data, text.bytes));
        buf_free(&text);
        return;
    }
}

/* The problem's messages; what a dialogue says the model answered is context. */
static json_t *prompt_messages(const Problem *p)
{
    Buf line = {0};
    problem_write(p, &line);
    json_t *problem = json_loadb(line.data, line.bytes, 0, NULL);
    json_t *messages = json_incref(json_object_get(problem, "messages"));
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *message = json_array_get(messages, i);
        if (strcmp(json_string_value(json_object_get(message, "role")), "assistant") == 0)
            json_object_set_new(message, "weight", json_integer(0));
    }
    json_decref(problem);
    buf_free(&line);
    return messages;
}

/* A new reference. How the mode is told: a flag, the switch, or (thinking, mostly) nothing. */
static json_t *document(const RepliesConfig *c, const Problem *p, const Candidate *kept, int thinks)
{
    json_t *messages = prompt_messages(p);
    json_t *json = json_pack("{s:O}", "messages", messages);
    const double draw = rng_unit(rng_counter((uint64_t)c->seed, kept->key, 2));
    if (p->mode == MODE_ANY && thinks == 1 && draw < c->flagged)
        add_flag(messages, " /think");
    if (p->mode == MODE_ANY && thinks == 0 && draw < c->hard_off)
        json_object_set_new(json, "enable_thinking", json_false());
    else if (p->mode == MODE_ANY && thinks == 0)
        add_flag(messages, " /no_think");
    json_array_extend(messages, kept->rollout->turns);
    if (p->tools.bytes > 0)
        json_object_set_new(json, "tools", json_loadb(p->tools.data, p->tools.bytes, 0, NULL));
    json_object_set_new(json, "family", json_stringn(p->family_name.data, p->family_name.bytes));
    json_object_set_new(json, "difficulty", json_integer(p->difficulty));
    if (thinks >= 0)
        json_object_set_new(json, "mode", json_string(thinks ? "think" : "no_think"));
    json_decref(messages);
    return json;
}

/* ---- Counting -------------------------------------------------------------------------------- */

static void fields_of(RepliesCount *c, int64_t *fields[COUNTS])
{
    int64_t *all[COUNTS] = {&c->problems,   &c->solved, &c->replies,  &c->right, &c->cut,
                            &c->other_mode, &c->unfit,  &c->repeated, &c->kept,  &c->kept_tokens};
    memcpy(fields, all, sizeof all);
}

static void add_counts(RepliesCount *to, RepliesCount *more)
{
    int64_t *a[COUNTS], *b[COUNTS];
    fields_of(to, a);
    fields_of(more, b);
    for (int i = 0; i < COUNTS; i++)
        *a[i] += *b[i];
}

/* The family's line; the last one is all together, the one before it families that nobody knows. */
static RepliesCount *count_of(Tally *t, const TaskFamily *family)
{
    int i = 0;
    while (i < task_n_families() && task_family(i) != family)
        i++;
    return &t->items[i];
}

static void open_tally(Tally *t)
{
    t->n = task_n_families() + 2;
    t->items = mem_alloc(sizeof *t->items * (size_t)t->n);
    for (int i = 0; i < task_n_families(); i++)
        t->items[i].family = task_family(i)->name;
    t->items[t->n - 2].family = "others";
    t->items[t->n - 1].family = "";
}

/* {"chain": [counts], ...} */
static json_t *tally_json(Tally *t)
{
    json_t *json = json_object();
    for (int i = 0; i < t->n - 1; i++) {
        int64_t *values[COUNTS];
        if (t->items[i].problems == 0)
            continue;
        json_t *list = json_array();
        fields_of(&t->items[i], values);
        for (int k = 0; k < COUNTS; k++)
            json_array_append_new(list, json_integer(*values[k]));
        json_object_set_new(json, t->items[i].family, list);
    }
    return json;
}

static void add_tally_json(Tally *t, const json_t *json)
{
    for (int i = 0; i < t->n - 1; i++) {
        const json_t *list = json_object_get(json, t->items[i].family);
        RepliesCount more = {0};
        int64_t *values[COUNTS];
        fields_of(&more, values);
        for (int k = 0; k < COUNTS; k++)
            *values[k] = json_integer_value(json_array_get(list, (size_t)k));
        add_counts(&t->items[i], &more);
        add_counts(&t->items[t->n - 1], &more);
    }
}

/* ---- A batch --------------------------------------------------------------------------------- */

static RolloutOptions rollout_options(const Run *r, const Sampling *sampling,
                                      int32_t eos[CONFIG_EOS_MAX])
{
    const RepliesConfig *c = r->config;
    return (RolloutOptions){
        .group = c->group,
        .max_tokens = c->max_tokens,
        .max_turns = c->max_turns,
        .thinks = chat_template_is_hybrid(r->text.chat) ? c->thinks : -1,
        .seed = rng_counter((uint64_t)c->seed, 0, 0) + (uint64_t)(r->batch.first * c->group),
        .eos_ids = eos,
        .n_eos = assets_generation_eos(package_generation_config(r->package),
                                       r->model->config.n_vocab, eos),
        .sampling = sampling,
        .n_at_once = c->n_at_once,
        .keeps_turns = true,
    };
}

/* The journal's line of what was sampled. */
static json_t *note(Run *r, const RolloutOptions *options, const Rollouts *rollouts)
{
    const RepliesConfig *c = r->config;
    Tally tally;
    json_t *documents = json_array();
    Candidate *candidates = mem_alloc(sizeof *candidates * (size_t)c->group);
    open_tally(&tally);
    for (int i = 0; i < r->batch.n; i++) {
        const Problem *p = &r->batch.problems[i];
        const int thinks = rollout_thinks(options, p, i);
        RepliesCount *count = count_of(&tally, p->family);
        const int n = sift(r, i, thinks, rollouts->items + i * c->group, candidates, count);
        for (int k = 0; k < n; k++) {
            json_array_append_new(documents, document(c, p, &candidates[k], thinks));
            count->kept++;
            count->kept_tokens += candidates[k].rollout->n_sampled;
        }
    }
    json_t *line = json_pack("{s:o, s:o}", "documents", documents, "families", tally_json(&tally));
    mem_free(tally.items);
    mem_free(candidates);
    return line;
}

static bool take_batch(Run *r, Journal *journal, int64_t first, Error *err)
{
    const RepliesConfig *c = r->config;
    int32_t eos[CONFIG_EOS_MAX];
    Rollouts rollouts = {0};
    Sampling sampling = sampling_defaults();
    sampling.temperature = (float)c->temperature;
    sampling.top_p = (float)c->top_p;
    sampling.top_k = c->top_k;
    if (!fill_batch(r, first, err))
        return false;
    const RolloutOptions options = rollout_options(r, &sampling, eos);
    bool ok =
        rollouts_make(&rollouts, r->model, &r->text, r->batch.problems, r->batch.n, &options, err);
    if (ok) {
        json_t *line = note(r, &options, &rollouts);
        ok = journal_add(journal, line, err) && journal_flush(journal, err);
        add_tally_json(&r->tally, json_object_get(line, "families"));
        json_decref(line);
    }
    rollouts_free(&rollouts);
    return ok;
}

/* ---- All ------------------------------------------------------------------------------------- */

static bool open_model(Run *r, Error *err)
{
    const char *from = r->config->from;
    if (!(r->package = package_open(from, true, err)) ||
        !model_text_open(&r->text, r->package, err))
        return false;
    if (!r->text.chat)
        return error_set(err, ERROR_UNSUPPORTED, "%s: it has no chat template", from);
    r->backend = backend_open("cpu", r->options->n_threads, err);
    return r->backend && (r->model = model_open(r->package, r->backend, NULL, err)) != NULL;
}

static bool count_line(void *context, int64_t number, json_t *line, Error *err)
{
    (void)number, (void)err;
    add_tally_json(context, json_object_get(line, "families"));
    return true;
}

static bool sample_all(Run *r, Journal *journal, Error *err)
{
    const RepliesCount *all = &r->tally.items[r->tally.n - 1];
    for (int64_t i = journal->n * r->batch_problems; i < r->n_problems; i += r->batch_problems) {
        if (r->options->stop && *r->options->stop)
            return error_set(err, ERROR_CANCELLED,
                             "stopped after %lld of %lld problems; the same command goes on from "
                             "there",
                             (long long)all->problems, (long long)r->n_problems);
        if (!take_batch(r, journal, i, err))
            return false;
        if (r->options->progress)
            r->options->progress(r->options->context, all, r->n_problems);
    }
    return true;
}

/* The documents of a journal line, without those that are there already. */
static bool write_line(void *context, int64_t number, json_t *line, Error *err)
{
    Run *r = context;
    size_t i;
    json_t *item;
    bool ok = true;
    (void)number;
    json_array_foreach(json_object_get(line, "documents"), i, item)
    {
        char *text = json_dumps(item, JSON_COMPACT);
        int64_t *seen = ok && text ? seen_number(&r->seen, str_from(text), err) : NULL;
        ok = ok && seen;
        if (ok && *seen < 0) {
            *seen = 0;
            ok = file_writer_write(r->out, text, strlen(text), err) &&
                 file_writer_write(r->out, "\n", 1, err);
        }
        free(text);
    }
    return ok;
}

static bool describe(const Run *r, Buf *out, Error *err)
{
    const RepliesConfig *c = r->config;
    const char *const paths[] = {c->path};
    buf_printf(out, "%lld ", (long long)file_time(c->from));
    return journal_describe(c->json, paths, c->path ? 1 : 0, out, err);
}

static bool sample_and_write(Run *r, RepliesReport *report, Error *err)
{
    Journal journal;
    Buf run = {0};
    bool ok = describe(r, &run, err) && journal_open(&journal, r->options->out, buf_str(&run), err);
    buf_free(&run);
    if (!ok)
        return false;
    ok = journal_read(&journal, count_line, &r->tally, err);
    report->n_resumed = r->tally.items[r->tally.n - 1].problems;
    ok = ok && sample_all(r, &journal, err) && (r->out = file_writer_open(r->options->out, err));
    if (ok)
        ok = file_writer_finish(r->out, journal_read(&journal, write_line, r, err), err);
    if (ok)
        journal_remove(&journal);
    else
        journal_close(&journal);
    return ok;
}

static void close_run(Run *r)
{
    for (int i = 0; i < r->batch_problems; i++)
        document_maker_close(&r->batch.makers[i]);
    mem_free(r->batch.makers);
    mem_free(r->batch.problems);
    if (r->model)
        model_close(r->model);
    if (r->backend)
        r->backend->close(r->backend);
    model_text_close(&r->text);
    package_close(r->package);
    mem_free(r->lines);
    file_unmap(&r->map);
    seen_close(&r->seen);
    units_free(&r->units);
    buf_free(&r->made);
}

bool replies_run(const RepliesConfig *c, const RepliesOptions *options, RepliesReport *report,
                 Error *err)
{
    Run r = {.config = c, .options = options};
    *report = (RepliesReport){0};
    open_tally(&r.tally);
    const bool ok =
        open_problems(&r, err) && open_model(&r, err) && sample_and_write(&r, report, err);
    close_run(&r);
    report->families = r.tally.items;
    report->n = r.tally.n;
    return ok;
}

void replies_report_free(RepliesReport *report)
{
    mem_free(report->families);
    *report = (RepliesReport){0};
}
