/* wen quantize: a model's weights in another element type, as a GGUF file or a folder of
 * safetensors. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/model_args.h"
#include "cli/quantize_calibrate.h"
#include "cli/term.h"
#include "formats/package.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PROGRESS_EVERY_S 0.2

/* The built-in model (src/api/builtin.S), if the program has one. */
extern const unsigned char wen_builtin_begin[] __attribute__((weak));
extern const unsigned char wen_builtin_end[] __attribute__((weak));

typedef struct Quantize {
    const char *in, *out, *type, *calibrate, *size;
    uint64_t target_bytes;
    ArgList loras;
    AdapterPackage *packages[ARG_LIST_MAX];
    MergedAdapter adapters[ARG_LIST_MAX];
    int n_adapters;
    int64_t n_threads;
    bool is_json, measures;
    double began_s, shown_s;
    uint64_t bytes_in, bytes_out;
    double n_elements;
    Buf tensors; /* the JSON list, or the table of errors */
} Quantize;

static double gigabytes(uint64_t bytes) { return (double)bytes / 1e9; }

/* False: Ctrl-C was pressed. */
static bool show_progress(void *context, const char *tensor, uint64_t done, uint64_t total)
{
    Quantize *q = context;
    double now = clock_seconds();
    if (now - q->shown_s >= PROGRESS_EVERY_S) {
        char line[160];
        double rate = (double)done / (now - q->began_s);
        int left_s = (int)((double)(total - done) / rate + 0.5);
        snprintf(line, sizeof line, "%3.0f %%  %.2f of %.2f GB  %.0f MB/s  %d:%02d left  %s",
                 100 * (double)done / (double)total, gigabytes(done), gigabytes(total), rate / 1e6,
                 left_s / 60, left_s % 60, tensor);
        term_progress(line);
        q->shown_s = now;
    }
    return !term_take_interrupt();
}

static void put_json(Quantize *q, const ConvertedTensor *t)
{
    Buf *out = &q->tensors;
    buf_puts(out, out->bytes ? ",\n  {\"name\": " : "\n  {\"name\": ");
    buf_put_json(out, str_from(t->info.name));
    buf_puts(out, ", \"shape\": [");
    for (int i = 0; i < t->info.n_dims; i++)
        buf_printf(out, "%s%" PRId64, i ? ", " : "", t->info.dims[i]);
    buf_printf(out, "], \"from\": \"%s\", \"to\": \"%s\", \"bytes\": %" PRIu64, dtype_name(t->from),
               dtype_name(t->info.type), t->bytes_out);
    if (q->measures)
        buf_printf(out, ", \"rms_error\": %.6g, \"relative_error\": %.6g", t->rms_error,
                   t->relative_error);
    if (q->measures && t->weighted_error >= 0)
        buf_printf(out, ", \"weighted_error\": %.6g", t->weighted_error);
    buf_putc(out, '}');
}

/* Name, types, bytes, the error over the values' RMS, and the same by importance. */
static void put_line(Quantize *q, const ConvertedTensor *t)
{
    if (q->tensors.bytes == 0)
        buf_printf(&q->tensors, "%-40s %-17s %14s %9s %9s\n", "tensor", "type", "bytes", "error",
                   q->calibrate ? "weighted" : "");
    buf_printf(&q->tensors, "%-40s %7s -> %-7s %14" PRIu64 " %8.3f%%", t->info.name,
               dtype_name(t->from), dtype_name(t->info.type), t->bytes_out,
               100 * t->relative_error);
    if (t->weighted_error >= 0)
        buf_printf(&q->tensors, " %8.3f%%", 100 * t->weighted_error);
    buf_putc(&q->tensors, '\n');
}

static void note_tensor(void *context, const ConvertedTensor *t)
{
    Quantize *q = context;
    double n = 1;
    for (int i = 0; i < t->info.n_dims; i++)
        n *= (double)t->info.dims[i];
    q->n_elements += n;
    q->bytes_in += t->bytes_in;
    q->bytes_out += t->bytes_out;
    if (q->is_json)
        put_json(q, t);
    else if (q->measures && t->info.n_dims > 1)
        put_line(q, t);
}

static void print_summary(const Quantize *q, double seconds)
{
    if (!q->is_json) {
        fwrite(q->tensors.data, 1, q->tensors.bytes, stdout);
        printf("%s: %.3f GB (from %.3f GB), %.2f bits a weight, %.1f s\n", q->out,
               gigabytes(q->bytes_out), gigabytes(q->bytes_in),
               8 * (double)q->bytes_out / q->n_elements, seconds);
        return;
    }
    Buf head = {0};
    buf_puts(&head, "{\"in\": ");
    buf_put_json(&head, str_from(q->in));
    buf_puts(&head, ", \"out\": ");
    buf_put_json(&head, str_from(q->out));
    buf_puts(&head, ", \"type\": ");
    buf_put_json(&head, str_from(q->type ? q->type : q->size));
    printf("%s, \"bytes_in\": %" PRIu64 ", \"bytes_out\": %" PRIu64
           ", \"bits_per_weight\": %.4f, \"seconds\": %.3f, \"tensors\": [",
           head.data, q->bytes_in, q->bytes_out, 8 * (double)q->bytes_out / q->n_elements, seconds);
    fwrite(q->tensors.data, 1, q->tensors.bytes, stdout);
    printf("\n]}\n");
    buf_free(&head);
}

static Package *open_input(const char *path, Error *err)
{
    if (strcmp(path, "builtin") != 0 || !wen_builtin_begin)
        return package_open(path, true, err);
    Str bytes = {(const char *)wen_builtin_begin, (size_t)(wen_builtin_end - wen_builtin_begin)};
    return package_open_memory(bytes, path, err);
}

