/* See prompts.h. */
#include "rl/prompts.h"

#include "base/file.h"
#include "base/rng.h"
#include "rl/epoch_order.h"

#include <string.h>

enum { ENTRIES_MAX = 128, LEVEL_GROUPS_MIN = 6 };
#define MEMORY 0.8 /* of the recent share, a group */

/* A family, and how it goes. The second part is what is saved. */
typedef struct Level {
    int64_t now, n_groups; /* n_groups: since it moved */
    double share;          /* recent, of answers that were right */
} Level;

typedef struct Entry {
    const TaskFamily *family;
    double cumulated; /* weights up to and with this one */
    int low, high;
} Entry;

struct Prompts {
    PromptOptions options;
    int64_t n_draws;
    Entry entries[ENTRIES_MAX];
    Level levels[ENTRIES_MAX];
    int n_entries;
    Buf text; /* the file */
    Str *lines;
    int n_lines;
    EpochOrder order;
    Problem sample;
    Arena arena;
};

/* ---- Files
 * ------------------------------------------------------------------------------------------- */

static Str next_line(const Buf *text, size_t *at)
{
    const char *from = text->data + *at, *end = memchr(from, '\n', text->bytes - *at);
    const size_t n = end ? (size_t)(end - from) : text->bytes - *at;
    *at += n + 1;
    return (Str){from, n};
}

static bool read_file(Prompts *p, const char *path, Error *err)
{
    Problem problem = {0};
    int n_max = 1, number = 0;
    bool ok = file_read(&p->text, path, SIZE_MAX, err);
    for (size_t i = 0; ok && i < p->text.bytes; i++)
        n_max += p->text.data[i] == '\n';
    p->lines = ARENA_ARRAY(&p->arena, Str, n_max);
    for (size_t at = 0; ok && at < p->text.bytes;) {
        const Str line = next_line(&p->text, &at);
        number++;
        if (line.bytes == 0)
            continue;
        ok = problem_read(&problem, line, err) || error_add(err, "%s:%d", path, number);
        p->lines[p->n_lines++] = line;
    }
    problem_close(&problem);
    if (ok && p->n_lines == 0)
        return error_set(err, ERROR_FORMAT, "%s: there is no problem in it", path);
    p->order = epoch_order(p->options.seed, p->n_lines, &p->arena);
    return ok;
}

/* ---- Families
 * ---------------------------------------------------------------------------------------- */

static void add_entry(Prompts *p, const TaskFamily *family, double weight, int low, int high)
{
    const double before = p->n_entries > 0 ? p->entries[p->n_entries - 1].cumulated : 0;
    p->levels[p->n_entries].now = low;
    p->entries[p->n_entries++] = (Entry){family, before + weight, low, high};
}

static bool read_entry(Prompts *p, const json_t *item, size_t i, Error *err)
{
    const char *name = json_string_value(json_object_get(item, "family"));
    const json_t *range = json_object_get(item, "difficulty");
    const json_t *weight = json_object_get(item, "weight");
    const TaskFamily *family = name ? task_find(name) : NULL;
    if (!family)
        return error_set(err, ERROR_FORMAT, "prompts.families[%zu]: there is no family \"%.60s\"",
                         i, name ? name : "");
    const double share = weight ? json_number_value(weight) : 1;
    int low = 1, high = family->difficulty_max;
    if (range) {
        low = (int)json_integer_value(json_array_get(range, 0));
        high = (int)json_integer_value(json_array_get(range, 1));
    }
    if (!(share > 0 && share < 1e9))
        return error_set(err, ERROR_FORMAT, "prompts.families[%zu]: its weight is not above 0", i);
    if (low < 1 || high < low || high > family->difficulty_max)
        return error_set(err, ERROR_FORMAT,
                         "prompts.families[%zu]: difficulty is [low, high] within 1 .. %d", i,
                         family->difficulty_max);
    add_entry(p, family, share, low, high);
    return true;
}

static bool read_families(Prompts *p, const json_t *families, Error *err)
{
    if (!families) {
        for (int i = 0; i < task_n_families() && i < ENTRIES_MAX; i++)
            add_entry(p, task_family(i), 1, 1, task_family(i)->difficulty_max);
        return true;
    }
    if (!json_is_array(families) || json_array_size(families) == 0)
        return error_set(err, ERROR_FORMAT,
                         "prompts.families: a list of {family, weight, difficulty}");
    if (json_array_size(families) > ENTRIES_MAX)
        return error_set(err, ERROR_LIMIT, "prompts.families: at most %d", ENTRIES_MAX);
    for (size_t i = 0; i < json_array_size(families); i++)
        if (!read_entry(p, json_array_get(families, i), i, err))
            return false;
    return true;
}

