/* Messages -> prompt, through the model's own template. */
#ifndef WEN_TEXT_CHAT_H
#define WEN_TEXT_CHAT_H

#include "text/jinja.h"

typedef struct ChatTemplate ChatTemplate;

/* bos_token / eos_token: texts the template may print (empty: none). */
ChatTemplate *chat_template_open(Str source, Str bos_token, Str eos_token, Error *err) MUST_USE;
void chat_template_close(ChatTemplate *t);

typedef struct ChatRender {
    json_t *messages; /* array; borrowed */
    json_t *tools;    /* array or NULL */
    json_t *kwargs;   /* more template variables (an object) or NULL */
    bool add_generation_prompt;
    int enable_thinking; /* 1, 0, or -1: leave the variable undefined */
    /* List contents ([{"type":"text","text":...}]) are flattened and a null content beside tool
     * calls becomes "" before rendering, so that templates that expect strings work; `raw` passes
     * the messages as they are (wen render). */
    bool raw;
} ChatRender;

/* Fills `out`. Strings under messages with role "assistant" count as the model's own and are
 * trusted; everything else the caller passed is not. */
bool chat_render(const ChatTemplate *t, const ChatRender *request, JinjaOutput *out,
                 Error *err) MUST_USE;

/* True when the template looks at enable_thinking (a hybrid model). */
bool chat_template_is_hybrid(const ChatTemplate *t);

#endif
