#include "tasks/mixture.h"

#include <string.h>

/* ---- Defaults -------------------------------------------------------------------------------- */

static void set_langs(MixtureEntry *entry, const double langs[N_LANGS])
{
    for (int l = 0; l < N_LANGS; l++)
        entry->langs[l] = entry->family->langs & (1u << l) ? langs[l] : 0;
}

static bool has_lang(const MixtureEntry *entry)
{
    for (int l = 0; l < N_LANGS; l++)
        if (entry->langs[l] > 0)
            return true;
    return false;
}

static MixtureEntry whole_family(const TaskFamily *family)
{
    return (MixtureEntry){.family = family,
                          .weight = 1,
                          .difficulty_min = 1,
                          .difficulty_max = family->difficulty_max};
}

static const double default_langs[N_LANGS] = {0.7, 0.16, 0.07, 0.07};

void mixture_all(Mixture *mix)
{
    *mix = (Mixture){.seed = 1,
                     .n_documents = 1000,
                     .max_bytes = 1 << 20,
                     .thinking = 0.7,
                     .flagged = 0.3,
                     .hard_off = 0.3,
                     .system = 0.08,
                     .multi_turn = 0.2,
                     .kept_flag = 0.5,
                     .idle_tools = 0.02};
    for (int i = 0; i < task_n_families() && i < MIXTURE_ENTRIES_MAX; i++) {
        MixtureEntry *entry = &mix->entries[mix->n_entries++];
        *entry = whole_family(task_family(i));
        entry->thinking = mix->thinking;
        set_langs(entry, default_langs);
    }
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool wrong(Error *err, const char *key, const char *expected)
{
    return error_set(err, ERROR_FORMAT, "%s: expected %s", key, expected);
}

static bool read_share(const json_t *value, const char *key, double *share, Error *err)
{
    const double x = json_number_value(value);
    if (!json_is_number(value) || !(x >= 0 && x <= 1))
        return wrong(err, key, "a share from 0 to 1");
    *share = x;
    return true;
}

static bool read_count(const json_t *value, const char *key, int64_t *count, Error *err)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return wrong(err, key, "a whole number from 0");
    *count = json_integer_value(value);
    return true;
}

static bool read_name(const json_t *value, const char *key, const char *const *names, int n,
                      int *found, Error *err)
{
    for (*found = 0; json_is_string(value) && *found < n; ++*found)
        if (strcmp(json_string_value(value), names[*found]) == 0)
            return true;
    Buf list = {0};
    for (int i = 0; i < n; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    error_set(err, ERROR_FORMAT, "%s: expected one of %s", key, list.data);
    buf_free(&list);
    return false;
}

static bool read_langs(const json_t *value, double langs[N_LANGS], Error *err)
{
    const char *name;
    json_t *weight;
    memset(langs, 0, sizeof *langs * N_LANGS);
    if (!json_is_object(value))
        return wrong(err, "languages", "a mapping such as {en: 0.8, zh: 0.2}");
    json_object_foreach((json_t *)value, name, weight)
    {
        TaskLang lang;
        if (!task_lang_parse(str_from(name), &lang))
            return error_set(err, ERROR_FORMAT, "languages: no language \"%.20s\" (en zh de es)",
                             name);
        if (!json_is_number(weight) || json_number_value(weight) < 0)
            return wrong(err, "languages", "weights from 0");
        langs[lang] = json_number_value(weight);
    }
    return true;
}

static bool read_difficulty(const json_t *value, MixtureEntry *entry, Error *err)
{
    const json_t *lo = json_is_array(value) ? json_array_get(value, 0) : value;
    const json_t *hi = json_is_array(value) ? json_array_get(value, 1) : value;
    const json_int_t from = json_integer_value(lo), to = json_integer_value(hi);
    if (!json_is_integer(lo) || !json_is_integer(hi) || from < 1 || to < from ||
        to > entry->family->difficulty_max)
        return error_set(err, ERROR_FORMAT,
                         "families: %s: difficulty is a number or [FROM, TO], from 1 to %d",
                         entry->family->name, entry->family->difficulty_max);
    entry->difficulty_min = (int)from;
    entry->difficulty_max = (int)to;
    return true;
}

static bool read_entry(const json_t *value, MixtureEntry *entry, const Mixture *mix,
                       const double mix_langs[N_LANGS], Error *err)
{
    const char *key;
    json_t *field;
    const json_t *name = json_object_get(value, "family");
    if (!json_is_string(name))
        return wrong(err, "families", "a list of mappings such as {family: chain, weight: 2}");
    const TaskFamily *family = task_find(json_string_value(name));
    if (!family)
        return error_set(err, ERROR_FORMAT, "families: no family \"%.60s\"",
                         json_string_value(name));
    *entry = whole_family(family);
    entry->thinking = mix->thinking;
    double langs[N_LANGS];
    memcpy(langs, mix_langs, sizeof langs);
    json_object_foreach((json_t *)value, key, field)
    {
        bool ok = true;
        if (strcmp(key, "family") == 0)
            continue;
        if (strcmp(key, "weight") == 0)
            ok = (json_is_number(field) && (entry->weight = json_number_value(field)) >= 0) ||
                 wrong(err, "weight", "a number from 0");
        else if (strcmp(key, "difficulty") == 0)
            ok = read_difficulty(field, entry, err);
        else if (strcmp(key, "thinking") == 0)
            ok = read_share(field, key, &entry->thinking, err);
        else if (strcmp(key, "languages") == 0)
            ok = read_langs(field, langs, err);
        else
            ok = error_set(err, ERROR_FORMAT, "no such key \"%.40s\"", key);
        if (!ok)
            return error_add(err, "families: %s", family->name);
    }
    set_langs(entry, langs);
    return has_lang(entry) ||
           error_set(err, ERROR_FORMAT, "families: %s is in none of the languages", family->name);
}

static bool read_families(Mixture *mix, const json_t *list, const double langs[N_LANGS], Error *err)
{
    if (!json_is_array(list) || json_array_size(list) == 0)
        return wrong(err, "families", "a list of mappings such as {family: chain, weight: 2}");
    if (json_array_size(list) > MIXTURE_ENTRIES_MAX)
        return error_set(err, ERROR_LIMIT, "families: at most %d entries", MIXTURE_ENTRIES_MAX);
    mix->n_entries = 0;
    double sum = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        MixtureEntry *entry = &mix->entries[mix->n_entries++];
        if (!read_entry(json_array_get(list, i), entry, mix, langs, err))
            return false;
        sum += entry->weight;
    }
    return sum > 0 || wrong(err, "families", "a weight above 0");
}

