/* wen bench: how fast a model runs, beside what this machine can do and beside another engine. */
#include "cli/commands.h"

#include "base/clock.h"
#include "cli/bench.h"
#include "cli/model_args.h"
#include "cli/profile_print.h"
#include "cli/term.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 24, LIMIT_ROUNDS = 5 };

static const char *const kind_keys[] = {"prefill", "decode", "decode_at_depth", "together"};

typedef struct Bench {
    ModelArgs model_args;
    const char *name, *peer;
    bool is_json;
    int64_t n_prompt, n_generate, depth, n_together, n_repeats;
    /* Measured. */
    BenchSizes sizes;
    wen_limits limits;
    Series own[N_BENCH_KINDS], other[N_BENCH_KINDS];
    double open_seconds, first_token_seconds;
    json_t *info;
} Bench;

/* ---- Measuring ------------------------------------------------------------------------------- */

static bool say(const char *message)
{
    term_progress(NULL);
    term_note("%s", message);
    return false;
}

static double larger(double a, double b) { return a > b ? a : b; }

/* The best of all rounds: some before the work, some behind it. */
static bool measure_limits(Bench *b, wen_model *model)
{
    wen_limits now;
    wen_error err;
    if (!wen_model_limits(model, LIMIT_ROUNDS, &now, &err))
        return say(err.message);
    b->limits.read_bytes_per_s = larger(b->limits.read_bytes_per_s, now.read_bytes_per_s);
    b->limits.f32_ops_per_s = larger(b->limits.f32_ops_per_s, now.f32_ops_per_s);
    b->limits.bf16_ops_per_s = larger(b->limits.bf16_ops_per_s, now.bf16_ops_per_s);
    b->limits.int8_ops_per_s = larger(b->limits.int8_ops_per_s, now.int8_ops_per_s);
    return true;
}

static bool is_wanted(const Bench *b, BenchKind kind)
{
    return !(kind == BENCH_DEPTH && b->sizes.depth == 0) &&
           !(kind == BENCH_TOGETHER && b->sizes.n_together <= 1);
}

static bool measure_kinds(Bench *b, wen_engine *engine)
{
    for (int repeat = 0; repeat < b->n_repeats; repeat++) {
        char text[64];
        snprintf(text, sizeof text, "round %d of %d", repeat + 1, (int)b->n_repeats);
        term_progress(text);
        for (int kind = 0; kind < N_BENCH_KINDS; kind++) {
            wen_error err;
            if (!is_wanted(b, (BenchKind)kind))
                continue;
            double rate = bench_run(engine, (BenchKind)kind, &b->sizes, repeat, &err);
            if (err.code != WEN_ERROR_NONE)
                return say(err.message);
            series_add(&b->own[kind], rate);
        }
        Error err = {0};
        double figures[N_BENCH_KINDS];
        if (b->peer && !bench_peer_run(b->peer, figures, &err))
            return say(err.message);
        for (int kind = 0; b->peer && kind < N_BENCH_KINDS; kind++)
            if (figures[kind] > 0)
                series_add(&b->other[kind], figures[kind]);
    }
    term_progress(NULL);
    return true;
}

static bool measure_first_token(Bench *b, wen_engine *engine, double started)
{
    const BenchSizes first = {.n_prompt = BENCH_FIRST_PROMPT};
    wen_error err;
    bench_run(engine, BENCH_PREFILL, &first, BENCH_REPEATS_MAX, &err);
    b->first_token_seconds = clock_seconds() - started;
    return err.code == WEN_ERROR_NONE || say(err.message);
}

static json_t *model_info(wen_model *model, wen_engine *engine, const char *kv_type)
{
    char *text = wen_model_info(model, wen_engine_context(engine), kv_type, NULL);
    json_t *info = text ? json_loads(text, 0, NULL) : NULL;
    wen_free(text);
    return info;
}

/* ---- Shares ---------------------------------------------------------------------------------- */

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Products of quantized weights are of bytes, those of F16 in f32. */
static double peak_of(const Bench *b, const char **name)
{
    const char *type = text_of(b->info, "type");
    const bool is_bf16 = strcmp(type, "BF16") == 0;
    const bool is_float = is_bf16 || strcmp(type, "F32") == 0 || strcmp(type, "F16") == 0;
    *name = is_bf16 ? "bf16" : is_float ? "f32" : "int8";
    return is_bf16    ? b->limits.bf16_ops_per_s
           : is_float ? b->limits.f32_ops_per_s
                      : b->limits.int8_ops_per_s;
}

/* Bytes that the work reads for one of its tokens: weights once a step, keys and values of all
 * positions before. */
