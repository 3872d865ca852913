/* Tools: the right call, the answer out of a response, and whole episodes with real execution.
 *
 * The answer is {"calls": [{"name", "arguments"}, ...], "content": "...", "state": {...}}: the
 * calls that a right reply makes, what its last message says (a number, a time, a value: it has to
 * be in there and be the only one), what the tools hold. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/tool_box.h"
#include "tasks/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* ---- Phrases --------------------------------------------------------------------------------- */

enum { PHRASES = 4 };

static const char *const calculate_asks[N_LANGS][PHRASES] = {
    {"Calculate {0} with the calculator.", "What is {0}? Use the calculator.", "Compute {0}.",
     "{0} = ?"},
    {"用计算器算 {0}。", "{0} 等于多少？请用计算器。", "计算 {0}。", "{0} = ?"},
    {"Berechne {0} mit dem Rechner.", "Was ist {0}? Nimm den Rechner.", "Berechne {0}.", "{0} = ?"},
    {"Calcula {0} con la calculadora.", "¿Cuánto es {0}? Usa la calculadora.", "Calcula {0}.",
     "{0} = ?"},
};
static const char *const time_asks[N_LANGS][PHRASES] = {
    {"What time is it in {0}?", "Tell me the time in {0}.", "How late is it in {0}?",
     "The time in {0}, please."},
    {"{0}现在几点？", "告诉我{0}的时间。", "请问{0}几点了？"},
    {"Wie spät ist es in {0}?", "Wie viel Uhr ist es in {0}?", "Sag mir die Uhrzeit in {0}."},
    {"¿Qué hora es en {0}?", "Dime la hora en {0}.", "La hora en {0}, por favor."},
};
static const char *const get_asks[N_LANGS][PHRASES] = {
    {"What is stored under {0}?", "Read the key {0}.", "What is the value of {0}?",
     "Look up {0} in the store."},
    {"{0} 里存了什么？", "读取键 {0}。", "{0} 的值是什么？"},
    {"Was ist unter {0} gespeichert?", "Lies den Schlüssel {0}.", "Welchen Wert hat {0}?"},
    {"¿Qué hay guardado en {0}?", "Lee la clave {0}.", "¿Qué valor tiene {0}?"},
};
static const char *const set_asks[N_LANGS][PHRASES] = {
    {"Store {1} under {0}.", "Set {0} to {1}.", "Remember {1} as {0}.",
     "Save {1} under the key {0}."},
    {"把 {1} 存到 {0}。", "将 {0} 设为 {1}。"},
    {"Speichere {1} unter {0}.", "Setze {0} auf {1}."},
    {"Guarda {1} en {0}.", "Pon {0} a {1}."},
};
static const char *const cities[N_LANGS][12] = {
    {"Tokyo", "Paris", "Rome", "Cairo", "Lima", "Oslo", "Berlin", "Madrid", "Delhi", "Boston",
     "Sydney", "Beijing"},
    {"东京", "巴黎", "罗马", "开罗", "利马", "奥斯陆", "柏林", "马德里", "德里", "波士顿", "悉尼",
     "北京"},
    {"Tokio", "Paris", "Rom", "Kairo", "Lima", "Oslo", "Berlin", "Madrid", "Wien", "Boston",
     "Sydney", "Peking"},
    {"Tokio", "París", "Roma", "El Cairo", "Lima", "Oslo", "Berlín", "Madrid", "Quito", "Boston",
     "Sídney", "Pekín"},
};
/* Why a tool is called, by kind of tool. */
static const char *const needs[N_LANGS][4] = {
    {"This needs the calculator.", "This needs the clock.", "I read it from the store.",
     "I put it into the store."},
    {"这需要计算器。", "这需要时钟。", "我从存储中读取。", "我把它存起来。"},
    {"Dafür brauche ich den Rechner.", "Dafür brauche ich die Uhr.",
     "Ich lese es aus dem Speicher.", "Ich lege es in den Speicher."},
    {"Para esto necesito la calculadora.", "Para esto necesito el reloj.", "Lo leo del almacén.",
     "Lo guardo en el almacén."},
};
static const char *const tool_said[N_LANGS] = {
    "The tool says {0}.", "工具返回 {0}。", "Das Werkzeug sagt {0}.", "La herramienta dice {0}."};
