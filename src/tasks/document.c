/* Documents of a mixture: see mixture.h.
 *
 * The mode of a conversation is what the last flag in it says; thinking without any. Flags stand at
 * the end of a user's turn or in the system prompt. Earlier turns have flags of their own, and
 * thoughts where those say so, as each answer is learned behind what precedes it. */
#include "base/rng.h"
#include "base/utf8.h"
#include "tasks/mixture.h"
#include "tasks/problem_parts.h"
#include "tasks/tool_box.h"

#include <inttypes.h>
#include <string.h>

_Static_assert(TOOL_CALCULATOR == 0, "idle_tools leaves the first one out");

enum {
    TURNS_MAX = 3,
    TRIES_MAX = 20,     /* for a document that is short enough */
    CUT_BYTES_MIN = 8, /* a shorter thought is not cut */
};

/* The share of a family's texts that tell instead of asking, where it can. */
#define TOLD 0.7

/* The share of cut thoughts of which nothing is left. */
#define CUT_AT_ONCE 0.15

/* What ends a thought that is cut: src/engine inserts the same text, "\n</think>\n\n" after it. */
static const char stop_text[] = "\n\nConsidering the limited time by the user, I have to give the "
                                "solution based on the thinking directly now.";

typedef enum Flag { FLAG_NONE, FLAG_THINK, FLAG_NO_THINK } Flag;
static const char *const flag_texts[] = {"", " /think", " /no_think"};

static const char *const system_prompts[N_LANGS][4] = {
    {"You are a helpful assistant.", "You are Wen, a small language model.",
     "Answer the user's questions.", "Be brief."},
    {"你是一个有用的助手。", "你是 Wen，一个小型语言模型。", "请回答用户的问题。", "请简短回答。"},
    {"Du bist ein hilfreicher Assistent.", "Du bist Wen, ein kleines Sprachmodell.",
     "Beantworte die Fragen des Nutzers.", "Antworte kurz."},
    {"Eres un asistente útil.", "Eres Wen, un pequeño modelo de lenguaje.",
     "Responde a las preguntas del usuario.", "Sé breve."},
};

/* The plan of one conversation. */
typedef struct Plan {
    const Mixture *mix;
    Rng rng;
    const MixtureEntry *entry;
    bool thinks; /* the mode of the last turn */
    bool hard_off, is_cut;
    Str tools; /* the problem's, or idle ones; empty: none */
    int n_earlier;
    Flag flags[TURNS_MAX]; /* of the earlier turns and the last one */
    Flag system_flag;
    const char *system; /* NULL: none */
} Plan;

static bool chance(Plan *plan, double share) { return rng_uniform(&plan->rng) < share; }

static const MixtureEntry *draw_entry(const Mixture *mix, Rng *rng)
{
    double sum = 0;
    for (int i = 0; i < mix->n_entries; i++)
        sum += mix->entries[i].weight;
    double at = rng_uniform(rng) * sum;
    const MixtureEntry *last = mix->entries;
    for (int i = 0; i < mix->n_entries; i++) {
        if (mix->entries[i].weight > 0)
            last = &mix->entries[i];
        if ((at -= mix->entries[i].weight) < 0)
            break;
    }
    return last;
}

static ProblemSpec draw_spec(const Mixture *mix, const MixtureEntry *entry, Rng *rng, uint64_t seed)
{
    double sum = 0;
    for (int l = 0; l < N_LANGS; l++)
        sum += entry->langs[l];
    double at = rng_uniform(rng) * sum;
    int lang = 0;
    for (int l = 0; l < N_LANGS; l++) {
        if (entry->langs[l] > 0)
            lang = l;
        if ((at -= entry->langs[l]) < 0)
            break;
    }
    const int n_levels = entry->difficulty_max - entry->difficulty_min + 1;
    const int level = entry->difficulty_min + (int)rng_below(rng, (uint64_t)n_levels);
    return (ProblemSpec){.family = entry->family,
                         .split = mix->split,
                         .difficulty = level,
                         .lang = lang,
                         .seed = seed};
}

static void draw_problem(const Mixture *mix, const MixtureEntry *entry, Rng *rng, uint64_t seed,
                         Problem *p)
{
    const ProblemSpec spec = draw_spec(mix, entry, rng, seed);
    problem_make(p, &spec);
}

/* Problem seeds of documents: 48 bits, so that they are exact in every reader of JSON. */
static uint64_t draw_seed(Rng *rng) { return rng_next(rng) >> 16; }

