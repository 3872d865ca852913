/* The configuration of replies.h. */
#include "rl/replies.h"

#include <stddef.h>

#define AT(field) offsetof(RepliesConfig, field)
static const Field fields[] = {
    {"model.from", FIELD_TEXT, AT(from), 0, 0, 0, NULL, false},
    {"problems.path", FIELD_TEXT, AT(path), 0, 0, 0, NULL, false},
    {"problems.make", FIELD_JSON, AT(make), 0, 0, 0, NULL, false},
    {"sample.group", FIELD_INT, AT(group), 1, 1 << 12, 8, NULL, false},
    {"sample.max_tokens", FIELD_INT, AT(max_tokens), 1, 1 << 20, 256, NULL, false},
    {"sample.max_turns", FIELD_INT, AT(max_turns), 1, 64, 4, NULL, false},
    {"sample.think", FIELD_CHOICE, AT(thinks), 0, 0, 1, "no|yes|both", false},
    {"sample.temperature", FIELD_REAL, AT(temperature), 0, 100, 1, NULL, false},
    {"sample.top_p", FIELD_REAL, AT(top_p), 1e-6, 1, 1, NULL, false},
    {"sample.top_k", FIELD_INT, AT(top_k), 0, 1 << 20, 0, NULL, false},
    {"sample.at_once", FIELD_INT, AT(n_at_once), 1, 4096, ENGINE_SEQUENCES, NULL, false},
    {"sample.seed", FIELD_INT64, AT(seed), 0, 9e15, 1, NULL, false},
    {"keep.which", FIELD_CHOICE, AT(keeps_all), 0, 0, 0, "right|all", false},
    {"keep.pick", FIELD_CHOICE, AT(at_random), 0, 0, 0, "shortest|random", false},
    {"keep.per_problem", FIELD_INT, AT(per_problem), 0, 1 << 12, 1, NULL, false},
    {"keep.least_solved", FIELD_REAL, AT(least_solved), 0, 1, 0, NULL, false},
    {"keep.repetition", FIELD_REAL, AT(repetition), 0, 1, 1, NULL, false},
    {"keep.same_script", FIELD_BOOL, AT(same_script), 0, 1, 0, NULL, false},
    {"output.flagged", FIELD_REAL, AT(flagged), 0, 1, 0.3, NULL, false},
    {"output.hard_off", FIELD_REAL, AT(hard_off), 0, 1, 0.2, NULL, false},
};

static bool read_make(RepliesConfig *c, Error *err)
{
    c->mix = mem_alloc(sizeof *c->mix);
    if (json_object_get(c->make, "kind"))
        return error_set(err, ERROR_FORMAT, "problems.make.kind: leave it out, problems are made");
    if (!mixture_read(c->mix, c->make, err))
        return error_add(err, "problems.make");
    c->mix->kind = MIXTURE_PROBLEMS;
    return true;
}

static bool check(RepliesConfig *c, Error *err)
{
    if (!c->from)
        return error_set(err, ERROR_FORMAT, "model.from: the model that replies is needed");
    if ((c->path != NULL) == (c->make != NULL))
        return error_set(err, ERROR_FORMAT,
                         "problems: give either path, a file of problems, or make, the keys of a "
                         "mixture of families");
    if (c->per_problem > c->group)
        return error_set(err, ERROR_FORMAT,
                         "keep.per_problem: there are only %d replies to a problem (sample.group)",
                         c->group);
    return c->path || read_make(c, err);
}

bool replies_config_read(RepliesConfig *c, const char *path, const char *const *sets, int n_sets,
                         Error *err)
{
    const FieldTable table = {fields, sizeof fields / sizeof *fields};
    *c = (RepliesConfig){0};
    c->json = fields_read(&table, path, sets, n_sets, c, err);
    if (c->json && check(c, err))
        return true;
    const bool is_read = c->json != NULL;
    replies_config_close(c);
    return is_read ? error_add(err, "%s", path) : false;
}

void replies_config_close(RepliesConfig *c)
{
    json_decref(c->json);
    mem_free(c->mix);
    *c = (RepliesConfig){0};
}
