/* The small parts of a tokenizer's files, read as trees: the components of tokenizer.json,
 * tokenizer_config.json, added_tokens.json. Whatever would change the ids and is not implemented is
 * an error that names it. See tokenizer_parts.h. */
#include "text/tokenizer_parts.h"

#include <jansson.h>
#include <string.h>

enum { SEQUENCE_DEPTH_MAX = 4 };

static json_t *parse(Str json, Error *err)
{
    if (json.bytes > TOKENIZER_PART_BYTES_MAX) {
        error_set(err, ERROR_LIMIT, "%zu bytes; at most %d", json.bytes, TOKENIZER_PART_BYTES_MAX);
        return NULL;
    }
    json_error_t why;
    json_t *tree =
        json_loadb(json.data, json.bytes, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    if (!tree)
        error_set(err, ERROR_FORMAT, "byte %d: %s", why.position, why.text);
    return tree;
}

static const char *type_of(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));
    return type ? type : "";
}

static bool unsupported(const char *what, const char *name, Error *err)
{
    char shown[TOKEN_SHOW_BYTES];
    return error_set(err, ERROR_UNSUPPORTED, "%s \"%s\" is not supported", what,
                     token_show(str_from(name), shown));
}

typedef bool ComponentReader(TokenizerLoad *load, const json_t *component, Error *err);

/* Reads a component: null, one, or a {"type": "Sequence", `list`: [...]} of them. */
static bool read_each(TokenizerLoad *load, const json_t *component, const char *list,
                      ComponentReader *read, int depth, Error *err)
{
    if (!component || json_is_null(component))
        return true;
    if (!json_is_object(component))
        return error_set(err, ERROR_FORMAT, "not an object");
    if (strcmp(type_of(component), "Sequence") != 0)
        return read(load, component, err);
    const json_t *items = json_object_get(component, list);
    if (!json_is_array(items) || depth == SEQUENCE_DEPTH_MAX)
        return error_set(err, ERROR_FORMAT, "a Sequence without \"%s\", or too deep", list);
    for (size_t i = 0; i < json_array_size(items); i++)
        if (!read_each(load, json_array_get(items, i), list, read, depth + 1, err))
            return false;
    return true;
}

static bool read_normalizer(TokenizerLoad *load, const json_t *component, Error *err)
{
    load->t->normalizes = true;
    return strcmp(type_of(component), "NFC") == 0 ||
           unsupported("normalizer", type_of(component), err);
}

