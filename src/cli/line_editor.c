/* See line_editor.h. libedit edits; the characters come from here, because three things must be
 * seen before it sees them: Ctrl-C, the window's new size, and the borders of a paste. */
#include "cli/line_editor.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/term.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum {
    HISTORY_LINES = 1000,
    CTRL_C = 3,
    ESCAPE_WAIT_MS = 30, /* for the rest of an escape sequence */
};

#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"

struct LineEditor {
    EditLine *edit;
    History *history;
    char *history_path;
    const char *prompt;
    bool has_brackets; /* the terminal was asked to mark pastes */
    bool is_in_paste, was_pasted, was_interrupted;
    char bytes[4096]; /* read, not yet given to libedit: from .. to-1 */
    size_t from, to;
};

static volatile sig_atomic_t was_resized;
static volatile sig_atomic_t was_continued;

static void on_resize(int signal_number)
{
    (void)signal_number;
    was_resized = 1;
}

static void on_continue(int signal_number)
{
    (void)signal_number;
    was_continued = 1;
}

static LineEditor *owner(EditLine *edit)
{
    void *data = NULL;
    el_get(edit, EL_CLIENTDATA, &data);
    return data;
}

static char *give_prompt(EditLine *edit) { return (char *)owner(edit)->prompt; }

/* ---- Characters ------------------------------------------------------------------------------ */

/* Waits for bytes. 1: there are some; 0: none in time; -1: end, or error; -2: a signal came. */
static int fill(LineEditor *e, int timeout_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (e->from == e->to)
        e->from = e->to = 0;
    if (e->to == sizeof e->bytes) {
        memmove(e->bytes, e->bytes + e->from, e->to - e->from);
        e->to -= e->from;
        e->from = 0;
    }
    int ready = poll(&input, 1, timeout_ms);
    if (ready == 0)
        return 0;
    ssize_t n = ready < 0 ? -1 : read(STDIN_FILENO, e->bytes + e->to, sizeof e->bytes - e->to);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return -2;
    if (n <= 0)
        return -1;
    e->to += (size_t)n;
    return 1;
}

static Str waiting(const LineEditor *e) { return (Str){e->bytes + e->from, e->to - e->from}; }

/* The paste's borders are swallowed; other escape sequences are libedit's. */
static bool take_border(LineEditor *e, Str border, bool begins)
{
    while (waiting(e).bytes < border.bytes && str_starts(border, waiting(e)))
        if (fill(e, ESCAPE_WAIT_MS) != 1)
            return false;
    if (!str_starts(waiting(e), border))
        return false;
    e->from += border.bytes;
    e->is_in_paste = begins;
    return true;
}

static wchar_t take_character(LineEditor *e)
{
    uint32_t c = 0;
    size_t cut;
    while (utf8_is_cut(waiting(e), &cut) && cut == waiting(e).bytes)
        if (fill(e, ESCAPE_WAIT_MS) != 1)
            break;
    size_t n = utf8_decode(waiting(e), &c);
    e->from += n ? n : 1;
    return n ? (wchar_t)c : 0xfffd;
}

/* What a signal asks for. True when it was Ctrl-C. */
static bool heed_signals(LineEditor *e)
{
    if (was_resized) {
        was_resized = 0;
        el_resize(e->edit);
    }
    if (was_continued) { /* back from Ctrl-Z: the shell had the terminal meanwhile */
        was_continued = 0;
        el_set(e->edit, EL_PREP_TERM, 1);
        el_set(e->edit, EL_REFRESH);
    }
    return term_take_interrupt();
}

static int get_character(EditLine *edit, wchar_t *out)
{
    LineEditor *e = owner(edit);
    for (;;) {
        if (heed_signals(e)) {
            e->from = e->to;
            e->is_in_paste = false;
            *out = CTRL_C;
            return 1;
        }
        if (e->from == e->to) {
            /* The timeout covers a signal that comes between the look and the wait. */
            if (fill(e, 250) == -1)
                return 0;
            continue;
        }
        if (e->bytes[e->from] == '\033' &&
            (e->is_in_paste ? take_border(e, STR(PASTE_END), false)
                            : take_border(e, STR(PASTE_BEGIN), true)))
            continue;
        wchar_t c = take_character(e);
        e->was_pasted = e->is_in_paste;
        if (e->is_in_paste) {
            c = c == '\r' ? '\n' : c;
            /* Pasted control characters would be commands to the editor. */
            if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
                continue;
        }
        *out = c;
        return 1;
    }
}

