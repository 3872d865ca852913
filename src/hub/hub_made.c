/* See hub_made.h. */
#include "hub/hub_made.h"

#include "base/file.h"
#include "base/mem.h"
#include "hub/hub_store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MADE_DIR ".made"
enum { MADE_BYTES_MAX = 16 << 20 };

bool hub_made_name(char name[MADE_NAME_MAX], const char *text, Error *err)
{
    Str given = str_from(text);
    if (str_ends(given, STR(":latest")))
        given.bytes -= 7;
    bool ok = given.bytes > 0 && given.bytes < MADE_NAME_MAX && !str_equals(given, "builtin");
    for (size_t i = 0; i < given.bytes && ok; i++) {
        const char c = text[i], before = i ? text[i - 1] : '/';
        const bool begins = before == '/' || before == ':'; /* no part is empty or hidden */
        ok = isalnum((unsigned char)c) || (!begins && strchr("-_./:", c));
    }
    if (!ok || strchr("/:", text[given.bytes - 1]))
        return error_set(err, ERROR_ARGUMENT,
                         "\"%.150s\" cannot be a model's name: letters, digits, - _ . and such as "
                         "\"mario\", \"mario:v2\" or \"somebody/mario\"",
                         text);
    snprintf(name, MADE_NAME_MAX, "%.*s", STR_ARG(given));
    return true;
}

static char *made_dir(Error *err)
{
    char *store = hub_store_dir(err);
    char *dir = store ? file_join(store, MADE_DIR) : NULL;
    mem_free(store);
    return dir;
}

static char *made_path(const char *dir, const char *name, const char *extension)
{
    Buf path = {0};
    buf_printf(&path, "%s/", dir);
    for (; *name; name++)
        buf_putc(&path, *name == '/' ? '%' : *name);
    buf_puts(&path, extension);
    return path.data;
}

static json_t *read_settings(const char *path)
{
    Buf text = {0};
    bool ok = file_read(&text, path, MADE_BYTES_MAX, NULL) && text.bytes;
    json_t *settings = ok ? json_loadb(text.data, text.bytes, 0, NULL) : NULL;
    buf_free(&text);
    if (json_is_string(json_object_get(settings, "from")))
        return settings;
    json_decref(settings);
    return NULL;
}

HubMade *hub_made_find(const char *text)
{
    char name[MADE_NAME_MAX];
    char *dir = hub_made_name(name, text, NULL) ? made_dir(NULL) : NULL;
    char *path = dir ? made_path(dir, name, ".json") : NULL;
    json_t *settings = path ? read_settings(path) : NULL;
    HubMade *made = NULL;
    if (settings) {
        made = mem_alloc(sizeof *made);
        *made = (HubMade){.path = path, .settings = settings};
        memcpy(made->name, name, sizeof name);
        made->template_file = made_path(dir, name, ".jinja");
        if (!file_exists(made->template_file)) {
            mem_free(made->template_file);
            made->template_file = NULL;
        }
    } else {
        mem_free(path);
    }
    mem_free(dir);
    return made;
}

void hub_made_free(HubMade *made)
{
    if (!made)
        return;
    mem_free(made->path);
    mem_free(made->template_file);
    json_decref(made->settings);
    mem_free(made);
}

char *hub_made_base(const HubMade *made, Error *err)
{
    const char *from = json_string_value(json_object_get(made->settings, "from"));
    HubName name;
    if (strcmp(from, "builtin") == 0 || file_exists(from))
        return mem_strdup(from);
    char *path = from[0] != '/' && hub_name_parse(&name, from, NULL) ? hub_find(&name) : NULL;
    if (!path)
        error_set(err, ERROR_IO, "%s is made of %s, which is not here any more", made->name, from);
    return path;
}

/* ---- Changing -------------------------------------------------------------------------------- */

static bool remove_file(const char *path, Error *err)
{
    return unlink(path) == 0 || errno == ENOENT || error_set_errno(err, "removing %s", path);
}

/* The template first: whoever finds the JSON finds all. */
bool hub_made_write(const char *name, const json_t *settings, const char *template_text, Error *err)
{
    char *dir = made_dir(err);
    if (!dir)
        return false;
    char *path = made_path(dir, name, ".json"), *template_file = made_path(dir, name, ".jinja");
    char *text = json_dumps(settings, JSON_INDENT(1));
    bool ok = file_make_dir(dir, err);
    if (ok)
        ok = template_text ? file_write(template_file, str_from(template_text), err)
                           : remove_file(template_file, err);
    ok = ok && file_write(path, str_from(text), err);
    free(text);
    mem_free(template_file);
    mem_free(path);
    mem_free(dir);
    return ok;
}

bool hub_made_remove(const char *name, Error *err)
{
    HubMade *made = hub_made_find(name);
    if (!made)
        return error_set(err, ERROR_ARGUMENT, "%s: no model of that name was made", name);
    bool ok = remove_file(made->path, err) &&
              (!made->template_file || remove_file(made->template_file, err));
    hub_made_free(made);
    return ok;
}

/* ---- Listing --------------------------------------------------------------------------------- */

/* "somebody%mario:v2.json" */
static void add_made(HubList *list, const char *dir, const char *file)
{
    char text[MADE_NAME_MAX];
    const size_t n = strlen(file);
    if (n <= 5 || n - 5 >= sizeof text || strcmp(file + n - 5, ".json") != 0)
        return;
    for (size_t i = 0; i < n - 5; i++)
        text[i] = file[i] == '%' ? '/' : file[i];
    text[n - 5] = '\0';
    struct stat st;
    HubMade *made = hub_made_find(text);
    if (!made)
        return;
    list->models = mem_more(list->models, sizeof *list->models, (size_t)list->n, &list->capacity);
    HubModel *model = &list->models[list->n++];
    *model = (HubModel){.place = HUB_MADE, .path = mem_strdup(made->path), .type = "made"};
    model->folder = mem_strdup(dir);
    model->bytes = stat(made->path, &st) == 0 ? (uint64_t)st.st_size : 0;
    char *colon = strchr(text, ':');
    if (colon) {
        *colon = '\0';
        snprintf(model->name.variant, sizeof model->name.variant, "%s", colon + 1);
    }
    snprintf(model->name.repo, sizeof model->name.repo, "%s", text);
    hub_made_free(made);
}

void hub_list_add_made(HubList *list)
{
    char *dir = made_dir(NULL);
    DIR *folder = dir ? opendir(dir) : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        add_made(list, dir, entry->d_name);
    if (folder)
        closedir(folder);
    mem_free(dir);
}
