/* wen run: one answer, or a conversation at the terminal. */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/answer.h"
#include "cli/conversation.h"
#include "cli/model_args.h"
#include "cli/profile_print.h"
#include "cli/run_made.h"
#include "cli/term.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_BYTES_MAX = 256 << 20, FORM_BYTES_MAX = 4 << 20, OPTIONS_MAX = 40, STOPS_MAX = 16 };

typedef struct Run {
    ModelArgs model_args;
    const char *model, *system;
    bool is_json;
    int think;
    int64_t think_budget, max_tokens, top_k, seed, n_logprobs;
    double temperature, top_p, min_p;
    double presence_penalty, frequency_penalty, repetition_penalty;
    ArgList stops, biases;
    const char *schema_file, *grammar_file;
    Buf schema, grammar; /* what they hold */
    RunMade made;
    const char *made_stops[STOPS_MAX];
    int32_t bias_ids[ARG_LIST_MAX];
    float bias[ARG_LIST_MAX];
    Buf prompt;
    bool has_prompt;
} Run;

/* ---- Command line ---------------------------------------------------------------------------- */

static void put_options(Run *r, Arg *options)
{
    const Arg own[] = {
        {"model", 'm', ARG_TEXT, &r->model, "MODEL", "the model, whatever the words look like", 0,
         0},
        {"json", 0, ARG_FLAG, &r->is_json, NULL, "print one JSON object instead of text", 0, 0},
        {"system", 0, ARG_TEXT, &r->system, "TEXT", "system message", 0, 0},
        {"think", 0, ARG_ON, &r->think, NULL, "think before the answer", 0, 0},
        {"no-think", 0, ARG_OFF, &r->think, NULL, "answer at once", 0, 0},
        {"think-budget", 0, ARG_INT, &r->think_budget, "N",
         "close a thought after N tokens; 0: no thinking", 0, 1 << 24},
        {"max-tokens", 0, ARG_INT, &r->max_tokens, "N",
         "thought and answer together (the rest of the context)", 1, 1 << 24},
        {"temperature", 0, ARG_REAL, &r->temperature, "X", "0: always the likeliest token", 0, 100},
        {"top-p", 0, ARG_REAL, &r->top_p, "X", "draw from the likeliest that make up X", 0, 1},
        {"top-k", 0, ARG_INT, &r->top_k, "N", "draw from the N likeliest; 0: from all", 0, 1 << 24},
        {"min-p", 0, ARG_REAL, &r->min_p, "X", "none below X times the likeliest", 0, 1},
        {"presence-penalty", 0, ARG_REAL, &r->presence_penalty, "X", "against words again", -100,
         100},
        {"frequency-penalty", 0, ARG_REAL, &r->frequency_penalty, "X", "the same, for every time",
         -100, 100},
        {"repetition-penalty", 0, ARG_REAL, &r->repetition_penalty, "X",
         "a factor, the prompt included; 1: none", 0, 100},
        {"seed", 0, ARG_INT, &r->seed, "N", "same seed, same answer", 0, 0x1p62},
        {"stop", 0, ARG_LIST, &r->stops, "TEXT", "end the answer before TEXT; may be repeated", 0,
         0},
        {"logit-bias", 0, ARG_LIST, &r->biases, "ID=X", "add X to a token's logit; may be repeated",
         0, 0},
        {"json-schema", 0, ARG_TEXT, &r->schema_file, "FILE",
         "the answer is JSON that this JSON Schema accepts", 0, 0},
        {"grammar", 0, ARG_TEXT, &r->grammar_file, "FILE", "the answer follows this GBNF grammar",
         0, 0},
        {"logprobs", 0, ARG_INT, &r->n_logprobs, "N",
         "with --json: every token with N alternatives", 0, 128},
    };
    int n = sizeof own / sizeof *own;
    memcpy(options, own, sizeof own);
    n = model_args_put(&r->model_args, MODEL_ARGS_ALL | MODEL_ARGS_PROFILE, options, n);
    options[n] = (Arg){0};
}

static Run run_defaults(void)
{
    return (Run){.model_args = model_args_defaults(),
                 .think = -1,
                 .think_budget = -1,
                 .top_k = -1,
                 .seed = -1,
                 .n_logprobs = -1,
                 .temperature = (double)NAN,
                 .top_p = (double)NAN,
                 .min_p = (double)NAN,
                 .presence_penalty = (double)NAN,
                 .frequency_penalty = (double)NAN,
                 .repetition_penalty = (double)NAN};
}

