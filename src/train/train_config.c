/* See train_config.h. One table lists every key with its type, range and default; reading, --set,
 * the complete config.yaml and the comparison on resume all go by it. */
#include "train/train_config.h"

#include "base/file.h"
#include "train/yaml.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 1 << 20, KEY_BYTES = 64, DISTANCE_MAX = 3 };

typedef enum FieldType {
    FIELD_INT,
    FIELD_INT64,
    FIELD_REAL,
    FIELD_BOOL,
    FIELD_TEXT,
    FIELD_CHOICE
} FieldType;

typedef struct Field {
    const char *key; /* "group.name" */
    FieldType type;
    size_t offset;
    double low, high, fallback; /* of numbers; of a choice: its index */
    const char *choices;        /* "a|b|c" */
    bool may_change;            /* on resume */
} Field;

#define AT(field) offsetof(TrainConfig, field)
static const Field fields[] = {
    {"model.from", FIELD_TEXT, AT(from), 0, 0, 0, NULL, false},
    {"model.init_deviation", FIELD_REAL, AT(init_deviation), 1e-6, 10, 0.02, NULL, false},
    {"model.compute", FIELD_CHOICE, AT(compute), 0, 0, 1, "f32|bf16", false},
    {"model.tokenizer", FIELD_TEXT, AT(tokenizer), 0, 0, 0, NULL, false},
    {"data.seed", FIELD_INT64, AT(seed), 0, 9e15, 1, NULL, false},
    {"batch.rows", FIELD_INT, AT(rows), 1, 1 << 20, 8, NULL, false},
    {"batch.tokens", FIELD_INT, AT(tokens), 2, 1 << 20, 256, NULL, false},
    {"batch.micro_rows", FIELD_INT, AT(micro_rows), 1, 1 << 20, 8, NULL, true},
    {"batch.grains", FIELD_INT, AT(grains), 1, 1024, 1, NULL, false},
    {"batch.recompute", FIELD_BOOL, AT(recomputes), 0, 1, 0, NULL, true},
    {"batch.balance", FIELD_REAL, AT(balance), 0, 1, 0.001, NULL, false},
    {"optimizer.kind", FIELD_CHOICE, AT(optimizer.kind), 0, 0, 0, "adamw|muon", false},
    {"optimizer.beta1", FIELD_REAL, AT(optimizer.beta1), 0, 0.99999, 0.9, NULL, false},
    {"optimizer.beta2", FIELD_REAL, AT(optimizer.beta2), 0, 0.99999, 0.95, NULL, false},
    {"optimizer.eps", FIELD_REAL, AT(optimizer.eps), 1e-20, 1, 1e-8, NULL, false},
    {"optimizer.weight_decay", FIELD_REAL, AT(optimizer.weight_decay), 0, 10, 0.1, NULL, false},
    {"optimizer.clip", FIELD_REAL, AT(optimizer.clip), 0, 1e9, 1, NULL, false},
    {"optimizer.momentum", FIELD_REAL, AT(optimizer.momentum), 0, 0.99999, 0.95, NULL, false},
    {"optimizer.skip_z", FIELD_REAL, AT(optimizer.skip_z), 0, 1e9, 0, NULL, false},
    {"schedule.shape", FIELD_CHOICE, AT(schedule.shape), 0, 0, 3, "constant|linear|cosine|wsd",
     false},
    {"schedule.peak", FIELD_REAL, AT(schedule.peak), 0, 10, 1e-3, NULL, false},
    {"schedule.end", FIELD_REAL, AT(schedule.end), 0, 10, 0, NULL, false},
    {"schedule.warmup_steps", FIELD_INT64, AT(schedule.warmup_steps), 0, 1e12, 20, NULL, false},
    {"schedule.decay_steps", FIELD_INT64, AT(schedule.decay_steps), 0, 1e12, 0, NULL, false},
    {"schedule.steps", FIELD_INT64, AT(schedule.steps), 1, 1e12, 1000, NULL, false},
    {"output.checkpoint_every", FIELD_INT64, AT(checkpoint_every), 1, 1e12, 200, NULL, true},
    {"output.checkpoint_keep", FIELD_INT, AT(checkpoint_keep), 1, 1e6, 3, NULL, true},
    {"output.log_every", FIELD_INT64, AT(log_every), 1, 1e12, 1, NULL, true},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };
/* Beside the fields: these hold collections. */
static const char *const collections[] = {"model.shape", "data.sources"};

/* ---- Keys
 * ------------------------------------------------------------------------------------------- */

/* How many letters to insert, remove or change; at most DISTANCE_MAX + 1 for far ones. */
static int distance(const char *a, const char *b)
{
    int row[KEY_BYTES + 1];
    const int n = (int)strlen(a), m = (int)strlen(b);
    if (m > KEY_BYTES || n > KEY_BYTES)
        return DISTANCE_MAX + 1;
    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int before = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            const int change = before + (a[i - 1] != b[j - 1]);
            before = row[j];
            const int gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < gap ? change : gap;
        }
    }
    return row[m];
}

static bool unknown_key(const char *key, Error *err)
{
    const char *nearest = NULL;
    int best = DISTANCE_MAX + 1;
    for (int i = 0; i < N_FIELDS + 2; i++) {
        const char *known = i < N_FIELDS ? fields[i].key : collections[i - N_FIELDS];
        const int d = distance(key, known);
        if (d < best) {
            best = d;
            nearest = known;
        }
    }
    if (nearest)
        return error_set(err, ERROR_FORMAT, "%s: there is no such key; did you mean %s?", key,
                         nearest);
    return error_set(err, ERROR_FORMAT, "%s: there is no such key", key);
}

static bool is_known(const char *key)
{
    for (int i = 0; i < N_FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0)
            return true;
    return strcmp(key, collections[0]) == 0 || strcmp(key, collections[1]) == 0;
}

static bool check_keys(const json_t *json, Error *err)
{
    const char *group, *name;
    json_t *members, *value;
    if (!json_is_object(json))
        return error_set(err, ERROR_FORMAT, "the configuration is not a mapping of groups");
    json_object_foreach((json_t *)json, group, members)
    {
        if (!json_is_object(members))
            return unknown_key(group, err);
        json_object_foreach(members, name, value)
        {
            char key[2 * KEY_BYTES];
            if (strlen(group) >= KEY_BYTES || strlen(name) >= KEY_BYTES)
                return error_set(err, ERROR_FORMAT, "%.40s.%.40s: there is no such key", group,
                                 name);
            snprintf(key, sizeof key, "%.63s.%.63s", group, name); /* the check above holds */
            if (!is_known(key))
                return unknown_key(key, err);
        }
    }
    return true;
}

/* The value of "group.name", or NULL. */
static json_t *find(const json_t *json, const char *key)
{
    const char *dot = strchr(key, '.');
    char group[KEY_BYTES];
    snprintf(group, sizeof group, "%.*s", (int)(dot - key), key);
    return json_object_get(json_object_get(json, group), dot + 1);
}

static void put(json_t *json, const char *key, json_t *value)
{
    const char *dot = strchr(key, '.');
    char group[KEY_BYTES];
    snprintf(group, sizeof group, "%.*s", (int)(dot - key), key);
    if (!json_object_get(json, group))
        json_object_set_new(json, group, json_object());
    json_object_set_new(json_object_get(json, group), dot + 1, value);
}

static bool apply_set(json_t *json, const char *text, Error *err)
{
    const char *equals = strchr(text, '=');
    char key[2 * KEY_BYTES];
    if (!equals || !memchr(text, '.', (size_t)(equals - text)) ||
        (size_t)(equals - text) >= sizeof key)
        return error_set(err, ERROR_ARGUMENT, "--set %s: it has to be group.name=value", text);
    snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
    if (!is_known(key))
        return unknown_key(key, err) || error_add(err, "--set");
    json_t *value = yaml_read(str_from(equals + 1), key, err);
    if (!value)
        return error_add(err, "--set");
    put(json, key, value);
    return true;
}

