/* wen data sample: a model's replies to problems, judged, as training data. */
#include "cli/args.h"
#include "cli/data_commands.h"
#include "cli/term.h"
#include "cli/train_line.h"
#include "rl/replies.h"

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void progress(void *context, const RepliesCount *all, int64_t n_problems)
{
    char line[160];
    (void)context;
    snprintf(line, sizeof line,
             "%lld of %lld problems  %lld replies  %.1f %% right  %lld documents",
             (long long)all->problems, (long long)n_problems, (long long)all->replies,
             share(all->right, all->replies), (long long)all->kept);
    train_print_progress(NULL, line);
}

/* Families that had problems; all together last. */
static void print_report(const RepliesReport *report)
{
    printf("%-18s %9s %8s %9s %8s %8s %10s %8s %9s %8s %7s\n", "family", "problems", "solved",
           "replies", "right", "cut", "other mode", "unfit", "repeated", "kept", "tokens");
    for (int i = 0; i < report->n; i++) {
        const RepliesCount *c = &report->families[i];
        if (c->problems == 0)
            continue;
        printf("%-18s %9lld %6.1f %% %9lld %6.1f %% %6.1f %% %8.1f %% %6.1f %% %9lld %8lld %7.1f\n",
               c->family[0] ? c->family : "all", (long long)c->problems,
               share(c->solved, c->problems), (long long)c->replies, share(c->right, c->replies),
               share(c->cut, c->replies), share(c->other_mode, c->replies),
               share(c->unfit, c->replies), (long long)c->repeated, (long long)c->kept,
               c->kept ? (double)c->kept_tokens / (double)c->kept : 0);
    }
}

static bool run(const RepliesConfig *config, const char *out, int n_threads, Error *err)
{
    RepliesReport report;
    const RepliesOptions options = {
        .out = out, .n_threads = n_threads, .progress = progress, .stop = train_stop_flag()};
    train_catch_signals();
    const bool ok = replies_run(config, &options, &report, err);
    term_progress(NULL);
    if (ok)
        print_report(&report);
    replies_report_free(&report);
    return ok && term_finish_output();
}

int data_sample(int argc, char **argv)
{
    ArgList sets = {0};
    const char *out = NULL;
    int64_t n_threads = 0;
    const Arg table[] = {
        {"out", 'o', ARG_TEXT, &out, "FILE", "the conversations (.jsonl)", 0, 0},
        {"set", 0, ARG_LIST, &sets, "A.B=VALUE", "overrides a key of the configuration", 0, 0},
        {"threads", 0, ARG_INT, &n_threads, "N", "threads (one a processor)", 1, 1024},
        {0},
    };
    const ArgSpec spec = {
        .command = "data sample",
        .usage = "CONFIG --out FILE",
        .about =
            "Samples a model's replies to problems, several to each, and keeps the right ones\n"
            "(or all of them) as conversations to train on. The YAML file CONFIG says how\n"
            "(docs/data.md). Stopped and started again, it goes on where it was.",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    Error err = {0};
    RepliesConfig config;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!out)
        return term_usage("data sample", "give --out FILE");
    bool ok = replies_config_read(&config, words.words[0], sets.items, sets.n, &err);
    ok = ok && run(&config, out, (int)n_threads, &err);
    replies_config_close(&config);
    if (!ok && err.message[0])
        term_note("%s", err.message);
    return ok ? 0 : 1;
}
