/* See conversation.h. The whole conversation goes to the model at every turn; the engine finds what
 * it has computed before. A turn whose answer fails is forgotten, so that one too long message does
 * not spoil all that follow. */
#include "cli/conversation.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/answer.h"
#include "cli/conversation_parts.h"
#include "cli/term.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- Small talk ------------------------------------------------------------------------------ */

void chat_say(const char *format, ...)
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
        chat_say("%s: %s, %.3g %s parameters, %s, context %d; /help lists the commands",
                 slash && slash[1] ? slash + 1 : path,
                 json_string_value(json_object_get(info, "architecture")),
                 n >= 1e9 ? n / 1e9 : n / 1e6, n >= 1e9 ? "billion" : "million",
                 json_string_value(json_object_get(info, "type")), wen_engine_context(c->engine));
    json_decref(info);
    wen_free(text);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static json_t *text_of(Str content)
{
    Buf text = {0};
    utf8_append_lossy(&text, content);
    json_t *value = json_stringn(text.data ? text.data : "", text.bytes);
    buf_free(&text);
    return value;
}

static json_t *message_of(const char *role, Str content)
{
    return json_pack("{s: s, s: o}", "role", role, "content", text_of(content));
}

static const char *role_of(const Chat *c, size_t i)
{
    const char *role = json_string_value(json_object_get(json_array_get(c->messages, i), "role"));
    return role ? role : "";
}

void chat_add(Chat *c, const char *role, Str content)
{
    json_array_append_new(c->messages, message_of(role, content));
}

void chat_drop_last(Chat *c) { json_array_remove(c->messages, json_array_size(c->messages) - 1); }

size_t chat_n_system(const Chat *c) { return strcmp(role_of(c, 0), "system") == 0 ? 1 : 0; }

/* Messages up to the last of that role; 0: there is none. */
static size_t find_last(const Chat *c, const char *role)
{
    size_t n = json_array_size(c->messages);
    while (n > 0 && strcmp(role_of(c, n - 1), role) != 0)
        n--;
    return n;
}

const char *chat_last(const Chat *c, const char *role)
{
    const size_t n = find_last(c, role);
    return n ? json_string_value(json_object_get(json_array_get(c->messages, n - 1), "content"))
             : NULL;
}

void chat_set_system(Chat *c, const char *text)
{
    if (chat_n_system(c))
        json_array_remove(c->messages, 0);
    if (text)
        json_array_insert_new(c->messages, 0, message_of("system", str_from(text)));
}

char *chat_take_back(Chat *c)
{
    const size_t n = find_last(c, "user");
    if (n == 0)
        return NULL;
    char *text = mem_strdup(chat_last(c, "user"));
    while (json_array_size(c->messages) >= n)
        chat_drop_last(c);
    return text;
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

/* ---- One turn -------------------------------------------------------------------------------- */

static wen_reply *ask(Chat *c)
{
    wen_error err;
    char *messages = json_dumps(c->messages, JSON_COMPACT);
    wen_request request = c->request;
    request.messages = messages;
    wen_reply *reply = wen_ask(c->engine, &request, &err);
    free(messages);
    if (!reply)
        chat_say("%s%s", err.message, err.code == WEN_ERROR_LIMIT ? " (/clear begins anew)" : "");
    return reply;
}

static void keep_answer(Chat *c, const Answer *answer)
{
    buf_clear(&c->thought);
    buf_add(&c->thought, buf_str(&answer->thinking));
    c->usage = answer->usage;
    c->has_usage = !answer->was_interrupted;
    if (answer->content.bytes == 0) {
        chat_drop_last(c);
        return;
    }
    chat_add(c, "assistant", buf_str(&answer->content));
    if (answer->thinking.bytes > 0)
        json_object_set_new(json_array_get(c->messages, json_array_size(c->messages) - 1),
                            "reasoning_content", text_of(buf_str(&answer->thinking)));
}

bool chat_answer(Chat *c)
{
    Answer answer = {0};
    Buf why = {0};
    wen_reply *reply = ask(c);
    if (!reply) {
        chat_drop_last(c);
        return false;
    }
    answer_read(&answer, reply, c->model,
                (DisplayStyle){.is_shown = true,
                               .folds_thoughts = c->folds_thoughts,
                               .has_markdown = c->has_markdown});
    if (answer_is_cut(&answer, wen_engine_context(c->engine), &why))
        chat_say("[%s%s]", why.data, answer.usage.context_is_full ? "; /clear begins anew" : "");
    else if (answer.was_interrupted)
        chat_say("[stopped]");
    keep_answer(c, &answer);
    if (c->has_stats && c->has_usage)
        chat_show_stats(c);
    fputc('\n', stdout);
    buf_free(&why);
    answer_free(&answer);
    return true;
}

static void take_turn(Chat *c, Str message)
{
    Buf text = {0};
    buf_add(&text, buf_str(&c->attached));
    if (text.bytes > 0)
        buf_putc(&text, '\n');
    buf_add(&text, message);
    chat_add(c, "user", buf_str(&text));
    if (chat_answer(c))
        buf_clear(&c->attached);
    buf_free(&text);
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
        chat_say("Ctrl-D or /bye leaves.");
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
        if (chat_is_command(message.data)) {
            const ChatNext next = chat_obey(c, message.data, &message);
            if (next == CHAT_LEAVES)
                break;
            if (next == CHAT_WAITS)
                continue;
        }
        take_turn(c, buf_str(&message));
        if (ferror(stdout))
            break;
    }
    buf_free(&message);
    return term_finish_output() ? 0 : 1;
}

/* The command line's stop strings, which /set may add to. */
static void copy_stops(Chat *c, const wen_request *request)
{
    for (int i = 0; i < request->n_stops; i++)
        c->stops[i] = mem_strdup(request->stops[i]);
    c->request.stops = (const char *const *)c->stops;
}

static void chat_close(Chat *c)
{
    for (int i = 0; i < CHAT_STOPS_MAX; i++)
        mem_free(c->stops[i]);
    buf_free(&c->attached);
    buf_free(&c->thought);
    json_decref(c->messages);
    line_editor_close(c->editor);
}

int conversation_run(wen_engine *engine, const wen_model *model, const wen_request *request,
                     const char *system)
{
    Error err = {0};
    Chat chat = {.engine = engine,
                 .model = model,
                 .request = *request,
                 .started = *request,
                 .folds_thoughts = true,
                 .has_markdown = true};
    char *history = history_path();
    chat.editor = line_editor_open(history, &err);
    mem_free(history);
    if (!chat.editor) {
        term_note("%s", err.message);
        return 1;
    }
    copy_stops(&chat, request);
    chat.messages = json_array();
    chat_set_system(&chat, system);
    term_catch_interrupts();
    greet(&chat);
    int status = converse(&chat);
    chat_close(&chat);
    return status;
}
