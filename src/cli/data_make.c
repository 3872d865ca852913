/* wen data make: documents and problems of the task families. */
#include "cli/args.h"
#include "cli/data_commands.h"
#include "cli/term.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"
#include "tasks/mixture.h"
#include "train/yaml.h"

#include <stdio.h>
#include <string.h>

enum {
    DOCUMENTS_A_TASK = 256,
    TASKS_A_ROUND = 64,
    CONFIG_BYTES_MAX = 1 << 20,
};

typedef struct MakeRun {
    const Mixture *mix;
    int64_t from;          /* the round's first document */
    DocumentMaker *makers; /* one a worker */
    Buf lines[TASKS_A_ROUND];
} MakeRun;

static void make_lines(void *context, int task, int worker)
{
    MakeRun *run = context;
    const int64_t from = run->from + (int64_t)task * DOCUMENTS_A_TASK;
    buf_clear(&run->lines[task]);
    for (int64_t i = from; i < from + DOCUMENTS_A_TASK && i < run->mix->n_documents; i++)
        mixture_document(run->mix, &run->makers[worker], i, &run->lines[task]);
}

static bool write_lines(FileWriter *file, Str lines, Error *err)
{
    if (file)
        return file_writer_write(file, lines.data, lines.bytes, err);
    return fwrite(lines.data, 1, lines.bytes, stdout) == lines.bytes ||
           error_set_errno(err, "standard output");
}

static bool write_documents(MakeRun *run, Pool *pool, FileWriter *file, int64_t *n_bytes,
                            Error *err)
{
    const int64_t n = run->mix->n_documents, round = DOCUMENTS_A_TASK * TASKS_A_ROUND;
    for (run->from = 0; run->from < n; run->from += round) {
        pool_run(pool, TASKS_A_ROUND, make_lines, run);
        for (int t = 0; t < TASKS_A_ROUND; t++) {
            *n_bytes += (int64_t)run->lines[t].bytes;
            if (run->lines[t].bytes > 0 && !write_lines(file, buf_str(&run->lines[t]), err))
                return false;
        }
    }
    return true;
}

/* `out` NULL: standard output. */
static bool make(const Mixture *mix, const char *out, int n_threads, Error *err)
{
    const double began_s = clock_seconds();
    Pool *pool = pool_open(n_threads, err);
    if (!pool)
        return false;
    FileWriter *file = out ? file_writer_open(out, err) : NULL;
    bool ok = !out || file;
    int64_t n_bytes = 0;
    if (ok) {
        MakeRun *run = mem_alloc(sizeof *run);
        const int n_workers = pool_n_threads(pool);
        run->mix = mix;
        run->makers = mem_alloc(sizeof *run->makers * (size_t)n_workers);
        ok = write_documents(run, pool, file, &n_bytes, err);
        for (int i = 0; i < n_workers; i++)
            document_maker_close(&run->makers[i]);
        for (int t = 0; t < TASKS_A_ROUND; t++)
            buf_free(&run->lines[t]);
        mem_free(run->makers);
        mem_free(run);
    }
    pool_close(pool);
    if (file && !ok)
        file_writer_cancel(file);
    else if (file)
        ok = file_writer_commit(file, err);
    if (ok && out)
        fprintf(stderr, "%s: %lld documents, %.1f MB, %.1f s\n", out, (long long)mix->n_documents,
                (double)n_bytes / 1e6, clock_seconds() - began_s);
    return ok;
}

/* ---- Options --------------------------------------------------------------------------------- */

static bool read_config(Mixture *mix, const char *path, Error *err)
{
    Buf text = {0};
    bool ok = file_read(&text, path, CONFIG_BYTES_MAX, err);
    json_t *config = ok ? yaml_read(buf_str(&text), path, err) : NULL;
    ok = config && (mixture_read(mix, config, err) || error_add(err, "%s", path));
    json_decref(config);
    buf_free(&text);
    return ok;
}

typedef struct MakeOptions {
    const char *family, *split, *lang, *kind, *out;
    int64_t n, seed, difficulty, n_threads;
} MakeOptions;

static bool only_family(Mixture *mix, const char *name, Error *err)
{
    const TaskFamily *family = task_find(name);
    if (!family) {
        const char *names[MIXTURE_ENTRIES_MAX];
        for (int i = 0; i < mix->n_entries; i++)
            names[i] = mix->entries[i].family->name;
        const char *nearest = args_nearest(name, names, sizeof *names, mix->n_entries);
        return error_set(err, ERROR_ARGUMENT,
                         nearest ? "no family %.60s; did you mean %s?"
                                 : "no family %.60s (docs/tasks.md lists them)",
                         name, nearest);
    }
    for (int i = 0; i < mix->n_entries; i++)
        if (mix->entries[i].family == family)
            mix->entries[0] = mix->entries[i];
    mix->n_entries = 1;
    return true;
}