static const char *const time_replies[N_LANGS] = {"It is {1} in {0}.", "{0}现在是 {1}。",
                                                  "In {0} ist es {1}.", "En {0} son las {1}."};
static const char *const no_keys[N_LANGS] = {"There is no key {0}.", "没有 {0} 这个键。",
                                             "Es gibt keinen Schlüssel {0}.",
                                             "No existe la clave {0}."};
static const char *const stored[N_LANGS] = {"Done: {0} is {1}.", "好了：{0} 是 {1}。",
                                            "Fertig: {0} ist {1}.", "Hecho: {0} es {1}."};

/* ---- One task -------------------------------------------------------------------------------- */

/* One call with all that belongs to it. */
typedef struct Task {
    ToolKind tool;
    const char *question, *arguments, *response, *content, *need;
    const char *expression;  /* of the calculator */
    bool is_missing;         /* the store has no such key */
    const char *key, *value; /* of the store */
    const char *city, *time; /* of the clock */
} Task;

static const char *json_text(Maker *m, const char *text)
{
    Buf json = {0};
    buf_put_json(&json, str_from(text));
    const char *kept = maker_text(m, "%s", json.data ? json.data : "\"\"");
    buf_free(&json);
    return kept;
}

static const char *draw_expression(Maker *m)
{
    static const char ops[] = "+-*";
    Buf text = {0};
    const int n = m->level == 1 ? 2 : (int)maker_int(m, 2, 3);
    const bool has_brackets = m->level == 3 && n == 3 && maker_chance(m, 0.5);
    for (int i = 0; i < n; i++) {
        if (i > 0)
            buf_printf(&text, " %c ", has_brackets && i == 1 ? '*' : ops[maker_int(m, 0, 2)]);
        buf_puts(&text, has_brackets && i == 1 ? "(" : "");
        buf_printf(&text, "%" PRId64, maker_int(m, 11, 4999));
        buf_puts(&text, has_brackets && i == 2 ? ")" : "");
    }
    const char *kept = maker_text(m, "%s", text.data ? text.data : "");
    buf_free(&text);
    return kept;
}

/* The call that works out `expression`. */
static void calculate_task(Maker *m, Task *t, const char *expression)
{
    Buf value = {0};
    tool_calculate(str_from(expression), &value);
    *t = (Task){.tool = TOOL_CALCULATOR, .expression = expression};
    t->need = needs[m->lang][TOOL_CALCULATOR];
    t->arguments = maker_text(m, "{\"expression\": \"%s\"}", expression);
    t->response = t->content = maker_text(m, "%s", value.data ? value.data : "");
    buf_free(&value);
}

static void calculation(Maker *m, Task *t)
{
    const char *expression;
    do
        expression = draw_expression(m);
    while (!maker_owns(m, key_text(expression)));
    calculate_task(m, t, expression);
    t->question = maker_fill(m, MAKER_PICK(m, calculate_asks[m->lang]), expression, NULL);
}

/* A city of the list, or a name that no list has. */
static const char *draw_city(Maker *m)
{
    if (m->lang == LANG_ZH || maker_chance(m, 0.6))
        return MAKER_PICK(m, cities[m->lang]);
    const char *word = word_invented(m, 4, 9);
    return maker_text(m, "%c%s", toupper((unsigned char)word[0]), word + 1);
}

static void clock_task(Maker *m, Task *t)
{
    do {
        t->city = draw_city(m);
        t->question = maker_fill(m, MAKER_PICK(m, time_asks[m->lang]), t->city, NULL);
    } while (!maker_owns(m, key_text(t->question)));
    t->time = maker_text(m, "%02d:%02d", (int)maker_int(m, 0, 23), (int)maker_int(m, 0, 59));
    t->arguments = maker_text(m, "{\"city\": %s}", json_text(m, t->city));
    t->response = t->time;
    t->content = maker_fill(m, time_replies[m->lang], t->city, t->time, NULL);
}

