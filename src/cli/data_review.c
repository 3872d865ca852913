/* wen data review: documents one after the other, to keep, drop or edit. */
#include "base/mem.h"
#include "cli/args.h"
#include "cli/data_commands.h"
#include "cli/term.h"
#include "data/review.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { EDITED_BYTES_MAX = 1 << 28 };

static const char keys_help[] = "k keep, d drop, e edit, u undo the last decision, q leave (the "
                                "same command goes on from here)\n";

/* A key; at a terminal without Enter. Elsewhere a line's first character, 'q' at the end. */
static int read_key(void)
{
    struct termios normal, raw;
    if (tcgetattr(STDIN_FILENO, &normal) == 0) {
        char c = 'q';
        raw = normal;
        raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        if (read(STDIN_FILENO, &c, 1) != 1)
            c = 'q';
        tcsetattr(STDIN_FILENO, TCSANOW, &normal);
        return c;
    }
    char line[64];
    return fgets(line, sizeof line, stdin) ? line[0] : 'q';
}

static void show_heading(const char *text)
{
    term_style(stdout, TERM_BOLD);
    printf("%s\n", text);
    term_style(stdout, TERM_PLAIN);
}

static void show_json(const char *heading, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_INDENT(2));
    show_heading(heading);
    term_put_text(stdout, str_from(text ? text : ""));
    putchar('\n');
    free(text);
}

static void show_text(const json_t *value)
{
    term_put_text(stdout, (Str){json_string_value(value), json_string_length(value)});
    putchar('\n');
}

static void show(const Record *record, int64_t number, int64_t n)
{
    const json_t *text = json_object_get(record->json, "text"),
                 *messages = json_object_get(record->json, "messages"), *value;
    const char *key;
    printf("\n");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        const json_t *thought = json_object_get(message, "reasoning_content"),
                     *content = json_object_get(message, "content");
        show_heading(role ? role : "?");
        term_style(stdout, TERM_DIM);
        if (json_is_string(thought))
            show_text(thought);
        term_style(stdout, TERM_PLAIN);
        if (json_is_string(content))
            show_text(content);
        if (json_object_get(message, "tool_calls"))
            show_json("tool calls", json_object_get(message, "tool_calls"));
    }
    if (json_is_string(text))
        show_text(text);
    json_object_foreach(record->json, key, value)
    {
        if (strcmp(key, "text") != 0 && strcmp(key, "messages") != 0)
            show_json(key, value);
    }
    printf("%lld of %lld (line %lld)  k d e u q ? ", (long long)number + 1, (long long)n,
           (long long)record->number);
    term_flush(stdout);
}

/* Runs $VISUAL, $EDITOR or vi on the file. */
static bool run_editor(const char *path, Error *err)
{
    const char *editor = getenv("VISUAL");
    if (!editor || !*editor)
        editor = getenv("EDITOR");
    if (!editor || !*editor)
        editor = "vi";
    Buf command = {0};
    buf_printf(&command, "%s \"$1\"", editor); /* it may have options of its own */
    const pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command.data, "sh", path, (char *)NULL);
        _exit(127);
    }
    buf_free(&command);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return error_set_errno(err, "%s", editor);
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
           error_set(err, ERROR_IO, "the editor \"%s\" failed; nothing was changed", editor);
}

static json_t *edit_file(const json_t *document, const char *path, Error *err)
{
    Buf text = {0};
    json_t *edited = NULL;
    review_to_text(document, &text);
    bool ok = file_write(path, buf_str(&text), err) && run_editor(path, err);
    const Buf before = text;
    text = (Buf){0};
    ok = ok && file_read(&text, path, EDITED_BYTES_MAX, err);
    /* Editors end a file with a line end that was not there. */
    if (ok && text.bytes == before.bytes + 1 && text.data[text.bytes - 1] == '\n')
        text.bytes--;
    if (ok)
        edited = review_from_text(document, buf_str(&text), err);
    mem_free(before.data);
    buf_free(&text);
    return edited;
}

static bool edit(Review *r, const Record *record, Error *err)
{
    char folder[] = "/tmp/wen-review-XXXXXX";
    if (!mkdtemp(folder))
        return error_set_errno(err, "%s", folder);
    const bool is_text = json_is_string(json_object_get(record->json, "text"));
    char *path = file_join(folder, is_text ? "document.txt" : "document.json");
    json_t *edited = edit_file(record->json, path, err);
    unlink(path);
    rmdir(folder);
    mem_free(path);
    const bool ok = edited && review_decide(r, REVIEW_EDIT, edited, err);
    json_decref(edited);
    return ok;
}

/* One key; *is_left: the review is left. What fails is told, and the document comes again. */
static void take_key(Review *r, const Record *record, int key, bool *is_left)
{
    Error err = {0};
    bool ok = true;
    printf("%c\n", key);
    if (key == 'k' || key == 'd')
        ok = review_decide(r, key == 'k' ? REVIEW_KEEP : REVIEW_DROP, NULL, &err);
    else if (key == 'e')
        ok = edit(r, record, &err);
    else if (key == 'u')
        ok = review_undo(r, &err);
    else if (key == 'q')
        *is_left = true;
    else
        printf("%s", keys_help);
    if (!ok)
        printf("%s\n", err.message);
}

static bool review(Review *r, Error *err)
{
    ReviewReport report;
    const Record *record;
    bool is_left = false;
    for (;;) {
        if (!review_current(r, &record, err))
            return false;
        if (!record || is_left)
            break;
        show(record, review_n_decided(r), review_n_documents(r));
        take_key(r, record, read_key(), &is_left);
    }
    if (record) {
        fprintf(stderr, "%lld of %lld are decided; the same command goes on from there\n",
                (long long)review_n_decided(r), (long long)review_n_documents(r));
        return true;
    }
    if (!review_finish(r, &report, err))
        return false;
    fprintf(stderr, "%lld kept, %lld edited, %lld dropped\n", (long long)report.n_kept,
            (long long)report.n_edited, (long long)report.n_dropped);
    return true;
}

int data_review(int argc, char **argv)
{
    const char *out = NULL;
    const Arg table[] = {
        {"out", 'o', ARG_TEXT, &out, "FILE", "the documents that stay (.jsonl)", 0, 0},
        {0},
    };
    const ArgSpec spec = {
        .command = "data review",
        .usage = "FILE --out FILE",
        .about = "Shows documents one after the other, to keep, drop or edit (in $EDITOR).\n"
                 "Decisions are kept in FILE.part at once; when all are made, FILE is written.",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    Error err = {0};
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!out)
        return term_usage("data review", "give --out FILE");
    Review *r = review_open(words.words[0], out, &err);
    const bool ok = r && review(r, &err);
    review_close(r);
    if (!ok)
        term_note("%s", err.message);
    return ok && term_finish_output() ? 0 : 1;
}
