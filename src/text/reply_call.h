/* The inside of one <tool_call> block, as it is generated: the model's JSON form
 *
 *     {"name": "f", "arguments": {...}}
 *
 * or the form of Qwen3-Coder
 *
 *     <function=f> <parameter=key> value </parameter> ... </function>
 *
 * whose arguments are put together as JSON: a value that is JSON itself and no string stays as it
 * is, all others become strings. */
#ifndef WEN_TEXT_REPLY_CALL_H
#define WEN_TEXT_REPLY_CALL_H

#include "text/json_scan.h"

typedef enum CallStatus {
    CALL_OPEN,
    CALL_COMPLETE, /* a whole call with a name; only white space may follow */
    CALL_BROKEN,   /* this is no call */
} CallStatus;

typedef struct CallParser {
    CallStatus status;
    Buf raw;       /* all text so far */
    Buf name;      /* once has_name: escapes resolved */
    Buf arguments; /* those that came since the caller last cleared this; raw JSON */
    bool has_name, has_arguments;
    /* The parser's own: */
    int form, phase;
    JsonScan scan;
    Buf piece; /* the string, tag or value being read */
    int target;
    int n_parameters;
} CallParser;

/* Zeroed is ready; begin starts a new block and keeps the memory. */
void call_begin(CallParser *c);
void call_close(CallParser *c);
/* Takes more text. After CALL_BROKEN only `raw` has a meaning. */
CallStatus call_feed(CallParser *c, Str text);
/* True inside a JSON string or a parameter's value: there even tags are text. */
bool call_is_in_value(const CallParser *c);

#endif