static int draw_entry(const Prompts *p, Rng *rng)
{
    const double at = rng_uniform(rng) * p->entries[p->n_entries - 1].cumulated;
    int i = 0;
    while (i + 1 < p->n_entries && p->entries[i].cumulated <= at)
        i++;
    return i;
}

static int draw_level(const Prompts *p, int i, Rng *rng)
{
    const Entry *e = &p->entries[i];
    if (!p->options.is_even)
        return (int)p->levels[i].now;
    return e->low + (int)rng_below(rng, (uint64_t)(e->high - e->low) + 1);
}

static int entry_of(const Prompts *p, const TaskFamily *family)
{
    for (int i = 0; family && i < p->n_entries; i++)
        if (p->entries[i].family == family)
            return i;
    return -1;
}

/* ---- Drawing
 * ----------------------------------------------------------------------------------------- */

static void make(Prompts *p, int64_t n, Problem *out)
{
    if (p->n_lines > 0) {
        Error err;
        const bool ok = problem_read(out, p->lines[epoch_order_at(&p->order, n)], &err);
        (void)ok; /* every line was read when the file was opened */
        return;
    }
    Rng rng = {rng_counter(p->options.seed, (uint64_t)n, 1)};
    const int i = draw_entry(p, &rng);
    const ProblemSpec spec = {.family = p->entries[i].family,
                              .split = SPLIT_RL,
                              .difficulty = draw_level(p, i, &rng),
                              .lang = -1,
                              .seed = rng_next(&rng)};
    problem_make(out, &spec);
}

Prompts *prompts_open(const PromptOptions *options, Error *err)
{
    Prompts *p = mem_alloc(sizeof *p);
    p->options = *options;
    p->options.families = NULL; /* borrowed only now */
    if (options->path && options->families)
        error_set(err, ERROR_FORMAT, "prompts: give either path or families");
    else if (options->path ? read_file(p, options->path, err)
                           : read_families(p, options->families, err)) {
        make(p, 0, &p->sample);
        return p;
    }
    prompts_close(p);
    return NULL;
}

void prompts_close(Prompts *p)
{
    if (!p)
        return;
    problem_close(&p->sample);
    buf_free(&p->text);
    arena_close(&p->arena);
    mem_free(p);
}

const Problem *prompts_sample(Prompts *p) { return &p->sample; }

bool prompts_have_verifiers(Prompts *p, Str *line)
{
    Problem problem = {0};
    Error err;
    bool all = true;
    for (int i = 0; i < p->n_lines && all; i++) {
        all = problem_read(&problem, p->lines[i], &err) && problem.family != NULL;
        if (!all)
            *line = str_slice(p->lines[i], 0, p->lines[i].bytes < 80 ? p->lines[i].bytes : 80);
    }
    problem_close(&problem);
    return all;
}

void prompts_next(Prompts *p, Problem *out)
{
    *out = (Problem){0};
    make(p, p->n_draws++, out);
}

void prompts_learn(Prompts *p, const Problem *problem, double share)
{
    const int i = entry_of(p, problem->family);
    if (i < 0 || problem->difficulty != p->levels[i].now)
        return;
    Level *level = &p->levels[i];
    level->share = level->n_groups == 0 ? share : MEMORY * level->share + (1 - MEMORY) * share;
    if (++level->n_groups < LEVEL_GROUPS_MIN)
        return;
    int64_t next = level->now;
    if (level->share > p->options.raise && next < p->entries[i].high)
        next++;
    else if (level->share < p->options.lower && next > p->entries[i].low)
        next--;
    if (next != level->now)
        *level = (Level){.now = next};
}

int prompts_level(const Prompts *p, const TaskFamily *family)
{
    const int i = entry_of(p, family);
    return i < 0 ? 0 : (int)p->levels[i].now;
}

/* ---- Saving
 * ------------------------------------------------------------------------------------------ */

void prompts_save(const Prompts *p, Buf *out)
{
    const int64_t n = p->n_entries;
    buf_append(out, &p->n_draws, sizeof p->n_draws);
    buf_append(out, &n, sizeof n);
    buf_append(out, p->levels, sizeof *p->levels * (size_t)p->n_entries);
}

bool prompts_load(Prompts *p, Str saved)
{
    int64_t n;
    if (saved.bytes != 2 * sizeof n + sizeof *p->levels * (size_t)p->n_entries)
        return false;
    memcpy(&n, saved.data + sizeof n, sizeof n);
    if (n != p->n_entries)
        return false;
    memcpy(&p->n_draws, saved.data, sizeof p->n_draws);
    memcpy(p->levels, saved.data + 2 * sizeof n, sizeof *p->levels * (size_t)n);
    return true;
}
