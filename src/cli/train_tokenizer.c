/* wen train tokenizer: a vocabulary, from texts. */
#include "cli/args.h"
#include "cli/term.h"
#include "cli/train_stages.h"
#include "train/learn_tokenizer.h"

#include <stdio.h>

static void print_report(const LearnReport *r, const char *out)
{
    fprintf(stderr,
            "%lld documents, %lld bytes, %lld different pieces, %lld learned from (%.1f s)\n"
            "%d ids: 256 bytes, %d merges, %d added (%.1f s); %d rows; %.3f bytes a token\n"
            "written to %s\n",
            (long long)r->n_documents, (long long)r->n_bytes, (long long)r->n_pieces,
            (long long)r->n_kept, r->count_seconds, r->n_ids, r->n_merges,
            r->n_ids - r->n_merges - 256, r->learn_seconds, r->n_rows, r->bytes_per_token, out);
}

int train_tokenizer(int argc, char **argv)
{
    ArgList sets = {0};
    const char *out = NULL;
    int64_t n_threads = 0;
    const Arg table[] = {
        {"out", 'o', ARG_TEXT, &out, "DIR", "the folder for its files", 0, 0},
        {"set", 0, ARG_LIST, &sets, "A.B=VALUE", "overrides a key of the configuration", 0, 0},
        {"threads", 0, ARG_INT, &n_threads, "N", "threads (one a processor)", 1, 1024},
        {0},
    };
    const ArgSpec spec = {
        .command = "train tokenizer",
        .usage = "CONFIG --out DIR",
        .about = "Learns a byte-level vocabulary as the YAML file CONFIG says (docs/training.md),\n"
                 "and writes it to DIR in the files that Qwen3 has.",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!out)
        return term_usage("train tokenizer", "give --out DIR");
    Error err = {0};
    LearnReport report;
    if (!learn_tokenizer(words.words[0], sets.items, sets.n, out, (int)n_threads, &report, &err)) {
        term_note("%s", err.message);
        return 1;
    }
    print_report(&report, out);
    return 0;
}