static bool open_adapters(Quantize *q, Error *err)
{
    for (int i = 0; i < q->loras.n; i++) {
        MergedAdapter *adapter = &q->adapters[i];
        char *dir = NULL;
        if (!lora_from_text(q->loras.items[i], &dir, &adapter->scale, err))
            return false;
        adapter->package = q->packages[i] = adapter_package_open(dir, err);
        mem_free(dir);
        if (!adapter->package)
            return false;
        q->n_adapters++;
    }
    return true;
}

static int convert(Quantize *q)
{
    Error err = {0};
    ConvertOptions options = {.type = q->type,
                              .adapters = q->adapters,
                              .as_safetensors = !str_ends(str_from(q->out), STR(".gguf")),
                              .target_bytes = q->target_bytes,
                              .measure_error = q->measures,
                              .n_threads = (int)q->n_threads,
                              .progress = show_progress,
                              .tensor_done = note_tensor,
                              .context = q};
    term_catch_interrupts();
    Package *in = open_adapters(q, &err) ? open_input(q->in, &err) : NULL;
    options.n_adapters = q->n_adapters;
    Importance *importance = NULL;
    if (in && q->calibrate)
        importance = quantize_calibrate(in, q->calibrate, (int)q->n_threads, &err);
    options.importance = importance;
    q->began_s = clock_seconds();
    bool ok = in && (importance || !q->calibrate) && package_convert(in, q->out, &options, &err);
    importance_free(importance);
    package_close(in);
    for (int i = 0; i < q->n_adapters; i++)
        adapter_package_close(q->packages[i]);
    term_progress(NULL);
    if (err.code == ERROR_CANCELLED)
        term_die_interrupted();
    if (ok)
        print_summary(q, clock_seconds() - q->began_s);
    else
        term_note("%s", err.message);
    buf_free(&q->tensors);
    return term_finish_output() && ok ? 0 : 1;
}

/* "5GB", "4.7G", "900MB", "5GiB": as files are counted, in thousands unless it says "i". */
static bool file_size_from_text(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end);
    const char *unit = end != text && *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (!unit || !(value > 0))
        return false;
    const char *rest = end + 1;
    const bool is_binary = strcasecmp(rest, "ib") == 0;
    if (*rest && strcasecmp(rest, "b") != 0 && !is_binary)
        return false;
    for (const char *u = units; u <= unit; u++)
        value *= is_binary ? 1024 : 1000;
    if (!(value < 0x1p60))
        return false;
    *bytes = (uint64_t)value;
    return true;
}

int cmd_quantize(int argc, char **argv)
{
    Quantize q = {0};
    const Arg options[] = {
        {.name = "type",
         .kind = ARG_TEXT,
         .value = &q.type,
         .value_name = "T",
         .help = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q6_K Q4_K_M Q4_K_S Q5_K_M Q5_K_S "
                 "Q3_K_L Q3_K_M Q3_K_S Q2_K IQ4_NL IQ4_XS MXFP4"},
        {.name = "size",
         .kind = ARG_TEXT,
         .value = &q.size,
         .value_name = "SIZE",
         .help = "in place of --type: the file's size at most (5GB, 900MB); each matrix gets the "
                 "type that leaves the least error for its bytes"},
        {.name = "calibrate",
         .kind = ARG_TEXT,
         .value = &q.calibrate,
         .value_name = "FILE",
         .help = "a text that is run through the model first, so that the columns that matter to "
                 "it are kept best (or llama.cpp's imatrix .gguf)"},
        {.name = "lora",
         .kind = ARG_LIST,
         .value = &q.loras,
         .value_name = "DIR[:SCALE]",
         .help = "merge a low-rank adapter (PEFT's folder) in; may be repeated"},
        {.name = "measure",
         .kind = ARG_FLAG,
         .value = &q.measures,
         .help = "tell every tensor's type, bytes and error (always told with --size)"},
        {.name = "threads",
         .kind = ARG_INT,
         .value = &q.n_threads,
         .value_name = "N",
         .help = "compute threads (default: one for each processor)",
         .min = 1,
         .max = 256},
        {.name = "json",
         .kind = ARG_FLAG,
         .value = &q.is_json,
         .help = "print a summary as one JSON object"},
        {.name = NULL},
    };
    const ArgSpec spec = {
        .command = "quantize",
        .usage = "IN OUT --type T | --size SIZE [--calibrate FILE] [--lora DIR[:SCALE]]...",
        .about =
            "Writes the model IN (a GGUF file, or a folder of safetensors) with its weights as "
            "type T:\na GGUF file if OUT ends in .gguf, else a folder of safetensors (F32, F16, "
            "BF16).\nNorms, biases and routers of a GGUF stay F32; the _M and _S mixes give "
            "sensitive tensors more bits.",
        .options = options,
        .n_words_min = 2,
        .n_words_max = 2};
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    q.in = words.words[0];
    q.out = words.words[1];
    DType plain;
    if (!q.type && !q.size)
        return term_usage("quantize", "--type is missing (or --size)");
    if (q.type && q.size)
        return term_usage("quantize", "--size chooses the types: leave --type out");
    if (q.type && !package_convert_knows(q.type))
        return term_usage("quantize", "--type: no such type");
    if (q.size && !file_size_from_text(q.size, &q.target_bytes))
        return term_usage("quantize", "--size: a size like 5GB or 900MB is wanted");
    q.measures |= q.size != NULL;
    bool is_plain =
        q.type && dtype_from_name(str_from(q.type), &plain) && dtype_info(plain)->block_len == 1;
    if (!is_plain && !str_ends(str_from(q.out), STR(".gguf")))
        return term_usage("quantize", "OUT should end in .gguf; a folder holds F32, F16 or BF16");
    return convert(&q);
}
