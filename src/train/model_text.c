/* See model_text.h. */
#include "train/model_text.h"

#include "base/hash.h"

static Str spelling(const Tokenizer *t, int32_t id)
{
    return id >= 0 ? tokenizer_bytes(t, id) : (Str){"", 0};
}

static uint64_t hash_strings(uint64_t key, const Str *strings, int n)
{
    for (int i = 0; i < n; i++)
        key = hash_bytes(key, strings[i]);
    return key;
}

static uint64_t key_of(const PackageText *t)
{
    const Str files[] = {
        t->tokenizer_json,    t->vocab_json,    t->merges_txt, t->tokenizer_config_json,
        t->added_tokens_json, t->chat_template, t->pre};
    const int32_t ids[] = {t->bos_id, t->eos_id, t->pad_id};
    uint64_t key = hash_strings(0, files, sizeof files / sizeof *files);
    key = hash_strings(key, t->tokens, t->n_tokens);
    key = hash_strings(key, t->merges, t->n_merges);
    if (t->token_types)
        key = hash_bytes(
            key, (Str){(const char *)t->token_types, sizeof *t->token_types * (size_t)t->n_tokens});
    return hash_bytes(key, (Str){(const char *)ids, sizeof ids});
}

bool model_text_open(ModelText *t, const Package *package, Error *err)
{
    const PackageText *text = package_text(package);
    const TokenizerFiles files = {
        .tokenizer_json = text->tokenizer_json,
        .vocab_json = text->vocab_json,
        .merges_txt = text->merges_txt,
        .tokenizer_config_json = text->tokenizer_config_json,
        .added_tokens_json = text->added_tokens_json,
        .tokens = text->tokens,
        .merges = text->merges,
        .token_types = text->token_types,
        .n_tokens = text->n_tokens,
        .n_merges = text->n_merges,
        .pre = text->pre,
        .bos_id = text->bos_id,
        .eos_id = text->eos_id,
        .pad_id = text->pad_id,
        .add_bos = text->add_bos,
    };
    *t = (ModelText){.tokenizer = tokenizer_open(&files, err), .key = key_of(text)};
    if (!t->tokenizer)
        return error_add(err, "%s", package_path(package));
    if (text->chat_template.bytes == 0)
        return true;
    t->chat = chat_template_open(text->chat_template,
                                 spelling(t->tokenizer, tokenizer_bos_id(t->tokenizer)),
                                 spelling(t->tokenizer, tokenizer_eos_id(t->tokenizer)), err);
    if (t->chat)
        return true;
    model_text_close(t);
    return error_add(err, "%s: chat template", package_path(package));
}

void model_text_close(ModelText *t)
{
    tokenizer_close(t->tokenizer);
    chat_template_close(t->chat);
    *t = (ModelText){0};
}

int32_t model_text_answer_end(const ModelText *t)
{
    json_t *messages = json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "user", "content", "q", "role",
                                 "assistant", "content", "a");
    const ChatRender render = {.messages = messages, .enable_thinking = -1};
    JinjaOutput out = {0};
    Ids ids = {0};
    int32_t end = -1;
    if (t->chat && chat_render(t->chat, &render, &out, NULL) &&
        tokenizer_encode_all(t->tokenizer, buf_str(&out.text), &ids, NULL))
        for (int i = ids.n - 1; i >= 0 && end < 0; i--)
            end = tokenizer_is_special(t->tokenizer, ids.data[i]) ? ids.data[i] : -1;
    ids_free(&ids);
    jinja_output_free(&out);
    json_decref(messages);
    return end;
}
