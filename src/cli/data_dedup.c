/* wen data dedup: documents without those that repeat others. */
#include "cli/args.h"
#include "cli/data_commands.h"
#include "cli/term.h"
#include "data/dedup.h"

static void print_report(const DedupReport *r)
{
    fprintf(stderr,
            "%lld documents, %lld stay; %lld exact and %lld near copies of %lld, the most of one "
            "%lld\n",
            (long long)r->n_read, (long long)r->n_kept, (long long)r->n_exact, (long long)r->n_near,
            (long long)r->n_clusters, (long long)(r->largest > 0 ? r->largest - 1 : 0));
}

int data_dedup(int argc, char **argv)
{
    DedupOptions options = {.threshold = 0.8};
    int64_t gram = 5, n_hashes = 128;
    const Arg table[] = {
        {"out", 'o', ARG_TEXT, &options.out, "FILE", "the documents that stay (.jsonl)", 0, 0},
        {"report", 0, ARG_TEXT, &options.report, "FILE", "a line for each that goes", 0, 0},
        {"exact", 0, ARG_FLAG, &options.is_exact, NULL, "only copies of the same text", 0, 0},
        {"threshold", 0, ARG_REAL, &options.threshold, "X", "similarity of a near copy (0.8)", 0.01,
         1},
        {"words", 0, ARG_INT, &gram, "N", "words in the n-grams that are compared (5)", 1, 64},
        {"hashes", 0, ARG_INT, &n_hashes, "N", "of a signature; more estimate better (128)", 16,
         1024},
        {0},
    };
    const ArgSpec spec = {
        .command = "data dedup",
        .usage = "FILE... --out FILE",
        .about = "Removes documents that repeat an earlier one: the same text, or nearly the same\n"
                 "n-grams of words (MinHash).",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1 << 20,
    };
    ArgWords words;
    int status;
    Error err = {0};
    DedupReport report;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!options.out)
        return term_usage("data dedup", "give --out FILE");
    options.paths = (const char *const *)words.words;
    options.n_paths = words.n;
    options.gram = (int)gram;
    options.n_hashes = (int)n_hashes;
    if (!dedup_run(&options, &report, &err)) {
        term_note("%s", err.message);
        return 1;
    }
    print_report(&report);
    return 0;
}
