/* Names of models: see hub.h. */
#include "hub/hub.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const site_names[N_HUB_SITES] = {"huggingface.co", "modelscope.cn"};

const char *hub_site_name(HubSite site) { return site_names[site]; }

bool hub_site_parse(HubSite *site, const char *text)
{
    static const struct {
        const char *name;
        HubSite site;
    } names[] = {{"huggingface", HUB_HUGGING_FACE}, {"huggingface.co", HUB_HUGGING_FACE},
                 {"hf", HUB_HUGGING_FACE},          {"modelscope", HUB_MODELSCOPE},
                 {"modelscope.cn", HUB_MODELSCOPE}, {"ms", HUB_MODELSCOPE}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(text, names[i].name) == 0) {
            *site = names[i].site;
            return true;
        }
    return false;
}

/* ---- Short names ----------------------------------------------------------------------------- */

/* What "FAMILY:SIZE" means; the first of a family is what a name without a size means. Qwen's own
 * repositories where there are any. */
static const struct {
    const char *family, *size, *repo;
} short_names[] = {
    {"qwen3", "8b", "Qwen/Qwen3-8B-GGUF"},
    {"qwen3", "0.6b", "Qwen/Qwen3-0.6B-GGUF"},
    {"qwen3", "1.7b", "Qwen/Qwen3-1.7B-GGUF"},
    {"qwen3", "4b", "Qwen/Qwen3-4B-GGUF"},
    {"qwen3", "14b", "Qwen/Qwen3-14B-GGUF"},
    {"qwen3", "32b", "Qwen/Qwen3-32B-GGUF"},
    {"qwen3", "30b-a3b", "Qwen/Qwen3-30B-A3B-GGUF"},
    {"qwen3", "30b", "Qwen/Qwen3-30B-A3B-GGUF"},
    {"qwen3", "235b-a22b", "Qwen/Qwen3-235B-A22B-GGUF"},
    {"qwen3", "235b", "Qwen/Qwen3-235B-A22B-GGUF"},
    {"qwen2.5", "7b", "Qwen/Qwen2.5-7B-Instruct-GGUF"},
    {"qwen2.5", "0.5b", "Qwen/Qwen2.5-0.5B-Instruct-GGUF"},
    {"qwen2.5", "1.5b", "Qwen/Qwen2.5-1.5B-Instruct-GGUF"},
    {"qwen2.5", "3b", "Qwen/Qwen2.5-3B-Instruct-GGUF"},
    {"qwen2.5", "14b", "Qwen/Qwen2.5-14B-Instruct-GGUF"},
    {"qwen2.5", "32b", "Qwen/Qwen2.5-32B-Instruct-GGUF"},
    {"qwen2.5", "72b", "Qwen/Qwen2.5-72B-Instruct-GGUF"},
    {"qwq", "32b", "Qwen/QwQ-32B-GGUF"},
    {"deepseek-r1", "8b", "unsloth/DeepSeek-R1-0528-Qwen3-8B-GGUF"},
    {"deepseek-r1", "1.5b", "unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF"},
    {"deepseek-r1", "7b", "unsloth/DeepSeek-R1-Distill-Qwen-7B-GGUF"},
    {"deepseek-r1", "14b", "unsloth/DeepSeek-R1-Distill-Qwen-14B-GGUF"},
    {"deepseek-r1", "32b", "unsloth/DeepSeek-R1-Distill-Qwen-32B-GGUF"},
};
enum { N_SHORT_NAMES = sizeof short_names / sizeof *short_names };

/* The quantization in a tag, behind its size: "8b-q4_K_M", "7b-instruct-q8_0"; NULL: another size.
 * "" for the size alone. */
static const char *tag_variant(const char *tag, const char *size)
{
    size_t n = strlen(size);
    if (strncasecmp(tag, size, n) != 0 || (tag[n] && tag[n] != '-'))
        return NULL;
    const char *rest = tag + n;
    if (strncasecmp(rest, "-instruct", 9) == 0 && (!rest[9] || rest[9] == '-'))
        rest += 9;
    return *rest ? rest + 1 : rest;
}

static bool unknown_tag(const char *text, const char *family, Error *err)
{
    Buf sizes = {0};
    for (int i = 0; i < N_SHORT_NAMES; i++)
        if (strcasecmp(short_names[i].family, family) == 0)
            buf_printf(&sizes, "%s%s", sizes.bytes ? ", " : "", short_names[i].size);
    if (sizes.bytes)
        error_set(err, ERROR_ARGUMENT,
                  "%s: not a size of %s (%s); others by their repository, such as "
                  "Qwen/Qwen3-8B-GGUF:Q4_K_M",
                  text, family, sizes.data);
    else
        error_set(err, ERROR_ARGUMENT,
                  "%.200s: not a model's name, such as Qwen/Qwen3-0.6B, "
                  "Qwen/Qwen3-8B-GGUF:Q4_K_M or qwen3:8b",
                  text);
    buf_free(&sizes);
    return false;
}

