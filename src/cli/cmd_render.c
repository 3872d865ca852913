/* wen render: messages -> the exact prompt text, as the model's own template makes it. */
#include "cli/commands.h"

#include "base/file.h"
#include "cli/model_args.h"
#include "cli/term.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 8, INPUT_BYTES_MAX = 1 << 30 };

typedef struct Render {
    ModelArgs model_args;
    bool is_jsonl, leaves_thinking_out, leaves_prompt_out;
    wen_model *model;
} Render;

static void set_default(json_t *request, const char *name, json_t *value)
{
    if (json_is_null(json_object_get(request, name)))
        json_object_del(request, name);
    if (!json_object_get(request, name))
        json_object_set(request, name, value);
}

/* The request with what the options say where it says nothing itself; to be freed. NULL: it is not
 * an object, which the renderer will complain about. */
static char *with_options(const Render *r, const char *text)
{
    json_t *request = json_loads(text, JSON_ALLOW_NUL, NULL);
    char *changed = NULL;
    if (json_is_object(request)) {
        if (r->leaves_thinking_out)
            set_default(request, "enable_thinking", json_false());
        if (r->leaves_prompt_out)
            set_default(request, "add_generation_prompt", json_false());
        changed = json_dumps(request, JSON_COMPACT);
    }
    json_decref(request);
    return changed;
}

/* To be freed with wen_free. */
static char *render(const Render *r, Str request, size_t *bytes, Error *err)
{
    if (request.bytes > 0 && memchr(request.data, '\0', request.bytes)) {
        error_set(err, ERROR_FORMAT, "the request holds a NUL byte");
        return NULL;
    }
    bool has_options = r->leaves_thinking_out || r->leaves_prompt_out;
    char *changed = has_options ? with_options(r, request.data) : NULL;
    wen_error why;
    char *text = wen_render(r->model, changed ? changed : request.data, bytes, &why);
    if (!text)
        error_set(err, (ErrorCode)why.code, "%s", why.message);
    free(changed);
    return text;
}

static bool render_whole(const Render *r, const char *file, Error *err)
{
    Buf input = {0};
    size_t bytes = 0;
    bool ok = file_read(&input, file, INPUT_BYTES_MAX - 1, err);
    char *text = ok ? render(r, buf_str(&input), &bytes, err) : NULL;
    if (text)
        fwrite(text, 1, bytes, stdout);
    else if (ok)
        error_add(err, "%s", strcmp(file, "-") == 0 ? "standard input" : file);
    wen_free(text);
    buf_free(&input);
    return text != NULL;
}

/* One line in, one out: the text as a JSON string, or the reason why there is none. */
static void render_line(const Render *r, Str line, Buf *out)
{
    Error err = {0};
    size_t bytes = 0;
    char *text = render(r, line, &bytes, &err);
    buf_clear(out);
    if (!text)
        buf_puts(out, "{\"error\": ");
    buf_put_json(out, text ? (Str){text, bytes} : str_from(err.message));
    buf_puts(out, text ? "\n" : "}\n");
    fwrite(out->data, 1, out->bytes, stdout);
    wen_free(text);
}

static bool render_lines(const Render *r, const char *file, Error *err)
{
    bool is_input = strcmp(file, "-") == 0;
    FILE *in = is_input ? stdin : fopen(file, "r");
    if (!in)
        return error_set_errno(err, "%s", file);
    char *line = NULL;
    size_t capacity = 0;
    Buf out = {0};
    for (ssize_t n; !ferror(stdout) && (n = getline(&line, &capacity, in)) >= 0;) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        if (n > 0)
            render_line(r, (Str){line, (size_t)n}, &out);
    }
    bool ok = !ferror(in) || error_set_errno(err, "%s", file);
    if (!is_input)
        fclose(in);
    free(line);
    buf_free(&out);
    return ok;
}

int cmd_render(int argc, char **argv)
{
    Render r = {.model_args = model_args_defaults()};
    Arg options[OPTIONS_MAX] = {
        {"no-think", 0, ARG_FLAG, &r.leaves_thinking_out, NULL, "enable_thinking is false", 0, 0},
        {"no-generation-prompt", 0, ARG_FLAG, &r.leaves_prompt_out, NULL,
         "nothing behind the last message", 0, 0},
        {"jsonl", 0, ARG_FLAG, &r.is_jsonl, NULL, "an object a line in, a JSON string a line out",
         0, 0},
    };
    const ArgSpec spec = {
        .command = "render",
        .usage = "MODEL [FILE]",
        .about =
            "Prints the prompt that the model's chat template makes of FILE (or standard\n"
            "input), {\"messages\": [...], \"tools\": [...]}, with nothing added. The object may\n"
            "also hold enable_thinking, add_generation_prompt and chat_template_kwargs. With\n"
            "--jsonl, a line that cannot be rendered gives {\"error\": \"...\"}.",
        .options = options,
        .n_words_min = 1,
        .n_words_max = 2,
    };
    ArgWords words;
    Error err = {0};
    int status;
    model_args_put(&r.model_args, MODEL_ARGS_TEMPLATE, options, 3);
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    const char *file = words.n > 1 ? words.words[1] : "-";
    r.model = model_args_open(&r.model_args, words.words[0], WEN_LOAD_TEXT);
    bool ok = r.model && (r.is_jsonl ? render_lines(&r, file, &err) : render_whole(&r, file, &err));
    if (r.model && !ok)
        term_note("%s", err.message);
    wen_model_close(r.model);
    return term_finish_output() && ok ? 0 : 1;
}
