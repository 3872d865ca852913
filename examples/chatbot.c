/* A chatbot with a memory, and the soft switches "/no_think" and "/think" in what the user says:
 * the multi-turn program of Qwen3's model card.
 *
 *     cc chatbot.c -o chatbot $(pkg-config --cflags --libs wen jansson)
 *     ./chatbot [MODEL]
 *
 * The last switch in the conversation holds. What the bot thought is shown and then forgotten: as
 * the card asks, the history holds its answers alone. Conversations share their computed beginning:
 * each turn only the new messages are read by the model. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <wen.h>

typedef struct Chatbot {
    wen_model *model;
    wen_engine *engine;
    json_t *history; /* [{"role", "content"}] */
} Chatbot;

static void fail(const wen_error *err)
{
    fprintf(stderr, "chatbot: %s\n", err->message);
    exit(1);
}

static Chatbot chatbot_open(const char *path)
{
    Chatbot bot = {.history = json_array()};
    wen_error err;
    bot.model = wen_model_open(path, NULL, &err);
    bot.engine = bot.model ? wen_engine_open(bot.model, NULL, &err) : NULL;
    if (!bot.engine)
        fail(&err);
    return bot;
}

static void chatbot_close(Chatbot *bot)
{
    json_decref(bot->history);
    wen_engine_close(bot->engine);
    wen_model_close(bot->model);
}

static void remember(Chatbot *bot, const char *role, json_t *content)
{
    json_array_append_new(bot->history, json_pack("{s:s, s:o}", "role", role, "content", content));
}

/* Shows events as they come; returns the answer without the thought. */
static json_t *read_reply(wen_reply *reply)
{
    wen_event_kind shown = WEN_EVENT_DONE;
    json_t *answer = json_string("");
    for (wen_event event; wen_next(reply, -1, &event) == WEN_NEXT_EVENT;) {
        if (event.kind == WEN_EVENT_DONE && event.finish == WEN_FINISH_ERROR)
            fprintf(stderr, "chatbot: %s\n", event.text);
        if (event.kind != WEN_EVENT_THINKING && event.kind != WEN_EVENT_TEXT)
            continue;
        if (event.kind != shown)
            printf("%s%s", shown == WEN_EVENT_DONE ? "" : "\n",
                   event.kind == WEN_EVENT_THINKING ? "(thinks) " : "");
        shown = event.kind;
        fwrite(event.text, 1, event.text_bytes, stdout);
        fflush(stdout);
        if (event.kind == WEN_EVENT_TEXT) {
            json_t *longer = json_sprintf("%s%s", json_string_value(answer), event.text);
            json_decref(answer);
            answer = longer;
        }
    }
    return answer;
}

static void chatbot_say(Chatbot *bot, const char *said)
{
    wen_error err;
    wen_request request = wen_request_defaults();
    remember(bot, "user", json_string(said));
    char *messages = json_dumps(bot->history, 0);
    request.messages = messages;
    wen_reply *reply = wen_ask(bot->engine, &request, &err);
    free(messages); /* a request is copied */
    if (!reply)
        fail(&err);
    printf("User: %s\nBot: ", said);
    remember(bot, "assistant", read_reply(reply));
    printf("\n----------------------\n");
    wen_reply_free(reply);
}

int main(int argc, char **argv)
{
    Chatbot bot = chatbot_open(argc > 1 ? argv[1] : "builtin");
    /* Without a switch, thinking is the default. */
    chatbot_say(&bot, "How many r's are in strawberries?");
    chatbot_say(&bot, "Then, how many r's are in blueberries? /no_think");
    chatbot_say(&bot, "Really? /think");
    chatbot_close(&bot);
    return 0;
}
