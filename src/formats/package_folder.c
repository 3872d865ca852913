/* A folder as a package: config.json, model.safetensors or the shards that
 * model.safetensors.index.json names, tokenizer files, chat template. */
#include "formats/package_parts.h"
#include "formats/safetensors.h"
#include "formats/tiktoken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_BYTES_MAX ((size_t)64 << 20)

bool json_file_read(const char *dir, const char *name, json_t **object, Error *err)
{
    char *path = file_join(dir, name);
    Buf text = {0};
    json_error_t at;
    bool ok = true;
    if (file_exists(path)) {
        ok = file_read(&text, path, JSON_BYTES_MAX, err);
        if (ok) {
            *object = json_loadb(text.data ? text.data : "", text.bytes, 0, &at);
            if (!*object)
                ok = error_set(err, ERROR_FORMAT, "%s: byte %d: %s", path, at.position, at.text);
            else if (!json_is_object(*object))
                ok = error_set(err, ERROR_FORMAT, "%s: byte 0: not a JSON object", path);
        }
    }
    buf_free(&text);
    mem_free(path);
    return ok;
}

/* Maps dir/name; *text stays empty when there is no such file. */
static bool map_text(Package *p, const char *name, Str *text, Error *err)
{
    char *path = file_join(p->path, name);
    FileMap map = {0};
    bool ok = !file_exists(path) || file_map(&map, path, err);
    if (ok && map.data) {
        *text = (Str){(const char *)map.data, map.bytes};
        p->text_files[p->n_text_files++] = map;
    }
    mem_free(path);
    return ok;
}

/* tokenizer_config.json's chat_template: a string, or a list of named ones. */
static Str template_of(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, "default") == 0)
            value = json_object_get(item, "template");
    }
    return (Str){json_string_value(value), json_string_length(value)};
}

/* qwen.tiktoken stands for vocab.json, merges.txt and, where no file names added tokens, for
 * added_tokens.json. */
static bool read_tiktoken(Package *p, Error *err)
{
    PackageText *t = &p->text;
    Str file = {0};
    if (!map_text(p, "qwen.tiktoken", &file, err))
        return false;
    if (!file.data)
        return true;
    if (!tiktoken_read(file, &p->tiktoken_vocab, &p->tiktoken_merges, &p->tiktoken_added, err))
        return error_add(err, "%s/qwen.tiktoken", p->path);
    t->vocab_json = buf_str(&p->tiktoken_vocab);
    t->merges_txt = buf_str(&p->tiktoken_merges);
    if (!t->added_tokens_json.data && !json_object_get(p->tokenizer_config, "added_tokens_decoder"))
        t->added_tokens_json = buf_str(&p->tiktoken_added);
    return true;
}

static bool read_text(Package *p, Error *err)
{
    PackageText *t = &p->text;
    if (!map_text(p, "tokenizer.json", &t->tokenizer_json, err) ||
        !map_text(p, "vocab.json", &t->vocab_json, err) ||
        !map_text(p, "merges.txt", &t->merges_txt, err) ||
        !map_text(p, "tokenizer_config.json", &t->tokenizer_config_json, err) ||
        !map_text(p, "added_tokens.json", &t->added_tokens_json, err) ||
        !map_text(p, "chat_template.jinja", &t->chat_template, err) ||
        !json_file_read(p->path, "tokenizer_config.json", &p->tokenizer_config, err))
        return false;
    if (!t->chat_template.data)
        t->chat_template = template_of(p->tokenizer_config);
    return t->tokenizer_json.data || t->vocab_json.data || read_tiktoken(p, err);
}

static bool check_shard_name(const char *index_path, const char *tensor, const char *shard,
                             Error *err)
{
    if (shard && shard[0] && shard[0] != '.' && !strchr(shard, '/') && !strchr(shard, '\\') &&
        str_ends(str_from(shard), STR(".safetensors")))
        return true;
    return error_set(err, ERROR_FORMAT,
                     "%s: weight_map gives %.150s the file \"%.100s\"; a plain name ending in "
                     ".safetensors is wanted",
                     index_path, tensor, shard ? shard : "(not a string)");
}

static bool read_shard(Package *p, const char *shard, Error *err)
{
    char *path = file_join(p->path, shard);
    bool ok = safetensors_read(p->tensors, path, err);
    mem_free(path);
    return ok;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool read_shards(Package *p, json_t *map, const char *index_path, Error *err)
{
    size_t n = 0;
    const char **shards = mem_try_alloc(json_object_size(map) * sizeof *shards, "shard names", err);
    if (!shards)
        return false;
    bool ok = true;
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        const char *shard = json_string_value(value);
        ok = ok && check_shard_name(index_path, tensor, shard, err);
        shards[n++] = shard;
    }
    if (ok && n > 1)
        qsort(shards, n, sizeof *shards, compare_names);
    for (size_t i = 0; ok && i < n; i++)
        if (i == 0 || strcmp(shards[i], shards[i - 1]) != 0)
            ok = read_shard(p, shards[i], err);
    mem_free(shards);
    json_object_foreach(map, tensor, value)
    {
        if (ok && !tensor_table_find(p->tensors, tensor))
            ok =
                error_set(err, ERROR_FORMAT, "%s: weight_map has %.150s in %s, but it is not there",
                          index_path, tensor, json_string_value(value));
    }
    return ok;
}

static bool read_weights(Package *p, Error *err)
{
    char *single = file_join(p->path, "model.safetensors");
    char *index_path = file_join(p->path, "model.safetensors.index.json");
    json_t *index = NULL;
    bool ok;
    if (file_exists(single)) {
        ok = safetensors_read(p->tensors, single, err);
    } else if (!json_file_read(p->path, "model.safetensors.index.json", &index, err)) {
        ok = false;
    } else if (!index) {
        ok = error_set(err, ERROR_IO,
                       "%s: no weights: neither model.safetensors nor model.safetensors.index.json",
                       p->path);
    } else {
        json_t *map = json_object_get(index, "weight_map");
        ok = json_is_object(map)
                 ? read_shards(p, map, index_path, err)
                 : error_set(err, ERROR_FORMAT, "%s: weight_map is missing", index_path);
    }
    json_decref(index);
    mem_free(single);
    mem_free(index_path);
    return ok;
}

bool package_read_folder(Package *p, bool need_weights, Error *err)
{
    if (!json_file_read(p->path, "config.json", &p->config, err) || !read_text(p, err) ||
        !json_file_read(p->path, "generation_config.json", &p->generation, err))
        return false;
    if (!p->config && need_weights)
        return error_set(err, ERROR_IO, "%s: not a model: no config.json in it", p->path);
    if (!p->config && p->n_text_files == 0)
        return error_set(err, ERROR_IO, "%s: neither config.json nor tokenizer files in it",
                         p->path);
    p->is_tied = json_is_true(json_object_get(p->config, "tie_word_embeddings"));
    return !need_weights || (read_weights(p, err) &&
                             prequantized_find(&p->quantized, p->config, p->tensors, p->path, err));
}
