/* Text, ids, prompts; see wen.h. */
#include "api/api.h"

#include <limits.h>
#include <string.h>

json_t *api_parse_json(const char *text, const char *what, Error *err)
{
    json_error_t where;
    json_t *json = json_loadb(text, strlen(text), JSON_ALLOW_NUL, &where);
    if (!json)
        error_set(err, ERROR_FORMAT, "%s: line %d, column %d: %s", what, where.line, where.column,
                  where.text);
    return json;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

bool wen_tokenize(const wen_model *m, const char *text, size_t bytes, bool is_plain, int32_t **ids,
                  int *n_ids, wen_error *err)
{
    Error error = {0};
    Ids out = {0};
    Str str = {text, bytes};
    bool ok = is_plain ? tokenizer_encode_plain(m->tokenizer, str, &out, &error)
                       : tokenizer_encode_all(m->tokenizer, str, &out, &error);
    if (!ok) {
        ids_free(&out);
        return api_fail(err, &error);
    }
    *ids = out.data ? out.data : mem_alloc(sizeof **ids);
    *n_ids = out.n;
    return true;
}

char *wen_detokenize(const wen_model *m, const int32_t *ids, int n_ids, bool skips_special,
                     size_t *bytes, wen_error *err)
{
    Error error = {0};
    Buf out = {0};
    char *text = NULL;
    if (tokenizer_decode(m->tokenizer, ids, n_ids, skips_special, &out, &error)) {
        text = api_copy_text(buf_str(&out));
        if (bytes)
            *bytes = out.bytes;
    } else {
        api_fail(err, &error);
    }
    buf_free(&out);
    return text;
}

const char *wen_token_text(const wen_model *m, int32_t id, size_t *bytes)
{
    Str text = {"", 0};
    if (id >= 0 && id < tokenizer_n_tokens(m->tokenizer))
        text = tokenizer_bytes(m->tokenizer, id);
    *bytes = text.bytes;
    return text.data ? text.data : "";
}

/* ---- Rendering ------------------------------------------------------------------------------- */

static bool need_template(const wen_model *m, Error *err)
{
    return m->chat ? true
                   : error_set(err, ERROR_UNSUPPORTED,
                               "%s has no chat template: give one (--template FILE)", m->path);
}

static bool bool_member(const json_t *request, const char *name, int *value, Error *err)
{
    const json_t *member = json_object_get(request, name);
    if (!member || json_is_null(member))
        return true;
    if (!json_is_boolean(member))
        return error_set(err, ERROR_ARGUMENT, "\"%s\" is not true or false", name);
    *value = json_is_true(member);
    return true;
}

static bool render_request(const wen_model *m, const json_t *request, JinjaOutput *out, Error *err)
{
    int adds_prompt = 1, thinks = -1;
    json_t *tools = json_object_get(request, "tools");
    json_t *kwargs = json_object_get(request, "chat_template_kwargs");
    ChatRender render = {.messages = json_object_get(request, "messages"), .raw = true};
    if (!json_is_array(render.messages))
        return error_set(err, ERROR_ARGUMENT, "\"messages\" is not an array");
    if (tools && !json_is_array(tools) && !json_is_null(tools))
        return error_set(err, ERROR_ARGUMENT, "\"tools\" is not an array");
    if (kwargs && !json_is_object(kwargs) && !json_is_null(kwargs))
        return error_set(err, ERROR_ARGUMENT, "\"chat_template_kwargs\" is not an object");
    if (!bool_member(request, "add_generation_prompt", &adds_prompt, err) ||
        !bool_member(request, "enable_thinking", &thinks, err))
        return false;
    render.tools = json_is_array(tools) ? tools : NULL;
    render.kwargs = json_is_object(kwargs) ? kwargs : NULL;
    render.add_generation_prompt = adds_prompt;
    render.enable_thinking = thinks;
    return need_template(m, err) && chat_render(m->chat, &render, out, err);
}

char *wen_render(const wen_model *m, const char *request, size_t *bytes, wen_error *err)
{
    Error error = {0};
    JinjaOutput out = {0};
    char *text = NULL;
    json_t *json = api_parse_json(request, "request", &error);
    if (json && render_request(m, json, &out, &error)) {
        text = api_copy_text(buf_str(&out.text));
        if (bytes)
            *bytes = out.text.bytes;
    } else {
        api_fail(err, &error);
    }
    jinja_output_free(&out);
    json_decref(json);
    return text;
}

/* ---- The prompt of a request ----------------------------------------------------------------- */

/* Cuts the prompt behind the text of its last message, which the model is to go on with. */
static bool cut_behind_last(const json_t *messages, JinjaOutput *out, Error *err)
{
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const json_t *content = json_object_get(last, "content");
    const char *role = json_string_value(json_object_get(last, "role"));
    Str said = {json_string_value(content), json_string_length(content)};
    while (said.bytes > 0 && strchr(" \t\r\n", said.data[said.bytes - 1]))
        said.bytes--;
    if (!role || strcmp(role, "assistant") != 0 || said.bytes == 0)
        return error_set(err, ERROR_ARGUMENT,
                         "messages: to be gone on with, the last one must be the assistant's and "
                         "have text as its content");
    Str text = buf_str(&out->text);
    ptrdiff_t at = -1;
    for (ptrdiff_t next; (next = str_find(text, said, (size_t)(at + 1))) >= 0;)
        at = next;
    if (at < 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "messages: the template changes the last one, it cannot be gone on with");
    out->text.bytes = (size_t)at + said.bytes;
    while (out->n_untrusted > 0 && out->untrusted[out->n_untrusted - 1].from >= out->text.bytes)
        out->n_untrusted--;
    if (out->n_untrusted > 0 && out->untrusted[out->n_untrusted - 1].to > out->text.bytes)
        out->untrusted[out->n_untrusted - 1].to = out->text.bytes;
    return true;
}

static bool render_messages(const wen_model *m, const wen_request *r, json_t *messages,
                            json_t *tools, json_t *kwargs, Ids *ids, Error *err)
{
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return error_set(err, ERROR_ARGUMENT, "messages: not an array with at least one message");
    if (tools && !json_is_array(tools))
        return error_set(err, ERROR_ARGUMENT, "tools: not an array");
    if (kwargs && !json_is_object(kwargs))
        return error_set(err, ERROR_ARGUMENT, "template variables: not an object");
    ChatRender render = {
        .messages = messages,
        .tools = json_array_size(tools) > 0 ? tools : NULL,
        .kwargs = kwargs,
        .add_generation_prompt = !r->continues_last,
        .enable_thinking = r->think_budget == 0 ? 0 : r->think,
    };
    JinjaOutput out = {0};
    bool ok = chat_render(m->chat, &render, &out, err) &&
              (!r->continues_last || cut_behind_last(messages, &out, err)) &&
              tokenizer_encode(m->tokenizer, buf_str(&out.text), out.untrusted, out.n_untrusted,
                               ids, err);
    jinja_output_free(&out);
    return ok;
}

static bool build_from_messages(const wen_model *m, const wen_request *r, Ids *ids, Error *err)
{
    if (!need_template(m, err))
        return false;
    json_t *tools = NULL, *kwargs = NULL;
    json_t *messages = api_parse_json(r->messages, "messages", err);
    bool ok = messages != NULL;
    if (ok && r->tools)
        ok = (tools = api_parse_json(r->tools, "tools", err)) != NULL;
    if (ok && r->template_kwargs)
        ok = (kwargs = api_parse_json(r->template_kwargs, "template variables", err)) != NULL;
    ok = ok && render_messages(m, r, messages, tools, kwargs, ids, err);
    json_decref(messages);
    json_decref(tools);
    json_decref(kwargs);
    return ok;
}

bool wen_prompt_ids(const wen_model *m, const wen_request *request, int32_t **ids, int *n_ids,
                    wen_error *err)
{
    Error error = {0};
    Ids out = {0};
    if (!prompt_build(m, request, &out, &error)) {
        ids_free(&out);
        return api_fail(err, &error);
    }
    *ids = out.data ? out.data : mem_alloc(sizeof **ids);
    *n_ids = out.n;
    return true;
}

bool prompt_build(const wen_model *m, const wen_request *r, Ids *ids, Error *err)
{
    int n_given = (r->messages != NULL) + (r->prompt != NULL) + (r->ids != NULL);
    if (n_given != 1)
        return error_set(err, ERROR_ARGUMENT, "give one of messages, prompt and ids");
    if (r->messages)
        return build_from_messages(m, r, ids, err);
    if (r->prompt) {
        int32_t bos = tokenizer_adds_bos(m->tokenizer) ? tokenizer_bos_id(m->tokenizer) : -1;
        if (bos >= 0 && !str_starts(str_from(r->prompt), tokenizer_bytes(m->tokenizer, bos)))
            ids_push(ids, bos);
        return tokenizer_encode_all(m->tokenizer, str_from(r->prompt), ids, err);
    }
    for (int i = 0; i < r->n_ids; i++)
        ids_push(ids, r->ids[i]);
    return true;
}
