/* wen serve: reads the command line, runs the server until a signal, lets requests end. */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/model_args.h"
#include "cli/model_find.h"
#include "cli/term.h"
#include "hub/hub_made.h"
#include "server/runs.h"
#include "server/server.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTIONS_MAX = 64,
    KEYS_BYTES_MAX = 1 << 20,
    KEYS_MAX = 1024,
    MODELS_MAX = 64,
    POLL_MS = 100
};

typedef struct Serve {
    ModelArgs model_args;
    ServerOptions server;
    const char *model_path, *host, *api_key_file, *tls_certificate, *tls_key, *log;
    const char *reasoning_parser, *tool_call_parser, *template_kwargs, *memory, *max_body;
    bool enables_reasoning, enables_tool_choice;
    int think, manages;
    int64_t port, think_budget, max_tokens, top_k, max_sequences, max_queued, max_connections;
    double temperature, top_p, min_p, presence_penalty, frequency_penalty, repetition_penalty;
    double drain_s, idle_timeout_s, request_timeout_s, idle_unload_s, ping_s;
    ArgList api_keys, origins, served_names, run_folders;
    /* What these become. */
    ModelSpec specs[MODELS_MAX];
    AdapterSpec adapters[ARG_LIST_MAX];
    const char *keys[KEYS_MAX];
    Buf key_text, certificate_text, tls_key_text;
    json_t *kwargs;
    Arena arena;
} Serve;

/* ---- Command line ---------------------------------------------------------------------------- */

static int put_listening(Serve *s, Arg *options, int n)
{
    const Arg own[] = {
        {"host", 0, ARG_TEXT, &s->host, "ADDRESS", "listen there (127.0.0.1: this machine only)", 0,
         0},
        {"port", 'p', ARG_INT, &s->port, "N", "port (8000); 0: any free one", 0, 65535},
        {"api-key", 0, ARG_LIST, &s->api_keys, "KEY", "clients must have it; may be repeated", 0,
         0},
        {"api-key-file", 0, ARG_TEXT, &s->api_key_file, "FILE", "one key a line", 0, 0},
        {"cors-origin", 0, ARG_LIST, &s->origins, "ORIGIN",
         "web pages that may ask (this machine's); \"*\": all", 0, 0},
        {"tls-cert", 0, ARG_TEXT, &s->tls_certificate, "FILE", "PEM certificate: HTTPS", 0, 0},
        {"tls-key", 0, ARG_TEXT, &s->tls_key, "FILE", "its key", 0, 0},
        {"max-body", 0, ARG_TEXT, &s->max_body, "SIZE", "of a request (32M)", 0, 0},
        {"max-connections", 0, ARG_INT, &s->max_connections, "N", "at a time (1024)", 1, 1 << 16},
        {"idle-timeout", 0, ARG_REAL, &s->idle_timeout_s, "SECONDS",
         "close a connection on which nothing happens (60)", 1, 86400},
        {"request-timeout", 0, ARG_REAL, &s->request_timeout_s, "SECONDS",
         "of one request in all (none)", 1, 86400},
        {"ping", 0, ARG_REAL, &s->ping_s, "SECONDS",
         "a comment in a stream after so long a silence (15)", 0.1, 3600},
        {"train", 0, ARG_LIST, &s->run_folders, "DIR",
         "show the training runs in DIR in the page; may be repeated", 0, 0},
        {"drain", 0, ARG_REAL, &s->drain_s, "SECONDS",
         "at the end, let requests run for so long (60)", 0, 86400},
        {"manage", 0, ARG_ON, &s->manages, NULL,
         "offer what is in the store, and let clients pull, create, copy and delete there (if only "
         "this machine can ask)",
         0, 0},
        {"no-manage", 0, ARG_OFF, &s->manages, NULL, "offer the models of the command line alone",
         0, 0},
        {"log", 0, ARG_TEXT, &s->log, "FORMAT", "text, json or off", 0, 0},
    };
    memcpy(options + n, own, sizeof own);
    return n + (int)(sizeof own / sizeof *own);
}

