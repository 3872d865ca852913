/* What is measured: the device's limits, and where the time of steps goes; see wen.h. */
#include "api/api.h"

#include "backend/profile.h"

#include <stdlib.h>

bool wen_model_limits(wen_model *m, int n_rounds, wen_limits *limits, wen_error *err)
{
    Error error = {0};
    Limits found = {0};
    bool ok =
        m->backend || error_set(&error, ERROR_ARGUMENT, "%s was opened without a device", m->path);
    if (ok) {
        turn_take(&m->turn);
        ok = m->backend->measure_limits(m->backend, n_rounds, &found, &error);
        turn_give(&m->turn);
    }
    *limits = (wen_limits){found.read_bytes, found.f32_ops, found.bf16_ops, found.int8_ops};
    return ok || api_fail(err, &error);
}

char *wen_model_profile(wen_model *m)
{
    int n;
    uint64_t n_steps;
    double seconds;
    if (!m->backend)
        return NULL;
    turn_take(&m->turn);
    const ProfileLine *lines = profile_lines(m->backend, &n, &n_steps, &seconds);
    json_t *operations = json_array();
    for (int i = 0; lines && i < n; i++)
        json_array_append_new(operations,
                              json_pack("{s:s, s:i, s:i, s:I, s:f, s:f}", "operation",
                                        lines[i].operation, "k", lines[i].k, "n", lines[i].n,
                                        "calls", (json_int_t)lines[i].n_calls, "seconds",
                                        lines[i].seconds, "bytes", lines[i].bytes));
    turn_give(&m->turn);
    json_t *profile = json_pack("{s:I, s:f, s:o}", "steps", (json_int_t)(lines ? n_steps : 0),
                                "seconds", lines ? seconds : 0.0, "operations", operations);
    char *text = lines ? json_dumps(profile, JSON_REAL_PRECISION(9)) : NULL;
    char *copy = text ? mem_strdup(text) : NULL;
    free(text);
    json_decref(profile);
    return copy;
}
