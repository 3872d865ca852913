/* Streams of ids through the reply parser. Byte 0: options; byte 1: how many of the ids are the
 * prompt; each further byte an id of the small vocabulary: ASCII as it is, then the longer tokens
 * and tags in turn, the highest sixteen as broken UTF-8. Events must be well formed and the same
 * however they are taken; the arguments of a call must be one JSON object. */
#include "replay.h"
#include "reply_vocab.h"

#include "base/bug.h"
#include "text/json_scan.h"
#include "text/reply.h"

typedef struct Seen {
    Buf transcript, arguments;
    int n_names, n_ends, open_call; /* open_call -1: none */
    ReplyEventKind last;
} Seen;

static void check_arguments(const Buf *arguments)
{
    JsonScan scan = {0};
    for (size_t i = 0; i < arguments->bytes; i++)
        ASSERT(json_scan_byte(&scan, arguments->data[i]) != SCAN_BROKEN);
    ASSERT(json_scan_is_whole(&scan));
}

static void take_event(Seen *seen, const ReplyEvent *e)
{
    ASSERT(utf8_valid_prefix(e->text) == e->text.bytes);
    ASSERT((e->text.bytes > 0) == (e->kind != REPLY_TOOL_END));
    switch (e->kind) {
    case REPLY_TOOL_NAME:
        ASSERT(e->call_i == seen->n_names++);
        seen->open_call = e->call_i;
        buf_clear(&seen->arguments);
        break;
    case REPLY_TOOL_ARGUMENTS:
        ASSERT(e->call_i == seen->open_call);
        buf_add(&seen->arguments, e->text);
        break;
    case REPLY_TOOL_END:
        ASSERT(e->call_i == seen->open_call);
        check_arguments(&seen->arguments);
        seen->open_call = -1;
        seen->n_ends++;
        break;
    default:
        seen->open_call = -1; /* the block was none after all */
    }
    if (seen->transcript.bytes == 0 || e->kind != seen->last)
        buf_putc(&seen->transcript, (char)('0' + (int)e->kind));
    buf_add(&seen->transcript, e->text);
    seen->last = e->kind;
}

static void run(const Tokenizer *t, const ReplyOptions *options, const Ids *ids, bool at_end,
                Seen *seen)
{
    ReplyParser *p = reply_new(t, options);
    *seen = (Seen){.open_call = -1};
    ReplyEvent e;
    for (int i = options->n_prompt; i < ids->n; i++) {
        reply_push(p, ids->data[i]);
        while (!at_end && reply_next(p, &e))
            take_event(seen, &e);
    }
    reply_finish(p);
    while (reply_next(p, &e))
        take_event(seen, &e);
    ASSERT(reply_n_calls(p) == seen->n_ends && seen->n_ends <= seen->n_names);
    ASSERT(reply_n_thinking_ids(p) <= ids->n - options->n_prompt);
    reply_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static Tokenizer *t;
    if (!t)
        t = open_reply_vocab(true);
    if (n < 2)
        return 0;
    Ids ids = {0};
    for (size_t i = 2; i < n; i++) {
        int others = N_LONGER + N_ADDED;
        bool is_byte = data[i] < 0x80 || data[i] >= 0xF0;
        ids_push(&ids, is_byte ? data[i] : 256 + (data[i] - 0x80) % others);
    }
    int n_prompt = data[1] < ids.n ? data[1] : ids.n;
    ReplyOptions options = {
        .prompt = ids.data, .n_prompt = n_prompt, .parse_tools = data[0] & 1, .plain = data[0] & 2};
    Seen one_by_one, at_end;
    run(t, &options, &ids, false, &one_by_one);
    run(t, &options, &ids, true, &at_end);
    ASSERT(str_equal(buf_str(&one_by_one.transcript), buf_str(&at_end.transcript)));
    buf_free(&one_by_one.transcript);
    buf_free(&one_by_one.arguments);
    buf_free(&at_end.transcript);
    buf_free(&at_end.arguments);
    ids_free(&ids);
    return 0;
}
