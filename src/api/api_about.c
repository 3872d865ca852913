/* What the library is and what it finds on this machine; the shape is in wen.h. */
#include "api/api.h"

#include <stdlib.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#else
#define MACHINE "another"
#endif

#if defined(WEN_DEBUG)
enum { HAS_CHECKS = 1 };
#else
enum { HAS_CHECKS = 0 };
#endif

static json_t *describe_devices(const BackendChoices *choices)
{
    json_t *devices = json_array();
    for (int i = 0; i < choices->n_devices; i++)
        json_array_append_new(devices, json_string(choices->devices[i]));
    return devices;
}

static json_t *describe_levels(const BackendChoices *choices)
{
    json_t *levels = json_array();
    for (int i = 0; i < choices->n_levels; i++)
        json_array_append_new(levels, json_pack("{s:s, s:b}", "name", choices->levels[i],
                                                "is_usable", i < choices->n_usable));
    return levels;
}

char *wen_about(void)
{
    const BackendChoices choices = backend_choices();
    json_t *about = json_pack(
        "{s:s, s:s, s:s, s:b, s:I, s:o, s:o, s:{s:I, s:I}}", "version", wen_version(), "compiler",
        COMPILER, "machine", MACHINE, "checks", HAS_CHECKS, "builtin_bytes",
        (json_int_t)builtin_model().bytes, "devices", describe_devices(&choices), "levels",
        describe_levels(&choices), "memory", "total_bytes", (json_int_t)mem_total_bytes(),
        "available_bytes", (json_int_t)mem_available_bytes());
    char *text = json_dumps(about, 0);
    char *copy = mem_strdup(text);
    free(text);
    json_decref(about);
    return copy;
}
