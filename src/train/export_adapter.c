/* The trained adapter as PEFT reads it; see export.h. */
#include "train/export_parts.h"

#include "base/file.h"

#include <stdlib.h>

static bool is_adapted(const Adapter *a, Projection p)
{
    bool is_any = false;
    for (int l = 0; l < a->model->config.n_layers; l++)
        is_any |= a->layers[l][p].a != NULL;
    return is_any;
}

/* adapter_config.json; what PEFT has beside these keys is its defaults. */
static json_t *config_of(const Export *e)
{
    const Adapter *a = e->params->adapter;
    json_t *targets = json_array();
    for (int p = 0; p < N_PROJECTIONS; p++)
        if (is_adapted(a, (Projection)p))
            json_array_append_new(targets, json_string(projection_name((Projection)p)));
    return json_pack("{s:s, s:s, s:s?, s:i, s:f, s:b, s:f, s:s, s:o, s:b, s:b, s:b}", "peft_type",
                     "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path", e->from, "r",
                     a->rank, "lora_alpha", e->lora_alpha, "use_rslora", e->is_rslora,
                     "lora_dropout", 0.0, "bias", "none", "target_modules", targets,
                     "fan_in_fan_out", 0, "inference_mode", 1, "init_lora_weights", 1);
}

static bool write_config(const char *folder, const Export *e, Error *err)
{
    json_t *config = config_of(e);
    char *text = json_dumps(config, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    char *path = file_join(folder, "adapter_config.json");
    const bool ok = file_write(path, str_from(text), err);
    mem_free(path);
    free(text);
    json_decref(config);
    return ok;
}

bool export_adapter(const char *folder, const Export *e, Error *err)
{
    char *weights = file_join(folder, "adapter_model.safetensors");
    const bool ok = file_make_dir(folder, err) &&
                    export_tensors(weights, e, true, "base_model.model.", err) &&
                    write_config(folder, e, err);
    mem_free(weights);
    return ok || error_add(err, "writing %s", folder);
}