/* ---- Values
 * ----------------------------------------------------------------------------------------- */

static json_t *fallback_of(const Field *f)
{
    switch (f->type) {
    case FIELD_INT:
    case FIELD_INT64:
        return json_integer((json_int_t)f->fallback);
    case FIELD_REAL:
        return json_real(f->fallback);
    case FIELD_BOOL:
        return json_boolean(f->fallback != 0);
    case FIELD_TEXT:
        break;
    case FIELD_CHOICE: {
        const char *at = f->choices;
        for (int i = 0; i < (int)f->fallback; i++)
            at = strchr(at, '|') + 1;
        return json_stringn(at, strcspn(at, "|"));
    }
    }
    return json_null();
}

static bool read_choice(const Field *f, const json_t *value, int *out, Error *err)
{
    const char *text = json_string_value(value), *at = f->choices;
    for (int i = 0; text; i++) {
        const size_t n = strcspn(at, "|");
        if (strlen(text) == n && memcmp(text, at, n) == 0) {
            *out = i;
            return true;
        }
        if (at[n] == 0)
            break;
        at += n + 1;
    }
    return error_set(err, ERROR_FORMAT, "%s: it is one of %s", f->key, f->choices);
}

static bool read_field(const Field *f, const json_t *value, void *out, Error *err)
{
    const double number = json_number_value(value);
    const bool is_integer = json_is_integer(value);
    switch (f->type) {
    case FIELD_INT:
    case FIELD_INT64:
    case FIELD_REAL:
        if (!json_is_number(value) || (f->type != FIELD_REAL && !is_integer))
            return error_set(err, ERROR_FORMAT, "%s: it is not %s", f->key,
                             f->type == FIELD_REAL ? "a number" : "a whole number");
        if (!(number >= f->low && number <= f->high))
            return error_set(err, ERROR_LIMIT, "%s: %g is not in %g .. %g", f->key, number, f->low,
                             f->high);
        if (f->type == FIELD_INT)
            *(int *)out = (int)json_integer_value(value);
        else if (f->type == FIELD_INT64)
            *(int64_t *)out = json_integer_value(value);
        else
            *(double *)out = number;
        return true;
    case FIELD_BOOL:
        *(bool *)out = json_is_true(value);
        return json_is_boolean(value) ||
               error_set(err, ERROR_FORMAT, "%s: it is true or false", f->key);
    case FIELD_TEXT:
        *(const char **)out = json_string_value(value);
        return json_is_string(value) || json_is_null(value) ||
               error_set(err, ERROR_FORMAT, "%s: it is not a text", f->key);
    case FIELD_CHOICE:
        return read_choice(f, value, out, err);
    }
    return false;
}

static bool read_sources(TrainConfig *c, Error *err)
{
    const json_t *list = find(c->json, "data.sources");
    if (json_array_size(list) == 0)
        return error_set(err, ERROR_FORMAT, "data.sources: a list of {path, weight} is needed");
    if (json_array_size(list) > TRAIN_SOURCES_MAX)
        return error_set(err, ERROR_LIMIT, "data.sources: at most %d", TRAIN_SOURCES_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        TrainSource *source = &c->sources[c->n_sources++];
        const char *key;
        json_t *value;
        json_object_foreach(item, key, value) if (
            strcmp(key, "path") != 0 &&
            strcmp(key, "weight") !=
                0) return error_set(err, ERROR_FORMAT,
                                    "data.sources[%zu]: \"%s\" is neither path nor weight", i, key);
        source->path = json_string_value(json_object_get(item, "path"));
        if (!source->path)
            return error_set(err, ERROR_FORMAT, "data.sources[%zu]: its path is missing", i);
        if (!json_object_get(item, "weight"))
            json_object_set_new(item, "weight", json_real(1));
        source->weight = json_number_value(json_object_get(item, "weight"));
        if (!(source->weight > 0 && source->weight < 1e9))
            return error_set(err, ERROR_FORMAT, "data.sources[%zu]: its weight is not above 0", i);
    }
    return true;
}