static const char *draw_value(Maker *m)
{
    return maker_chance(m, 0.5) ? maker_num(m, maker_int(m, 2, 9999)) : word_invented(m, 3, 9);
}

static void store_task(Maker *m, Task *t)
{
    t->value = draw_value(m);
    t->key = maker_chance(m, 0.7) ? word_common(m, 3, 9) : word_invented(m, 3, 8);
    if (t->tool == TOOL_STORE_SET) {
        t->question = maker_fill(m, MAKER_PICK(m, set_asks[m->lang]), t->key, t->value, NULL);
        t->arguments = maker_text(m, "{\"key\": \"%s\", \"value\": \"%s\"}", t->key, t->value);
        t->response = "ok";
        t->content = maker_fill(m, stored[m->lang], t->key, t->value, NULL);
        return;
    }
    t->is_missing = maker_chance(m, 0.15);
    t->question = maker_fill(m, MAKER_PICK(m, get_asks[m->lang]), t->key, NULL);
    t->arguments = maker_text(m, "{\"key\": \"%s\"}", t->key);
    t->response = t->is_missing ? "error: no such key" : t->value;
    t->content = t->is_missing ? maker_fill(m, no_keys[m->lang], t->key, NULL) : t->value;
}

static void draw_task(Maker *m, Task *t)
{
    const int kind = (int)maker_int(m, 0, 9);
    *t = (Task){.tool = kind < 4   ? TOOL_CALCULATOR
                        : kind < 7 ? TOOL_GET_TIME
                        : kind < 9 ? TOOL_STORE_GET
                                   : TOOL_STORE_SET};
    if (t->tool == TOOL_CALCULATOR)
        calculation(m, t);
    else if (t->tool == TOOL_GET_TIME)
        clock_task(m, t);
    else
        store_task(m, t);
    t->need = needs[m->lang][t->tool];
}

static const char *tool_name(ToolKind tool)
{
    static const char *const names[N_TOOLS] = {"calculator", "get_time",    "store_get",
                                               "store_set",  "get_weather", "send_mail"};
    return names[tool];
}

/* The tools in `needed` and `n_more` others, in any order. */
static void offer(Maker *m, unsigned needed, int n_more)
{
    int order[N_TOOLS];
    maker_choose(m, N_TOOLS, N_TOOLS, order);
    for (int i = 0; i < N_TOOLS && n_more > 0; i++)
        if (!(needed >> order[i] & 1)) {
            needed |= 1u << order[i];
            n_more--;
        }
    Buf json = {0};
    for (int i = 0; i < N_TOOLS; i++)
        if (needed >> order[i] & 1) {
            buf_puts(&json, json.bytes ? ", " : "[");
            buf_puts(&json, tool_objects[order[i]]);
        }
    buf_putc(&json, ']');
    maker_tools(m, json.data);
    buf_free(&json);
}

static void offer_for(Maker *m, const Task *t) { offer(m, 1u << t->tool, m->level - 1); }

static void put_call(Maker *m, const Task *t, bool is_first)
{
    maker_answer(m, "%s{\"name\": \"%s\", \"arguments\": %s}", is_first ? "" : ", ",
                 tool_name(t->tool), t->arguments);
}

/* `,"content": ..., "state": {...}}` for these tasks. */
static void end_answer(Maker *m, const char *content, const Task *tasks, int n)
{
    maker_answer(m, "], \"content\": %s, \"state\": {\"times\": {", json_text(m, content));
    for (int i = 0, n_put = 0; i < n; i++)
        if (tasks[i].city)
            maker_answer(m, "%s%s: \"%s\"", n_put++ ? ", " : "", json_text(m, tasks[i].city),
                         tasks[i].time);
    maker_answer(m, "}, \"store\": {");
    for (int i = 0, n_put = 0; i < n; i++)
        if (tasks[i].key && !tasks[i].is_missing && tasks[i].tool == TOOL_STORE_GET)
            maker_answer(m, "%s\"%s\": \"%s\"", n_put++ ? ", " : "", tasks[i].key, tasks[i].value);
    maker_answer(m, "}}}");
}

