/* HTTP bodies: JSON -> options and conversations, as every dialect reads them. Byte 0 chooses the
 * dialect. What is refused has a status of a client's fault and one line that says why. */
#include "replay.h"

#include "base/bug.h"
#include "server/anthropic.h"
#include "server/json_in.h"
#include "server/request_options.h"
#include "server/responses_input.h"

#include <string.h>

static void check_fault(const Fault *fault)
{
    ASSERT(fault->status == 400 || fault->status == 501);
    ASSERT(fault->message[0] && !strchr(fault->message, '\n'));
    for (int shape = FAULT_OPENAI; shape <= FAULT_OLLAMA; shape++) {
        Buf out = {0};
        fault_put(&out, fault, (FaultShape)shape, "req_1");
        json_t *json = json_loadb(out.data, out.bytes, 0, NULL);
        ASSERT(json);
        json_decref(json);
        buf_free(&out);
    }
}

static void check_options(const RequestOptions *o)
{
    const wen_request *ask = &o->ask;
    ASSERT(o->n >= 1 && o->n <= OPTIONS_N_MAX);
    ASSERT(ask->n_stops >= 0 && ask->n_stops <= OPTIONS_STOPS_MAX);
    ASSERT(ask->think >= -1 && ask->think <= 1 && ask->think_budget >= -1);
    ASSERT(ask->max_tokens >= 0 && ask->n_logprobs >= -1 && ask->n_logprobs <= OPTIONS_TOP_MAX);
    ASSERT(ask->sampling.seed >= -1 && ask->sampling.top_k >= -1);
    for (int i = 0; i < ask->n_stops; i++)
        ASSERT(ask->stops[i][0]);
}

static json_t *read_messages(int dialect, const json_t *body, Fault *fault)
{
    json_t *messages = NULL;
    if (dialect == 1)
        return anthropic_messages(body, fault);
    if (dialect == 2)
        return responses_messages(body, fault);
    if (in_array(body, "", "messages", &messages, fault) && messages)
        return json_incref(messages);
    if (!in_get(body, "messages"))
        fault_set(fault, 400, "messages", "messages: is missing");
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Fault fault = {0};
    if (n < 1)
        return 0;
    json_t *body = in_body((Str){(const char *)data + 1, n - 1}, &fault);
    if (!body) {
        check_fault(&fault);
        return 0;
    }
    RequestDefaults defaults = request_defaults_none();
    RequestOptions options;
    options_open(&options, &defaults);
    bool ok = options_read(&options, body, "", &fault);
    json_t *messages = ok ? read_messages(data[0] % 3, body, &fault) : NULL;
    if (messages)
        options_set_messages(&options, messages);
    ok = messages && options_finish(&options, &fault);
    if (ok)
        check_options(&options);
    else
        check_fault(&fault);
    json_decref(messages);
    options_close(&options);
    json_decref(body);
    return 0;
}
