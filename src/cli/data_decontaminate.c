/* wen data decontaminate: documents without those that hold passages of evaluation sets. */
#include "cli/args.h"
#include "cli/data_commands.h"
#include "cli/term.h"
#include "data/decontaminate.h"

static void print_report(const DecontaminateReport *r)
{
    fprintf(stderr, "%lld evaluation texts, %lld n-grams, %lld files", (long long)r->n_texts,
            (long long)r->n_grams, (long long)r->n_files);
    if (r->n_skipped > 0)
        fprintf(stderr, " (%lld of other kinds were not read)", (long long)r->n_skipped);
    fprintf(stderr, "\n%lld documents, %lld stay, %lld go\n", (long long)r->n_read,
            (long long)r->n_kept, (long long)r->n_dropped);
}

int data_decontaminate(int argc, char **argv)
{
    DecontaminateOptions options = {0};
    ArgList against = {0}, keys = {0};
    int64_t gram = 13, short_words = 8;
    const Arg table[] = {
        {"against", 'a', ARG_LIST, &against, "PATH", "an evaluation file, or a folder of them", 0,
         0},
        {"out", 'o', ARG_TEXT, &options.out, "FILE", "the documents that stay (.jsonl)", 0, 0},
        {"report", 0, ARG_TEXT, &options.report, "FILE", "a line for each that goes", 0, 0},
        {"key", 0, ARG_LIST, &keys, "NAME", "only strings under this key of JSON files", 0, 0},
        {"words", 'n', ARG_INT, &gram, "N", "words that a passage has: 13 (usual), 8 (strict)", 1,
         64},
        {"short", 0, ARG_INT, &short_words, "N", "shorter texts count whole from N words (8)", 1,
         64},
        {"share", 0, ARG_REAL, &options.share, "X",
         "go only with this share of one text's n-grams (0: one is enough)", 0, 1},
        {0},
    };
    const ArgSpec spec = {
        .command = "data decontaminate",
        .usage = "FILE... --against PATH --out FILE",
        .about = "Removes documents that have a passage in common with an evaluation set.",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1 << 20,
    };
    ArgWords words;
    int status;
    Error err = {0};
    DecontaminateReport report;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!options.out || against.n == 0)
        return term_usage("data decontaminate", "give --against PATH and --out FILE");
    options.paths = (const char *const *)words.words;
    options.n_paths = words.n;
    options.against = against.items;
    options.n_against = against.n;
    options.keys = keys.items;
    options.n_keys = keys.n;
    options.gram = (int)gram;
    options.short_words = (int)short_words;
    if (!decontaminate_run(&options, &report, &err)) {
        term_note("%s", err.message);
        return 1;
    }
    print_report(&report);
    return 0;
}
