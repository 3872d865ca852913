/* wen data mix: several sources in one file, by shares, labels and a seed. */
#include "cli/args.h"
#include "cli/data_commands.h"
#include "cli/term.h"
#include "data/mix.h"

static void print_report(const MixReport *r)
{
    int64_t n = 0, bytes = 0;
    for (int i = 0; i < r->n_sources; i++) {
        const MixSourceReport *s = &r->sources[i];
        fprintf(stderr, "%s: %lld documents, %lld written, %lld bytes\n", s->path,
                (long long)s->n_read, (long long)s->n_written, (long long)s->bytes_written);
        n += s->n_written;
        bytes += s->bytes_written;
    }
    fprintf(stderr, "%lld documents, %lld bytes\n", (long long)n, (long long)bytes);
}

int data_mix(int argc, char **argv)
{
    const char *out = NULL;
    const Arg table[] = {
        {"out", 'o', ARG_TEXT, &out, "FILE", "the mixture (.jsonl)", 0, 0},
        {0},
    };
    const ArgSpec spec = {
        .command = "data mix",
        .usage = "CONFIG --out FILE",
        .about = "Draws documents from several files by shares, and by labels within each, and\n"
                 "writes them in random order. CONFIG is YAML (docs/data.md).",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    Error err = {0};
    MixReport report;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!out)
        return term_usage("data mix", "give --out FILE");
    const bool ok = mix_run(words.words[0], out, &report, &err);
    if (ok)
        print_report(&report);
    else
        term_note("%s", err.message);
    mix_report_free(&report);
    return ok ? 0 : 1;
}