static int put_models(Serve *s, Arg *options, int n)
{
    const Arg own[] = {
        {"model-path", 'm', ARG_TEXT, &s->model_path, "MODEL", "the same as MODEL", 0, 0},
        {"served-model-name", 0, ARG_LIST, &s->served_names, "NAME",
         "what clients call the first model; may be repeated", 0, 0},
        {"lora", 0, ARG_LIST, &s->model_args.loras, "[NAME=]DIR[:SCALE]",
         "a low-rank adapter of the first model; with a NAME, for requests that ask for it; may be "
         "repeated",
         0, 0},
        {"max-sequences", 0, ARG_INT, &s->max_sequences, "N", "answers computed side by side (64)",
         1, 4096},
        {"max-queue", 0, ARG_INT, &s->max_queued, "N",
         "requests that may wait, others get a 429 "
         "(256)",
         0, 1 << 20},
        {"memory", 0, ARG_TEXT, &s->memory, "SIZE", "of all models' weights together (no limit)", 0,
         0},
        {"idle-unload", 0, ARG_REAL, &s->idle_unload_s, "SECONDS",
         "unload a model that nobody asks (never)", 1, 1e9},
        {"max-model-len", 0, ARG_INT, &s->model_args.context, "N", "the same as --ctx", 1, 1 << 24},
        {"reasoning-parser", 0, ARG_TEXT, &s->reasoning_parser, "NAME",
         "auto, qwen3, deepseek_r1: thoughts apart; none: tags stay in the content", 0, 0},
        {"enable-reasoning", 0, ARG_FLAG, &s->enables_reasoning, NULL,
         "thoughts apart: the default", 0, 0},
        {"tool-call-parser", 0, ARG_TEXT, &s->tool_call_parser, "NAME",
         "hermes, the models' own form: the default", 0, 0},
        {"enable-auto-tool-choice", 0, ARG_FLAG, &s->enables_tool_choice, NULL,
         "tool_choice auto: always on", 0, 0},
    };
    memcpy(options + n, own, sizeof own);
    return n + (int)(sizeof own / sizeof *own);
}

static int put_defaults(Serve *s, Arg *options, int n)
{
    const Arg own[] = {
        {"think", 0, ARG_ON, &s->think, NULL, "think unless a request says no", 0, 0},
        {"no-think", 0, ARG_OFF, &s->think, NULL, "answer at once unless a request says think", 0,
         0},
        {"think-budget", 0, ARG_INT, &s->think_budget, "N", "for requests without one", 0, 1 << 24},
        {"default-chat-template-kwargs", 0, ARG_TEXT, &s->template_kwargs, "JSON",
         "template variables for requests without them", 0, 0},
        {"max-tokens", 0, ARG_INT, &s->max_tokens, "N",
         "for requests without it (the rest of the context)", 1, 1 << 24},
        {"temperature", 0, ARG_REAL, &s->temperature, "X", "these for requests without them", 0,
         100},
        {"top-p", 0, ARG_REAL, &s->top_p, "X", "draw from the likeliest that make up X", 0, 1},
        {"top-k", 0, ARG_INT, &s->top_k, "N", "draw from the N likeliest; 0: from all", 0, 1 << 24},
        {"min-p", 0, ARG_REAL, &s->min_p, "X", "none below X times the likeliest", 0, 1},
        {"presence-penalty", 0, ARG_REAL, &s->presence_penalty, "X", "against words again", -100,
         100},
        {"frequency-penalty", 0, ARG_REAL, &s->frequency_penalty, "X", "the same, for every time",
         -100, 100},
        {"repetition-penalty", 0, ARG_REAL, &s->repetition_penalty, "X",
         "a factor, the prompt included; 1: none", 0, 100},
    };
    memcpy(options + n, own, sizeof own);
    return n + (int)(sizeof own / sizeof *own);
}

