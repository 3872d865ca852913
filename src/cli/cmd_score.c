/* wen score: log-probabilities of given ids or text, one JSON object a position; or all logits. */
#include "cli/commands.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/model_args.h"
#include "cli/term.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

enum { INPUT_BYTES_MAX = 256 << 20, OPTIONS_MAX = 16, SEQUENCES = 32 };

typedef struct Score {
    ModelArgs model_args;
    const char *ids_file, *text_file, *full_file;
    int64_t n_top;
} Score;

/* ---- Input ----------------------------------------------------------------------------------- */

static bool ids_from_json(const Buf *text, const char *name, int32_t **ids, int *n, Error *err)
{
    json_error_t where;
    json_t *array = json_loadb(text->data ? text->data : "", text->bytes, 0, &where);
    if (!json_is_array(array)) {
        json_decref(array);
        if (array)
            return error_set(err, ERROR_FORMAT, "%s: not a JSON array of ids", name);
        return error_set(err, ERROR_FORMAT, "%s: line %d, column %d: %s", name, where.line,
                         where.column, where.text);
    }
    bool ok = true;
    *n = (int)json_array_size(array);
    *ids = mem_alloc(sizeof **ids * (size_t)*n);
    for (int i = 0; i < *n && ok; i++) {
        const json_t *id = json_array_get(array, (size_t)i);
        json_int_t value = json_integer_value(id);
        ok = json_is_integer(id) && value >= 0 && value <= INT32_MAX;
        (*ids)[i] = (int32_t)value;
        if (!ok)
            error_set(err, ERROR_FORMAT, "%s: item %d is not an id", name, i);
    }
    json_decref(array);
    return ok;
}

static bool read_ids(const Score *s, const wen_model *model, int32_t **ids, int *n, Error *err)
{
    const char *name = s->ids_file ? s->ids_file : s->text_file;
    wen_error failure;
    Buf input = {0};
    bool ok = file_read(&input, name, INPUT_BYTES_MAX, err);
    if (ok && s->ids_file) {
        ok = ids_from_json(&input, name, ids, n, err);
    } else if (ok) {
        ok =
            wen_tokenize(model, input.data ? input.data : "", input.bytes, false, ids, n, &failure);
        if (!ok)
            error_set(err, (ErrorCode)failure.code, "%s: %.400s", name, failure.message);
    }
    buf_free(&input);
    return ok;
}

/* ---- Output ---------------------------------------------------------------------------------- */

static void print_number(double value)
{
    if (isfinite(value))
        printf("%.6f", value);
    else
        fputs("null", stdout);
}

static bool print_position(void *context, int pos, int32_t id, float logprob,
                           const wen_score_top *top, int n_top)
{
    (void)context;
    printf("{\"pos\": %d, \"id\": %" PRId32 ", \"logprob\": ", pos, id);
    print_number((double)logprob);
    fputs(", \"top\": [", stdout);
    for (int i = 0; i < n_top; i++) {
        printf("%s{\"id\": %" PRId32 ", \"logit\": ", i ? ", " : "", top[i].id);
        print_number((double)top[i].logit);
        fputs(", \"logprob\": ", stdout);
        print_number((double)top[i].logprob);
        fputs("}", stdout);
    }
    fputs("]}\n", stdout);
    return !ferror(stdout);
}

typedef struct Full {
    FileWriter *file;
    Error *err;
} Full;

static bool write_rows(void *context, int pos, int n_rows, const float *logits, int n_vocab)
{
    (void)pos;
    Full *full = context;
    return file_writer_write(full->file, logits, sizeof *logits * (size_t)n_rows * (size_t)n_vocab,
                             full->err);
}

static bool score_full(const Score *s, wen_engine *engine, const int32_t *ids, int n, Error *err)
{
    wen_error failure;
    Full full = {.file = file_writer_open(s->full_file, err), .err = err};
    if (!full.file)
        return false;
    if (wen_logits(engine, ids, n, write_rows, &full, &failure))
        return file_writer_commit(full.file, err);
    file_writer_cancel(full.file);
    if (failure.code == WEN_ERROR_CANCELLED) /* by write_rows, which said why */
        return false;
    return error_set(err, (ErrorCode)failure.code, "%s", failure.message);
}

static bool score_lines(const Score *s, wen_engine *engine, const int32_t *ids, int n, Error *err)
{
    wen_error failure;
    if (wen_score(engine, ids, n, (int)s->n_top, print_position, NULL, &failure) ||
        failure.code == WEN_ERROR_CANCELLED) /* the output failed; see term_finish_output */
        return true;
    return error_set(err, (ErrorCode)failure.code, "%s", failure.message);
}

static bool score(const Score *s, const wen_model *model, wen_engine *engine, Error *err)
{
    int32_t *ids = NULL;
    int n = 0;
    bool ok = read_ids(s, model, &ids, &n, err);
    if (ok)
        ok =
            s->full_file ? score_full(s, engine, ids, n, err) : score_lines(s, engine, ids, n, err);
    wen_free(ids);
    return ok;
}

int cmd_score(int argc, char **argv)
{
    Score s = {.model_args = model_args_defaults(), .n_top = 1};
    Arg options[OPTIONS_MAX] = {
        {"ids", 0, ARG_TEXT, &s.ids_file, "FILE", "a JSON array of ids; - is standard input", 0, 0},
        {"text", 0, ARG_TEXT, &s.text_file, "FILE", "text; special tokens are matched", 0, 0},
        {"top", 0, ARG_INT, &s.n_top, "K", "predictions for the next position (1)", 0, 1 << 20},
        {"full", 0, ARG_TEXT, &s.full_file, "OUT.f32",
         "instead of lines, all logits as raw float32 [positions, n_vocab]", 0, 0},
    };
    const ArgSpec spec = {
        .command = "score",
        .usage = "MODEL (--ids FILE | --text FILE)",
        .about = "Prints a JSON object a position: the id, its log-probability under what comes\n"
                 "before, and the best predictions for the next position with raw logits.",
        .options = options,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    Error err = {0};
    int status;
    model_args_put(&s.model_args,
                   MODEL_ARGS_WEIGHTS | MODEL_ARGS_CONTEXT | MODEL_ARGS_MEMORY | MODEL_ARGS_LORA,
                   options, 4);
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!model_args_check(&s.model_args, &err))
        return term_usage("score", err.message);
    if (!s.ids_file == !s.text_file)
        return term_usage("score", "give one of --ids FILE and --text FILE");
    wen_model *model = model_args_open(&s.model_args, words.words[0], WEN_LOAD_ALL);
    wen_engine *engine = model ? model_args_open_engine(&s.model_args, model, SEQUENCES) : NULL;
    bool ok = engine && score(&s, model, engine, &err);
    if (engine && !ok)
        term_note("%s", err.message);
    wen_engine_close(engine);
    wen_model_close(model);
    return term_finish_output() && ok ? 0 : 1;
}
