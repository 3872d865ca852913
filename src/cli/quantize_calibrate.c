/* See quantize_calibrate.h. */
#include "cli/quantize_calibrate.h"

#include "base/clock.h"
#include "cli/term.h"
#include "engine/assets.h"
#include "model/calibrate.h"

#include <stdio.h>

enum { TEXT_BYTES_MAX = 256 << 20 };

static bool show_progress(void *context, int done, int total)
{
    const double *began_s = context;
    char line[120];
    double used_s = clock_seconds() - *began_s;
    int left_s = (int)(used_s / done * (total - done) + 0.5);
    snprintf(line, sizeof line, "calibrating: %d of %d tokens  %.0f tokens/s  %d:%02d left", done,
             total, done / used_s, left_s / 60, left_s % 60);
    term_progress(line);
    return !term_take_interrupt();
}

static bool read_ids(const Package *package, const char *file, Ids *ids, Error *err)
{
    Buf text = {0};
    Tokenizer *t =
        file_read(&text, file, TEXT_BYTES_MAX, err) ? assets_tokenizer(package, err) : NULL;
    bool ok = t && tokenizer_encode_all(t, buf_str(&text), ids, err);
    if (t && !ok)
        error_add(err, "%s", file);
    if (ok && ids->n == 0)
        ok = error_set(err, ERROR_ARGUMENT, "%s: there is no text to calibrate with", file);
    tokenizer_close(t);
    buf_free(&text);
    return ok;
}

static bool check_ids(const char *file, const Ids *ids, const Config *config, Error *err)
{
    for (int i = 0; i < ids->n; i++)
        if (ids->data[i] >= config->n_vocab)
            return error_set(err, ERROR_FORMAT, "%s: id %d of its text has no row in the model",
                             file, (int)ids->data[i]);
    return true;
}

static bool run_text(const Package *package, const char *file, const Ids *ids, int n_threads,
                     Importance *importance, Error *err)
{
    Backend *backend = backend_open("cpu", n_threads, err);
    Model *model = backend ? model_open(package, backend, NULL, err) : NULL;
    double began_s = clock_seconds();
    bool ok = model && check_ids(file, ids, &model->config, err) &&
              calibrate(model, ids->data, ids->n, importance, show_progress, &began_s, err);
    model_close(model);
    if (backend)
        backend->close(backend);
    term_progress(NULL);
    return ok;
}

Importance *quantize_calibrate(const Package *package, const char *file, int n_threads, Error *err)
{
    Config config;
    Ids ids = {0};
    if (!config_read(&config, package_config(package), err))
        return NULL;
    if (str_ends(str_from(file), STR(".gguf")))
        return importance_read(file, config.n_layers, config.n_experts, err);
    Importance *importance = importance_new(config.n_layers, config.n_experts);
    bool ok = read_ids(package, file, &ids, err) &&
              run_text(package, file, &ids, n_threads, importance, err);
    ids_free(&ids);
    if (ok)
        return importance;
    importance_free(importance);
    return NULL;
}