static Serve serve_defaults(void)
{
    ServerOptions o = server_options_defaults();
    return (Serve){.model_args = model_args_defaults(),
                   .server = o,
                   .host = o.host,
                   .port = o.port,
                   .think = -1,
                   .manages = -1,
                   .think_budget = -1,
                   .top_k = -1,
                   .max_queued = o.models.max_queued,
                   .max_connections = o.max_connections,
                   .temperature = (double)NAN,
                   .top_p = (double)NAN,
                   .min_p = (double)NAN,
                   .presence_penalty = (double)NAN,
                   .frequency_penalty = (double)NAN,
                   .repetition_penalty = (double)NAN,
                   .drain_s = 60,
                   .idle_timeout_s = o.idle_timeout_s,
                   .ping_s = o.ping_seconds};
}

/* "path/Qwen3-8B-Q4_K_M.gguf" -> "Qwen3-8B-Q4_K_M", "./Qwen3-0.6B/" -> "Qwen3-0.6B"; a model that
 * is named and not a path is called what it was called. */
static const char *name_from_path(Arena *arena, const char *path)
{
    Str name = file_base_name(path);
    if (name.bytes > 5 && str_ends(name, STR(".gguf")))
        name.bytes -= 5;
    return arena_strndup(arena, name.data, name.bytes);
}

/* A word is MODEL or NAME=MODEL. */
static ModelSpec spec_from_word(Arena *arena, const char *word)
{
    const char *equals = strchr(word, '=');
    if (equals && equals > word && !memchr(word, '/', (size_t)(equals - word)))
        return (ModelSpec){arena_strndup(arena, word, (size_t)(equals - word)), equals + 1, NULL};
    return (ModelSpec){file_exists(word) ? name_from_path(arena, word) : word, word, NULL};
}

static bool choose_models(Serve *s, const ArgWords *words, Error *err)
{
    ModelsOptions *o = &s->server.models;
    if (s->model_path)
        s->specs[o->n_specs++] = spec_from_word(&s->arena, s->model_path);
    for (int i = 0; i < words->n; i++) {
        if (o->n_specs == MODELS_MAX)
            return error_set(err, ERROR_ARGUMENT, "at most %d models", MODELS_MAX);
        s->specs[o->n_specs++] = spec_from_word(&s->arena, words->words[i]);
    }
    if (o->n_specs == 0)
        s->specs[o->n_specs++] = (ModelSpec){"builtin", "builtin", NULL};
    if (s->served_names.n > MODEL_ALIASES_MAX)
        return error_set(err, ERROR_ARGUMENT, "--served-model-name: at most %d times",
                         MODEL_ALIASES_MAX);
    if (s->served_names.n > 0) {
        s->specs[0].name = s->served_names.items[0];
        o->aliases = s->served_names.items + 1;
        o->n_aliases = s->served_names.n - 1;
    }
    o->specs = s->specs;
    return true;
}

static bool find_one(Serve *s, const char **name, Error *err)
{
    char *path = model_find(*name, s->model_args.pulls, err);
    if (!path)
        return false;
    *name = arena_strndup(&s->arena, path, strlen(path));
    mem_free(path);
    return true;
}

static bool find_made(Serve *s, ModelSpec *spec)
{
    const bool is_other = strcmp(spec->path, "builtin") == 0 || file_exists(spec->path);
    HubMade *made = is_other ? NULL : hub_made_find(spec->path);
    if (!made)
        return false;
    spec->made = arena_strndup(&s->arena, made->name, strlen(made->name));
    spec->path = arena_strndup(&s->arena, made->path, strlen(made->path));
    hub_made_free(made);
    return true;
}

/* Names become paths. */
static bool find_models(Serve *s, Error *err)
{
    ModelsOptions *o = &s->server.models;
    for (int i = 0; i < o->n_specs; i++)
        if (!find_made(s, &s->specs[i]) && !find_one(s, &s->specs[i].path, err))
            return false;
    return !o->draft_path || find_one(s, &o->draft_path, err);
}