/* One language, one level: for the entries that have them. */
static bool narrow(Mixture *mix, const MakeOptions *o, Error *err)
{
    TaskLang lang = LANG_EN;
    bool has_any = false;
    if (o->lang && !task_lang_parse(str_from(o->lang), &lang))
        return error_set(err, ERROR_ARGUMENT, "--lang: en, zh, de or es");
    for (int i = 0; i < mix->n_entries; i++) {
        MixtureEntry *entry = &mix->entries[i];
        for (int l = 0; l < N_LANGS && o->lang; l++)
            entry->langs[l] = l == (int)lang && (entry->family->langs & (1u << l)) ? 1 : 0;
        if (o->lang && entry->langs[lang] == 0)
            entry->weight = 0;
        if (o->difficulty > entry->family->difficulty_max)
            entry->weight = 0;
        else if (o->difficulty > 0)
            entry->difficulty_min = entry->difficulty_max = (int)o->difficulty;
        has_any |= entry->weight > 0;
    }
    return has_any || error_set(err, ERROR_ARGUMENT, "no family has this language and difficulty");
}

static bool apply(Mixture *mix, const MakeOptions *o, Error *err)
{
    static const char *const kinds[] = {"chat", "text", "problems"};
    if (o->family && !only_family(mix, o->family, err))
        return false;
    if (o->split && !task_split_parse(str_from(o->split), &mix->split))
        return error_set(err, ERROR_ARGUMENT, "--split: train, rl or eval");
    int kind = 0;
    while (o->kind && kind < 3 && strcmp(o->kind, kinds[kind]) != 0)
        kind++;
    if (kind == 3)
        return error_set(err, ERROR_ARGUMENT, "--kind: chat, text or problems");
    if (o->kind)
        mix->kind = (MixtureKind)kind;
    if (o->n >= 0)
        mix->n_documents = o->n;
    if (o->seed >= 0)
        mix->seed = o->seed;
    return narrow(mix, o, err);
}

int data_make(int argc, char **argv)
{
    MakeOptions o = {.n = -1, .seed = -1};
    const Arg table[] = {
        {"family", 'f', ARG_TEXT, &o.family, "F", "problems of this family instead of a CONFIG", 0,
         0},
        {"kind", 'k', ARG_TEXT, &o.kind, "KIND",
         "chat, text or problems (default: what CONFIG says; problems without one)", 0, 0},
        {"n", 'n', ARG_INT, &o.n, "N", "how many (default: what CONFIG says; 1000)", 0, 1e12},
        {"seed", 0, ARG_INT, &o.seed, "S", "another seed gives other documents (default 1)", 0,
         4294967295.0},
        {"split", 0, ARG_TEXT, &o.split, "SPLIT", "train, rl or eval (default train)", 0, 0},
        {"difficulty", 0, ARG_INT, &o.difficulty, "D", "one level only", 1, 100},
        {"lang", 0, ARG_TEXT, &o.lang, "LANG", "one language only: en, zh, de, es", 0, 0},
        {"out", 'o', ARG_TEXT, &o.out, "FILE", "where to (default: standard output)", 0, 0},
        {"threads", 0, ARG_INT, &o.n_threads, "N", "threads (one a processor)", 1, 1024},
        {0},
    };
    const ArgSpec spec = {
        .command = "data make",
        .usage = "[CONFIG] [--family F] --out FILE",
        .about = "Makes training documents or problems of the task families (docs/tasks.md), one\n"
                 "JSON object a line: as the mixture in the YAML file CONFIG says, or of one "
                 "family.\nThe same configuration and seed give the same file.",
        .options = table,
        .n_words_min = 0,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (words.n == 0 && !o.family)
        return term_usage("data make", "give a CONFIG or --family F");
    Error err = {0};
    Mixture *mix = mem_alloc(sizeof *mix);
    mixture_all(mix);
    mix->kind = MIXTURE_PROBLEMS;
    const bool ok = (words.n == 0 || read_config(mix, words.words[0], &err)) &&
                    apply(mix, &o, &err) && make(mix, o.out, (int)o.n_threads, &err);
    mem_free(mix);
    if (!ok)
        term_note("%s", err.message);
    return term_finish_output() && ok ? 0 : 1;
}
