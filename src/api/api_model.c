/* wen_model: opening and closing; see wen.h. */
#include "api/api.h"

#include "backend/profile.h"
#include "engine/assets.h"
#include "formats/package.h"

#include <string.h>

/* The built-in model, a GGUF file (src/api/builtin.S). Programs may be linked without it. */
extern const unsigned char wen_builtin_begin[] __attribute__((weak));
extern const unsigned char wen_builtin_end[] __attribute__((weak));

enum { TEMPLATE_BYTES_MAX = 1 << 20 };

wen_model_options wen_model_options_defaults(void)
{
    return (wen_model_options){.load = WEN_LOAD_ALL, .device = "auto"};
}

Str builtin_model(void)
{
    if (!wen_builtin_begin)
        return (Str){0};
    return (Str){(const char *)wen_builtin_begin, (size_t)(wen_builtin_end - wen_builtin_begin)};
}

static Package *open_package(const char *path, bool needs_weights, Error *err)
{
    if (strcmp(path, "builtin") != 0)
        return package_open(path, needs_weights, err);
    if (builtin_model().bytes == 0) {
        error_set(err, ERROR_UNSUPPORTED, "this program was built without the built-in model");
        return NULL;
    }
    return package_open_memory(builtin_model(), "builtin", err);
}

/* ---- Chat template --------------------------------------------------------------------------- */

static bool ends_in_open_thought(Str text)
{
    while (text.bytes > 0 && strchr(" \t\r\n", text.data[text.bytes - 1]))
        text.bytes--;
    return str_ends(text, STR("<think>"));
}

static ThinkKind find_think_kind(const ChatTemplate *chat)
{
    if (!chat)
        return THINK_NO_TEMPLATE;
    if (chat_template_is_hybrid(chat))
        return THINK_HYBRID;
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "?");
    ChatRender render = {
        .messages = messages, .add_generation_prompt = true, .enable_thinking = -1};
    JinjaOutput out = {0};
    Error ignored;
    ThinkKind kind = THINK_NEVER;
    if (chat_render(chat, &render, &out, &ignored) && ends_in_open_thought(buf_str(&out.text)))
        kind = THINK_ALWAYS;
    jinja_output_free(&out);
    json_decref(messages);
    return kind;
}

static Str token_text(const Tokenizer *t, int32_t id)
{
    return id >= 0 ? tokenizer_bytes(t, id) : (Str){0};
}

static bool open_chat(wen_model *m, const Package *package, const char *file, Error *err)
{
    const Tokenizer *t = m->tokenizer;
    Str bos = token_text(t, tokenizer_bos_id(t)), eos = token_text(t, tokenizer_eos_id(t));
    Str source = package_text(package)->chat_template;
    Buf contents = {0};
    if (file) {
        if (!file_read(&contents, file, TEMPLATE_BYTES_MAX, err))
            return false;
        source = buf_str(&contents);
    }
    bool is_there = file || source.bytes > 0;
    m->chat = is_there ? chat_template_open(source, bos, eos, err) : NULL;
    buf_free(&contents);
    return !is_there || m->chat ||
           error_add(err, "%s: chat template", file ? file : package_path(package));
}

/* ---- What the files hold --------------------------------------------------------------------- */

static void count_types(wen_model *m, const Package *package)
{
    const TensorTable *table = package_tensors(package);
    for (int i = 0; i < tensor_table_count(table); i++) {
        const NamedTensor *t = tensor_table_at(table, i);
        int k = 0;
        while (k < m->n_types && strcmp(m->types[k].name, t->type_name) != 0)
            k++;
        if (k == TYPE_SHARES_MAX)
            continue;
        if (k == m->n_types)
            m->types[m->n_types++].name = mem_strdup(t->type_name);
        m->types[k].n_tensors++;
        m->types[k].bytes += t->tensor.bytes;
        m->file_bytes += t->tensor.bytes;
    }
}

static bool read_config(wen_model *m, const Package *package, const wen_model_options *options,
                        Error *err)
{
    json_t *config = package_config(package);
    if (!config)
        return true;
    if (!config_read(&m->config, config, err))
        return error_add(err, "%s", m->path);
    Config *c = &m->config;
    if (options->yarn_factor == 0)
        return true;
    int original = options->yarn_original ? options->yarn_original : c->context_max;
    return config_set_yarn(c, options->yarn_factor, original, err);
}

static bool load_weights(wen_model *m, const Package *package, const wen_model_options *options,
                         Error *err)
{
    m->backend = backend_open(options->device, options->n_threads, err);
    if (!m->backend)
        return false;
    Tensor q;
    if (package_has_tensor(package, "model.layers.0.self_attn.q_proj.weight") &&
        package_tensor(package, "model.layers.0.self_attn.q_proj.weight", &q, err))
        m->matrix_type = q.type;
    if (options->load != WEN_LOAD_ALL)
        return true;
    ModelOptions model_options = {
        .yarn_factor = options->yarn_factor,
        .yarn_original = options->yarn_original,
        .progress = options->progress,
        .progress_context = options->progress_context,
    };
    m->model = model_open(package, m->backend, &model_options, err);
    if (!m->model)
        return false;
    m->config = m->model->config;
    m->matrix_type = m->model->matrix_type;
    if (options->profiles)
        profile_start(m->backend);
    return true;
}

/* ---- Open and close -------------------------------------------------------------------------- */

static bool fill(wen_model *m, const Package *package, const wen_model_options *options, Error *err)
{
    m->is_gguf = package_gguf(package) != NULL;
    m->generation = json_incref(package_generation_config(package));
    m->tokenizer = assets_tokenizer(package, err);
    if (!m->tokenizer || !open_chat(m, package, options->template_file, err))
        return false;
    m->think_kind = find_think_kind(m->chat);
    if (options->load == WEN_LOAD_TEXT)
        return true;
    count_types(m, package);
    return read_config(m, package, options, err) && load_weights(m, package, options, err);
}

static void model_destroy(wen_model *m)
{
    model_close(m->model);
    if (m->backend)
        m->backend->close(m->backend);
    chat_template_close(m->chat);
    token_trie_close(m->trie);
    tokenizer_close(m->tokenizer);
    json_decref(m->generation);
    for (int i = 0; i < m->n_types; i++)
        mem_free((char *)m->types[i].name);
    mem_free(m->path);
    turn_close(&m->turn);
    pthread_mutex_destroy(&m->trie_mutex);
    mem_free(m);
}

wen_model *wen_model_open(const char *path, const wen_model_options *options, wen_error *err)
{
    wen_model_options defaults = wen_model_options_defaults();
    Error error = {0};
    if (!options)
        options = &defaults;
    Package *package = open_package(path, options->load != WEN_LOAD_TEXT, &error);
    if (!package) {
        api_fail(err, &error);
        return NULL;
    }
    wen_model *m = mem_alloc(sizeof *m);
    m->load = options->load;
    m->path = mem_strdup(path);
    atomic_init(&m->n_refs, 1);
    turn_open(&m->turn);
    pthread_mutex_init(&m->trie_mutex, NULL);
    bool ok = fill(m, package, options, &error);
    package_close(package); /* the weights are packed: the files are needed no more */
    if (ok)
        return m;
    model_destroy(m);
    api_fail(err, &error);
    return NULL;
}

wen_model *model_ref(wen_model *m)
{
    atomic_fetch_add(&m->n_refs, 1);
    return m;
}

void wen_model_close(wen_model *m)
{
    if (m && atomic_fetch_sub(&m->n_refs, 1) == 1)
        model_destroy(m);
}
