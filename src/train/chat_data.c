/* See chat_data.h. */
#include "train/chat_data.h"

#include <string.h>

/* A conversation that was looked through. */
typedef struct Chat {
    json_t *messages;
    ChatRender render; /* messages: those up to the answer in work */
} Chat;

void chat_reader_free(ChatReader *r)
{
    jinja_output_free(&r->prompt);
    jinja_output_free(&r->whole);
    ids_free(&r->prompt_ids);
    ids_free(&r->answer_ids);
    ids_free(&r->document);
    mem_free(r->weights);
    *r = (ChatReader){0};
}

/* ---- Looking through ------------------------------------------------------------------------- */

static const char *role_of(const json_t *message)
{
    return json_string_value(json_object_get(message, "role"));
}

static bool is_answer(const json_t *message) { return strcmp(role_of(message), "assistant") == 0; }

static double weight_of(const json_t *message)
{
    const json_t *weight = json_object_get(message, "weight");
    return weight ? json_number_value(weight) : 1;
}

static double thinking_weight_of(const json_t *message)
{
    const json_t *weight = json_object_get(message, "thinking_weight");
    return weight ? json_number_value(weight) : 1;
}

static bool check_weight(const json_t *message, const char *key, size_t i, Error *err)
{
    const json_t *weight = json_object_get(message, key);
    if (weight && !is_answer(message))
        return error_set(err, ERROR_FORMAT,
                         "messages[%zu].%s: only what the assistant says is learned", i, key);
    if (weight && !(json_is_number(weight) && json_number_value(weight) >= 0 &&
                    json_number_value(weight) <= 1))
        return error_set(err, ERROR_FORMAT, "messages[%zu].%s: it is not from 0 to 1", i, key);
    return true;
}

static bool check_message(const json_t *message, size_t i, Error *err)
{
    const char *role = role_of(message);
    if (!role)
        return error_set(err, ERROR_FORMAT, "messages[%zu]: it is not an object with a role", i);
    if (strcmp(role, "system") != 0 && strcmp(role, "user") != 0 &&
        strcmp(role, "assistant") != 0 && strcmp(role, "tool") != 0)
        return error_set(err, ERROR_FORMAT,
                         "messages[%zu].role: \"%.40s\" is not system, user, assistant or tool", i,
                         role);
    const json_t *content = json_object_get(message, "content");
    const json_t *calls = json_object_get(message, "tool_calls");
    const bool has_content = json_is_string(content) || json_is_array(content);
    if (!has_content && !(is_answer(message) && json_array_size(calls) > 0))
        return error_set(err, ERROR_FORMAT, "messages[%zu].content: it is missing, or no text", i);
    if (calls && !json_is_null(calls) && !json_is_array(calls))
        return error_set(err, ERROR_FORMAT, "messages[%zu].tool_calls: it is not an array", i);
    return check_weight(message, "weight", i, err) &&
           check_weight(message, "thinking_weight", i, err);
}

bool chat_messages_check(const json_t *messages, Error *err)
{
    if (json_array_size(messages) == 0)
        return error_set(err, ERROR_FORMAT, "messages: it is not an array with a message");
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (!check_message(json_array_get(messages, i), i, err))
            return false;
    return true;
}

static bool open_chat(Chat *chat, const json_t *conversation, Error *err)
{
    json_t *messages = json_object_get(conversation, "messages");
    json_t *tools = json_object_get(conversation, "tools");
    json_t *kwargs = json_object_get(conversation, "chat_template_kwargs");
    const json_t *thinks = json_object_get(conversation, "enable_thinking");
    if (tools && !json_is_null(tools) && !json_is_array(tools))
        return error_set(err, ERROR_FORMAT, "tools: it is not an array");
    if (kwargs && !json_is_null(kwargs) && !json_is_object(kwargs))
        return error_set(err, ERROR_FORMAT, "chat_template_kwargs: it is not an object");
    if (thinks && !json_is_null(thinks) && !json_is_boolean(thinks))
        return error_set(err, ERROR_FORMAT, "enable_thinking: it is not true or false");
    if (!chat_messages_check(messages, err))
        return false;
    chat->messages = messages;
    chat->render = (ChatRender){
        .messages = messages,
        .tools = json_array_size(tools) > 0 ? tools : NULL,
        .kwargs = json_is_object(kwargs) ? kwargs : NULL,
        .enable_thinking = json_is_boolean(thinks) ? json_is_true(thinks) : -1,
    };
    return true;
}

/* ---- Documents ------------------------------------------------------------------------------- */

/* Appends ids, all with one weight. */
static void append(ChatReader *r, const int32_t *ids, int n, float weight)
{
    if (r->n_weights + n > r->weights_capacity) {
        const int more = 2 * (r->n_weights + n) + 256;
        float *grown = mem_alloc(sizeof *grown * (size_t)more);
        if (r->n_weights > 0)
            memcpy(grown, r->weights, sizeof *grown * (size_t)r->n_weights);
        mem_free(r->weights);
        r->weights = grown;
        r->weights_capacity = more;
    }
    for (int i = 0; i < n; i++) {
        ids_push(&r->document, ids[i]);
        r->weights[r->n_weights++] = weight;
    }
}

