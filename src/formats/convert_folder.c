/* The small files of a folder: config.json, generation_config.json and the tokenizer's. A folder's
 * are copied; a GGUF's are written anew, in the layout that transformers and tokenizers save. */
#include "formats/convert_parts.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_USER_DEFINED = 4 };

/* The split of the Qwen family (Qwen/Qwen3-0.6B tokenizer.json), already escaped for JSON. */
static const char QWEN_SPLIT[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+";

static const char BYTE_LEVEL[] =
    "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "
    "\"use_regex\": false}";

static bool save(const char *dir, const char *name, Buf *text, Error *err)
{
    char *path = file_join(dir, name);
    bool ok = text->overflowed ? error_set(err, ERROR_LIMIT, "%s: longer than 1 GiB", path)
                               : file_write(path, buf_str(text), err);
    mem_free(path);
    buf_free(text);
    return ok;
}

static bool save_json(const char *dir, const char *name, const json_t *json, Error *err)
{
    char *dump = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    Buf text = {0};
    if (!dump)
        return error_set(err, ERROR_FORMAT, "%s: not representable as JSON", name);
    buf_puts(&text, dump);
    buf_putc(&text, '\n');
    free(dump);
    return save(dir, name, &text, err);
}

static bool write_config(const Package *in, const char *dir, DType type, Error *err)
{
    static const char *const names[] = {
        [DTYPE_F32] = "float32", [DTYPE_F16] = "float16", [DTYPE_BF16] = "bfloat16"};
    json_t *config = json_deep_copy(package_config(in));
    json_object_set_new(config, "torch_dtype", json_string(names[type]));
    if (json_object_get(config, "dtype")) /* the newer name */
        json_object_set_new(config, "dtype", json_string(names[type]));
    json_object_del(config, "quantization_config");
    json_object_del(config, "quantization");
    bool ok = save_json(dir, "config.json", config, err);
    json_decref(config);
    return ok;
}

static bool copy_text(const char *dir, const char *name, Str text, Error *err)
{
    if (text.bytes == 0)
        return true;
    char *path = file_join(dir, name);
    bool ok = file_write(path, text, err);
    mem_free(path);
    return ok;
}

static bool copy_file(const Package *in, const char *dir, const char *name, Error *err)
{
    char *from = file_join(package_path(in), name);
    FileMap map = {0};
    bool ok =
        !file_exists(from) || (file_map(&map, from, err) &&
                               copy_text(dir, name, (Str){(const char *)map.data, map.bytes}, err));
    file_unmap(&map);
    mem_free(from);
    return ok;
}

static bool copy_texts(const Package *in, const char *dir, Error *err)
{
    static const char *const names[] = {
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
        "qwen.tiktoken",
        "added_tokens.json",
        "chat_template.jinja",
        "special_tokens_map.json",
    };
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof names / sizeof *names; i++)
        ok = copy_file(in, dir, names[i], err);
    return ok;
}

static bool is_added(const PackageText *t, int id)
{
    return t->token_types &&
           (t->token_types[id] == TOKEN_CONTROL || t->token_types[id] == TOKEN_USER_DEFINED);
}

static bool is_normal(const PackageText *t, int id)
{
    return !t->token_types || t->token_types[id] == TOKEN_NORMAL;
}

/* {"a": 0, ...} with only the ordinary tokens. */
static void put_vocab(Buf *out, const PackageText *t, const char *separator)
{
    bool is_first = true;
    buf_putc(out, '{');
    for (int i = 0; i < t->n_tokens; i++) {
        if (!is_normal(t, i))
            continue;
        buf_puts(out, is_first ? "" : separator);
        buf_put_json(out, t->tokens[i]);
        buf_printf(out, ":%d", i);
        is_first = false;
    }
    buf_putc(out, '}');
}

static void put_added_fields(Buf *out, const PackageText *t, int id)
{
    buf_puts(out, "\"content\": ");
    buf_put_json(out, t->tokens[id]);
    buf_printf(out,
               ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
               "\"normalized\": false, \"special\": %s}",
               t->token_types[id] == TOKEN_CONTROL ? "true" : "false");
}