static bool read_biases(Run *r, Error *err)
{
    for (int i = 0; i < r->biases.n; i++) {
        char *end, *value_end = NULL;
        long id = strtol(r->biases.items[i], &end, 10);
        if (end != r->biases.items[i] && *end == '=')
            r->bias[i] = strtof(end + 1, &value_end);
        if (!value_end || value_end == end + 1 || *value_end || id < 0 || id > INT32_MAX ||
            !isfinite(r->bias[i]))
            return error_set(err, ERROR_ARGUMENT,
                             "--logit-bias %s: not ID=X, such as 9707=-5 or 9707=2.5",
                             r->biases.items[i]);
        r->bias_ids[i] = (int32_t)id;
    }
    return true;
}

static bool check_options(Run *r, Error *err)
{
    if (r->stops.n > STOPS_MAX)
        return error_set(err, ERROR_ARGUMENT, "--stop: at most %d times", STOPS_MAX);
    if (r->n_logprobs >= 0 && !r->is_json)
        return error_set(err, ERROR_ARGUMENT, "--logprobs: only together with --json");
    if (r->schema_file && r->grammar_file)
        return error_set(err, ERROR_ARGUMENT, "--json-schema and --grammar: one of them");
    return read_biases(r, err) && model_args_check(&r->model_args, err);
}

static bool read_forms(Run *r, Error *err)
{
    return (!r->schema_file || file_read(&r->schema, r->schema_file, FORM_BYTES_MAX, err)) &&
           (!r->grammar_file || file_read(&r->grammar, r->grammar_file, FORM_BYTES_MAX, err));
}

static wen_request make_request(Run *r)
{
    wen_request request = wen_request_defaults();
    request.think = r->think;
    request.think_budget = (int)r->think_budget;
    request.max_tokens = (int)r->max_tokens;
    request.sampling = (wen_sampling){
        .temperature = (float)r->temperature,
        .top_p = (float)r->top_p,
        .min_p = (float)r->min_p,
        .top_k = (int)r->top_k,
        .repetition_penalty = (float)r->repetition_penalty,
        .presence_penalty = (float)r->presence_penalty,
        .frequency_penalty = (float)r->frequency_penalty,
        .seed = r->seed,
        .bias_ids = r->bias_ids,
        .bias = r->bias,
        .n_bias = r->biases.n,
    };
    request.stops = r->stops.items;
    request.n_stops = r->stops.n;
    request.n_logprobs = (int)r->n_logprobs;
    request.parses_tools = r->is_json;
    request.json_schema = r->schema_file ? buf_str(&r->schema).data : NULL;
    request.grammar = r->grammar_file ? buf_str(&r->grammar).data : NULL;
    run_made_fill_request(&r->made, &request, r->made_stops, STOPS_MAX);
    return request;
}

/* ---- The prompt ------------------------------------------------------------------------------ */

/* What a pipe or file on standard input holds goes behind the words, after a blank line. */
static bool read_input(Run *r, Error *err)
{
    Buf input = {0};
    if (!file_read(&input, "-", INPUT_BYTES_MAX, err))
        return error_add(err, "standard input");
    while (input.bytes > 0 && strchr("\r\n", input.data[input.bytes - 1]))
        input.bytes--;
    size_t valid = utf8_valid_prefix(buf_str(&input));
    if (valid < input.bytes)
        term_note("standard input: byte %zu is not UTF-8; such bytes are replaced", valid);
    if (input.bytes > 0) {
        if (r->has_prompt)
            buf_puts(&r->prompt, "\n\n");
        buf_add(&r->prompt, buf_str(&input));
        r->has_prompt = true;
    }
    buf_free(&input);
    return true;
}

static void take_words(Run *r, const ArgWords *words)
{
    int i = 0;
    if (!r->model && words->n > 0 && model_args_is_model(words->words[0]))
        r->model = words->words[i++];
    if (!r->model)
        r->model = "builtin";
    for (int first = i; i < words->n; i++) {
        buf_puts(&r->prompt, i > first ? " " : "");
        buf_puts(&r->prompt, words->words[i]);
        r->has_prompt = true;
    }
}

/* What a made model says counts where the command line says nothing. */
static bool take_made(Run *r, Error *err)
{
    if (!run_made_open(&r->made, r->model, err))
        return false;
    if (r->made.made)
        r->model = r->made.base;
    if (!r->system)
        r->system = r->made.system;
    return run_made_fill_model(&r->made, &r->model_args, err);
}

/* ---- One answer ------------------------------------------------------------------------------ */

