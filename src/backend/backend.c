/* See backend.h. */
#include "backend/backend.h"

#include "base/bug.h"
#include "base/mem.h"

#include <string.h>

/* The one place that names the devices. */
Backend *cpu_backend_open(int n_threads, Error *err);
bool cpu_run_ranks(int n_ranks, int n_threads, RankBody *body, void *context, Error *err);
const char *const *cpu_levels(int *n_levels, int *n_usable);

static bool is_cpu(const char *device, Error *err)
{
    if (strcmp(device, "cpu") == 0 || strcmp(device, "auto") == 0)
        return true;
    if (strcmp(device, "cuda") == 0)
        return error_set(err, ERROR_DEVICE, "device cuda: this build has no CUDA backend; use cpu");
    return error_set(err, ERROR_ARGUMENT, "device %s: not known; use cpu, cuda or auto", device);
}

Backend *backend_open(const char *device, int n_threads, Error *err)
{
    return is_cpu(device, err) ? cpu_backend_open(n_threads, err) : NULL;
}

BackendChoices backend_choices(void)
{
    static const char *const devices[] = {"cpu"};
    BackendChoices choices = {.devices = devices, .n_devices = 1};
    choices.levels = cpu_levels(&choices.n_levels, &choices.n_usable);
    return choices;
}

bool backend_run_ranks(const char *device, int n_ranks, int n_threads, RankBody *body,
                       void *context, Error *err)
{
    return is_cpu(device, err) && cpu_run_ranks(n_ranks, n_threads, body, context, err);
}

static size_t step_round(size_t bytes) { return (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN; }

bool step_open(Step *step, Backend *b, size_t bytes, Error *err)
{
    *step = (Step){.backend = b, .bytes = bytes};
    step->memory = b->alloc(b, bytes, "the activations of a step", err);
    return step->memory != NULL;
}

void step_close(Step *step)
{
    if (step->memory)
        step->backend->free(step->backend, step->memory, step->bytes);
    *step = (Step){0};
}

void *step_take(Step *step, size_t bytes)
{
    size_t rounded = step_round(bytes);
    ASSERT(rounded <= step->bytes - step->used);
    void *slice = step->memory + step->used;
    step->used += rounded;
    return slice;
}

size_t step_mat_bytes(int rows, int cols)
{
    return step_round(sizeof(float) * (size_t)rows * (size_t)cols);
}

Mat step_mat(Step *step, int rows, int cols)
{
    return (Mat){step_take(step, step_mat_bytes(rows, cols)), rows, cols, cols};
}

MoeRoutes step_routes(Step *step, int n_tokens, int n_experts, int n_used)
{
    size_t n_pairs = (size_t)n_tokens * (size_t)n_used;
    return (MoeRoutes){
        .n_tokens = n_tokens,
        .n_experts = n_experts,
        .n_used = n_used,
        .expert = step_take(step, sizeof(int32_t) * n_pairs),
        .weight = step_take(step, sizeof(float) * n_pairs),
        .offset = step_take(step, sizeof(int32_t) * (size_t)(n_experts + 1)),
        .pair_token = step_take(step, sizeof(int32_t) * n_pairs),
        .pair_place = step_take(step, sizeof(int32_t) * n_pairs),
    };
}
