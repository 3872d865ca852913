/* See conversation.h. The whole conversation goes to the model at every turn; the engine finds what
 * it has computed before. A turn whose answer fails is forgotten, so that one too long message does
 * not spoil all that follow. */
#include "cli/conversation.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/answer.h"
#include "cli/line_editor.h"
#include "cli/term.h"

#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef struct Chat {
    wen_engine *engine;
    const wen_model *model;
    wen_request request;
    json_t *messages;
    size_t n_system; /* messages that /clear keeps */
    LineEditor *editor;
} Chat;

/* ---- Small talk ------------------------------------------------------------------------------ */

static void say(const char *format, ...) PRINTF_LIKE(1, 2);

static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    term_style(stdout, TERM_DIM);
    vprintf(format, args);
    term_style(stdout, TERM_PLAIN);
    fputc('\n', stdout);
    fflush(stdout);
    va_end(args);
}

/* "qwen3-8b.gguf: qwen3, 8.2 billion parameters, Q4_K, context 40960; /help lists the commands" */
static void greet(const Chat *c)
{
    char *text = wen_model_info(c->model, 0, NULL, NULL);
    json_t *info = text ? json_loads(text, 0, NULL) : NULL;
    const char *path = json_string_value(json_object_get(info, "path"));
    double n = json_number_value(json_object_get(info, "parameters"));
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (path)
        say("%s: %s, %.3g %s parameters, %s, context %d; /help lists the commands",
            slash && slash[1] ? slash + 1 : path,
            json_string_value(json_object_get(info, "architecture")), n >= 1e9 ? n / 1e9 : n / 1e6,
            n >= 1e9 ? "billion" : "million", json_string_value(json_object_get(info, "type")),
            wen_engine_context(c->engine));
    json_decref(info);
    wen_free(text);
}

static void append_message(Chat *c, const char *role, Str content)
{
    json_t *message = json_object();
    Buf text = {0};
    utf8_append_lossy(&text, content);
    json_object_set_new(message, "role", json_string(role));
    json_object_set_new(message, "content", json_stringn(text.data ? text.data : "", text.bytes));
    json_array_append_new(c->messages, message);
    buf_free(&text);
}

static void drop_last_message(Chat *c)
{
    json_array_remove(c->messages, json_array_size(c->messages) - 1);
}

/* "$XDG_STATE_HOME/wen/history", usually ~/.local/state/wen/history; NULL without a home. */
static char *history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    Buf dir = {0};
    Error ignored;
    char *path = NULL;
    if (state && state[0] == '/')
        buf_printf(&dir, "%s/wen", state);
    else if (home && home[0] == '/')
        buf_printf(&dir, "%s/.local/state/wen", home);
    if (dir.bytes && file_make_dir(dir.data, &ignored))
        path = file_join(dir.data, "history");
    buf_free(&dir);
    return path;
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void show_settings(const Chat *c)
{
    static const char *const states[] = {"as the model does by itself", "off", "on"};
    say("think: %s", states[c->request.think + 1]);
    if (c->request.think_budget >= 0)
        say("budget: %d tokens of thought", c->request.think_budget);
    else
        say("budget: no limit");
}

static void show_help(void)
{
    say("/set think on|off      switch thinking; /think or /no_think inside a message go to the "
        "model\n"
        "/set budget N|off      end a thought after N tokens\n"
        "/clear                 forget the conversation\n"
        "/help                  this text\n"
        "/bye                   leave; so does Ctrl-D\n"
        "\"\"\"                    begin and end a message of several lines\n"
        "\\ at a line's end      the message goes on in the next line\n"
        "Ctrl-C                 stop the answer, or give up the line");
}

static void set_think(Chat *c, const char *value)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
        say("/set think on, or /set think off");
        return;
    }
    c->request.think = strcmp(value, "on") == 0;
    if (c->request.think && c->request.think_budget == 0)
        c->request.think_budget = -1;
    show_settings(c);
}

static void set_budget(Chat *c, const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);
    if (strcmp(value, "off") == 0)
        n = -1;
    else if (*end || end == value || n < 0 || n > 1 << 24) {
        say("/set budget N (tokens of thought), or /set budget off");
        return;
    }
    c->request.think_budget = (int)n;
    show_settings(c);
}

static void set_option(Chat *c, char *arguments)
{
    char *rest = NULL;
    const char *name = strtok_r(arguments, " \t", &rest);
    const char *value = strtok_r(NULL, " \t", &rest);
    if (!name)
        show_settings(c);
    else if (strcmp(name, "think") == 0)
        set_think(c, value ? value : "");
    else if (strcmp(name, "budget") == 0)
        set_budget(c, value ? value : "");
    else
        say("/set think on|off and /set budget N|off are what can be set");
}

/* "/" and letters, nothing else in the word: a path is not a command, /think and /no_think are the
 * model's. */
static bool is_command(const char *text)
{
    size_t n = strcspn(text, " \t\n");
    if (text[0] != '/' || n < 2 || strchr(text, '\n'))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!isalpha((unsigned char)text[i]) && text[i] != '_' && text[i] != '?')
            return false;
    Str word = {text, n};
    return !str_equals(word, "/think") && !str_equals(word, "/no_think");
}