static double bytes_per_token(const Bench *b, BenchKind kind)
{
    const json_t *memory = json_object_get(b->info, "memory");
    const double weights = number(memory, "read_bytes_per_token");
    const double kv = number(memory, "kv_bytes_per_token");
    const BenchSizes *s = &b->sizes;
    switch (kind) {
    case BENCH_PREFILL:
        return weights / s->n_prompt + kv * s->n_prompt / 2;
    case BENCH_DECODE:
        return weights + kv * s->n_generate / 2;
    case BENCH_DEPTH:
        return weights + kv * (s->depth + s->n_generate / 2);
    default:
        return weights / s->n_together + kv * (BENCH_TOGETHER_DEPTH + s->n_generate / 2);
    }
}

/* Multiplications and additions of its products; attention's are not counted. */
static double ops_per_token(const Bench *b, BenchKind kind)
{
    const json_t *i = b->info;
    const double table = number(i, "n_vocab") * number(i, "d_model");
    const bool is_tied = json_is_true(json_object_get(i, "is_tied"));
    const double layers = number(i, "active_parameters") - (is_tied ? 1 : 2) * table;
    return 2 * (kind == BENCH_PREFILL ? layers + table / b->sizes.n_prompt : layers + table);
}

/* ---- Printing -------------------------------------------------------------------------------- */

static json_t *rounded(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.5g", value);
    return json_real(strtod(text, NULL));
}

static json_t *kind_json(const Bench *b, BenchKind kind)
{
    const Series *own = &b->own[kind], *other = &b->other[kind];
    const char *peak_name;
    const double rate = series_median(own), bytes = bytes_per_token(b, kind);
    const double peak = peak_of(b, &peak_name);
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "tokens_per_s", rounded(rate), "min",
                          rounded(series_min(own)), "max", rounded(series_max(own)),
                          "bytes_per_token", rounded(bytes), "of_bandwidth",
                          rounded(rate * bytes / b->limits.read_bytes_per_s), "of_arithmetic",
                          rounded(rate * ops_per_token(b, kind) / peak));
    if (kind == BENCH_DEPTH)
        json_object_set_new(o, "depth", json_integer(b->sizes.depth));
    if (kind == BENCH_TOGETHER)
        json_object_set_new(o, "sequences", json_integer(b->sizes.n_together));
    if (other->n > 0) {
        json_object_set_new(o, "other_tokens_per_s", rounded(series_median(other)));
        json_object_set_new(o, "other_min", rounded(series_min(other)));
        json_object_set_new(o, "other_max", rounded(series_max(other)));
        json_object_set_new(o, "ratio", rounded(rate / series_median(other)));
    }
    return o;
}

static void print_json(const Bench *b)
{
    const json_t *device = json_object_get(b->info, "device");
    const char *peak_name;
    peak_of(b, &peak_name);
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:O, s:s, s:{s:o, s:o, s:o, s:o}, s:s, s:o, s:o}", "model", b->name,
        "type", text_of(b->info, "type"), "device", text_of(device, "name"), "threads",
        json_object_get(device, "n_threads"), "isa", text_of(device, "isa"), "probes",
        "read_bytes_per_s", rounded(b->limits.read_bytes_per_s), "int8_ops_per_s",
        rounded(b->limits.int8_ops_per_s), "bf16_ops_per_s", rounded(b->limits.bf16_ops_per_s),
        "f32_ops_per_s", rounded(b->limits.f32_ops_per_s), "arithmetic", peak_name, "open_seconds",
        rounded(b->open_seconds), "first_token_seconds", rounded(b->first_token_seconds));
    for (int kind = 0; kind < N_BENCH_KINDS; kind++)
        if (b->own[kind].n > 0)
            json_object_set_new(o, kind_keys[kind], kind_json(b, (BenchKind)kind));
    if (b->peer)
        json_object_set_new(o, "other", json_string(b->peer));
    json_dumpf(o, stdout, JSON_REAL_PRECISION(6));
    puts("");
    json_decref(o);
}

static void print_kind(const Bench *b, BenchKind kind)
{
    const Series *own = &b->own[kind], *other = &b->other[kind];
    const char *peak_name;
    char what[48];
    const double rate = series_median(own), bytes = bytes_per_token(b, kind);
    const double peak = peak_of(b, &peak_name);
    if (kind == BENCH_PREFILL)
        snprintf(what, sizeof what, "prefill %d", b->sizes.n_prompt);
    else if (kind == BENCH_DECODE)
        snprintf(what, sizeof what, "decode %d", b->sizes.n_generate);
    else if (kind == BENCH_DEPTH)
        snprintf(what, sizeof what, "decode at depth %d", b->sizes.depth);
    else
        snprintf(what, sizeof what, "%d together", b->sizes.n_together);
    printf("%-22s %9.1f %9.1f %9.1f %11.1f %% %8.1f %%", what, rate, series_min(own),
           series_max(own), 100 * rate * bytes / b->limits.read_bytes_per_s,
           100 * rate * ops_per_token(b, kind) / peak);
    if (other->n > 0)
        printf(" %9.1f %7.2f", series_median(other), rate / series_median(other));
    puts("");
}