/* What one key alone cannot say. */
static bool check_together(TrainConfig *c, Error *err)
{
    c->shape = find(c->json, "model.shape");
    if ((c->from != NULL) == (c->shape != NULL))
        return error_set(err, ERROR_FORMAT, "model: give either from or shape");
    if (c->shape && !json_is_object(c->shape))
        return error_set(err, ERROR_FORMAT, "model.shape: it holds the keys of a config.json");
    if (c->shape && !c->tokenizer)
        return error_set(err, ERROR_FORMAT, "model.tokenizer: it is needed with model.shape");
    if (c->tokens % 2)
        return error_set(err, ERROR_FORMAT, "batch.tokens: %d is odd", c->tokens);
    if (c->grains & (c->grains - 1))
        return error_set(err, ERROR_FORMAT, "batch.grains: %d is not a power of two", c->grains);
    if (c->rows % c->grains)
        return error_set(err, ERROR_FORMAT, "batch.rows: %d rows cannot be divided into %d grains",
                         c->rows, c->grains);
    if (c->schedule.warmup_steps + c->schedule.decay_steps > c->schedule.steps)
        return error_set(err, ERROR_FORMAT, "schedule: warm-up and decay are longer than steps");
    return true;
}

static bool read_all(TrainConfig *c, Error *err)
{
    for (int i = 0; i < N_FIELDS; i++) {
        const Field *f = &fields[i];
        if (!find(c->json, f->key))
            put(c->json, f->key, fallback_of(f));
        if (f->offset == AT(compute)) {
            int choice;
            if (!read_choice(f, find(c->json, f->key), &choice, err))
                return false;
            c->compute = choice == 0 ? DTYPE_F32 : DTYPE_BF16;
        } else if (!read_field(f, find(c->json, f->key), (char *)c + f->offset, err)) {
            return false;
        }
    }
    return read_sources(c, err) && check_together(c, err);
}

bool train_config_read(TrainConfig *c, const char *path, const char *const *sets, int n_sets,
                       Error *err)
{
    *c = (TrainConfig){0};
    Buf text = {0};
    bool ok = file_read(&text, path, CONFIG_BYTES_MAX, err);
    if (ok) {
        c->json = yaml_read(buf_str(&text), path, err);
        ok = c->json && check_keys(c->json, err);
    }
    buf_free(&text);
    for (int i = 0; ok && i < n_sets; i++)
        ok = apply_set(c->json, sets[i], err);
    ok = ok && (read_all(c, err) || error_add(err, "%s", path));
    if (!ok)
        train_config_close(c);
    return ok;
}

void train_config_close(TrainConfig *c)
{
    json_decref(c->json);
    *c = (TrainConfig){0};
}

void train_config_write(const TrainConfig *c, Buf *out) { yaml_write(c->json, out); }

static void compare(const char *key, const json_t *old, const json_t *new, Buf *difference)
{
    if ((!old && !new) || (old && new &&json_equal(old, new)))
        return;
    char *before = old ? json_dumps(old, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *now = new ? json_dumps(new, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    buf_printf(difference, "%s%s: %s -> %s", difference->bytes ? "; " : "", key,
               before ? before : "-", now ? now : "-");
    free(before);
    free(now);
}

bool train_config_differs(const TrainConfig *c, const json_t *old, Buf *difference)
{
    for (int i = 0; i < N_FIELDS; i++)
        if (!fields[i].may_change)
            compare(fields[i].key, find(old, fields[i].key), find(c->json, fields[i].key),
                    difference);
    for (int i = 0; i < 2; i++)
        compare(collections[i], find(old, collections[i]), find(c->json, collections[i]),
                difference);
    return difference->bytes > 0;
}
