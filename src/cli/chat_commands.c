/* The commands of a conversation: a table, a row for each. */
#include "cli/conversation_parts.h"

#include "base/mem.h"
#include "cli/term.h"

#include <ctype.h>
#include <string.h>

typedef struct Command {
    const char *name, *argument, *about;
    /* `argument` is trimmed, perhaps empty. `message`: what CHAT_ASKS sends. */
    ChatNext (*run)(Chat *c, char *argument, Buf *message);
} Command;

static ChatNext run_set(Chat *c, char *argument, Buf *message)
{
    (void)message;
    chat_set(c, argument);
    return CHAT_WAITS;
}

static ChatNext run_show(Chat *c, char *argument, Buf *message)
{
    (void)message;
    chat_show(c, argument);
    return CHAT_WAITS;
}

static ChatNext run_system(Chat *c, char *argument, Buf *message)
{
    (void)message;
    if (*argument)
        chat_set_system(c, strcmp(argument, "off") == 0 ? NULL : argument);
    chat_show(c, "system");
    return CHAT_WAITS;
}

static ChatNext run_clear(Chat *c, char *argument, Buf *message)
{
    (void)argument;
    (void)message;
    while (json_array_size(c->messages) > chat_n_system(c))
        chat_drop_last(c);
    buf_clear(&c->thought);
    buf_clear(&c->attached);
    c->has_usage = false;
    chat_say("The conversation is forgotten.");
    return CHAT_WAITS;
}

static ChatNext run_undo(Chat *c, char *argument, Buf *message)
{
    (void)argument;
    (void)message;
    char *text = chat_take_back(c);
    if (text)
        chat_say("Forgotten: \"%.*s\"%s, and what was answered.", (int)strcspn(text, "\n"), text,
                 strchr(text, '\n') ? " ..." : "");
    else
        chat_say("There is nothing to take back.");
    mem_free(text);
    return CHAT_WAITS;
}

static ChatNext run_retry(Chat *c, char *argument, Buf *message)
{
    (void)argument;
    char *text = chat_take_back(c);
    if (!text) {
        chat_say("There is no message to ask again.");
        return CHAT_WAITS;
    }
    buf_clear(message);
    buf_puts(message, text);
    mem_free(text);
    return CHAT_ASKS;
}

static ChatNext run_thinking(Chat *c, char *argument, Buf *message)
{
    (void)argument;
    (void)message;
    if (c->thought.bytes == 0) {
        chat_say("The last answer came without a thought.");
        return CHAT_WAITS;
    }
    term_style(stdout, TERM_DIM);
    term_put_text(stdout, buf_str(&c->thought));
    term_style(stdout, TERM_PLAIN);
    fputs(c->thought.data[c->thought.bytes - 1] == '\n' ? "" : "\n", stdout);
    return CHAT_WAITS;
}

static ChatNext run_copy(Chat *c, char *argument, Buf *message)
{
    (void)argument;
    (void)message;
    const char *text = chat_last(c, "assistant");
    if (text)
        chat_copy(text);
    else
        chat_say("There is no answer to copy.");
    return CHAT_WAITS;
}

static ChatNext with_path(Chat *c, char *path, void (*run)(Chat *c, const char *path),
                          const char *usage)
{
    if (*path)
        run(c, path);
    else
        chat_say("%s", usage);
    return CHAT_WAITS;
}

static void save(Chat *c, const char *path) { chat_save(c, path); }

static ChatNext run_save(Chat *c, char *argument, Buf *message)
{
    (void)message;
    return with_path(c, argument, save, "/save FILE");
}

static ChatNext run_load(Chat *c, char *argument, Buf *message)
{
    (void)message;
    return with_path(c, argument, chat_load, "/load FILE");
}

static ChatNext run_read(Chat *c, char *argument, Buf *message)
{
    (void)message;
    return with_path(c, argument, chat_attach, "/read FILE");
}

static ChatNext run_edit(Chat *c, char *argument, Buf *message)
{
    (void)c;
    if (chat_edit(argument, message))
        return CHAT_ASKS;
    chat_say("There is no message.");
    return CHAT_WAITS;
}

static ChatNext run_bye(Chat *c, char *argument, Buf *message)
{
    (void)c;
    (void)argument;
    (void)message;
    return CHAT_LEAVES;
}

static ChatNext run_help(Chat *c, char *argument, Buf *message);

static const Command commands[] = {
    {"/set", "[NAME VALUE]", "change a setting; alone: list them", run_set},
    {"/show", "[NAME]", "the settings, or one; /show model, /show usage", run_show},
    {"/system", "[TEXT|off]", "the system message", run_system},
    {"/clear", "", "forget the conversation", run_clear},
    {"/undo", "", "take the last question and its answer back", run_undo},
    {"/retry", "", "answer the last question again", run_retry},
    {"/thinking", "", "the last thought, whole", run_thinking},
    {"/read", "FILE", "put a file's text before the next message", run_read},
    {"/edit", "[TEXT]", "write the message in $EDITOR", run_edit},
    {"/copy", "", "the last answer to the clipboard", run_copy},
    {"/save", "FILE", "the conversation as JSON", run_save},
    {"/load", "FILE", "go on with a saved one", run_load},
    {"/help", "", "this text", run_help},
    {"/bye", "", "leave; so does Ctrl-D", run_bye},
    /* Other names, which /help does not list. */
    {"/?", NULL, NULL, run_help},
    {"/exit", NULL, NULL, run_bye},
    {"/quit", NULL, NULL, run_bye},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static ChatNext run_help(Chat *c, char *argument, Buf *message)
{
    (void)c;
    (void)argument;
    (void)message;
    for (int i = 0; i < N_COMMANDS && commands[i].about; i++)
        chat_say("%-9s %-13s %s", commands[i].name, commands[i].argument, commands[i].about);
    chat_say("/think and /no_think inside a message go to the model.\n"
             "\"\"\" begins and ends a message of several lines; \\ at a line's end goes on.\n"
             "Ctrl-C stops the answer, or gives up the line; Ctrl-R searches earlier lines.");
    return CHAT_WAITS;
}

bool chat_is_command(const char *text)
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

ChatNext chat_obey(Chat *c, char *text, Buf *message)
{
    size_t n = strcspn(text, " \t"), end = strlen(text);
    while (end > n && isspace((unsigned char)text[end - 1]))
        text[--end] = '\0';
    char *argument = text + n;
    if (*argument)
        *argument++ = '\0';
    argument += strspn(argument, " \t");
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, text) == 0)
            return commands[i].run(c, argument, message);
    chat_say("%s is not a command; /help lists them", text);
    return CHAT_WAITS;
}