static bool add_regex(TokenizerLoad *load, const char *regex, Error *err)
{
    if (load->n_regexes == PRETOKENIZER_REGEXES_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d splits", PRETOKENIZER_REGEXES_MAX);
    load->regexes[load->n_regexes++] = load_keep(load, regex);
    return true;
}

/* Splits come first, one ByteLevel ends the list; afterwards load->is_byte_level. */
static bool read_pre_tokenizer(TokenizerLoad *load, const json_t *component, Error *err)
{
    const char *type = type_of(component);
    if (load->is_byte_level)
        return unsupported("a pre-tokenizer behind ByteLevel:", type, err);
    if (strcmp(type, "ByteLevel") == 0) {
        load->is_byte_level = true;
        if (json_is_true(json_object_get(component, "add_prefix_space")))
            return unsupported("pre-tokenizer ByteLevel with", "add_prefix_space", err);
        return json_is_false(json_object_get(component, "use_regex")) ||
               add_regex(load, GPT2_REGEX, err);
    }
    if (strcmp(type, "Split") != 0)
        return unsupported("pre-tokenizer", type, err);
    const char *regex =
        json_string_value(json_object_get(json_object_get(component, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(component, "behavior"));
    if (!regex)
        return unsupported("pre-tokenizer Split without", "Regex", err);
    if (!behavior || strcmp(behavior, "Isolated") != 0)
        return unsupported("pre-tokenizer Split with behavior", behavior ? behavior : "", err);
    return add_regex(load, regex, err);
}

/* {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<bos>"}}, {"Sequence": ...}]}
 */
static bool read_template(TokenizerLoad *load, const json_t *component, Error *err)
{
    const json_t *single = json_object_get(component, "single");
    bool is_behind = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *special = json_object_get(json_array_get(single, i), "SpecialToken");
        const char *text = json_string_value(json_object_get(special, "id"));
        Str *place = is_behind ? &load->suffix : &load->prefix;
        if (!special) {
            is_behind = true;
        } else if (!text || place->bytes) {
            return unsupported("post-processor TemplateProcessing with", "several tokens", err);
        } else {
            *place = load_keep(load, text);
        }
    }
    return true;
}

static bool read_post_processor(TokenizerLoad *load, const json_t *component, Error *err)
{
    const char *type = type_of(component);
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(load, component, err);
    return strcmp(type, "ByteLevel") == 0 || unsupported("post-processor", type, err);
}

static bool read_decoder(TokenizerLoad *load, const json_t *component, Error *err)
{
    (void)load;
    return strcmp(type_of(component), "ByteLevel") == 0 ||
           unsupported("decoder", type_of(component), err);
}

/* {"id", "content", "special", "normalized", "lstrip", "rstrip", "single_word"} */
static bool read_added_token(TokenizerLoad *load, json_int_t id, const json_t *token, Error *err)
{
    static const char *const refused[] = {"lstrip", "rstrip", "single_word"};
    const json_t *content = json_object_get(token, "content");
    if (!json_is_string(content))
        return error_set(err, ERROR_FORMAT, "an added token without \"content\"");
    Str text = {json_string_value(content), json_string_length(content)};
    char shown[TOKEN_SHOW_BYTES];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (json_is_true(json_object_get(token, refused[i])))
            return error_set(err, ERROR_UNSUPPORTED, "added token \"%s\" with %s",
                             token_show(text, shown), refused[i]);
    unsigned flags = (json_is_true(json_object_get(token, "special")) ? TOKEN_SPECIAL : 0) |
                     (json_is_true(json_object_get(token, "normalized")) ? TOKEN_NORMALIZED : 0);
    return load_added(load, id, text, flags, err);
}

static bool read_added_tokens(TokenizerLoad *load, const json_t *list, Error *err)
{
    if (!json_is_null(list) && !json_is_array(list))
        return error_set(err, ERROR_FORMAT, "not an array");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
        if (!json_is_integer(id))
            return error_set(err, ERROR_FORMAT, "item %zu: an added token without \"id\"", i);
        if (!read_added_token(load, json_integer_value(id), token, err))
            return error_add(err, "item %zu", i);
    }
    return true;
}

bool load_component(TokenizerLoad *load, const char *key, Str json, Error *err)
{
    json_t *tree = parse(json, err);
    bool ok = tree != NULL;
    if (ok && strcmp(key, "normalizer") == 0)
        ok = read_each(load, tree, "normalizers", read_normalizer, 0, err);
    else if (ok && strcmp(key, "pre_tokenizer") == 0)
        ok = read_each(load, tree, "pretokenizers", read_pre_tokenizer, 0, err) &&
             (load->is_byte_level ||
              unsupported("a tokenizer without pre-tokenizer", "ByteLevel", err));
    else if (ok && strcmp(key, "post_processor") == 0)
        ok = read_each(load, tree, "processors", read_post_processor, 0, err);
    else if (ok && strcmp(key, "decoder") == 0)
        ok = read_each(load, tree, "decoders", read_decoder, 0, err);
    else if (ok)
        ok = read_added_tokens(load, tree, err);
    json_decref(tree);
    return ok || error_add(err, "%s", key);
}

/* "<|im_end|>" or {"content": "<|im_end|>", ...}; anything else: not given. */
static Str token_name(TokenizerLoad *load, const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    return json_is_string(value) ? load_keep(load, json_string_value(value)) : (Str){0};
}

static int said(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    return json_is_boolean(value) ? json_is_true(value) : -1;
}

/* {"151643": {"content": ...}, ...} */
static bool read_added_tokens_decoder(TokenizerLoad *load, json_t *config, Error *err)
{
    const char *key;
    json_t *token;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, token)
    {
        char shown[TOKEN_SHOW_BYTES];
        json_int_t id = 0;
        size_t n = strlen(key);
        bool is_number = n > 0 && n <= 9;
        for (size_t i = 0; i < n && is_number; i++) {
            is_number = key[i] >= '0' && key[i] <= '9';
            id = id * 10 + (key[i] - '0');
        }
        if (!is_number)
            return error_set(err, ERROR_FORMAT, "added_tokens_decoder: \"%s\" is not an id",
                             token_show(str_from(key), shown));
        if (!read_added_token(load, id, token, err))
            return error_add(err, "added_tokens_decoder: %s", key); /* a number */
    }
    return true;
}

/* vocab.json and merges.txt do not say how text is split; the class does. */
static bool check_class(const TokenizerLoad *load, const json_t *config, Error *err)
{
    const char *name = json_string_value(json_object_get(config, "tokenizer_class"));
    if (load->is_byte_level || !name || strcmp(name, "Qwen2Tokenizer") == 0 ||
        strcmp(name, "Qwen2TokenizerFast") == 0 || strcmp(name, "QWenTokenizer") == 0)
        return true;
    return unsupported("vocab.json with tokenizer_class", name, err);
}

bool load_tokenizer_config(TokenizerLoad *load, Str json, Error *err)
{
    json_t *config = parse(json, err);
    bool ok = config != NULL;
    if (ok && !json_is_object(config))
        ok = error_set(err, ERROR_FORMAT, "not an object");
    ok = ok && check_class(load, config, err) && read_added_tokens_decoder(load, config, err);
    if (ok) {
        load->bos = token_name(load, config, "bos_token");
        load->eos = token_name(load, config, "eos_token");
        load->pad = token_name(load, config, "pad_token");
        load->add_bos = said(config, "add_bos_token");
        load->add_eos = said(config, "add_eos_token");
    }
    json_decref(config);
    return ok || error_add(err, "tokenizer_config.json");
}

bool load_added_tokens_json(TokenizerLoad *load, Str json, Error *err)
{
    json_t *tree = parse(json, err);
    bool ok = tree != NULL;
    if (ok && !json_is_object(tree))
        ok = error_set(err, ERROR_FORMAT, "not an object");
    const char *key;
    json_t *id;
    json_object_foreach(tree, key, id)
    {
        if (!ok)
            break;
        Str text = str_from(key);
        char shown[TOKEN_SHOW_BYTES];
        /* The file does not say which are special; the config, read before, does for those it
         * names. Of the rest, names like <|im_start|> are taken for special. */
        bool is_special = str_starts(text, STR("<|")) && str_ends(text, STR("|>"));
        ok = json_is_integer(id)
                 ? load_added(load, json_integer_value(id), text, is_special ? TOKEN_SPECIAL : 0,
                              err)
                 : error_set(err, ERROR_FORMAT, "\"%s\" has no id", token_show(text, shown));
    }
    json_decref(tree);
    return ok || error_add(err, "added_tokens.json");
}
