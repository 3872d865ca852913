/* A folder to train in: a tokenizer of single bytes with the chat's added tokens, a template, some
 * text, and the shapes of two small models. */
#ifndef WEN_TESTS_TRAIN_RUN_RIG_H
#define WEN_TESTS_TRAIN_RUN_RIG_H

#include "chat_vocab.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>

static char folder[512], config_path[600];

static inline void write_file(const char *name, const char *text)
{
    Error err = {0};
    char *path = file_join(folder, name);
    assert_ok(file_write(path, str_from(text), &err));
    mem_free(path);
}

static inline void write_tokenizer(void)
{
    Buf vocab = {0}, config = {0};
    buf_puts(&vocab, "{");
    for (int byte = 0; byte < 256; byte++) {
        Buf spelled = {0};
        spell_byte(&spelled, (unsigned char)byte);
        buf_puts(&vocab, byte ? "," : "");
        buf_put_json(&vocab, buf_str(&spelled));
        buf_printf(&vocab, ":%d", byte);
        buf_free(&spelled);
    }
    buf_puts(&vocab, "}");
    write_file("vocab.json", vocab.data);
    write_file("merges.txt", "#version: 0.2\n");
    buf_puts(&config, "{\"eos_token\":\"<|im_end|>\",\"added_tokens_decoder\":{");
    for (int i = 0; i < N_CHAT_TOKENS; i++)
        buf_printf(&config, "%s\"%d\":{\"content\":\"%s\",\"special\":%s}", i ? "," : "", 256 + i,
                   chat_tokens[i], i < N_CHAT_SPECIAL ? "true" : "false");
    buf_puts(&config, "}}");
    write_file("tokenizer_config.json", config.data);
    buf_free(&vocab);
    buf_free(&config);
}

static inline void write_template(void)
{
    Error err = {0};
    Buf text = {0};
    assert_ok(file_read(&text, "models/chat_template.jinja", 1 << 20, &err));
    write_file("chat_template.jinja", text.data);
    buf_free(&text);
}

static const char dense[] __attribute__((unused)) =
    "{model_type: qwen3, hidden_size: 32, num_hidden_layers: 2, vocab_size: 272, "
    "num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, intermediate_size: 48, "
    "max_position_embeddings: 256, rms_norm_eps: 1.0e-6, rope_theta: 10000.0, "
    "tie_word_embeddings: true}";
static const char mixture[] __attribute__((unused)) =
    "{model_type: qwen3_moe, hidden_size: 32, num_hidden_layers: 2, vocab_size: 272, "
    "num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, intermediate_size: 48, "
    "num_experts: 8, num_experts_per_tok: 2, moe_intermediate_size: 16, norm_topk_prob: true, "
    "decoder_sparse_step: 1, mlp_only_layers: [], max_position_embeddings: 256, "
    "rms_norm_eps: 1.0e-6, rope_theta: 10000.0, tie_word_embeddings: true}";

/* For a group's setup. */
static inline int make_folder(void **state)
{
    (void)state;
    Error err = {0};
    Buf lines = {0};
    snprintf(folder, sizeof folder, "%s", test_temp("run"));
    snprintf(config_path, sizeof config_path, "%s/config.yaml", folder);
    assert_ok(file_make_dir(folder, &err));
    write_tokenizer();
    for (int i = 0; i < 30; i++)
        buf_printf(&lines, "{\"text\": \"line %d says that %d and %d are %d\"}\n", i, i, i, 2 * i);
    write_file("lines.jsonl", lines.data);
    write_file("text.txt", "The quick brown fox jumps over the lazy dog, and over the quick fox.");
    buf_free(&lines);
    return 0;
}

#endif