static bool read_key(Mixture *mix, const char *key, const json_t *value, double langs[N_LANGS],
                     Error *err)
{
    static const char *const kinds[] = {"chat", "text", "problems"};
    static const char *const splits[] = {"train", "rl", "eval"};
    const struct {
        const char *key;
        double *share;
    } shares[] = {{"thinking", &mix->thinking},
                  {"flagged", &mix->flagged},
                  {"hard_off", &mix->hard_off},
                  {"system", &mix->system},
                  {"multi_turn", &mix->multi_turn},
                  {"kept_flag", &mix->kept_flag},
                  {"cut", &mix->cut},
                  {"idle_tools", &mix->idle_tools}};
    int found = 0;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (strcmp(key, shares[i].key) == 0)
            return read_share(value, key, shares[i].share, err);
    if (strcmp(key, "kind") == 0 && read_name(value, key, kinds, 3, &found, err)) {
        mix->kind = (MixtureKind)found;
        return true;
    }
    if (strcmp(key, "split") == 0 && read_name(value, key, splits, N_SPLITS, &found, err)) {
        mix->split = (TaskSplit)found;
        return true;
    }
    if (strcmp(key, "kind") == 0 || strcmp(key, "split") == 0)
        return false;
    if (strcmp(key, "seed") == 0)
        return read_count(value, key, &mix->seed, err);
    if (strcmp(key, "documents") == 0)
        return read_count(value, key, &mix->n_documents, err);
    if (strcmp(key, "max_bytes") == 0)
        return read_count(value, key, &mix->max_bytes, err);
    if (strcmp(key, "languages") == 0)
        return read_langs(value, langs, err);
    return strcmp(key, "families") == 0 ||
           error_set(err, ERROR_FORMAT, "no such key \"%.40s\"", key);
}

bool mixture_read(Mixture *mix, const json_t *config, Error *err)
{
    const char *key;
    json_t *value;
    double langs[N_LANGS];
    memcpy(langs, default_langs, sizeof langs);
    mixture_all(mix);
    if (!json_is_object(config))
        return error_set(err, ERROR_FORMAT, "a mixture is a mapping of keys to values");
    json_object_foreach((json_t *)config, key,
                        value) if (!read_key(mix, key, value, langs, err)) return false;
    const json_t *families = json_object_get(config, "families");
    if (families)
        return read_families(mix, families, langs, err);
    for (int i = 0; i < mix->n_entries; i++) {
        mix->entries[i].thinking = mix->thinking;
        set_langs(&mix->entries[i], langs);
        if (!has_lang(&mix->entries[i]))
            mix->entries[i].weight = 0;
    }
    return true;
}
