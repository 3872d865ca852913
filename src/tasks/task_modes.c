/* Following the thinking switch (the report's ThinkFollow): conversations of one to three turns
 * over other families, flags in any of them and in the system prompt; the last flag says whether
 * the reply has a thought. The answer is {"mode": "think" | "no_think", "content": "..."}. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"

#include <jansson.h>
#include <string.h>

static const char *const families[] = {"one_step", "equation", "spell",   "backward",
                                       "letters",  "sequence", "weekday", "talk"};
enum { N_FAMILIES = sizeof families / sizeof *families };

static const char *const system_prompts[N_LANGS] = {
    "You are a helpful assistant.", "你是一个有用的助手。", "Du bist ein hilfreicher Assistent.",
    "Eres un asistente útil."};

/* "" or a flag; *mode follows. */
static const char *draw_flag(Maker *m, double share, TaskMode *mode)
{
    if (!maker_chance(m, share))
        return "";
    *mode = maker_chance(m, 0.5) ? MODE_THINK : MODE_NO_THINK;
    return *mode == MODE_THINK ? " /think" : " /no_think";
}

static Str keep(Maker *m, Str text)
{
    return (Str){arena_strndup(&m->p->arena, text.data, text.bytes), text.bytes};
}

static void make_think_follow(Maker *m)
{
    Problem turn = {0};
    TaskMode mode = MODE_THINK;
    Str thinking = {0}, content = {0};
    uint64_t key = key_text("think_follow");
    if (maker_chance(m, 0.3))
        maker_system(m, "{0}{1}", system_prompts[m->lang], draw_flag(m, 0.6, &mode), NULL);
    for (int t = 0; t < m->level; t++) {
        problem_make(&turn,
                     &(ProblemSpec){.family = task_find(families[maker_int(m, 0, N_FAMILIES - 1)]),
                                    .split = m->split,
                                    .difficulty = 1,
                                    .lang = (int)m->lang,
                                    .seed = rng_next(&m->rng)});
        if (t > 0)
            maker_said(m, "{0}", keep(m, content).data, NULL);
        maker_user(m, "{0}{1}", keep(m, turn.messages[0].content).data,
                   draw_flag(m, t + 1 < m->level ? 0.6 : 0.7, &mode), NULL);
        thinking = keep(m, turn.solution[0].thinking);
        content = keep(m, turn.solution[0].content);
        key = key_more(key, (int64_t)turn.structure);
    }
    problem_close(&turn);
    /* Every turn belongs to this split already. */
    m->p->structure = key;
    m->p->mode = mode;
    maker_think(m, "%s", thinking.data);
    maker_reply(m, "%s", content.data);
    Buf answer = {0};
    buf_printf(&answer,
               "{\"mode\": \"%s\", \"content\": ", mode == MODE_THINK ? "think" : "no_think");
    buf_put_json(&answer, content);
    maker_answer(m, "%s}", answer.data);
    buf_free(&answer);
}

/* A half for the mode, a half more for the answer. */
static double score_think_follow(const Problem *p, const TaskReply *reply)
{
    json_t *answer = json_loadb(p->answer.data, p->answer.bytes, 0, NULL);
    const char *mode = json_string_value(json_object_get(answer, "mode"));
    const char *content = json_string_value(json_object_get(answer, "content"));
    const bool thinks = mode && strcmp(mode, "think") == 0;
    const bool has_thought = check_trim(reply->thinking).bytes > 0;
    double score = 0;
    if (mode && content && thinks == has_thought)
        score = check_text(reply->content, str_from(content)) ? 1 : 0.5;
    json_decref(answer);
    return score;
}

const TaskFamily mode_families[] = {
    {.name = "think_follow",
     .domain = "modes",
     .about = "thinking or not, as the last flag of 1 to 3 turns says",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .has_flags = true,
     .make = make_think_follow,
     .score = score_think_follow},
    {.name = NULL},
};
