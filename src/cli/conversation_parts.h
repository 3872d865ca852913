/* A conversation at the terminal, for the files that make it up. */
#ifndef WEN_CLI_CONVERSATION_PARTS_H
#define WEN_CLI_CONVERSATION_PARTS_H

#include "base/str.h"
#include "cli/line_editor.h"
#include "wen.h"

#include <jansson.h>

enum { CHAT_STOPS_MAX = 16 };

typedef struct Chat {
    wen_engine *engine;
    const wen_model *model;
    wen_request request; /* what /set changes; without a prompt */
    wen_request started; /* as the command line said: where "default" goes back to */
    char *stops[CHAT_STOPS_MAX];
    json_t *messages; /* OpenAI's, the system message first if there is one */
    LineEditor *editor;
    Buf attached; /* by /read: goes before the next message */
    Buf thought;  /* of the last answer */
    wen_usage usage;
    bool has_usage; /* there was an answer */
    bool folds_thoughts, has_markdown, has_stats;
} Chat;

/* A dim line about something other than the conversation itself. */
void chat_say(const char *format, ...) PRINTF_LIKE(1, 2);

/* ---- Messages -------------------------------------------------------------------------------- */

void chat_add(Chat *c, const char *role, Str content);
void chat_drop_last(Chat *c);
/* Messages that /clear keeps: the system message, or none. */
size_t chat_n_system(const Chat *c);
/* The text of the last message of that role; NULL: there is none. */
const char *chat_last(const Chat *c, const char *role);
/* NULL: none any more. */
void chat_set_system(Chat *c, const char *text);
/* Drops the last question and all behind it; its text to be freed with mem_free, NULL: there is
 * none. */
char *chat_take_back(Chat *c);

/* ---- What the conversation's files give each other ---------------------------------------------
 */

/* Asks the model, the last message being the person's, and shows the answer. False: it did not
 * answer, and said why; the message is dropped. */
bool chat_answer(Chat *c);

/* /set [NAME [VALUE]] and /show [NAME]. */
void chat_set(Chat *c, char *arguments);
void chat_show(const Chat *c, const char *name);
void chat_show_stats(const Chat *c);

/* The conversation as a file: {"messages": [...]}, each in OpenAI's shape. */
void chat_save(const Chat *c, const char *path);
void chat_load(Chat *c, const char *path);
/* The file's text goes before the next message. */
void chat_attach(Chat *c, const char *path);
/* Text from the person's own editor, $VISUAL or $EDITOR, which begins with `text`; false: none. */
bool chat_edit(const char *text, Buf *out);
/* To the terminal's clipboard (OSC 52), which works over ssh too. */
void chat_copy(const char *text);

/* "/" and letters, nothing else in the word: a path is not a command, /think and /no_think are the
 * model's. */
bool chat_is_command(const char *text);
typedef enum ChatNext { CHAT_ASKS, CHAT_WAITS, CHAT_LEAVES } ChatNext;
/* CHAT_ASKS: the message that is to be sent is in `message`. */
ChatNext chat_obey(Chat *c, char *text, Buf *message);

#endif