/* ---- Families -------------------------------------------------------------------------------- */

static void make_call(Maker *m)
{
    Task t;
    draw_task(m, &t);
    offer_for(m, &t);
    maker_user(m, "{0}", t.question, NULL);
    maker_think(m, "%s", t.need);
    maker_call(m, tool_name(t.tool), t.arguments);
    maker_answer(m, "{\"calls\": [");
    put_call(m, &t, true);
    end_answer(m, "", &t, 1);
}

static void make_answer(Maker *m)
{
    Task t;
    draw_task(m, &t);
    offer_for(m, &t);
    maker_user(m, "{0}", t.question, NULL);
    maker_called(m, tool_name(t.tool), t.arguments);
    maker_responded(m, t.response);
    maker_think(m, "%s", maker_fill(m, tool_said[m->lang], t.response, NULL));
    maker_reply(m, "%s", t.content);
    maker_answer(m, "{\"calls\": [");
    end_answer(m, t.content, &t, 1);
}

static void act(Maker *m, const Task *t)
{
    maker_think(m, "%s", t->need);
    maker_call(m, tool_name(t->tool), t->arguments);
    maker_response(m, t->response);
}

static const char *const sum_asks[N_LANGS] = {
    "What is the value of {0} {2} the value of {1}?", "{0} 的值 {2} {1} 的值等于多少？",
    "Was ist der Wert von {0} {2} der Wert von {1}?", "¿Cuánto es el valor de {0} {2} el de {1}?"};
static const char *const keep_asks[N_LANGS] = {"Calculate {0} and store the result under {1}.",
                                               "计算 {0}，把结果存到 {1}。",
                                               "Berechne {0} und speichere das Ergebnis unter {1}.",
                                               "Calcula {0} y guarda el resultado en {1}."};

/* The task of a key that holds a number. */
static void number_task(Maker *m, Task *t)
{
    *t = (Task){.tool = TOOL_STORE_GET, .need = needs[m->lang][TOOL_STORE_GET]};
    t->key = word_common(m, 3, 9);
    t->response = t->value = maker_num(m, maker_int(m, 12, 9999));
    t->arguments = maker_text(m, "{\"key\": \"%s\"}", t->key);
}

/* Level 1: one call and its answer. 2: calculate, then store. 3: two values, then calculate. */
static void make_episode(Maker *m)
{
    Task t[3];
    int n = 1;
    const char *content;
    if (m->level == 1) {
        draw_task(m, &t[0]);
        offer_for(m, &t[0]);
        maker_user(m, "{0}", t[0].question, NULL);
        content = t[0].content;
    } else if (m->level == 2) {
        n = 2;
        calculation(m, &t[0]);
        t[1] = (Task){.tool = TOOL_STORE_SET, .need = needs[m->lang][TOOL_STORE_SET]};
        t[1].key = word_common(m, 3, 9);
        t[1].value = t[0].response;
        t[1].arguments =
            maker_text(m, "{\"key\": \"%s\", \"value\": \"%s\"}", t[1].key, t[1].value);
        t[1].response = "ok";
        offer(m, 1u << TOOL_CALCULATOR | 1u << TOOL_STORE_SET, 0);
        maker_user(m, keep_asks[m->lang], t[0].expression, t[1].key, NULL);
        content = maker_fill(m, stored[m->lang], t[1].key, t[1].value, NULL);
    } else {
        n = 3;
        number_task(m, &t[0]);
        do
            number_task(m, &t[1]);
        while (strcmp(t[0].key, t[1].key) == 0);
        const char *op = maker_chance(m, 0.5) ? "+" : maker_chance(m, 0.5) ? "-" : "*";
        calculate_task(m, &t[2], maker_text(m, "%s %s %s", t[0].value, op, t[1].value));
        offer(m, 1u << TOOL_CALCULATOR | 1u << TOOL_STORE_GET, 0);
        maker_user(m, sum_asks[m->lang], t[0].key, t[1].key, op, NULL);
        content = t[2].response;
    }
    maker_answer(m, "{\"calls\": [");
    for (int i = 0; i < n; i++) {
        act(m, &t[i]);
        put_call(m, &t[i], i == 0);
    }
    end_answer(m, content, t, n);
    maker_think(m, "%s", maker_fill(m, tool_said[m->lang], t[n - 1].response, NULL));
    maker_reply(m, "%s", content);
}

