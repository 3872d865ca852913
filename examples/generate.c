/* One answer, its thought split from its content: the quickstart of Qwen3's model card.
 *
 *     cc generate.c -o generate $(pkg-config --cflags --libs wen jansson)
 *     ./generate [MODEL [PROMPT]]
 *
 * As on the card, the split is made on the generated ids, at the last "</think>". Programs that
 * show an answer as it comes take WEN_EVENT_THINKING and WEN_EVENT_TEXT instead: see chatbot.c. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wen.h>

static void fail(const wen_error *err)
{
    fprintf(stderr, "generate: %s\n", err->message);
    exit(1);
}

/* All generated ids, to be freed with free(). */
static int32_t *generate(wen_engine *engine, const char *messages, int *n_ids)
{
    wen_error err;
    wen_request request = wen_request_defaults();
    request.messages = messages;
    request.think = 1; /* on; it is the default of models that can think */
    request.max_tokens = 32768;
    request.n_logprobs = 0; /* an event for each token */
    wen_reply *reply = wen_ask(engine, &request, &err);
    if (!reply)
        fail(&err);

    int32_t *ids = NULL;
    int n = 0, n_max = 0;
    for (wen_event event; wen_next(reply, -1, &event) == WEN_NEXT_EVENT;) {
        if (event.kind != WEN_EVENT_TOKEN)
            continue;
        if (n == n_max) {
            n_max = n_max ? 2 * n_max : 1024;
            ids = realloc(ids, sizeof *ids * (size_t)n_max);
            if (!ids)
                abort();
        }
        ids[n++] = event.id;
    }
    wen_reply_free(reply);
    *n_ids = n;
    return ids;
}

/* Behind the last "</think>"; 0 if there is none: then all of it is content. */
static int find_content(const wen_model *model, const int32_t *ids, int n_ids)
{
    static const char tag[] = "</think>";
    int32_t *end;
    int n_end, at = n_ids;
    wen_error err;
    if (!wen_tokenize(model, tag, strlen(tag), false, &end, &n_end, &err))
        fail(&err);
    while (at > 0 && !(n_end == 1 && ids[at - 1] == end[0]))
        at--;
    wen_free(end);
    return at;
}

/* "<think>" and "</think>" are no special tokens: they are in the text, at its ends. */
static void print_part(const char *name, const wen_model *model, const int32_t *ids, int n_ids)
{
    static const char begin[] = "<think>", end[] = "</think>";
    enum { BEGIN_BYTES = sizeof begin - 1, END_BYTES = sizeof end - 1 };
    wen_error err;
    char *text = wen_detokenize(model, ids, n_ids, true, NULL, &err);
    if (!text)
        fail(&err);
    char *from = text;
    size_t bytes = strlen(text);
    if (bytes >= END_BYTES && strcmp(text + bytes - END_BYTES, end) == 0)
        bytes -= END_BYTES;
    if (bytes >= BEGIN_BYTES && strncmp(from, begin, BEGIN_BYTES) == 0) {
        from += BEGIN_BYTES;
        bytes -= BEGIN_BYTES;
    }
    for (; bytes > 0 && *from == '\n'; from++)
        bytes--;
    while (bytes > 0 && from[bytes - 1] == '\n')
        bytes--;
    printf("%s: %.*s\n", name, (int)bytes, from);
    wen_free(text);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "builtin";
    const char *prompt =
        argc > 2 ? argv[2] : "How many times does the letter r occur in strawberry?";
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", prompt);
    char *messages_text = json_dumps(messages, 0);

    wen_error err;
    wen_model *model = wen_model_open(path, NULL, &err);
    wen_engine *engine = model ? wen_engine_open(model, NULL, &err) : NULL;
    if (!engine)
        fail(&err);

    int n_ids;
    int32_t *ids = generate(engine, messages_text, &n_ids);
    int content = find_content(model, ids, n_ids);
    print_part("thinking content", model, ids, content);
    print_part("content", model, ids + content, n_ids - content);

    free(ids);
    free(messages_text);
    json_decref(messages);
    wen_engine_close(engine);
    wen_model_close(model);
    return 0;
}