static bool write_tokenizer_json(const PackageText *t, const char *dir, Error *err)
{
    Buf out = {0};
    bool is_first = true;
    buf_puts(&out, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"
                   "\"added_tokens\": [");
    for (int i = 0; i < t->n_tokens; i++) {
        if (!is_added(t, i))
            continue;
        buf_printf(&out, "%s\n{\"id\": %d, ", is_first ? "" : ",", i);
        put_added_fields(&out, t, i);
        is_first = false;
    }
    buf_printf(
        &out,
        "],\n\"normalizer\": {\"type\": \"NFC\"},\n"
        "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
        "\"pattern\": {\"Regex\": \"%s\"}, \"behavior\": \"Isolated\", \"invert\": false}, %s]},\n"
        "\"post_processor\": %s,\n\"decoder\": %s,\n",
        QWEN_SPLIT, BYTE_LEVEL, BYTE_LEVEL, BYTE_LEVEL);
    buf_puts(&out, "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                   "\"continuing_subword_prefix\": \"\", \"end_of_word_suffix\": \"\", "
                   "\"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
                   "\"vocab\": ");
    put_vocab(&out, t, ",\n");
    buf_puts(&out, ",\n\"merges\": [");
    for (int i = 0; i < t->n_merges; i++) {
        ptrdiff_t space = str_find(t->merges[i], STR(" "), 0);
        size_t cut = space < 0 ? t->merges[i].bytes : (size_t)space;
        buf_puts(&out, i ? ",\n[" : "[");
        buf_put_json(&out, str_slice(t->merges[i], 0, cut));
        buf_putc(&out, ',');
        buf_put_json(&out, str_slice(t->merges[i], cut + 1, t->merges[i].bytes));
        buf_putc(&out, ']');
    }
    buf_puts(&out, "]}}\n");
    return save(dir, "tokenizer.json", &out, err);
}

static void put_special(Buf *out, const PackageText *t, const char *name, int32_t id)
{
    buf_printf(out, "  \"%s\": ", name);
    if (id >= 0 && id < t->n_tokens)
        buf_put_json(out, t->tokens[id]);
    else
        buf_puts(out, "null");
    buf_puts(out, ",\n");
}

static bool write_tokenizer_config(const PackageText *t, const char *dir, Error *err)
{
    Buf out = {0};
    bool is_first = true;
    buf_printf(&out,
               "{\n  \"add_bos_token\": %s,\n  \"add_prefix_space\": false,\n"
               "  \"added_tokens_decoder\": {",
               t->add_bos ? "true" : "false");
    for (int i = 0; i < t->n_tokens; i++) {
        if (!is_added(t, i))
            continue;
        buf_printf(&out, "%s\n    \"%d\": {", is_first ? "" : ",", i);
        put_added_fields(&out, t, i);
        is_first = false;
    }
    buf_puts(&out, "\n  },\n");
    put_special(&out, t, "bos_token", t->bos_id);
    put_special(&out, t, "eos_token", t->eos_id);
    put_special(&out, t, "pad_token", t->pad_id);
    if (t->chat_template.bytes > 0) {
        buf_puts(&out, "  \"chat_template\": ");
        buf_put_json(&out, t->chat_template);
        buf_puts(&out, ",\n");
    }
    buf_puts(&out,
             "  \"clean_up_tokenization_spaces\": false,\n  \"errors\": \"replace\",\n"
             "  \"split_special_tokens\": false,\n  \"tokenizer_class\": \"Qwen2Tokenizer\",\n"
             "  \"unk_token\": null\n}\n");
    return save(dir, "tokenizer_config.json", &out, err);
}

static bool write_vocab_and_merges(const PackageText *t, const char *dir, Error *err)
{
    Buf vocab = {0}, merges = {0};
    put_vocab(&vocab, t, ",");
    buf_putc(&vocab, '\n');
    buf_puts(&merges, "#version: 0.2\n");
    for (int i = 0; i < t->n_merges; i++) {
        buf_add(&merges, t->merges[i]);
        buf_putc(&merges, '\n');
    }
    bool ok = save(dir, "vocab.json", &vocab, err);
    ok = save(dir, "merges.txt", &merges, ok ? err : NULL) && ok;
    return ok;
}

static bool write_generation_config(const Package *in, const char *dir, Error *err)
{
    const PackageText *t = package_text(in);
    json_t *config = package_generation_config(in) ? json_deep_copy(package_generation_config(in))
                                                   : json_object();
    const struct {
        const char *key;
        int32_t id;
    } ids[] = {
        {"bos_token_id", t->bos_id}, {"eos_token_id", t->eos_id}, {"pad_token_id", t->pad_id}};
    if (package_generation_config(in))
        json_object_set_new(config, "do_sample", json_true());
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i].id >= 0)
            json_object_set_new(config, ids[i].key, json_integer(ids[i].id));
    bool ok =
        json_object_size(config) == 0 || save_json(dir, "generation_config.json", config, err);
    json_decref(config);
    return ok;
}

bool package_write_texts(const Package *in, const char *dir, Error *err)
{
    const PackageText *t = package_text(in);
    if (!package_gguf(in))
        return copy_texts(in, dir, err);
    if (!write_generation_config(in, dir, err))
        return false;
    return t->n_tokens == 0 ||
           (write_tokenizer_json(t, dir, err) && write_tokenizer_config(t, dir, err) &&
            write_vocab_and_merges(t, dir, err));
}

bool convert_write_texts(const Package *in, const char *dir, DType type, Error *err)
{
    return write_config(in, dir, type, err) && package_write_texts(in, dir, err);
}