static void start_document(ChatReader *r)
{
    r->document.n = r->n_weights = 0;
    r->n_bytes = 0;
}

static bool end_document(ChatReader *r, Documents *out, Error *err)
{
    const bool ok = r->document.n == 0 || documents_add(out, r->document.data, r->weights,
                                                        r->document.n, r->n_bytes, err);
    start_document(r);
    return ok;
}

/* ---- One answer ------------------------------------------------------------------------------ */

/* The thought that a message carries, without the newlines around it. */
static Str thought_of(const json_t *message)
{
    const json_t *field = json_object_get(message, "reasoning_content");
    const json_t *content = json_object_get(message, "content");
    Str thought = {"", 0};
    if (json_is_string(field)) {
        thought = (Str){json_string_value(field), json_string_length(field)};
    } else if (json_is_string(content)) {
        const Str text = {json_string_value(content), json_string_length(content)};
        const ptrdiff_t open = str_find(text, STR("<think>"), 0);
        const ptrdiff_t close = str_find(text, STR("</think>"), 0);
        if (close >= 0)
            thought =
                str_slice(text, open >= 0 && open < close ? (size_t)open + 7 : 0, (size_t)close);
    }
    while (thought.bytes > 0 && thought.data[0] == '\n')
        thought = str_slice(thought, 1, thought.bytes);
    while (thought.bytes > 0 && thought.data[thought.bytes - 1] == '\n')
        thought.bytes--;
    return thought;
}

/* For prompts that end in an opened thought which the answer's rendering does not have: what would
 * follow. False when it is not so. */
static bool continue_thought(const json_t *message, Str prompt, Str whole, Buf *answer)
{
    const Str opening = STR("<think>\n");
    if (!str_ends(prompt, opening))
        return false;
    const Str before = {prompt.data, prompt.bytes - opening.bytes};
    if (!str_starts(whole, before))
        return false;
    Str rest = str_slice(whole, before.bytes, whole.bytes);
    while (rest.bytes > 0 && rest.data[0] == '\n')
        rest = str_slice(rest, 1, rest.bytes);
    buf_add(answer, thought_of(message));
    buf_puts(answer, "\n</think>\n\n");
    buf_add(answer, rest);
    return true;
}

/* What the model has to write: the ids of `text` up to the special token that ends it. */
static bool encode_answer(ChatReader *r, Str text, size_t i, Error *err)
{
    Ids *ids = &r->answer_ids;
    ids->n = 0;
    if (!tokenizer_encode_all(r->tokenizer, text, ids, err))
        return error_add(err, "messages[%zu]", i);
    while (ids->n > 0 && !tokenizer_is_special(r->tokenizer, ids->data[ids->n - 1]))
        ids->n--;
    if (ids->n == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the chat template ends an answer with no special token that the "
                         "tokenizer knows, so a model could not learn to stop");
    const int32_t end = ids->data[ids->n - 1];
    for (int k = 0; k < ids->n - 1; k++) {
        const Str spelling = tokenizer_bytes(r->tokenizer, end);
        if (ids->data[k] == end)
            return error_set(err, ERROR_FORMAT,
                             "messages[%zu]: the answer contains %.*s, which would end it", i,
                             STR_ARG(spelling));
    }
    return true;
}

static int tail_bytes(Str text) { return (int)(text.bytes < 40 ? text.bytes : 40); }

static bool differ(Str prompt, Str whole, size_t i, Error *err)
{
    size_t at = 0;
    while (at < prompt.bytes && at < whole.bytes && prompt.data[at] == whole.data[at])
        at++;
    const Str asks = str_slice(prompt, at, prompt.bytes), shows = str_slice(whole, at, whole.bytes);
    Buf a = {0}, b = {0};
    buf_put_json(&a, (Str){asks.data, (size_t)tail_bytes(asks)});
    buf_put_json(&b, (Str){shows.data, (size_t)tail_bytes(shows)});
    error_set(err, ERROR_FORMAT,
              "messages[%zu]: the chat template's prompt goes on with %s where the answer is shown "
              "as %s%s",
              i, a.data, b.data,
              str_find(asks, STR("</think>"), 0) >= 0 ? "; has it a thought with thinking off?"
                                                      : "");
    buf_free(&a);
    buf_free(&b);
    return false;
}

/* prompt_ids and answer_ids of messages[i], the last one of chat->render. */
static bool read_answer(ChatReader *r, Chat *chat, size_t i, Error *err)
{
    json_t *message = json_array_get(chat->messages, i);
    Buf spliced = {0};
    chat->render.add_generation_prompt = false;
    json_array_append(chat->render.messages, message);
    if (!chat_render(r->chat, &chat->render, &r->whole, err))
        return error_add(err, "messages[0 .. %zu]", i);
    const Str prompt = buf_str(&r->prompt.text), whole = buf_str(&r->whole.text);
    Str answer;
    if (str_starts(whole, prompt))
        answer = str_slice(whole, prompt.bytes, whole.bytes);
    else if (continue_thought(message, prompt, whole, &spliced))
        answer = buf_str(&spliced);
    else
        return differ(prompt, whole, i, err);
    r->prompt_ids.n = 0;
    const bool ok = (tokenizer_encode(r->tokenizer, prompt, r->prompt.untrusted,
                                      r->prompt.n_untrusted, &r->prompt_ids, err) ||
                     error_add(err, "messages[0 .. %zu]", i)) &&
                    encode_answer(r, answer, i, err);
    buf_free(&spliced);
    return ok;
}

