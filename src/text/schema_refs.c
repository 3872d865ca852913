/* $ref, $id, $anchor, and where a subschema stands. */
#include "text/schema.h"

#include <stdlib.h>
#include <string.h>

static const char *id_of(const json_t *schema)
{
    const char *id = json_string_value(json_object_get(schema, "$id"));
    return id ? id : json_string_value(json_object_get(schema, "id"));
}

/* Subschemas nest; enums and examples may look like schemas too, which does no harm. */
static void find_in(Schema *s, json_t *value, int depth)
{
    const char *key;
    json_t *item;
    size_t i;
    if (depth > 256)
        return;
    json_array_foreach(value, i, item) find_in(s, item, depth + 1);
    if (!json_is_object(value))
        return;
    if (id_of(value) || json_is_string(json_object_get(value, "$anchor")) ||
        json_is_string(json_object_get(value, "$dynamicAnchor"))) {
        s->resources =
            mem_more(s->resources, sizeof *s->resources, s->n_resources, &s->n_resources_max);
        s->resources[s->n_resources++] = value;
    }
    json_object_foreach(value, key, item) find_in(s, item, depth + 1);
}

void schema_find_resources(Schema *s)
{
    static const char *const old[] = {"/draft-03/", "/draft-04/", "/draft-06/", "/draft-07/"};
    const char *dialect = json_string_value(json_object_get(s->root, "$schema"));
    for (size_t i = 0; dialect && i < sizeof old / sizeof *old; i++)
        s->ref_is_alone |= strstr(dialect, old[i]) != NULL;
    find_in(s, s->root, 0);
}

/* ---- Pointers -------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One step of a JSON pointer in a URI: %xx, ~0 and ~1 resolved. */
static char *unescape_step(const char *text, size_t bytes)
{
    char *out = mem_alloc(bytes + 1);
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (c == '%' && i + 2 < bytes + 0 && hex_digit(text[i + 1]) >= 0 &&
            hex_digit(text[i + 2]) >= 0) {
            c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else if (c == '~' && i + 1 < bytes && (text[i + 1] == '0' || text[i + 1] == '1')) {
            c = text[++i] == '0' ? '~' : '/';
        }
        out[n++] = c;
    }
    return out;
}

static json_t *follow_pointer(json_t *at, const char *pointer)
{
    while (at && *pointer == '/') {
        size_t bytes = strcspn(pointer + 1, "/");
        char *step = unescape_step(pointer + 1, bytes);
        if (json_is_array(at))
            at = json_array_get(at, strtoul(step, NULL, 10));
        else
            at = json_object_get(at, step);
        mem_free(step);
        pointer += 1 + bytes;
    }
    return *pointer ? NULL : at;
}

static bool has_anchor(const json_t *schema, const char *name)
{
    const char *anchor = json_string_value(json_object_get(schema, "$anchor"));
    const char *dynamic = json_string_value(json_object_get(schema, "$dynamicAnchor"));
    const char *id = id_of(schema);
    return (anchor && strcmp(anchor, name) == 0) || (dynamic && strcmp(dynamic, name) == 0) ||
           (id && id[0] == '#' && strcmp(id + 1, name) == 0);
}

static json_t *follow_fragment(Schema *s, json_t *base, const char *fragment)
{
    if (*fragment == '\0' || *fragment == '/')
        return follow_pointer(base, fragment);
    for (size_t i = 0; i < s->n_resources; i++)
        if (has_anchor(s->resources[i], fragment))
            return s->resources[i];
    return NULL;
}

/* An id names a resource if it is the reference without fragment, whole or, as a relative
 * reference, from its last slash on. */
static bool names_resource(const char *id, const char *ref, size_t bytes)
{
    size_t n = strlen(id);
    if (n > 0 && id[n - 1] == '#')
        n--;
    if (n == bytes)
        return strncmp(id, ref, bytes) == 0;
    bool is_relative = memchr(ref, ':', bytes) == NULL;
    const char *tail = id + n - bytes;
    return is_relative && n > bytes && strncmp(tail, ref, bytes) == 0 &&
           (ref[0] == '/' || tail[-1] == '/');
}

json_t *schema_resolve(Schema *s, const json_t *schema, const char *keyword)
{
    const char *ref = json_string_value(json_object_get(schema, keyword));
    json_t *base = s->root, *found = NULL;
    if (ref) {
        size_t bytes = strcspn(ref, "#");
        if (bytes > 0) {
            base = NULL;
            for (size_t i = 0; i < s->n_resources && !base; i++) {
                const char *id = id_of(s->resources[i]);
                base = id && names_resource(id, ref, bytes) ? s->resources[i] : NULL;
            }
        }
        found = base ? follow_fragment(s, base, ref[bytes] ? ref + bytes + 1 : "") : NULL;
    }
    if (found && (json_is_object(found) || json_is_boolean(found)))
        return found;
    schema_fail(s, ERROR_UNSUPPORTED, schema, keyword,
                "\"%.200s\" names nothing in this document (other documents are not fetched)",
                ref ? ref : "");
    return NULL;
}

/* ---- Where a subschema stands ---------------------------------------------------------------- */

static bool put_path_to(Buf *out, json_t *at, const json_t *wanted, int depth)
{
    const char *key;
    json_t *item;
    size_t i, before = out->bytes;
    if (at == wanted)
        return true;
    if (depth > 256)
        return false;
    json_array_foreach(at, i, item)
    {
        buf_printf(out, "/%zu", i);
        if (put_path_to(out, item, wanted, depth + 1))
            return true;
        out->bytes = before;
    }
    json_object_foreach(at, key, item)
    {
        buf_printf(out, "/%s", key);
        if (put_path_to(out, item, wanted, depth + 1))
            return true;
        out->bytes = before;
    }
    return false;
}

void schema_put_path(Buf *out, json_t *root, const json_t *schema)
{
    /* true, false and null are the same value everywhere. */
    if (json_is_object(schema) || json_is_array(schema))
        put_path_to(out, root, schema, 0);
}
