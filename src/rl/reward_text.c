/* See reward_text.h. */
#include "rl/reward_text.h"

static bool find_token(RewardText *r, const char *token, Error *err)
{
    const char *path = package_path(r->package);
    if (!r->text.chat)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s has no chat template, so it cannot read conversations", path);
    r->token = tokenizer_added_id(r->text.tokenizer, token);
    if (r->token < 0)
        return error_set(err, ERROR_FORMAT,
                         "reward.token: \"%.60s\" is no added token of %s, such as " REWARD_TOKEN,
                         token, path);
    return (r->n_vocab > 0 && r->token < r->n_vocab) ||
           error_set(err, ERROR_FORMAT,
                     "reward.token: \"%.60s\" has the id %d; the head of %s has %d rows", token,
                     (int)r->token, path, r->n_vocab);
}

bool reward_text_open(RewardText *r, const char *path, const char *tokenizer, int n_vocab,
                      const char *token, Error *err)
{
    *r = (RewardText){.n_vocab = n_vocab};
    Package *model = path ? package_open(path, true, err) : NULL;
    if (model)
        r->n_vocab = (int)json_integer_value(json_object_get(package_config(model), "vocab_size"));
    bool ok = model || !path;
    if (ok && tokenizer)
        ok = (r->package = package_open(tokenizer, false, err)) != NULL;
    else if (ok)
        r->package = model;
    ok = ok && model_text_open(&r->text, r->package, err) && find_token(r, token, err);
    if (model != r->package)
        package_close(model);
    if (!ok)
        reward_text_close(r);
    return ok;
}

void reward_text_close(RewardText *r)
{
    model_text_close(&r->text);
    package_close(r->package);
    *r = (RewardText){0};
}

bool reward_text_ids(const RewardText *r, json_t *messages, json_t *tools, Ids *ids, Error *err)
{
    const Tokenizer *tokenizer = r->text.tokenizer;
    const ChatRender render = {.messages = messages,
                               .tools = json_array_size(tools) > 0 ? tools : NULL,
                               .enable_thinking = -1};
    const int before = ids->n;
    JinjaOutput out = {0};
    const bool ok =
        chat_render(r->text.chat, &render, &out, err) &&
        tokenizer_encode(tokenizer, buf_str(&out.text), out.untrusted, out.n_untrusted, ids, err);
    jinja_output_free(&out);
    while (ok && ids->n > before && !tokenizer_is_special(tokenizer, ids->data[ids->n - 1]))
        ids->n--;
    return ok && (ids->n > before ||
                  error_set(err, ERROR_UNSUPPORTED,
                            "the chat template ends a message with no special token that the "
                            "tokenizer knows"));
}
