/* See tokenizer_write.h. Source of the layouts: Qwen/Qwen3-8B's files. */
#include "text/tokenizer_write.h"

#include "text/pretokenize.h"
#include "text/qwen_tokens.h"

#include <string.h>

static void put_token(const BpeVocab *v, int32_t id, Buf *out)
{
    Buf text = {0};
    byte_alphabet_encode(vocab_bytes(&v->vocab, id), &text);
    buf_put_json(out, buf_str(&text));
    buf_free(&text);
}

/* Two parts of a merge in the byte alphabet, which has no blank. */
static void put_merge(const BpeVocab *v, BpePair pair, Buf *out)
{
    byte_alphabet_encode(vocab_bytes(&v->vocab, pair.left), out);
    buf_putc(out, ' ');
    byte_alphabet_encode(vocab_bytes(&v->vocab, pair.right), out);
    buf_putc(out, '\n');
}

void tokenizer_write_vocab(const BpeVocab *v, Buf *out)
{
    for (size_t id = 0; id < v->vocab.n; id++) {
        buf_putc(out, id ? ',' : '{');
        put_token(v, (int32_t)id, out);
        buf_printf(out, ":%zu", id);
    }
    buf_putc(out, '}');
}

void tokenizer_write_merges(const BpeVocab *v, Buf *out)
{
    buf_puts(out, "#version: 0.2\n");
    for (int i = 0; i < v->n_merges; i++)
        put_merge(v, v->merges[i], out);
}

static void put_added(const BpeVocab *v, Buf *out)
{
    for (int i = 0; i < QWEN_TOKENS; i++) {
        buf_printf(out, "%s\n    {\n      \"id\": %zu,\n      \"content\": ", i ? "," : "",
                   v->vocab.n + (size_t)i);
        buf_put_json(out, str_from(qwen_tokens[i].text));
        buf_printf(out,
                   ",\n      \"single_word\": false,\n      \"lstrip\": false,\n"
                   "      \"rstrip\": false,\n      \"normalized\": false,\n"
                   "      \"special\": %s\n    }",
                   qwen_tokens[i].is_special ? "true" : "false");
    }
}

/* A component of type ByteLevel, its members indented by `indent`. */
static void put_byte_level(const char *indent, Buf *out)
{
    buf_printf(out,
               "{\n%s\"type\": \"ByteLevel\",\n%s\"add_prefix_space\": false,\n"
               "%s\"trim_offsets\": false,\n%s\"use_regex\": false\n%.*s}",
               indent, indent, indent, indent, (int)(strlen(indent) - 2), indent);
}

static void put_pre_tokenizer(Buf *out)
{
    buf_puts(out, "{\n    \"type\": \"Sequence\",\n    \"pretokenizers\": [\n      {\n"
                  "        \"type\": \"Split\",\n        \"pattern\": {\n"
                  "          \"Regex\": ");
    buf_put_json(out, str_from(QWEN_REGEX));
    buf_puts(out, "\n        },\n        \"behavior\": \"Isolated\",\n"
                  "        \"invert\": false\n      },\n      ");
    put_byte_level("        ", out);
    buf_puts(out, "\n    ]\n  }");
}

static void put_model(const BpeVocab *v, Buf *out)
{
    buf_puts(out, "{\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
                  "    \"continuing_subword_prefix\": \"\",\n    \"end_of_word_suffix\": \"\",\n"
                  "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n"
                  "    \"ignore_merges\": false,\n    \"vocab\": {");
    for (size_t id = 0; id < v->vocab.n; id++) {
        buf_puts(out, id ? ",\n      " : "\n      ");
        put_token(v, (int32_t)id, out);
        buf_printf(out, ": %zu", id);
    }
    buf_puts(out, "\n    },\n    \"merges\": [");
    for (int i = 0; i < v->n_merges; i++) {
        buf_puts(out, i ? ",\n      [\n        " : "\n      [\n        ");
        put_token(v, v->merges[i].left, out);
        buf_puts(out, ",\n        ");
        put_token(v, v->merges[i].right, out);
        buf_puts(out, "\n      ]");
    }
    buf_puts(out, v->n_merges ? "\n    ]\n  }" : "]\n  }");
}

void tokenizer_write_json(const BpeVocab *v, Buf *out)
{
    buf_puts(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
                  "  \"added_tokens\": [");
    put_added(v, out);
    buf_puts(out, "\n  ],\n  \"normalizer\": {\n    \"type\": \"NFC\"\n  },\n"
                  "  \"pre_tokenizer\": ");
    put_pre_tokenizer(out);
    buf_puts(out, ",\n  \"post_processor\": ");
    put_byte_level("    ", out);
    buf_puts(out, ",\n  \"decoder\": ");
    put_byte_level("    ", out);
    buf_puts(out, ",\n  \"model\": ");
    put_model(v, out);
    buf_puts(out, "\n}");
}

void tokenizer_write_config(const BpeVocab *v, Str chat_template, int context, Buf *out)
{
    const char *separator = "\n    ";
    buf_puts(out, "{\n  \"add_bos_token\": false,\n  \"add_prefix_space\": false,\n"
                  "  \"added_tokens_decoder\": {");
    for (int i = 0; i < QWEN_TOKENS; i++) {
        buf_printf(out, "%s\n    \"%zu\": {\n      \"content\": ", i ? "," : "",
                   v->vocab.n + (size_t)i);
        buf_put_json(out, str_from(qwen_tokens[i].text));
        buf_printf(out,
                   ",\n      \"lstrip\": false,\n      \"normalized\": false,\n"
                   "      \"rstrip\": false,\n      \"single_word\": false,\n"
                   "      \"special\": %s\n    }",
                   qwen_tokens[i].is_special ? "true" : "false");
    }
    buf_puts(out, "\n  },\n  \"additional_special_tokens\": [");
    for (int i = 0; i < QWEN_TOKENS; i++) {
        if (!qwen_tokens[i].is_special ||
            str_equals(str_from(qwen_tokens[i].text), QWEN_END_OF_TEXT))
            continue;
        buf_puts(out, separator);
        buf_put_json(out, str_from(qwen_tokens[i].text));
        separator = ",\n    ";
    }
    buf_puts(out, "\n  ],\n  \"bos_token\": null,\n  \"chat_template\": ");
    buf_put_json(out, chat_template);
    buf_printf(out,
               ",\n  \"clean_up_tokenization_spaces\": false,\n  \"eos_token\": \"%s\",\n"
               "  \"errors\": \"replace\",\n  \"model_max_length\": %d,\n"
               "  \"pad_token\": \"%s\",\n  \"split_special_tokens\": false,\n"
               "  \"tokenizer_class\": \"Qwen2Tokenizer\",\n  \"unk_token\": null\n}\n",
               QWEN_TURN_END, context, QWEN_END_OF_TEXT);
}
