/* Adapters of the sequences of a step; see engine_state.h. */
#include "engine/engine_state.h"

#include <math.h>
#include <string.h>

#define ADAPTER_SCALE_MAX 1e4f

bool adapters_check(const Engine *e, const AdapterUse *adapters, int n, Error *err)
{
    if (n < 0 || n > ENGINE_ADAPTERS_MAX)
        return error_set(err, ERROR_LIMIT, "%d adapters; at most %d of one request", n,
                         ENGINE_ADAPTERS_MAX);
    for (int i = 0; i < n; i++)
        if (adapters[i].adapter->model != e->model)
            return error_set(err, ERROR_ARGUMENT,
                             "adapter %d was opened for another model than the engine's", i + 1);
        else if (!(fabsf(adapters[i].scale) <= ADAPTER_SCALE_MAX))
            return error_set(err, ERROR_ARGUMENT, "adapter %d: its scale %g is not in -%g .. %g",
                             i + 1, (double)adapters[i].scale, (double)ADAPTER_SCALE_MAX,
                             (double)ADAPTER_SCALE_MAX);
    return true;
}

static bool same_adapters(const Request *a, const Request *b)
{
    bool is_same = a->n_adapters == b->n_adapters;
    for (int i = 0; is_same && i < a->n_adapters; i++)
        is_same = a->adapters[i].adapter == b->adapters[i].adapter &&
                  a->adapters[i].scale == b->adapters[i].scale;
    return is_same;
}

void adapted_group(Engine *e)
{
    Planned *all = e->planned;
    for (int first = 0, n; first < e->n_planned; first += n) {
        const Request *request = &all[first].sequence->request;
        n = 1;
        for (int i = first + 1; i < e->n_planned; i++) {
            if (!same_adapters(request, &all[i].sequence->request))
                continue;
            const Planned moved = all[i];
            memmove(all + first + n + 1, all + first + n, sizeof *all * (size_t)(i - first - n));
            all[first + n++] = moved;
        }
    }
    for (int i = 0, row = 0; i < e->n_planned; row += all[i++].n_rows)
        all[i].first_row = row;
}

int adapted_list(Engine *e)
{
    int n = 0;
    for (int i = 0; i < e->n_planned; i++) {
        const Planned *p = &e->planned[i];
        const Request *r = &p->sequence->request;
        if (i > 0 && same_adapters(r, &e->planned[i - 1].sequence->request)) {
            for (int j = n - r->n_adapters; j < n; j++)
                e->adapted[j].n_rows += p->n_rows;
            continue;
        }
        for (int j = 0; j < r->n_adapters; j++)
            e->adapted[n++] = (AdaptedRows){r->adapters[j].adapter, r->adapters[j].scale,
                                            p->first_row, p->n_rows};
    }
    return n;
}