/* ---- Planning -------------------------------------------------------------------------------- */

/* Can stand before another problem: one question, one answer, nothing set up for it. */
static bool is_simple(const Problem *p)
{
    return p->n_messages == 1 && p->n_solution == 1 && p->mode == MODE_ANY && p->tools.bytes == 0 &&
           p->solution[0].n_calls == 0;
}

static Flag flag_for(bool thinks) { return thinks ? FLAG_THINK : FLAG_NO_THINK; }

/* Flags so that the last turn's mode is plan->thinks. */
static void plan_flags(Plan *plan)
{
    bool mode = true;
    if (plan->system && chance(plan, 0.5)) {
        plan->system_flag = flag_for(chance(plan, 0.5));
        mode = plan->system_flag == FLAG_THINK;
    }
    for (int t = 0; t < plan->n_earlier; t++)
        if (chance(plan, 0.6)) {
            plan->flags[t] = flag_for(chance(plan, 0.5));
            mode = plan->flags[t] == FLAG_THINK;
        }
    const int last = plan->n_earlier;
    if (last > 0 && chance(plan, plan->mix->kept_flag)) {
        /* No flag on the last turn: an earlier one says it. */
        const int t = (int)rng_below(&plan->rng, (uint64_t)last);
        for (int later = t; later < last; later++)
            plan->flags[later] = FLAG_NONE;
        plan->flags[t] = flag_for(plan->thinks);
    } else if (mode != plan->thinks) {
        const bool is_alone = last == 0 && plan->system_flag == FLAG_NONE;
        plan->hard_off = is_alone && !plan->thinks && chance(plan, plan->mix->hard_off);
        plan->flags[last] = plan->hard_off ? FLAG_NONE : flag_for(plan->thinks);
    } else if (chance(plan, plan->mix->flagged)) {
        plan->flags[last] = flag_for(plan->thinks);
    }
}

/* One or two tools that the question does not need; never the calculator, which many could use. */
static Str idle_tools(Plan *plan, DocumentMaker *maker)
{
    const int first = 1 + (int)rng_below(&plan->rng, N_TOOLS - 1);
    const int second = 1 + (int)rng_below(&plan->rng, N_TOOLS - 1);
    buf_clear(&maker->line);
    buf_printf(&maker->line, "[%s", tool_objects[first]);
    if (second != first)
        buf_printf(&maker->line, ", %s", tool_objects[second]);
    buf_putc(&maker->line, ']');
    return buf_str(&maker->line);
}

static void plan_document(Plan *plan, DocumentMaker *maker)
{
    const Problem *p = &maker->problem;
    const Mixture *mix = plan->mix;
    plan->thinks =
        p->mode == MODE_ANY ? chance(plan, plan->entry->thinking) : p->mode == MODE_THINK;
    const bool has_system = p->messages[0].role == ROLE_SYSTEM;
    if (p->mode == MODE_ANY && !has_system && chance(plan, mix->system))
        plan->system = system_prompts[p->lang][rng_below(&plan->rng, 4)];
    if (p->mode == MODE_ANY && !has_system && chance(plan, mix->multi_turn))
        plan->n_earlier = chance(plan, 0.35) ? 2 : 1;
    if (p->mode == MODE_ANY)
        plan_flags(plan);
    plan->tools = p->tools;
    if (p->tools.bytes == 0 && p->n_messages == 1 && chance(plan, mix->idle_tools))
        plan->tools = idle_tools(plan, maker);
    const TaskMessage *first = &p->solution[0];
    plan->is_cut = plan->thinks && p->n_solution == 1 && first->n_calls == 0 &&
                   first->thinking.bytes >= CUT_BYTES_MIN && chance(plan, mix->cut);
}

/* ---- Writing a conversation ------------------------------------------------------------------ */

typedef struct Writer {
    Buf *out;
    int n_messages;
} Writer;

static void begin_message(Writer *w, const TaskMessage *message)
{
    buf_puts(w->out, w->n_messages++ ? ", " : "");
    message_write(message, w->out);
}

static void write_message(Writer *w, const TaskMessage *message)
{
    begin_message(w, message);
    buf_putc(w->out, '}');
}

/* A question with a flag behind it. */
static void write_flagged(Writer *w, const TaskMessage *message, Flag flag)
{
    Buf content = {0};
    buf_add(&content, message->content);
    buf_puts(&content, flag_texts[flag]);
    TaskMessage flagged = *message;
    flagged.content = buf_str(&content);
    write_message(w, &flagged);
    buf_free(&content);
}

