/* wen_adapter: low-rank adapters beside a model; see wen.h. */
#include "api/api.h"

#include "formats/adapter_package.h"

struct wen_adapter {
    atomic_int n_refs; /* the caller's and one for each engine and reply that uses it */
    wen_model *model;
    Adapter *adapter;
};

static Adapter *open_inner(wen_model *m, const char *path, Error *err)
{
    if (!m->model) {
        error_set(err, ERROR_ARGUMENT, "%s was opened without its weights", m->path);
        return NULL;
    }
    AdapterPackage *package = adapter_package_open(path, err);
    Adapter *adapter = NULL;
    if (package) {
        turn_take(&m->turn);
        adapter = adapter_open(m->model, package, err);
        turn_give(&m->turn);
    }
    adapter_package_close(package);
    return adapter;
}

wen_adapter *wen_adapter_open(wen_model *m, const char *path, wen_error *err)
{
    Error error = {0};
    Adapter *inner = open_inner(m, path, &error);
    if (!inner) {
        api_fail(err, &error);
        return NULL;
    }
    wen_adapter *a = mem_alloc(sizeof *a);
    atomic_init(&a->n_refs, 1);
    a->model = model_ref(m);
    a->adapter = inner;
    return a;
}

void wen_adapter_close(wen_adapter *a)
{
    if (!a || atomic_fetch_sub(&a->n_refs, 1) > 1)
        return;
    adapter_close(a->adapter);
    wen_model_close(a->model);
    mem_free(a);
}

bool adapter_list_take(AdapterList *list, const wen_model *m, const wen_adapter_use *uses, int n,
                       Error *err)
{
    if (n < 0 || n > ENGINE_ADAPTERS_MAX)
        return error_set(err, ERROR_LIMIT, "%d adapters; at most %d at a time", n,
                         ENGINE_ADAPTERS_MAX);
    for (int i = 0; i < n; i++) {
        if (!uses[i].adapter)
            return error_set(err, ERROR_ARGUMENT, "adapter %d is missing", i + 1);
        if (uses[i].adapter->model != m)
            return error_set(err, ERROR_ARGUMENT, "adapter %d was opened for another model", i + 1);
        atomic_fetch_add(&uses[i].adapter->n_refs, 1);
        list->handles[list->n] = uses[i].adapter;
        list->uses[list->n++] = (AdapterUse){uses[i].adapter->adapter, uses[i].scale};
    }
    return true;
}

void adapter_list_give(AdapterList *list)
{
    while (list->n > 0)
        wen_adapter_close(list->handles[--list->n]);
}