/* Returns false when the person leaves. */
static bool obey(Chat *c, char *text)
{
    size_t n = strcspn(text, " \t");
    char *arguments = text + n + (text[n] ? 1 : 0);
    text[n] = '\0';
    if (strcmp(text, "/bye") == 0 || strcmp(text, "/exit") == 0 || strcmp(text, "/quit") == 0)
        return false;
    if (strcmp(text, "/set") == 0) {
        set_option(c, arguments);
    } else if (strcmp(text, "/clear") == 0) {
        while (json_array_size(c->messages) > c->n_system)
            drop_last_message(c);
        say("The conversation is forgotten.");
    } else if (strcmp(text, "/help") == 0 || strcmp(text, "/?") == 0) {
        show_help();
    } else {
        say("%s is not a command; /help lists them", text);
    }
    return true;
}

/* ---- One turn -------------------------------------------------------------------------------- */

static void take_turn(Chat *c, Str message)
{
    wen_error err;
    Answer answer = {0};
    append_message(c, "user", message);
    char *messages = json_dumps(c->messages, JSON_COMPACT);
    wen_request request = c->request;
    request.messages = messages;
    wen_reply *reply = wen_ask(c->engine, &request, &err);
    free(messages);
    if (!reply) {
        bool is_full = err.code == WEN_ERROR_LIMIT;
        say("%s%s", err.message, is_full ? " (/clear begins anew)" : "");
        drop_last_message(c);
        return;
    }
    answer_read(&answer, reply, c->model, true);
    Buf why = {0};
    if (answer_is_cut(&answer, wen_engine_context(c->engine), &why))
        say("[%s%s]", why.data, answer.usage.context_is_full ? "; /clear begins anew" : "");
    else if (answer.was_interrupted)
        say("[stopped]");
    fputc('\n', stdout);
    if (answer.content.bytes > 0)
        append_message(c, "assistant", buf_str(&answer.content));
    else
        drop_last_message(c);
    buf_free(&why);
    answer_free(&answer);
}

/* ---- Reading a message ----------------------------------------------------------------------- */

typedef enum Entry { ENTRY_MESSAGE, ENTRY_NOTHING, ENTRY_LEAVE } Entry;

/* Whether `line` (one of the message's) closes the """ that its first line opened. */
static bool closes_quotes(Str line, bool is_first)
{
    Str end = STR("\"\"\"");
    return str_ends(line, end) && (!is_first || line.bytes >= 2 * end.bytes);
}

static Entry leave_line(LineResult result, const Buf *line, bool is_first)
{
    if (result == LINE_END && is_first) {
        fputc('\n', stdout);
        return ENTRY_LEAVE;
    }
    if (is_first && line->bytes == 0)
        say("Ctrl-D or /bye leaves.");
    return ENTRY_NOTHING;
}

static Entry read_message(Chat *c, Buf *message)
{
    Buf line = {0};
    bool is_quoted = false, goes_on = true, was_pasted = false;
    Entry entry = ENTRY_MESSAGE;
    buf_clear(message);
    for (bool is_first = true; goes_on; is_first = false) {
        LineResult result =
            line_editor_read(c->editor, is_first ? ">>> " : "... ", &line, &was_pasted);
        if (result != LINE_READ) {
            entry = leave_line(result, &line, is_first);
            break;
        }
        line_editor_remember(c->editor, line.data ? line.data : "");
        Str text = buf_str(&line);
        bool opens = is_first && str_starts(text, STR("\"\"\""));
        if (!is_first && message->bytes > 0)
            buf_putc(message, '\n');
        is_quoted |= opens;
        goes_on = is_quoted ? !closes_quotes(text, is_first) : was_pasted;
        if (is_quoted && !goes_on)
            text.bytes -= 3;
        if (!is_quoted && str_ends(text, STR("\\"))) {
            text.bytes--;
            goes_on = true;
        }
        buf_add(message, opens ? str_slice(text, 3, text.bytes) : text);
    }
    buf_free(&line);
    return entry;
}

static bool is_blank(const Buf *text)
{
    for (size_t i = 0; i < text->bytes; i++)
        if (!isspace((unsigned char)text->data[i]))
            return false;
    return true;
}

static int converse(Chat *c)
{
    Buf message = {0};
    Entry entry;
    while ((entry = read_message(c, &message)) != ENTRY_LEAVE) {
        if (entry == ENTRY_NOTHING || is_blank(&message))
            continue;
        if (is_command(message.data)) {
            if (!obey(c, message.data))
                break;
            continue;
        }
        take_turn(c, buf_str(&message));
        if (ferror(stdout))
            break;
    }
    buf_free(&message);
    return term_finish_output() ? 0 : 1;
}

int conversation_run(wen_engine *engine, const wen_model *model, const wen_request *request,
                     const char *system)
{
    Error err = {0};
    Chat chat = {.engine = engine, .model = model, .request = *request};
    char *history = history_path();
    chat.editor = line_editor_open(history, &err);
    mem_free(history);
    if (!chat.editor) {
        term_note("%s", err.message);
        return 1;
    }
    chat.messages = json_array();
    if (system)
        append_message(&chat, "system", str_from(system));
    chat.n_system = json_array_size(chat.messages);
    term_catch_interrupts();
    greet(&chat);
    int status = converse(&chat);
    json_decref(chat.messages);
    line_editor_close(chat.editor);
    return status;
}
