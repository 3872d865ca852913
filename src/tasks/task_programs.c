/* Small programs: what does this print? */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"

#include <inttypes.h>
#include <string.h>

static const char *const print_asks[N_LANGS][3] = {
    {"What does this print?\n{0}", "What is the output?\n{0}",
     "{0}\nWhat does this program print?"},
    {"这段程序输出什么？\n{0}", "{0}\n输出是什么？"},
    {"Was gibt das aus?\n{0}", "{0}\nWas ist die Ausgabe?"},
    {"¿Qué imprime esto?\n{0}", "{0}\n¿Cuál es la salida?"},
};

static void ask(Maker *m, const Buf *program)
{
    maker_user(m, maker_phrase(m, print_asks[m->lang], 3), program->data, NULL);
}

/* ---- Variables, loops, conditions ------------------------------------------------------------ */

enum { VARIABLES = 3 };
static const char names[VARIABLES] = {'x', 'y', 'z'};

typedef struct Machine {
    Maker *m;
    Buf program;
    int64_t values[VARIABLES];
    bool is_set[VARIABLES];
} Machine;

static void note(Machine *v, int variable)
{
    maker_think_line(v->m, "%c = %" PRId64, names[variable], v->values[variable]);
}

static int64_t apply(int64_t a, char op, int64_t b)
{
    return op == '+' ? a + b : op == '-' ? a - b : a * b;
}

static void assign(Machine *v, int to, int64_t value)
{
    buf_printf(&v->program, "%c = %" PRId64 "\n", names[to], value);
    v->values[to] = value;
    v->is_set[to] = true;
    note(v, to);
}

/* to = a op (b or a number) */
static void compute(Machine *v, int to, const char *indent)
{
    const int a = (int)maker_int(v->m, 0, 1);
    const char op = "+-*"[maker_int(v->m, 0, 2)];
    const bool by_variable = op != '*' && maker_chance(v->m, 0.5);
    const int b = 1 - a;
    const int64_t number = op == '*' ? maker_int(v->m, 2, 4) : maker_int(v->m, 1, 20);
    buf_printf(&v->program, "%s%c = %c %c ", indent, names[to], names[a], op);
    if (by_variable)
        buf_printf(&v->program, "%c\n", names[b]);
    else
        buf_printf(&v->program, "%" PRId64 "\n", number);
    v->values[to] = apply(v->values[a], op, by_variable ? v->values[b] : number);
    note(v, to);
}

static void loop(Machine *v)
{
    const int n = (int)maker_int(v->m, 2, 4), to = (int)maker_int(v->m, 0, 1);
    const bool by_variable = maker_chance(v->m, 0.5);
    const int64_t number = maker_int(v->m, 1, 9);
    buf_printf(&v->program, "for i in range(%d):\n    %c = %c + ", n, names[to], names[to]);
    if (by_variable)
        buf_printf(&v->program, "%c\n", names[1 - to]);
    else
        buf_printf(&v->program, "%" PRId64 "\n", number);
    for (int i = 0; i < n; i++) {
        v->values[to] += by_variable ? v->values[1 - to] : number;
        note(v, to);
    }
}

static void condition(Machine *v)
{
    const int64_t limit = v->values[0] + maker_int(v->m, -9, 9);
    const bool is_true = v->values[0] > limit;
    static const char *const words[2] = {"False", "True"};
    buf_printf(&v->program, "if x > %" PRId64 ":\n", limit);
    maker_think_line(v->m, "%" PRId64 " > %" PRId64 " %s", v->values[0], limit, words[is_true]);
    const int64_t a = maker_int(v->m, 1, 20), b = maker_int(v->m, 1, 20);
    buf_printf(&v->program, "    y = y + %" PRId64 "\nelse:\n    y = y - %" PRId64 "\n", a, b);
    v->values[1] += is_true ? a : -b;
    note(v, 1);
}

/* Level 1: assignments; 2: a loop too; 3: a condition too; 4: all of it twice. */
static void make_program(Maker *m)
{
    Machine v = {.m = m};
    do {
        buf_clear(&v.program);
        buf_clear(&m->thinking);
        assign(&v, 0, maker_int(m, 1, 20));
        assign(&v, 1, maker_int(m, 1, 20));
        for (int round = 0; round < (m->level == 4 ? 2 : 1); round++) {
            compute(&v, (int)maker_int(m, 0, 1), "");
            if (m->level >= 2)
                loop(&v);
            if (m->level >= 3)
                condition(&v);
        }
        compute(&v, 2, "");
        buf_puts(&v.program, "print(z)");
    } while (!maker_owns(m, str_hash(buf_str(&v.program))));
    ask(m, &v.program);
    buf_free(&v.program);
    maker_reply(m, "%" PRId64, v.values[2]);
}

/* ---- A stack machine ------------------------------------------------------------------------- */

enum { STACK_MAX = 16 };

static void think_stack(Maker *m, const char *step, const int64_t *stack, int n)
{
    maker_think_line(m, "%s:", step);
    for (int i = 0; i < n; i++)
        maker_think(m, " %" PRId64, stack[i]);
}

static void make_stack(Maker *m)
{
    static const char *const step_names[] = {"add", "sub", "mul", "dup", "swap"};
    Buf program = {0};
    int64_t stack[STACK_MAX];
    int n;
    do {
        n = 0;
        buf_clear(&program);
        buf_clear(&m->thinking);
        const int n_steps = 3 + 2 * m->level;
        for (int i = 0; i < n_steps || n > 1; i++) {
            const char *step;
            const bool must_join = i >= n_steps - 1 && n > 1;
            if (n < 2 || (!must_join && n < 4 && maker_chance(m, 0.5))) {
                const int64_t number = maker_int(m, 1, 12);
                step = maker_text(m, "push %" PRId64, number);
                stack[n++] = number;
            } else {
                const int op = (int)maker_int(m, 0, must_join || n > 6 ? 2 : 4);
                const int64_t a = stack[n - 2], b = stack[n - 1];
                step = step_names[op];
                if (op < 3)
                    stack[--n - 1] = op == 0 ? a + b : op == 1 ? a - b : a * b;
                else if (op == 3)
                    stack[n++] = b;
                else
                    stack[n - 2] = b, stack[n - 1] = a;
            }
            buf_printf(&program, "%s\n", step);
            think_stack(m, step, stack, n);
        }
        buf_puts(&program, "print");
    } while (stack[0] > 99999 || stack[0] < -99999 || !maker_owns(m, str_hash(buf_str(&program))));
    ask(m, &program);
    buf_free(&program);
    maker_reply(m, "%" PRId64, stack[0]);
}

const TaskFamily program_families[] = {
    {.name = "program",
     .domain = "programs",
     .about = "what a small Python program prints",
     .langs = ALL_LANGS,
     .difficulty_max = 4,
     .make = make_program,
     .score = score_number},
    {.name = "stack",
     .domain = "programs",
     .about = "what a stack machine prints",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_stack,
     .score = score_number},
    {.name = NULL},
};
