/* See run_made.h. */
#include "cli/run_made.h"

#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

bool run_made_open(RunMade *m, const char *word, Error *err)
{
    *m = (RunMade){0};
    if (strcmp(word, "builtin") == 0 || file_exists(word))
        return true;
    m->made = hub_made_find(word);
    if (!m->made)
        return true;
    m->base = hub_made_base(m->made, err);
    m->system = json_string_value(json_object_get(m->made->settings, "system"));
    return m->base != NULL;
}

void run_made_close(RunMade *m)
{
    hub_made_free(m->made);
    mem_free(m->base);
    *m = (RunMade){0};
}

bool run_made_fill_model(const RunMade *m, ModelArgs *args, Error *err)
{
    if (!m->made)
        return true;
    const json_t *adapters = json_object_get(m->made->settings, "adapters");
    if (!args->template_file)
        args->template_file = m->made->template_file;
    for (size_t i = 0; i < json_array_size(adapters); i++) {
        if (args->loras.n == ARG_LIST_MAX)
            return error_set(err, ERROR_ARGUMENT, "%s: more than %d adapters", m->made->name,
                             ARG_LIST_MAX);
        args->loras.items[args->loras.n++] = json_string_value(json_array_get(adapters, i));
    }
    return true;
}

static void fill_real(const json_t *parameters, const char *name, float *value)
{
    const json_t *given = json_object_get(parameters, name);
    if (isnan(*value) && json_is_number(given))
        *value = (float)json_number_value(given);
}

static void fill_stops(const json_t *stop, wen_request *request, const char **stops, int n_max)
{
    const int n = json_is_array(stop) ? (int)json_array_size(stop) : json_is_string(stop);
    for (int i = 0; i < n && i < n_max; i++)
        stops[request->n_stops++] =
            json_string_value(json_is_array(stop) ? json_array_get(stop, (size_t)i) : stop);
    request->stops = stops;
}

void run_made_fill_request(const RunMade *m, wen_request *request, const char **stops, int n_max)
{
    if (!m->made)
        return;
    const json_t *p = json_object_get(m->made->settings, "parameters");
    wen_sampling *s = &request->sampling;
    fill_real(p, "temperature", &s->temperature);
    fill_real(p, "top_p", &s->top_p);
    fill_real(p, "min_p", &s->min_p);
    fill_real(p, "repeat_penalty", &s->repetition_penalty);
    fill_real(p, "presence_penalty", &s->presence_penalty);
    fill_real(p, "frequency_penalty", &s->frequency_penalty);
    const json_t *top_k = json_object_get(p, "top_k"), *seed = json_object_get(p, "seed");
    const json_t *n = json_object_get(p, "num_predict");
    if (s->top_k < 0 && top_k)
        s->top_k = (int)json_integer_value(top_k);
    if (s->seed < 0 && seed)
        s->seed = json_integer_value(seed);
    if (request->max_tokens == 0 && json_integer_value(n) > 0)
        request->max_tokens = (int)json_integer_value(n);
    if (request->n_stops == 0)
        fill_stops(json_object_get(p, "stop"), request, stops, n_max);
}
