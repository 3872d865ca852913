/* What a conversation exchanges with files, the person's editor and the clipboard. */
#include "cli/conversation_parts.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 << 20 };

/* "~/x" as a shell would read it; to be freed with mem_free. */
static char *expand(const char *path)
{
    const char *home = getenv("HOME");
    return home && strncmp(path, "~/", 2) == 0 ? file_join(home, path + 2) : mem_strdup(path);
}

/* ---- Saved conversations ----------------------------------------------------------------------
 */

void chat_save(const Chat *c, const char *argument)
{
    Error err = {0};
    char *path = expand(argument);
    json_t *all = json_pack("{s: O}", "messages", c->messages);
    char *text = json_dumps(all, JSON_INDENT(2));
    if (file_write(path, str_from(text), &err))
        chat_say("%s: %zu messages", path, json_array_size(c->messages));
    else
        chat_say("%s", err.message);
    free(text);
    json_decref(all);
    mem_free(path);
}

/* False: *why says what is wrong with the message. */
static bool is_message(const json_t *m, const char **why)
{
    const char *role = json_string_value(json_object_get(m, "role"));
    *why = !json_is_object(m)                               ? "no object"
           : !role                                          ? "no role"
           : !json_is_string(json_object_get(m, "content")) ? "no text as its content"
                                                            : NULL;
    return !*why;
}

/* The messages of a saved conversation, or of a bare array of them; NULL, with the reason said. */
static json_t *read_messages(const char *path)
{
    Error err = {0};
    Buf text = {0};
    json_error_t problem;
    if (!file_read(&text, path, FILE_BYTES_MAX, &err)) {
        chat_say("%s", err.message);
        return NULL;
    }
    json_t *all = json_loadb(text.data ? text.data : "", text.bytes, 0, &problem);
    buf_free(&text);
    json_t *messages = json_is_array(all) ? all : json_object_get(all, "messages");
    json_incref(messages);
    json_decref(all);
    if (json_is_array(messages))
        return messages;
    json_decref(messages);
    if (all)
        chat_say("%s: no conversation; wanted {\"messages\": [...]}", path);
    else
        chat_say("%s, line %d: %s", path, problem.line, problem.text);
    return NULL;
}

static bool are_messages(const json_t *messages, const char *path)
{
    const char *why;
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (!is_message(json_array_get(messages, i), &why)) {
            chat_say("%s: message %zu: %s", path, i + 1, why);
            return false;
        }
    return true;
}

void chat_load(Chat *c, const char *argument)
{
    char *path = expand(argument);
    json_t *messages = read_messages(path);
    if (messages && are_messages(messages, path)) {
        json_decref(c->messages);
        c->messages = json_incref(messages);
        c->has_usage = false;
        buf_clear(&c->thought);
        chat_say("%s: %zu messages", path, json_array_size(messages));
    }
    json_decref(messages);
    mem_free(path);
}

void chat_attach(Chat *c, const char *argument)
{
    Error err = {0};
    Buf text = {0};
    char *path = expand(argument);
    if (!file_read(&text, path, FILE_BYTES_MAX, &err)) {
        chat_say("%s", err.message);
    } else {
        utf8_append_lossy(&c->attached, buf_str(&text));
        if (text.bytes > 0 && text.data[text.bytes - 1] != '\n')
            buf_putc(&c->attached, '\n');
        chat_say("%s: %zu bytes go before your next message", path, text.bytes);
    }
    buf_free(&text);
    mem_free(path);
}

/* ---- The person's editor ----------------------------------------------------------------------
 */

static const char *editor_command(void)
{
    const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
    return visual && visual[0] ? visual : editor && editor[0] ? editor : "vi";
}

/* The command may have arguments of its own, so the shell reads it. */
static bool run_editor(const char *path)
{
    const char *command = editor_command();
    Buf line = {0};
    buf_printf(&line, "%s \"$1\"", command);
    fflush(stdout);
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line.data, "sh", path, (char *)NULL);
        _exit(127);
    }
    bool ok = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
              WEXITSTATUS(status) == 0;
    if (!ok)
        chat_say("%s did not end well; $EDITOR names another editor", command);
    buf_free(&line);
    return ok;
}

bool chat_edit(const char *text, Buf *out)
{
    Error err = {0};
    char path[] = "/tmp/wen-message-XXXXXX.md";
    int fd = mkstemps(path, 3);
    if (fd < 0) {
        chat_say("%s: no file can be made there", path);
        return false;
    }
    Buf read = {0};
    const size_t n = strlen(text);
    bool ok = write(fd, text, n) == (ssize_t)n && run_editor(path);
    close(fd);
    if (ok && !file_read(&read, path, FILE_BYTES_MAX, &err)) {
        ok = false;
        chat_say("%s", err.message);
    }
    unlink(path);
    while (read.bytes > 0 && strchr("\r\n \t", read.data[read.bytes - 1]))
        read.bytes--;
    buf_clear(out);
    utf8_append_lossy(out, buf_str(&read));
    buf_free(&read);
    return ok && out->bytes > 0;
}

/* ---- The clipboard ----------------------------------------------------------------------------
 */

static void put_base64(FILE *out, Str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.bytes; i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < bytes.bytes ? (unsigned char)bytes.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            fputc(i + k > bytes.bytes ? '=' : digits[three >> (18 - 6 * k) & 63], out);
    }
}

void chat_copy(const char *text)
{
    if (!term_has_escapes(stdout)) {
        chat_say("This terminal has no clipboard that can be reached.");
        return;
    }
    fputs("\033]52;c;", stdout);
    put_base64(stdout, str_from(text));
    fputs("\a", stdout);
    chat_say("Given to the terminal's clipboard: %zu bytes.", strlen(text));
}
