/* Messages -> prompt, through the model's own template. */
#ifndef WEN_TEXT_CHAT_H
#define WEN_TEXT_CHAT_H

#include "text/jinja.h"

/* Immutable; may be used by many threads. */
typedef struct ChatTemplate ChatTemplate;

/* bos_token / eos_token: texts the template may print (empty: none). */
ChatTemplate *chat_template_open(Str source, Str bos_token, Str eos_token, Error *err) MUST_USE;
void chat_template_close(ChatTemplate *t); /* NULL is fine */

typedef struct ChatRender {
    json_t *messages; /* array of objects; borrowed and left as it is */
    json_t *tools;    /* array, or NULL */
    json_t *kwargs;   /* more template variables (an object), or NULL; those named here win */
    bool add_generation_prompt;
    int enable_thinking; /* 1, 0, or -1: leave the variable to kwargs, or undefined */
    /* Before rendering, messages are brought into the form that this template expects: text parts
     * ([{"type": "text", "text": ...}]) become one string, lines between them; beside tool calls a
     * content that is null or missing becomes "" (or "" becomes null), and arguments become an
     * object or a string, whichever of the two the template renders. Parts that are not text are
     * an error. `raw` passes the messages as they are (wen render). */
    bool raw;
} ChatRender;

/* Fills `out`. Strings under messages with role "assistant" count as the model's own and are
 * trusted; everything else the caller passed is not. */
bool chat_render(const ChatTemplate *t, const ChatRender *request, JinjaOutput *out,
                 Error *err) MUST_USE;

/* True when the template looks at enable_thinking (a hybrid model). */
bool chat_template_is_hybrid(const ChatTemplate *t);

#endif