static unsigned char interrupt(EditLine *edit, int key)
{
    (void)key;
    owner(edit)->was_interrupted = true;
    return CC_EOF;
}

/* ---- Open and close -------------------------------------------------------------------------- */

static void bind_keys(EditLine *edit)
{
    static const char *const keys[][2] = {
        {"^R", "em-inc-search-prev"},      {"^W", "ed-delete-prev-word"},
        {"\\e[3~", "ed-delete-next-char"}, {"\\e[1;5C", "em-next-word"},
        {"\\e[1;5D", "ed-prev-word"},      {"\\e[H", "ed-move-to-beg"},
        {"\\e[F", "ed-move-to-end"},       {"^I", "ed-insert"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        el_set(edit, EL_BIND, keys[i][0], keys[i][1], NULL);
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_resize};
    sigemptyset(&action.sa_mask);
    sigaction(SIGWINCH, &action, NULL);
    action.sa_handler = on_continue;
    sigaction(SIGCONT, &action, NULL);
}

LineEditor *line_editor_open(const char *history_path, Error *err)
{
    /* libedit needs a locale that knows UTF-8, whatever the environment says. */
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    LineEditor *e = mem_alloc(sizeof *e);
    HistEvent event;
    e->history = history_init();
    e->edit = el_init("wen", stdin, stdout, stderr);
    if (!e->history || !e->edit) {
        error_set(err, ERROR_IO, "the line editor does not start on this terminal");
        line_editor_close(e);
        return NULL;
    }
    history(e->history, &event, H_SETSIZE, HISTORY_LINES);
    history(e->history, &event, H_SETUNIQUE, 1);
    if (history_path) {
        e->history_path = mem_strdup(history_path);
        history(e->history, &event, H_LOAD, history_path);
    }
    el_set(e->edit, EL_CLIENTDATA, e);
    el_set(e->edit, EL_PROMPT, give_prompt);
    el_set(e->edit, EL_EDITOR, "emacs");
    el_set(e->edit, EL_HIST, history, e->history);
    el_set(e->edit, EL_SIGNAL, 0);
    bind_keys(e->edit);
    el_source(e->edit, NULL);
    el_set(e->edit, EL_ADDFN, "wen-interrupt", "Gives up the line", interrupt);
    el_set(e->edit, EL_BIND, "^C", "wen-interrupt", NULL);
    el_set(e->edit, EL_GETCFN, get_character);
    e->has_brackets = term_has_escapes(stdout);
    handle_signals();
    return e;
}

void line_editor_close(LineEditor *e)
{
    if (!e)
        return;
    if (e->edit)
        el_end(e->edit);
    if (e->history)
        history_end(e->history);
    mem_free(e->history_path);
    mem_free(e);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void mark_pastes(const LineEditor *e, bool is_on)
{
    if (!e->has_brackets)
        return;
    fputs(is_on ? "\033[?2004h" : "\033[?2004l", stdout);
    fflush(stdout);
}

LineResult line_editor_read(LineEditor *e, const char *prompt, Buf *line, bool *more_was_pasted)
{
    int n = 0;
    e->prompt = prompt;
    e->was_interrupted = e->was_pasted = false;
    buf_clear(line);
    /* libedit shows the prompt first, and a Ctrl-D that comes before its own mode of the terminal
     * would be lost. */
    el_set(e->edit, EL_PREP_TERM, 1);
    mark_pastes(e, true);
    const char *text = el_gets(e->edit, &n);
    mark_pastes(e, false);
    if (e->was_interrupted) {
        const LineInfo *typed = el_line(e->edit);
        buf_append(line, typed->buffer, (size_t)(typed->lastchar - typed->buffer));
        el_reset(e->edit);
        fputs("^C\n", stdout);
        return LINE_INTERRUPTED;
    }
    if (!text || n <= 0)
        return LINE_END;
    Str read = {text, (size_t)n};
    bool is_ended = read.data[read.bytes - 1] == '\n';
    buf_add(line, str_slice(read, 0, read.bytes - (is_ended ? 1 : 0)));
    *more_was_pasted = is_ended && e->was_pasted;
    return LINE_READ;
}

void line_editor_remember(LineEditor *e, const char *line)
{
    HistEvent event;
    if (line[strspn(line, " \t")] == '\0')
        return;
    history(e->history, &event, H_ENTER, line);
    if (!e->history_path)
        return;
    mode_t before = umask(077); /* what people type is nobody else's business */
    history(e->history, &event, H_SAVE, e->history_path);
    umask(before);
}