static void write_answer(Writer *w, const TaskMessage *message, bool thinks)
{
    begin_message(w, message);
    if (thinks && message->thinking.bytes > 0) {
        buf_puts(w->out, ", \"reasoning_content\": ");
        buf_put_json(w->out, message->thinking);
    }
    buf_putc(w->out, '}');
}

/* Where a thought may be cut: behind a space, a line or a digit, as tokens of worked steps end
 * there, and never inside a character. */
static size_t draw_cut(Plan *plan, Str thinking)
{
    if (chance(plan, CUT_AT_ONCE))
        return 0;
    size_t at = rng_below(&plan->rng, thinking.bytes);
    while (at > 0 && !strchr(" \n0123456789", thinking.data[at - 1]))
        at--;
    while (at > 0 && strchr(" \n", thinking.data[at - 1]))
        at--;
    return at;
}

/* The thought and the stop text are context; the answer is learned. */
static void write_cut(Writer *w, Plan *plan, const TaskMessage *message)
{
    Buf thinking = {0};
    buf_add(&thinking, str_slice(message->thinking, 0, draw_cut(plan, message->thinking)));
    buf_puts(&thinking, stop_text);
    begin_message(w, message);
    buf_puts(w->out, ", \"reasoning_content\": ");
    buf_put_json(w->out, buf_str(&thinking));
    buf_puts(w->out, ", \"thinking_weight\": 0}");
    buf_free(&thinking);
}

static void write_system(Writer *w, const Plan *plan)
{
    Buf content = {0};
    buf_puts(&content, plan->system);
    buf_puts(&content, flag_texts[plan->system_flag]);
    write_message(w, &(TaskMessage){.role = ROLE_SYSTEM, .content = buf_str(&content)});
    buf_free(&content);
}

/* The earlier turns; each thinks if the flags up to it say so. */
static void write_earlier(Writer *w, Plan *plan, DocumentMaker *maker)
{
    bool thinks = plan->system_flag != FLAG_NO_THINK;
    for (int t = 0; t < plan->n_earlier; t++) {
        Problem *p = &maker->earlier;
        int tries = 0;
        do
            draw_problem(plan->mix, draw_entry(plan->mix, &plan->rng), &plan->rng,
                         draw_seed(&plan->rng), p);
        while (!is_simple(p) && ++tries < TRIES_MAX);
        if (plan->flags[t] != FLAG_NONE)
            thinks = plan->flags[t] == FLAG_THINK;
        if (!is_simple(p))
            continue;
        write_flagged(w, &p->messages[0], plan->flags[t]);
        write_answer(w, &p->solution[0], thinks);
    }
}

static void write_problem(Writer *w, Plan *plan, const Problem *p)
{
    int last_user = p->n_messages - 1;
    while (last_user > 0 && p->messages[last_user].role != ROLE_USER)
        last_user--;
    for (int i = 0; i < p->n_messages; i++) {
        const TaskMessage *message = &p->messages[i];
        if (i == last_user) {
            write_flagged(w, message, plan->flags[plan->n_earlier]);
        } else if (message->role == ROLE_ASSISTANT) {
            /* What a dialogue says the model answered may be wrong: it is context. */
            begin_message(w, message);
            buf_puts(w->out, ", \"weight\": 0}");
        } else {
            write_message(w, message);
        }
    }
    for (int i = 0; i < p->n_solution; i++) {
        const TaskMessage *message = &p->solution[i];
        if (message->role != ROLE_ASSISTANT)
            write_message(w, message);
        else if (plan->is_cut)
            write_cut(w, plan, message);
        else
            write_answer(w, message, plan->thinks);
    }
}

static void chat_document(const Mixture *mix, DocumentMaker *maker, Rng *rng, Buf *out)
{
    Plan plan = {.mix = mix, .entry = draw_entry(mix, rng), .rng = *rng};
    Problem *p = &maker->problem;
    draw_problem(mix, plan.entry, &plan.rng, draw_seed(&plan.rng), p);
    plan_document(&plan, maker);
    Writer w = {.out = out};
    buf_puts(out, "{\"messages\": [");
    if (plan.system)
        write_system(&w, &plan);
    write_earlier(&w, &plan, maker);
    write_problem(&w, &plan, p);
    buf_putc(out, ']');
    if (plan.tools.bytes > 0) {
        buf_puts(out, ", \"tools\": ");
        buf_add(out, plan.tools);
    }
    if (plan.hard_off)
        buf_puts(out, ", \"enable_thinking\": false");
    buf_printf(out, ", \"family\": \"%s\", \"difficulty\": %d, \"mode\": \"%s\"}\n",
               p->family->name, p->difficulty,
               plan.is_cut   ? "cut"
               : plan.thinks ? "think"
                             : "no_think");
}