/* Whether the document's ids are the beginning of the prompt. */
static bool goes_on(const ChatReader *r)
{
    return r->document.n > 0 && r->document.n <= r->prompt_ids.n &&
           memcmp(r->document.data, r->prompt_ids.data, sizeof(int32_t) * (size_t)r->document.n) ==
               0;
}

static bool is_blank(Str text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] != '\n' && text.data[i] != ' ')
            return false;
    return true;
}

/* The answer's ids up to the end of its thought and the blank ones behind it; 0: it has none. */
static int thought_ids(const ChatReader *r)
{
    const int32_t close = tokenizer_added_id(r->tokenizer, "</think>");
    const Ids *ids = &r->answer_ids;
    int n = 0;
    while (n < ids->n && ids->data[n] != close)
        n++;
    if (n == ids->n)
        return 0;
    do
        n++;
    while (n < ids->n && is_blank(tokenizer_bytes(r->tokenizer, ids->data[n])));
    return n;
}

static bool add_answer(ChatReader *r, double weight, double thinking_weight, Documents *out,
                       Error *err)
{
    if (!goes_on(r) && !end_document(r, out, err))
        return false;
    const int known = r->document.n;
    append(r, r->prompt_ids.data + known, r->prompt_ids.n - known, 0);
    const int n_thought = thinking_weight < 1 ? thought_ids(r) : 0;
    append(r, r->answer_ids.data, n_thought, (float)(weight * thinking_weight));
    append(r, r->answer_ids.data + n_thought, r->answer_ids.n - n_thought, (float)weight);
    for (int k = thinking_weight > 0 ? 0 : n_thought; k < r->answer_ids.n - 1; k++)
        r->n_bytes += (int64_t)tokenizer_bytes(r->tokenizer, r->answer_ids.data[k]).bytes;
    return true;
}

/* The message behind which answers are learned. */
static size_t first_scored(const ChatReader *r, const Chat *chat)
{
    size_t first = 0;
    for (size_t i = 0; r->score == CHAT_LAST && i < json_array_size(chat->messages); i++)
        if (strcmp(role_of(json_array_get(chat->messages, i)), "user") == 0)
            first = i;
    return first;
}

static bool add_answers(ChatReader *r, Chat *chat, Documents *out, Error *err)
{
    const size_t first = first_scored(r, chat);
    const int64_t n_before = out->counts.n_documents + out->counts.n_long + out->counts.n_blank;
    bool ok = true;
    chat->render.messages = json_array();
    for (size_t i = 0; ok && i < json_array_size(chat->messages); i++) {
        json_t *message = json_array_get(chat->messages, i);
        const double weight = is_answer(message) && i >= first ? weight_of(message) : 0;
        if (weight == 0) {
            json_array_append(chat->render.messages, message);
            continue;
        }
        if (i == 0) {
            ok = error_set(err, ERROR_FORMAT,
                           "messages[0]: an answer to nothing; \"weight\": 0 makes it context");
            break;
        }
        chat->render.add_generation_prompt = true;
        ok = (chat_render(r->chat, &chat->render, &r->prompt, err) ||
              error_add(err, "messages[0 .. %zu]", i - 1)) &&
             read_answer(r, chat, i, err) &&
             add_answer(r, weight, thinking_weight_of(message), out, err);
    }
    ok = ok && end_document(r, out, err);
    json_decref(chat->render.messages);
    const DocumentCounts *c = &out->counts;
    out->counts.n_blank += ok && c->n_documents + c->n_long + c->n_blank == n_before;
    return ok;
}

/* The whole rendering as a text. */
static bool add_text(ChatReader *r, const Chat *chat, Documents *out, Error *err)
{
    Ids *ids = &r->prompt_ids;
    ids->n = 0;
    if (!chat_render(r->chat, &chat->render, &r->whole, err) ||
        !tokenizer_encode(r->tokenizer, buf_str(&r->whole.text), r->whole.untrusted,
                          r->whole.n_untrusted, ids, err))
        return false;
    ids_push(ids, r->end);
    return documents_add(out, ids->data, NULL, ids->n, (int64_t)r->whole.text.bytes, err);
}

bool chat_reader_add(ChatReader *r, const json_t *conversation, Documents *out, Error *err)
{
    Chat chat;
    start_document(r);
    if (!open_chat(&chat, conversation, err))
        return false;
    return r->score == CHAT_TEXT ? add_text(r, &chat, out, err) : add_answers(r, &chat, out, err);
}