static void put_message(Buf *out, const char *role, Str content)
{
    buf_printf(out, "%s{\"role\": \"%s\", \"content\": ", out->bytes > 1 ? ", " : "", role);
    buf_put_json(out, content);
    buf_puts(out, "}");
}

static wen_reply *ask_once(Run *r, wen_engine *engine)
{
    wen_error err;
    Buf messages = {0};
    wen_request request = make_request(r);
    buf_puts(&messages, "[");
    if (r->system)
        put_message(&messages, "system", str_from(r->system));
    put_message(&messages, "user", buf_str(&r->prompt));
    buf_puts(&messages, "]");
    request.messages = messages.data;
    wen_reply *reply = wen_ask(engine, &request, &err);
    if (!reply)
        term_note("%s", err.message);
    buf_free(&messages);
    return reply;
}

static int answer_once(Run *r, const wen_model *model, wen_engine *engine,
                       double load_seconds)
{
    term_catch_interrupts();
    wen_reply *reply = ask_once(r, engine);
    if (!reply)
        return 1;
    Answer answer = {0};
    Buf why = {0};
    answer_read(&answer, reply, model, (DisplayStyle){.is_shown = !r->is_json});
    if (answer.was_interrupted) {
        fflush(stdout);
        term_die_interrupted();
    }
    if (answer_is_cut(&answer, wen_engine_context(engine), &why))
        term_note("%s", why.data);
    bool failed = answer.finish == WEN_FINISH_ERROR || answer.finish == WEN_FINISH_NO_MEMORY;
    if (r->is_json) {
        Buf out = {0};
        answer_put_json(&answer, load_seconds, r->n_logprobs >= 0, &out);
        fwrite(out.data, 1, out.bytes, stdout);
        buf_free(&out);
    }
    buf_free(&why);
    answer_free(&answer);
    return term_finish_output() && !failed ? 0 : 1;
}

static int run(Run *r)
{
    double started = clock_seconds();
    wen_model *model = model_args_open(&r->model_args, r->model, WEN_LOAD_ALL);
    wen_engine *engine = model ? model_args_open_engine(&r->model_args, model, 1) : NULL;
    double load_seconds = clock_seconds() - started;
    int status = 1;
    if (engine && r->has_prompt) {
        status = answer_once(r, model, engine, load_seconds);
    } else if (engine) {
        wen_request request = make_request(r);
        status = conversation_run(engine, model, &request, r->system);
    }
    if (model && r->model_args.profiles)
        profile_print(model);
    wen_engine_close(engine);
    wen_model_close(model);
    return status;
}

int cmd_run(int argc, char **argv)
{
    Run r = run_defaults();
    Arg options[OPTIONS_MAX];
    ArgWords words;
    Error err = {0};
    int status;
    put_options(&r, options);
    const ArgSpec spec = {
        .command = "run",
        .usage = "[MODEL] [PROMPT...]",
        .about =
            "Answers PROMPT, or what a pipe or file on standard input holds, or both; else chats.\n"
            "MODEL is a .gguf file, a folder with config.json, a name such as qwen3:8b or\n"
            "Qwen/Qwen3-0.6B (\"wen help pull\"), or \"builtin\" (the default). A first word is a\n"
            "MODEL if it ends in .gguf, contains / or :, or \"wen list\" shows it. When standard\n"
            "output is not a terminal it gets the answer alone; --json has the thought too.",
        .options = options,
        .n_words_min = 0,
        .n_words_max = INT_MAX,
    };
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!check_options(&r, &err))
        return term_usage("run", err.message);
    if (!read_forms(&r, &err)) {
        term_note("%s", err.message);
        return 1;
    }
    take_words(&r, &words);
    InputKind input = term_input_kind();
    if (input == INPUT_DATA && !read_input(&r, &err)) {
        term_note("%s", err.message);
        return 1;
    }
    if (r.has_prompt && r.prompt.bytes == 0)
        return term_usage("run", "the prompt is empty");
    if (!r.has_prompt && input != INPUT_TERMINAL)
        return term_usage("run", "there is no prompt: give one, or pipe one in");
    if (!r.has_prompt && r.is_json)
        return term_usage("run", "--json needs a prompt");
    if (take_made(&r, &err)) {
        status = run(&r);
    } else {
        term_note("%s", err.message);
        status = 1;
    }
    run_made_close(&r.made);
    buf_free(&r.prompt);
    buf_free(&r.schema);
    buf_free(&r.grammar);
    return status;
}
