/* Thinking switched off (enable_thinking=False on Qwen3's model card): the answer comes at once.
 *
 *     cc no_think.c -o no_think $(pkg-config --cflags --libs wen)
 *     ./no_think [MODEL]
 *
 * This is the hard switch: the prompt itself closes the thought, "/think" in a message cannot open
 * it again. Drawing with 0.7 / 0.8 / 20, as recommended for this mode, is wen's default for it. */
#include <stdio.h>
#include <wen.h>

static const char request_json[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"What is 17 + 25?\"}],"
    " \"enable_thinking\": false}";

int main(int argc, char **argv)
{
    wen_error err;
    wen_model *model = wen_model_open(argc > 1 ? argv[1] : "builtin", NULL, &err);
    wen_engine *engine = model ? wen_engine_open(model, NULL, &err) : NULL;

    /* The prompt, for a look at what the switch does: an empty thought behind "assistant". */
    char *prompt = engine ? wen_render(model, request_json, NULL, &err) : NULL;

    wen_request request = wen_request_defaults();
    request.messages = "[{\"role\": \"user\", \"content\": \"What is 17 + 25?\"}]";
    request.think = 0;
    wen_reply *reply = prompt ? wen_ask(engine, &request, &err) : NULL;
    if (!reply) {
        fprintf(stderr, "no_think: %s\n", err.message);
        return 1;
    }
    printf("prompt:\n%s\nanswer:\n", prompt);
    for (wen_event event; wen_next(reply, -1, &event) == WEN_NEXT_EVENT;)
        if (event.kind == WEN_EVENT_TEXT) {
            fwrite(event.text, 1, event.text_bytes, stdout);
            fflush(stdout);
        }
    putchar('\n');

    wen_free(prompt);
    wen_reply_free(reply);
    wen_engine_close(engine);
    wen_model_close(model);
    return 0;
}