/* Launch lines of vLLM and SGLang name parsers; here the prompt and the model's ids decide. */
static bool check_parsers(Serve *s, Error *err)
{
    static const char *const reasoning[] = {"auto", "qwen3", "deepseek_r1", "deepseek-r1", "none"};
    static const char *const tools[] = {"hermes", "auto", "qwen", "qwen25", "qwen3_coder"};
    bool is_known = !s->reasoning_parser, is_tool_known = !s->tool_call_parser;
    for (int i = 0; i < 5; i++) {
        is_known |= s->reasoning_parser && strcmp(reasoning[i], s->reasoning_parser) == 0;
        is_tool_known |= s->tool_call_parser && strcmp(tools[i], s->tool_call_parser) == 0;
    }
    if (!is_known)
        return error_set(err, ERROR_ARGUMENT,
                         "--reasoning-parser %s: not one of auto, qwen3, deepseek_r1, none",
                         s->reasoning_parser);
    if (!is_tool_known)
        return error_set(err, ERROR_ARGUMENT,
                         "--tool-call-parser %s: not one of hermes, qwen25, qwen3_coder, auto",
                         s->tool_call_parser);
    bool is_none = s->reasoning_parser && strcmp(s->reasoning_parser, "none") == 0;
    if (is_none && s->enables_reasoning)
        return error_set(err, ERROR_ARGUMENT,
                         "--enable-reasoning and --reasoning-parser none contradict each other");
    s->server.defaults.merges_thinking = is_none;
    return true;
}

