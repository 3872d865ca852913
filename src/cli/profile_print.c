/* See profile_print.h. */
#include "cli/profile_print.h"

#include <jansson.h>
#include <stdio.h>

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void print_line(const json_t *line, double n_steps, double total)
{
    const char *name = json_string_value(json_object_get(line, "operation"));
    const double seconds = number(line, "seconds"), calls = number(line, "calls");
    const double bytes = number(line, "bytes");
    const int k = (int)number(line, "k"), n = (int)number(line, "n");
    char shape[48] = "", rate[24] = "";
    if (n > 0)
        snprintf(shape, sizeof shape, "%d -> %d", k, n);
    else if (k > 0)
        snprintf(shape, sizeof shape, "%d", k);
    if (bytes > 0 && seconds > 0)
        snprintf(rate, sizeof rate, "%.1f", bytes / seconds / 1e9);
    fprintf(stderr, "%-15s %-17s %8.0f %10.3f %6.1f %% %7s\n", name, shape, calls / n_steps,
            1e3 * seconds / n_steps, 100 * seconds / total, rate);
}

void profile_print(wen_model *model)
{
    char *text = wen_model_profile(model);
    json_t *profile = text ? json_loads(text, 0, NULL) : NULL;
    wen_free(text);
    const double n_steps = number(profile, "steps"), total = number(profile, "seconds");
    if (!profile || n_steps < 1 || total <= 0) {
        json_decref(profile);
        return;
    }
    fprintf(stderr, "\n%.0f steps of %.3f ms; operation, columns or k -> n, then for a step:\n",
            n_steps, 1e3 * total / n_steps);
    fprintf(stderr, "%-15s %-17s %8s %10s %8s %7s\n", "operation", "shape", "calls", "ms", "share",
            "GB/s");
    double rest = total;
    size_t i;
    const json_t *line;
    json_array_foreach(json_object_get(profile, "operations"), i, line)
    {
        print_line(line, n_steps, total);
        rest -= number(line, "seconds");
    }
    fprintf(stderr, "%-15s %-17s %8s %10.3f %6.1f %%\n", "the engine", "", "", 1e3 * rest / n_steps,
            100 * rest / total);
    json_decref(profile);
}
