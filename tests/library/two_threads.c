/* What a program with threads does with libwen: open, ask from two threads at once, close. Run
 * under valgrind by test_valgrind. */
#include <pthread.h>
#include <stdio.h>
#include <wen.h>

static wen_engine *engine;

static void *ask(void *seed)
{
    wen_error err;
    wen_request request = wen_request_defaults();
    request.messages = "[{\"role\": \"user\", \"content\": \"What is 17 + 25?\"}]";
    request.sampling.seed = *(const int *)seed;
    request.max_tokens = 12;
    wen_reply *reply = wen_ask(engine, &request, &err);
    int n_events = 0;
    for (wen_event event; reply && wen_next(reply, -1, &event) == WEN_NEXT_EVENT;)
        n_events++;
    wen_reply_free(reply);
    puts(n_events > 1 ? "answered" : "no answer");
    return NULL;
}

int main(void)
{
    int seeds[2] = {1, 2};
    pthread_t threads[2];
    wen_error err;
    wen_model *model = wen_model_open("builtin", NULL, &err);
    wen_engine_options options = wen_engine_options_defaults();
    options.context = 256;
    options.kv_bytes = 16 << 20;
    engine = model ? wen_engine_open(model, &options, &err) : NULL;
    if (!engine) {
        puts(err.message);
        return 1;
    }
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, ask, &seeds[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    wen_engine_close(engine);
    wen_model_close(model);
    return 0;
}