/* ---- Checking -------------------------------------------------------------------------------- */

/* Without the spaces, so that "2+2" is "2 + 2". */
static void squeeze(Buf *out, const char *text)
{
    for (; *text; text++)
        if (!isspace((unsigned char)*text))
            buf_putc(out, *text);
}

static bool same_value(const json_t *a, const json_t *b)
{
    if (!json_is_string(a) || !json_is_string(b))
        return json_equal(a, b);
    Buf x = {0}, y = {0};
    squeeze(&x, json_string_value(a));
    squeeze(&y, json_string_value(b));
    const bool is_same = str_equal(buf_str(&x), buf_str(&y));
    buf_free(&x);
    buf_free(&y);
    return is_same;
}

static bool same_call(const TaskCall *call, const json_t *expected)
{
    const char *key, *name = json_string_value(json_object_get(expected, "name"));
    json_t *value;
    json_t *arguments = json_loadb(call->arguments.data, call->arguments.bytes, 0, NULL);
    const json_t *wanted = json_object_get(expected, "arguments");
    bool is_same = name && str_equals(call->name, name) && json_is_object(arguments) &&
                   json_object_size(arguments) == json_object_size(wanted);
    if (is_same)
        json_object_foreach((json_t *)wanted, key, value) is_same &=
            same_value(json_object_get(arguments, key), value);
    json_decref(arguments);
    return is_same;
}

/* The same calls; in any order, as two readings may change places. */
static bool same_calls(const TaskReply *reply, const json_t *expected)
{
    uint64_t used = 0;
    if ((size_t)reply->n_calls != json_array_size(expected) || reply->n_calls > 60)
        return false;
    for (int c = 0; c < reply->n_calls; c++) {
        int found = -1;
        for (int e = 0; e < reply->n_calls && found < 0; e++)
            if (!(used >> e & 1) &&
                same_call(&reply->calls[c], json_array_get(expected, (size_t)e)))
                found = e;
        if (found < 0)
            return false;
        used |= (uint64_t)1 << found;
    }
    return true;
}

/* A number alone, or the very words. */
static bool same_content(Str content, const char *expected)
{
    const Str answer = str_from(expected);
    const size_t digits_from = expected[0] == '-' ? 1 : 0;
    const bool is_number =
        strspn(expected + digits_from, "0123456789.") + digits_from == answer.bytes;
    return answer.bytes > 0 && is_number ? check_number(content, answer)
                                         : check_text(content, answer);
}

/* 1: calls and content right; a half for the calls alone in an episode. */
static double score_tools(const Problem *p, const TaskReply *reply)
{
    json_t *answer = json_loadb(p->answer.data, p->answer.bytes, 0, NULL);
    const json_t *calls = json_object_get(answer, "calls");
    const char *content = json_string_value(json_object_get(answer, "content"));
    double score = 0;
    if (answer && content && same_calls(reply, calls)) {
        const bool is_said = content[0] == 0 || same_content(reply->content, content);
        score = is_said ? 1 : p->family->is_episode ? 0.5 : 0;
    }
    json_decref(answer);
    return score;
}

const TaskFamily tool_families[] = {
    {.name = "tool_call",
     .domain = "tools",
     .about = "the right call among 1 to 3 tools",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .calls_tools = true,
     .make = make_call,
     .score = score_tools},
    {.name = "tool_answer",
     .domain = "tools",
     .about = "the answer from a tool's response",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .calls_tools = true,
     .make = make_answer,
     .score = score_tools},
    {.name = "tool_episode",
     .domain = "tools",
     .about = "1 to 3 calls that are really made",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .calls_tools = true,
     .is_episode = true,
     .make = make_episode,
     .score = score_tools},
    {.name = NULL},
};