/* ---- Text and problems ----------------------------------------------------------------------- */

static const char *const layouts[N_LANGS][3] = {
    {"Question: ", "\nSolution: ", "\nAnswer: "},
    {"问题：", "\n解：", "\n答案："},
    {"Frage: ", "\nLösung: ", "\nAntwort: "},
    {"Pregunta: ", "\nSolución: ", "\nRespuesta: "},
};

static void write_text(Buf *out, const Problem *p, Str text)
{
    buf_puts(out, "{\"text\": ");
    buf_put_json(out, text);
    buf_printf(out, ", \"family\": \"%s\"}\n", p->family->name);
}

/* The conversation in plain language, the way a book of exercises has it. */
static void text_document(const Mixture *mix, DocumentMaker *maker, Rng *rng, Buf *out)
{
    Problem *p = &maker->problem;
    const MixtureEntry *entry = draw_entry(mix, rng);
    const ProblemSpec spec = draw_spec(mix, entry, rng, draw_seed(rng));
    if (entry->family->tell && rng_uniform(rng) < TOLD) {
        problem_tell(p, &spec);
        write_text(out, p, p->solution[0].content);
        return;
    }
    problem_make(p, &spec);
    const bool thinks = rng_uniform(rng) < entry->thinking;
    const int layout = (int)rng_below(rng, 3);
    const char *const *marks = layouts[p->lang];
    Buf *text = &maker->line;
    buf_clear(text);
    for (int i = 0; i < p->n_messages; i++) {
        buf_puts(text, i ? "\n" : "");
        if (layout == 0 && p->messages[i].role == ROLE_USER)
            buf_puts(text, marks[0]);
        buf_add(text, p->messages[i].content);
    }
    for (int i = 0; i < p->n_solution; i++) {
        const TaskMessage *message = &p->solution[i];
        if (thinks && message->thinking.bytes > 0) {
            buf_puts(text, layout == 0 ? marks[1] : "\n");
            buf_add(text, message->thinking);
        }
        for (int c = 0; c < message->n_calls; c++)
            buf_printf(text, "\n%.*s %.*s", STR_ARG(message->calls[c].name),
                       STR_ARG(message->calls[c].arguments));
        if (message->content.bytes > 0) {
            buf_puts(text, layout < 2 ? marks[2] : "\n");
            buf_add(text, message->content);
        }
    }
    write_text(out, p, buf_str(text));
}

/* Problem i has seed i, so that no two of one entry are the same by accident of the draw. */
static void problem_document(const Mixture *mix, DocumentMaker *maker, Rng *rng, int64_t i,
                             Buf *out)
{
    const uint64_t seed = ((uint64_t)mix->seed << 32 | (uint64_t)i) & 0xffffffffffffu;
    draw_problem(mix, draw_entry(mix, rng), rng, seed, &maker->problem);
    problem_write(&maker->problem, out);
    buf_putc(out, '\n');
}

void mixture_document(const Mixture *mix, DocumentMaker *maker, int64_t i, Buf *out)
{
    const size_t before = out->bytes;
    for (int attempt = 0; attempt < TRIES_MAX; attempt++) {
        Rng rng = {rng_counter((uint64_t)mix->seed * N_SPLITS + mix->split, (uint64_t)i,
                               (uint64_t)attempt)};
        if (out->bytes > before) {
            out->bytes = before;
            out->data[before] = 0;
        }
        if (mix->kind == MIXTURE_PROBLEMS)
            problem_document(mix, maker, &rng, i, out);
        else if (mix->kind == MIXTURE_TEXT)
            text_document(mix, maker, &rng, out);
        else
            chat_document(mix, maker, &rng, out);
        if (mix->kind == MIXTURE_PROBLEMS || out->bytes - before <= (size_t)mix->max_bytes)
            return;
    }
}

void document_maker_close(DocumentMaker *maker)
{
    problem_close(&maker->problem);
    problem_close(&maker->earlier);
    buf_free(&maker->line);
}
