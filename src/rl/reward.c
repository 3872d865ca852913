/* See reward.h. */
#include "rl/reward.h"

#include "base/process.h"

struct Reward {
    Process *program; /* NULL: task_score */
    int timeout_ms;
    Buf line, answer;
};

static void put_text(Buf *out, const char *key, Str text)
{
    buf_printf(out, ", \"%s\": ", key);
    buf_put_json(out, text);
}

/* The answer as the program reads it. */
static void write_line(Buf *out, const Problem *p, const TaskReply *reply)
{
    buf_clear(out);
    problem_write(p, out);
    out->bytes--; /* its last brace: the reply goes on in the same object */
    put_text(out, "thinking", reply->thinking);
    put_text(out, "content", reply->content);
    buf_puts(out, ", \"tool_calls\": [");
    for (int i = 0; i < reply->n_calls; i++) {
        buf_puts(out, i ? ", {\"name\": " : "{\"name\": ");
        buf_put_json(out, reply->calls[i].name);
        buf_puts(out, ", \"arguments\": ");
        buf_put_json(out, reply->calls[i].arguments);
        buf_puts(out, "}");
    }
    buf_puts(out, "]}");
}

static bool ask_program(Reward *r, const Problem *p, const TaskReply *reply, double *score,
                        Error *err)
{
    json_error_t where;
    write_line(&r->line, p, reply);
    if (!process_ask(r->program, buf_str(&r->line), r->timeout_ms, &r->answer, err))
        return error_add(err, "verifier");
    json_t *json = json_loadb(r->answer.bytes ? r->answer.data : "", r->answer.bytes, 0, &where);
    const json_t *value = json_object_get(json, "score");
    *score = json_is_number(value) ? json_number_value(value) : -1;
    json_decref(json);
    if (*score >= 0 && *score <= 1)
        return true;
    return error_set(err, ERROR_FORMAT,
                     "verifier: it answered \"%.80s\" to problem %.*s; {\"score\": x} with x from "
                     "0 to 1 is expected",
                     r->answer.bytes ? r->answer.data : "", (int)p->id.bytes, p->id.data);
}

Reward *reward_open(const char *program, int timeout_ms, const Problem *sample, Error *err)
{
    Reward *r = mem_alloc(sizeof *r);
    double score;
    r->timeout_ms = timeout_ms;
    if (!program)
        return r;
    const TaskReply nothing = {.content = {"", 0}};
    if ((r->program = process_open(program, err)) && ask_program(r, sample, &nothing, &score, err))
        return r;
    reward_close(r);
    return NULL;
}

void reward_close(Reward *r)
{
    if (!r)
        return;
    process_close(r->program);
    buf_free(&r->line);
    buf_free(&r->answer);
    mem_free(r);
}

bool reward_score(Reward *r, const Problem *problems, Rollouts *rollouts, Error *err)
{
    for (int i = 0; i < rollouts->n; i++) {
        Rollout *rollout = &rollouts->items[i];
        const Problem *p = &problems[rollout->problem_i];
        const TaskReply reply = rollout_reply(rollout);
        if (!r->program)
            rollout->score = task_score(p, &reply);
        else if (!ask_program(r, p, &reply, &rollout->score, err))
            return false;
    }
    return true;
}
