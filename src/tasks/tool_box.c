#include "tasks/tool_box.h"

#include "base/mem.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOOL(name, about, properties, required)                                                    \
    "{\"type\": \"function\", \"function\": {\"name\": \"" name "\", \"description\": \"" about    \
    "\", \"parameters\": {\"type\": \"object\", \"properties\": {" properties                      \
    "}, \"required\": [" required "]}}}"
#define TEXT(name) "\"" name "\": {\"type\": \"string\"}"

const char *const tool_objects[N_TOOLS] = {
    TOOL("calculator", "Works out an expression.", TEXT("expression"), "\"expression\""),
    TOOL("get_time", "The time in a city.", TEXT("city"), "\"city\""),
    TOOL("store_get", "Reads a value.", TEXT("key"), "\"key\""),
    TOOL("store_set", "Keeps a value.", TEXT("key") ", " TEXT("value"), "\"key\", \"value\""),
    TOOL("get_weather", "The weather in a city.", TEXT("city"), "\"city\""),
    TOOL("send_mail", "Sends a mail.", TEXT("to") ", " TEXT("text"), "\"to\", \"text\""),
};

/* ---- Calculator ------------------------------------------------------------------------------ */

enum { DEPTH_MAX = 50 };

typedef struct Sum {
    Str text;
    size_t at;
    int depth;
    const char *error; /* the first thing that went wrong */
} Sum;

static char peek(Sum *s)
{
    while (s->at < s->text.bytes && isspace((unsigned char)s->text.data[s->at]))
        s->at++;
    return s->at < s->text.bytes ? s->text.data[s->at] : 0;
}

static double fail(Sum *s, const char *why)
{
    if (!s->error)
        s->error = why;
    return 0;
}

static double read_sum(Sum *s);

static double read_digits(Sum *s)
{
    char digits[32];
    size_t n = 0;
    while (s->at < s->text.bytes && n + 1 < sizeof digits &&
           (isdigit((unsigned char)s->text.data[s->at]) || s->text.data[s->at] == '.'))
        digits[n++] = s->text.data[s->at++];
    digits[n] = 0;
    char *end;
    const double value = strtod(digits, &end);
    return n > 0 && *end == 0 ? value : fail(s, "not an expression");
}

static double read_factor(Sum *s)
{
    const char c = peek(s);
    if (s->depth >= DEPTH_MAX)
        return fail(s, "too many brackets");
    s->depth++;
    double value;
    if (c == '-' || c == '+') {
        s->at++;
        value = c == '-' ? -read_factor(s) : read_factor(s);
    } else if (c == '(') {
        s->at++;
        value = read_sum(s);
        if (peek(s) == ')')
            s->at++;
        else
            fail(s, "a bracket is not closed");
    } else {
        value = read_digits(s);
    }
    s->depth--;
    return value;
}

static double read_product(Sum *s)
{
    double value = read_factor(s);
    for (char c; !s->error && ((c = peek(s)) == '*' || c == '/');) {
        s->at++;
        const double by = read_factor(s);
        if (c == '/' && by == 0)
            return fail(s, "division by zero");
        value = c == '*' ? value * by : value / by;
    }
    return value;
}

static double read_sum(Sum *s)
{
    double value = read_product(s);
    for (char c; !s->error && ((c = peek(s)) == '+' || c == '-');) {
        s->at++;
        const double by = read_product(s);
        value = c == '+' ? value + by : value - by;
    }
    return value;
}

void tool_calculate(Str expression, Buf *response)
{
    Sum s = {.text = expression};
    const double value = read_sum(&s);
    if (peek(&s) != 0)
        fail(&s, "not an expression");
    if (!s.error && !(fabs(value) < 0x1p53))
        fail(&s, "the result is too large");
    if (s.error)
        buf_printf(response, "error: %s", s.error);
    else if (value == floor(value))
        buf_printf(response, "%.0f", value == 0 ? 0.0 : value);
    else
        buf_printf(response, "%.6g", value);
}

/* ---- The box --------------------------------------------------------------------------------- */

struct ToolBox {
    json_t *times, *store; /* objects of strings */
};

static json_t *copy_of(const json_t *state, const char *key)
{
    json_t *copy = json_deep_copy(json_object_get(state, key));
    return copy ? copy : json_object();
}

ToolBox *tool_box_open(const Problem *p, Error *err)
{
    json_t *answer = json_loadb(p->answer.data, p->answer.bytes, JSON_DECODE_ANY, NULL);
    const json_t *state = json_object_get(answer, "state");
    if (!json_is_object(state)) {
        json_decref(answer);
        error_set(err, ERROR_ARGUMENT, "%.*s: a problem without tools", STR_ARG(p->id));
        return NULL;
    }
    ToolBox *box = mem_alloc(sizeof *box);
    box->times = copy_of(state, "times");
    box->store = copy_of(state, "store");
    json_decref(answer);
    return box;
}

void tool_box_close(ToolBox *box)
{
    if (!box)
        return;
    json_decref(box->times);
    json_decref(box->store);
    mem_free(box);
}

/* The text of an argument; NULL with a response when it is missing. */
static const char *argument(const json_t *arguments, const char *name, Buf *response)
{
    const json_t *value = json_object_get(arguments, name);
    if (!json_is_string(value)) {
        buf_printf(response, "error: the argument %s is missing", name);
        return NULL;
    }
    return json_string_value(value);
}

static void look_up(const json_t *from, const char *key, const char *what, Buf *response)
{
    const json_t *value = key ? json_object_get(from, key) : NULL;
    if (value)
        buf_puts(response, json_string_value(value));
    else if (key)
        buf_printf(response, "error: no such %s", what);
}

void tool_box_call(ToolBox *box, const TaskCall *call, Buf *response)
{
    json_t *arguments = json_loadb(call->arguments.data, call->arguments.bytes, 0, NULL);
    if (!json_is_object(arguments)) {
        buf_puts(response, "error: the arguments are not a JSON object");
    } else if (str_equals(call->name, "calculator")) {
        const char *expression = argument(arguments, "expression", response);
        if (expression)
            tool_calculate(str_from(expression), response);
    } else if (str_equals(call->name, "get_time")) {
        look_up(box->times, argument(arguments, "city", response), "city", response);
    } else if (str_equals(call->name, "store_get")) {
        look_up(box->store, argument(arguments, "key", response), "key", response);
    } else if (str_equals(call->name, "store_set")) {
        const char *key = argument(arguments, "key", response);
        const char *value = key ? argument(arguments, "value", response) : NULL;
        if (value) {
            json_object_set_new(box->store, key, json_string(value));
            buf_puts(response, "ok");
        }
    } else {
        buf_puts(response, "error: no such tool");
    }
    json_decref(arguments);
}