static bool read_defaults(Serve *s, Error *err)
{
    RequestDefaults *d = &s->server.defaults;
    d->sampling.temperature = (float)s->temperature;
    d->sampling.top_p = (float)s->top_p;
    d->sampling.min_p = (float)s->min_p;
    d->sampling.top_k = (int)s->top_k;
    d->sampling.presence_penalty = (float)s->presence_penalty;
    d->sampling.frequency_penalty = (float)s->frequency_penalty;
    d->sampling.repetition_penalty = (float)s->repetition_penalty;
    d->think = s->think;
    d->think_budget = (int)s->think_budget;
    d->max_tokens = (int)s->max_tokens;
    if (!s->template_kwargs)
        return true;
    json_error_t at;
    s->kwargs = json_loads(s->template_kwargs, 0, &at);
    if (!json_is_object(s->kwargs))
        return error_set(err, ERROR_ARGUMENT,
                         "--default-chat-template-kwargs: not a JSON object such as "
                         "{\"enable_thinking\": false}");
    const json_t *think = json_object_get(s->kwargs, "enable_thinking");
    if (think && !json_is_boolean(think))
        return error_set(err, ERROR_ARGUMENT,
                         "--default-chat-template-kwargs: enable_thinking is not true or false");
    if (think)
        d->think = json_is_true(think);
    d->template_kwargs = s->kwargs;
    return true;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static bool add_key(Serve *s, const char *key, Error *err)
{
    if (s->server.n_api_keys == KEYS_MAX)
        return error_set(err, ERROR_ARGUMENT, "at most %d API keys", KEYS_MAX);
    if (!*key)
        return error_set(err, ERROR_ARGUMENT, "--api-key: is empty");
    s->keys[s->server.n_api_keys++] = key;
    s->server.api_keys = s->keys;
    return true;
}

/* One key a line; empty lines and those that begin with # are skipped. */
static bool read_key_file(Serve *s, Error *err)
{
    int n_before = s->server.n_api_keys;
    if (!file_read(&s->key_text, s->api_key_file, KEYS_BYTES_MAX, err))
        return false;
    char *rest = s->key_text.data, *line;
    while (rest && (line = strsep(&rest, "\n"))) {
        while (isspace((unsigned char)*line))
            line++;
        size_t n = strlen(line);
        while (n > 0 && isspace((unsigned char)line[n - 1]))
            line[--n] = '\0';
        if (n > 0 && *line != '#' && !add_key(s, line, err))
            return false;
    }
    return s->server.n_api_keys > n_before ||
           error_set(err, ERROR_ARGUMENT, "%s: holds no key", s->api_key_file);
}

static bool read_tls(Serve *s, Error *err)
{
    if (!s->tls_certificate != !s->tls_key)
        return error_set(err, ERROR_ARGUMENT, "--tls-cert and --tls-key belong together");
    if (!s->tls_certificate)
        return true;
    if (!file_read(&s->certificate_text, s->tls_certificate, KEYS_BYTES_MAX, err) ||
        !file_read(&s->tls_key_text, s->tls_key, KEYS_BYTES_MAX, err))
        return false;
    s->server.tls_certificate = s->certificate_text.data;
    s->server.tls_key = s->tls_key_text.data;
    return true;
}

static bool read_sizes(Serve *s, Error *err)
{
    if (s->memory && !size_from_text(s->memory, &s->server.models.memory_bytes))
        return error_set(err, ERROR_ARGUMENT, "--memory %s: not a size such as 8G or 512M",
                         s->memory);
    if (s->max_body && !size_from_text(s->max_body, &s->server.max_body_bytes))
        return error_set(err, ERROR_ARGUMENT, "--max-body %s: not a size such as 32M", s->max_body);
    if (s->log && !log_format_from_name(s->log, &s->server.log_format))
        return error_set(err, ERROR_ARGUMENT, "--log %s: not one of text, json, off", s->log);
    return true;
}

/* --lora DIR[:SCALE] counts in all requests, --lora NAME=DIR[:SCALE] in those that name it. */
static bool read_adapters(Serve *s, Error *err)
{
    const ArgList *list = &s->model_args.loras;
    for (int i = 0; i < list->n; i++) {
        AdapterSpec *spec = &s->adapters[i];
        char *dir = NULL;
        const char *word = list->items[i];
        const char *equals = file_is_dir(word) ? NULL : strchr(word, '=');
        if (equals && memchr(word, '/', (size_t)(equals - word)))
            equals = NULL;
        if (equals)
            spec->name = arena_strndup(&s->arena, word, (size_t)(equals - word));
        if (!lora_from_text(equals ? equals + 1 : word, &dir, &spec->scale, err))
            return false;
        spec->path = arena_strndup(&s->arena, dir, strlen(dir));
        mem_free(dir);
        for (int k = 0; k < i && spec->name; k++)
            if (s->adapters[k].name && strcmp(s->adapters[k].name, spec->name) == 0)
                return error_set(err, ERROR_ARGUMENT, "--lora: two are called %s", spec->name);
    }
    s->server.models.adapters = s->adapters;
    s->server.models.n_adapters = list->n;
    return true;
}

static void fill_options(Serve *s)
{
    ServerOptions *o = &s->server;
    const ModelArgs *m = &s->model_args;
    o->host = s->host;
    o->port = (int)s->port;
    o->origins = s->origins.items;
    o->n_origins = s->origins.n;
    o->run_folders = s->run_folders.items;
    o->n_run_folders = s->run_folders.n;
    o->manages = s->manages;
    o->max_connections = (int)s->max_connections;
    o->idle_timeout_s = (int)s->idle_timeout_s;
    o->request_timeout_s = (int)s->request_timeout_s;
    o->ping_seconds = s->ping_s;
    o->models.model.device = m->device;
    o->models.model.n_threads = (int)m->n_threads;
    o->models.model.yarn_factor = m->yarn_factor;
    o->models.model.yarn_original = m->yarn_original;
    o->models.model.template_file = m->template_file;
    o->models.engine.context = (int)m->context;
    o->models.engine.kv_type = m->kv_type;
    o->models.engine.kv_bytes = m->kv_bytes;
    o->models.engine.max_sequences = (int)s->max_sequences;
    o->models.engine.speculation = m->speculation;
    o->models.draft_path = m->draft;
    o->models.max_queued = (int)s->max_queued;
    o->models.idle_seconds = s->idle_unload_s;
}

static bool complete(Serve *s, const ArgWords *words, Error *err)
{
    fill_options(s);
    bool ok = choose_models(s, words, err) && check_parsers(s, err) && read_defaults(s, err) &&
              read_sizes(s, err) && read_tls(s, err) && read_adapters(s, err);
    for (int i = 0; i < s->api_keys.n && ok; i++)
        ok = add_key(s, s->api_keys.items[i], err);
    ok = ok && runs_check(s->run_folders.items, s->run_folders.n, err);
    return ok && (!s->api_key_file || read_key_file(s, err));
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Waits for a signal, or for `seconds`; true: a signal came. */
static bool wait_for_signal(const sigset_t *signals, double seconds)
{
    struct timespec time = {(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)};
    return sigtimedwait(signals, NULL, &time) > 0;
}

static void drain(const Serve *s, Server *server, const sigset_t *signals)
{
    double until = clock_seconds() + s->drain_s;
    server_drain(server);
    int n = server_n_running(server);
    if (n > 0)
        term_note("ending; %d %s still running, a second signal stops %s", n,
                  n == 1 ? "request is" : "requests are", n == 1 ? "it" : "them");
    while (server_n_running(server) > 0 && clock_seconds() < until)
        if (wait_for_signal(signals, POLL_MS / 1000.0))
            break;
}

static int run(Serve *s)
{
    Error err = {0};
    sigset_t signals;
    if (!find_models(s, &err)) {
        term_note("%s", err.message);
        return 1;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    Server *server = server_open(&s->server, &err);
    if (!server) {
        term_note("%s", err.message);
        return 1;
    }
    const char *host = s->server.host;
    term_note("listening on %s://%s%s%s:%d", s->server.tls_certificate ? "https" : "http",
              strchr(host, ':') ? "[" : "", host, strchr(host, ':') ? "]" : "",
              server_port(server));
    if (strcmp(s->server.models.specs[0].path, "builtin") == 0)
        term_note("the built-in model is a small one that we trained: docs/results.md says what it "
                  "can do");
    bool has_failed = !server_start(server, &err);
    if (has_failed)
        term_note("%s", err.message);
    while (!has_failed && !wait_for_signal(&signals, POLL_MS / 1000.0))
        server_is_ready(server, &has_failed);
    if (!has_failed)
        drain(s, server, &signals);
    server_close(server);
    return has_failed ? 1 : 0;
}

int cmd_serve(int argc, char **argv)
{
    Serve s = serve_defaults();
    Arg options[OPTIONS_MAX];
    ArgWords words;
    Error err = {0};
    int status;
    int n = put_listening(&s, options, 0);
    n = put_models(&s, options, n);
    n = put_defaults(&s, options, n);
    n = model_args_put(&s.model_args, MODEL_ARGS_ALL & ~MODEL_ARGS_LORA, options, n);
    options[n] = (Arg){0};
    const ArgSpec spec = {
        .command = "serve",
        .usage = "[[NAME=]MODEL ...]",
        .about = "Serves models over HTTP to clients of OpenAI, Anthropic and Ollama. The first\n"
                 "MODEL is loaded at once and is what requests without a model get; further ones\n"
                 "are loaded when asked for. docs/server.md lists endpoints, fields and errors.",
        .options = options,
        .n_words_min = 0,
        .n_words_max = MODELS_MAX,
    };
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!model_args_check(&s.model_args, &err) || !complete(&s, &words, &err))
        status = term_usage("serve", err.message);
    else
        status = run(&s);
    json_decref(s.kwargs);
    buf_free(&s.key_text);
    buf_free(&s.certificate_text);
    buf_free(&s.tls_key_text);
    arena_close(&s.arena);
    return status;
}