static void print_table(const Bench *b)
{
    const json_t *device = json_object_get(b->info, "device");
    const char *peak_name;
    peak_of(b, &peak_name);
    printf("%s, %s; %s (%s), %d threads\n", b->name, text_of(b->info, "type"),
           text_of(device, "name"), text_of(device, "isa"), (int)number(device, "n_threads"));
    printf("limits: read %.1f GB/s; int8 %.0f, bf16 %.0f, f32 %.0f GOP/s\n",
           b->limits.read_bytes_per_s / 1e9, b->limits.int8_ops_per_s / 1e9,
           b->limits.bf16_ops_per_s / 1e9, b->limits.f32_ops_per_s / 1e9);
    printf("opened in %.3f s, first token after %.3f s\n\n", b->open_seconds,
           b->first_token_seconds);
    char share[16];
    snprintf(share, sizeof share, "of %s", peak_name);
    printf("%-22s %9s %9s %9s %13s %10s%s\n", "tokens per second", "median", "min", "max",
           "of bandwidth", share, b->peer ? "     other   ratio" : "");
    for (int kind = 0; kind < N_BENCH_KINDS; kind++)
        if (b->own[kind].n > 0)
            print_kind(b, (BenchKind)kind);
}

/* ---- The command ----------------------------------------------------------------------------- */

static bool measure(Bench *b)
{
    const double started = clock_seconds();
    wen_model *model = model_args_open(&b->model_args, b->name, WEN_LOAD_ALL);
    wen_engine *engine =
        model ? model_args_open_engine(&b->model_args, model, b->sizes.n_together) : NULL;
    b->open_seconds = clock_seconds() - started;
    bool ok = engine && measure_first_token(b, engine, started);
    if (ok)
        b->info = model_info(model, engine, b->model_args.kv_type);
    ok = ok && b->info && measure_limits(b, model) && measure_kinds(b, engine) &&
         measure_limits(b, model);
    if (ok && b->is_json)
        print_json(b);
    else if (ok)
        print_table(b);
    if (ok && b->model_args.profiles) {
        fflush(stdout);
        profile_print(model);
    }
    wen_engine_close(engine);
    wen_model_close(model);
    json_decref(b->info);
    return ok && term_finish_output();
}

int cmd_bench(int argc, char **argv)
{
    Bench b = {.model_args = model_args_defaults(),
               .n_prompt = 512,
               .n_generate = 128,
               .n_together = 1,
               .n_repeats = 3};
    Arg options[OPTIONS_MAX] = {
        {"prompt", 0, ARG_INT, &b.n_prompt, "N", "tokens of the prompt (512)", 1, 1 << 20},
        {"generate", 0, ARG_INT, &b.n_generate, "N", "tokens generated (128)", 1, 1 << 20},
        {"depth", 0, ARG_INT, &b.depth, "N", "generate behind N tokens, too", 0, 1 << 20},
        {"batch", 0, ARG_INT, &b.n_together, "N", "generate N answers side by side, too", 1, 1024},
        {"repeats", 0, ARG_INT, &b.n_repeats, "N", "rounds (3); figures are their medians", 1,
         BENCH_REPEATS_MAX},
        {"compare", 0, ARG_TEXT, &b.peer, "CMD",
         "run another engine's bench in every round, such as 'llama-bench -m FILE -o json'", 0, 0},
        {"json", 0, ARG_FLAG, &b.is_json, NULL, "print one JSON object", 0, 0},
    };
    ArgWords words;
    Error err = {0};
    int status, n = 0;
    while (options[n].name)
        n++;
    model_args_put(&b.model_args,
                   MODEL_ARGS_WEIGHTS | MODEL_ARGS_CONTEXT | MODEL_ARGS_MEMORY | MODEL_ARGS_PROFILE,
                   options, n);
    const ArgSpec spec = {
        .command = "bench",
        .usage = "[MODEL]",
        .about =
            "Measures prefill and decode, and prints each figure as a share of what this\n"
            "machine can read and multiply at best, which is measured too. docs/speed.md tells\n"
            "what is timed, and which output --compare understands.",
        .options = options,
        .n_words_min = 0,
        .n_words_max = 1,
    };
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    b.name = words.n ? words.words[0] : "builtin";
    b.sizes = (BenchSizes){(int)b.n_prompt, (int)b.n_generate, (int)b.depth, (int)b.n_together};
    if (!model_args_check(&b.model_args, &err))
        return term_usage("bench", err.message);
    b.model_args.speculation = WEN_SPECULATE_OFF;
    if (b.model_args.context == 0)
        b.model_args.context = bench_context(&b.sizes);
    return measure(&b) ? 0 : 1;
}
