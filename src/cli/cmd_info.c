/* wen info: what a model is and what memory it will take. */
#include "cli/commands.h"

#include "cli/model_args.h"
#include "cli/term.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { OPTIONS_MAX = 16 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static json_int_t int_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static double real_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void print_label(const char *label) { printf("%-13s", label); }

/* "4.7 GiB" */
static void print_bytes(json_int_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t u = 0;
    for (; value >= 1024 && u + 1 < sizeof units / sizeof *units; u++)
        value /= 1024;
    printf(u ? "%.1f %s" : "%.0f %s", value, units[u]);
}

/* "7.62 B" (parameters) */
static void print_count(json_int_t n)
{
    if (n >= 1000000000)
        printf("%.2f billion", (double)n / 1e9);
    else
        printf("%.2f million", (double)n / 1e6);
}

static void print_architecture(const json_t *info)
{
    print_label("architecture");
    printf("%s: %lld layers, d_model %lld, %lld heads (%lld of keys and values) of %lld, d_ff %lld",
           text_of(info, "architecture"), (long long)int_of(info, "n_layers"),
           (long long)int_of(info, "d_model"), (long long)int_of(info, "n_heads"),
           (long long)int_of(info, "n_kv_heads"), (long long)int_of(info, "head_dim"),
           (long long)int_of(info, "d_ff"));
    if (int_of(info, "n_experts") > 0)
        printf(", %lld of %lld experts of %lld", (long long)int_of(info, "n_experts_used"),
               (long long)int_of(info, "n_experts"), (long long)int_of(info, "d_expert"));
    putchar('\n');
    print_label("parameters");
    print_count(int_of(info, "parameters"));
    if (int_of(info, "n_experts") > 0) {
        fputs(", active ", stdout);
        print_count(int_of(info, "active_parameters"));
    }
    putchar('\n');
    print_label("types");
    const json_t *types = json_object_get(info, "types");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const json_t *type = json_array_get(types, i);
        printf("%s%s ", i ? ", " : "", text_of(type, "type"));
        print_bytes(int_of(type, "bytes"));
        printf(" (%lld tensors)", (long long)int_of(type, "n_tensors"));
    }
    putchar('\n');
}

static void print_text(const json_t *info)
{
    static const char *const templates[][2] = {
        {"none", "none: --template FILE gives one"},
        {"plain", "plain: the model does not think"},
        {"hybrid", "hybrid: thinking can be switched"},
        {"thinking", "thinking: the model always thinks"},
    };
    print_label("vocabulary");
    printf("%lld tokens, %lld rows\n",
           (long long)int_of(json_object_get(info, "tokenizer"), "n_tokens"),
           (long long)int_of(info, "n_vocab"));
    print_label("template");
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (strcmp(text_of(info, "template"), templates[i][0]) == 0)
            puts(templates[i][1]);
    print_label("context");
    printf("%lld tokens", (long long)int_of(info, "context"));
    const json_t *yarn = json_object_get(info, "yarn");
    if (json_is_object(yarn))
        printf(" (YaRN %g of %lld)", real_of(yarn, "factor"), (long long)int_of(yarn, "original"));
    putchar('\n');
    print_label("end of text");
    const json_t *eos = json_object_get(info, "eos_ids");
    for (size_t i = 0; i < json_array_size(eos); i++)
        printf("%s%lld", i ? " " : "", (long long)json_integer_value(json_array_get(eos, i)));
    putchar('\n');
}

static void print_sampling(const json_t *info)
{
    const char *mode;
    json_t *s;
    json_object_foreach(json_object_get(info, "sampling"), mode, s)
    {
        print_label("sampling");
        if (real_of(s, "temperature") > 0)
            printf("temperature %g, top_p %g, top_k %g, min_p %g", real_of(s, "temperature"),
                   real_of(s, "top_p"), real_of(s, "top_k"), real_of(s, "min_p"));
        else
            fputs("the likeliest token", stdout);
        if (real_of(s, "repetition_penalty") != 1)
            printf(", repetition_penalty %g", real_of(s, "repetition_penalty"));
        printf(" (%s)\n", strcmp(mode, "thinking") == 0 ? "thinking" : "not thinking");
    }
}

static void print_memory(const json_t *info)
{
    const json_t *m = json_object_get(info, "memory"), *device = json_object_get(info, "device");
    print_label("memory");
    fputs("weights ", stdout);
    print_bytes(int_of(m, "weights_bytes"));
    fputs(" + keys and values ", stdout);
    print_bytes(int_of(m, "kv_bytes"));
    printf(" (%lld tokens, %s) + step ", (long long)int_of(m, "context"), text_of(m, "kv_type"));
    print_bytes(int_of(m, "step_bytes"));
    fputs(" = ", stdout);
    print_bytes(int_of(m, "total_bytes"));
    putchar('\n');
    print_label("");
    print_bytes(int_of(m, "available_bytes"));
    puts(json_is_true(json_object_get(m, "fits"))
             ? " are free: it fits"
             : " are free: it does not fit; a smaller --ctx takes less");
    print_label("device");
    printf("%s (%s), %lld threads\n", text_of(device, "name"), text_of(device, "isa"),
           (long long)int_of(device, "n_threads"));
}

static void print_info(const char *text)
{
    json_t *info = json_loads(text, 0, NULL);
    print_label("model");
    printf("%s (%s)\n", text_of(info, "path"), text_of(info, "format"));
    print_architecture(info);
    print_text(info);
    print_sampling(info);
    print_memory(info);
    json_decref(info);
}

int cmd_info(int argc, char **argv)
{
    ModelArgs args = model_args_defaults();
    bool is_json = false;
    Arg options[OPTIONS_MAX] = {
        {"json", 0, ARG_FLAG, &is_json, NULL, "print one JSON object", 0, 0},
    };
    const ArgSpec spec = {
        .command = "info",
        .usage = "MODEL",
        .about = "Tells what a model is, and what memory it takes with a context of --ctx tokens.",
        .options = options,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    Error err = {0};
    wen_error failure;
    int status;
    model_args_put(&args, MODEL_ARGS_WEIGHTS | MODEL_ARGS_CONTEXT | MODEL_ARGS_TEMPLATE, options,
                   1);
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!model_args_check(&args, &err))
        return term_usage("info", err.message);
    wen_model *model = model_args_open(&args, words.words[0], WEN_LOAD_HEADERS);
    if (!model)
        return 1;
    char *text = wen_model_info(model, (int)args.context, args.kv_type, &failure);
    if (!text)
        term_note("%s", failure.message);
    if (text && is_json)
        puts(text);
    else if (text)
        print_info(text);
    bool ok = text != NULL;
    wen_free(text);
    wen_model_close(model);
    return term_finish_output() && ok ? 0 : 1;
}