static bool parse_short(HubName *name, const char *text, Error *err)
{
    char family[32];
    const char *colon = strchr(text, ':'), *tag = colon ? colon + 1 : "latest";
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    if (n >= sizeof family)
        return unknown_tag(text, "", err);
    memcpy(family, text, n);
    family[n] = '\0';
    const char *variant = NULL;
    int best = -1;
    for (int i = 0; i < N_SHORT_NAMES; i++) {
        if (strcasecmp(short_names[i].family, family) != 0)
            continue;
        bool is_longer = best < 0 || strlen(short_names[i].size) > strlen(short_names[best].size);
        const char *found =
            strcasecmp(tag, "latest") == 0 && best < 0 ? "" : tag_variant(tag, short_names[i].size);
        if (found && is_longer) {
            best = i;
            variant = found;
        }
    }
    if (best < 0 || strlen(variant) >= sizeof name->variant)
        return unknown_tag(text, family, err);
    snprintf(name->repo, sizeof name->repo, "%s", short_names[best].repo);
    snprintf(name->variant, sizeof name->variant, "%s", variant);
    return true;
}

/* ---- Parsing --------------------------------------------------------------------------------- */

/* Letters, digits, - _ . as both hubs have them; nothing that begins with a dot, so that no name is
 * a path. */
static bool is_word(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
            return false;
    return n > 0 && text[0] != '.' && text[0] != '-';
}

static const char *skip_site(const char *text, HubSite *site, bool *is_named)
{
    static const struct {
        const char *prefix;
        HubSite site;
    } prefixes[] = {
        {"hf.co/", HUB_HUGGING_FACE},
        {"huggingface.co/", HUB_HUGGING_FACE},
        {"modelscope.cn/models/", HUB_MODELSCOPE},
        {"modelscope.cn/", HUB_MODELSCOPE},
        {"www.modelscope.cn/models/", HUB_MODELSCOPE},
        {"modelscope.ai/models/", HUB_MODELSCOPE},
        {"www.modelscope.ai/models/", HUB_MODELSCOPE},
    };
    if (strncmp(text, "https://", 8) == 0)
        text += 8;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncasecmp(text, prefixes[i].prefix, strlen(prefixes[i].prefix)) == 0) {
            *site = prefixes[i].site;
            *is_named = true;
            return text + strlen(prefixes[i].prefix);
        }
    return text;
}

static bool parse_repo(HubName *name, const char *text, const char *whole, Error *err)
{
    const char *slash = strchr(text, '/'), *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    size_t n_owner = slash ? (size_t)(slash - text) : 0;
    while (n > 0 && text[n - 1] == '/') /* of a page's address */
        n--;
    if (!slash || n_owner + 1 >= n || n >= sizeof name->repo || !is_word(text, n_owner) ||
        !is_word(slash + 1, n - n_owner - 1) || str_ends((Str){text, n}, STR(".gguf")))
        return error_set(err, ERROR_ARGUMENT,
                         "%.200s: neither a file or folder here nor a name on a hub such as "
                         "Qwen/Qwen3-8B-GGUF:Q4_K_M",
                         whole);
    if (colon &&
        (!is_word(colon + 1, strlen(colon + 1)) || strlen(colon + 1) >= sizeof name->variant))
        return error_set(err, ERROR_ARGUMENT,
                         "%.200s: what follows the colon is not a quantization such as Q4_K_M",
                         whole);
    snprintf(name->repo, sizeof name->repo, "%.*s", (int)n, text);
    snprintf(name->variant, sizeof name->variant, "%s", colon ? colon + 1 : "");
    return true;
}

bool hub_name_parse(HubName *name, const char *text, Error *err)
{
    *name = (HubName){0};
    const char *wanted = getenv("WEN_HUB");
    if (wanted && *wanted && !hub_site_parse(&name->site, wanted))
        return error_set(err, ERROR_ARGUMENT, "WEN_HUB=%.100s: not huggingface or modelscope",
                         wanted);
    bool is_named = false;
    const char *rest = skip_site(text, &name->site, &is_named);
    name->is_any_site = !is_named;
    if (!strchr(rest, '/') && !is_named)
        return parse_short(name, rest, err);
    return parse_repo(name, rest, text, err);
}

void hub_name_put(Buf *out, const HubName *name)
{
    if (name->site != HUB_HUGGING_FACE)
        buf_printf(out, "%s/", hub_site_name(name->site));
    buf_puts(out, name->repo);
    if (name->variant[0] && strcmp(name->variant, HUB_SAFETENSORS) != 0)
        buf_printf(out, ":%s", name->variant);
}
