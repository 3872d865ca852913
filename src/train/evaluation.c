/* See evaluation.h. */
#include "train/evaluation.h"

#include "train/heldout.h"
#include "train/samples.h"

#include <stdio.h>

struct Evaluation {
    Trainer *trainer;
    EvaluationHooks hooks;
    Heldout heldout;
    int *loss_columns, *bpb_columns; /* [n_sources + 1]: the total, and the sources if several */
    Problems *problems;
    Samples *samples;
};

static int n_scores(const Heldout *h) { return h->n_sources > 1 ? h->n_sources + 1 : 1; }

static void add_heldout_columns(Evaluation *e, RunLog *log)
{
    const Heldout *h = &e->heldout;
    e->loss_columns = mem_alloc(sizeof(int) * (size_t)n_scores(h));
    e->bpb_columns = mem_alloc(sizeof(int) * (size_t)n_scores(h));
    for (int i = 0; h->n_sources > 0 && i < n_scores(h); i++) {
        char name[128];
        const char *source = i > 0 ? h->sources[i - 1].name : "";
        snprintf(name, sizeof name, "heldout_loss%s%s", i > 0 ? "/" : "", source);
        e->loss_columns[i] =
            run_log_column(log, name, i > 0 ? name : "heldout/loss", RUN_LOG_EXACT);
        snprintf(name, sizeof name, "heldout_bpb%s%s", i > 0 ? "/" : "", source);
        e->bpb_columns[i] =
            run_log_column(log, name, i > 0 ? name : "heldout/bits_per_byte", RUN_LOG_EXACT);
    }
}

static bool check_asking(const Evaluation *e, bool has_chat, Error *err)
{
    const bool asks = problems_count(e->problems) > 0 || samples_count(e->samples) > 0;
    const TrainConfig *c = trainer_config(e->trainer);
    if ((asks || e->heldout.n_sources > 0) && c->divides_experts && c->ranks > 1)
        return error_set(
            err, ERROR_UNSUPPORTED,
            "eval: one rank cannot run a model whose experts are divided; leave eval's "
            "sources, problems and prompts out, or run.expert_parallel false");
    if (asks && !e->hooks.asker.ask)
        return error_set(err, ERROR_UNSUPPORTED,
                         "eval.problems, eval.prompts: this program has no way to ask the model");
    if (problems_count(e->problems) > 0 && !has_chat)
        return error_set(err, ERROR_ARGUMENT,
                         "eval.problems: the model has no chat template to ask with");
    return true;
}

Evaluation *evaluation_open(Trainer *t, const EvaluationHooks *hooks, RunLog *log, Error *err)
{
    const TrainConfig *c = trainer_config(t);
    const ChatTemplate *chat = trainer_text(t)->chat;
    const SampleRules rules = {chat != NULL, chat && chat_template_is_hybrid(chat)};
    Evaluation *e = mem_alloc(sizeof *e);
    e->trainer = t;
    e->hooks = *hooks;
    if (!e->hooks.judge.score)
        e->hooks.judge.score = score_same_text;
    if (heldout_open(&e->heldout, t, err)) {
        add_heldout_columns(e, log);
        if ((e->problems = problems_open(c, rules.is_hybrid, log, err)) &&
            (e->samples = samples_open(c, &rules, err)) && check_asking(e, rules.has_chat, err))
            return e;
    }
    evaluation_close(e);
    return NULL;
}

void evaluation_close(Evaluation *e)
{
    if (!e)
        return;
    heldout_close(&e->heldout);
    problems_close(e->problems);
    samples_close(e->samples);
    mem_free(e->loss_columns);
    mem_free(e->bpb_columns);
    mem_free(e);
}

bool evaluation_start(Evaluation *e, Error *err)
{
    return samples_count(e->samples) == 0 || samples_start(e->samples, trainer_folder(e->trainer),
                                                           trainer_progress(e->trainer)->step, err);
}

static void run_heldout(Evaluation *e, RunLog *log, Buf *line)
{
    Heldout *h = &e->heldout;
    heldout_score(h);
    for (int i = 0; i < n_scores(h); i++) {
        const HeldoutScore *score = i > 0 ? &h->sources[i - 1].score : &h->total;
        run_log_set(log, e->loss_columns[i], score->loss);
        run_log_set(log, e->bpb_columns[i], score->bpb);
    }
    buf_printf(line, "  held-out loss %.4f  %.3f bits/byte", h->total.loss, h->total.bpb);
}

bool evaluation_step(Evaluation *e, RunLog *log, Buf *line, Error *err)
{
    const TrainConfig *c = trainer_config(e->trainer);
    const int64_t step = trainer_progress(e->trainer)->step;
    const bool is_last = step >= c->schedule.steps;
    if (is_last || step % c->eval.every == 0) {
        if (e->heldout.n_sources > 0)
            run_heldout(e, log, line);
        if (problems_count(e->problems) > 0 &&
            !problems_run(e->problems, &e->hooks.asker, &e->hooks.judge, log, line, err))
            return error_add(err, "eval.problems");
    }
    if (samples_count(e->samples) > 0 && (is_last || step % c->eval.samples_every == 0) &&
        !samples_run(e->samples, step, &e->hooks.asker, log, err))
        return error_add(err, "eval.prompts");
    return true;
}
