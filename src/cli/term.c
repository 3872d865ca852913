/* See term.h. */
#include "cli/term.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WIDTH_UNKNOWN = 80 };

InputKind term_input_kind(void)
{
    struct stat st;
    if (isatty(STDIN_FILENO))
        return INPUT_TERMINAL;
    if (fstat(STDIN_FILENO, &st) != 0)
        return INPUT_NOTHING;
    bool is_data = S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode);
    return is_data ? INPUT_DATA : INPUT_NOTHING;
}

bool term_is_terminal(FILE *stream) { return isatty(fileno(stream)); }

bool term_has_escapes(FILE *stream)
{
    const char *name = getenv("TERM");
    return term_is_terminal(stream) && name && name[0] && strcmp(name, "dumb") != 0;
}

bool term_has_color(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");
    return term_has_escapes(stream) && !(no_color && no_color[0]);
}

void term_style(FILE *stream, TermStyle style)
{
    static const char *const sequences[] = {"\033[0m", "\033[2m", "\033[1m"};
    if (term_has_color(stream))
        fputs(sequences[style], stream);
}

int term_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return WIDTH_UNKNOWN;
}

static bool is_control(uint32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

void term_put_text(FILE *stream, Str text)
{
    if (!term_is_terminal(stream)) {
        fwrite(text.data, 1, text.bytes, stream);
        return;
    }
    for (size_t at = 0; at < text.bytes;) {
        uint32_t c = 0;
        size_t n = utf8_decode(str_slice(text, at, text.bytes), &c);
        if (n == 0 || is_control(c))
            fputs("\xef\xbf\xbd", stream);
        else
            fwrite(text.data + at, 1, n, stream);
        at += n ? n : 1;
    }
}

/* ---- Ctrl-C ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t was_interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    was_interrupted = 1;
}

void term_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: waits must end */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void term_release_interrupts(void) { signal(SIGINT, SIG_DFL); }

bool term_take_interrupt(void)
{
    bool was = was_interrupted;
    was_interrupted = 0;
    return was;
}

void term_die_interrupted(void)
{
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
    _exit(128 + SIGINT);
}

/* ---- Lines on standard error ----------------------------------------------------------------- */

static bool has_progress;

/* For a program that reads them. */
static void progress_line(const char *text)
{
    static double last_s;
    const char *wanted = getenv("WEN_PROGRESS");
    const double now_s = clock_seconds();
    if (!text || !wanted || strcmp(wanted, "lines") != 0 || (last_s > 0 && now_s - last_s < 1))
        return;
    fprintf(stderr, "%s\n", text);
    last_s = now_s;
}

void term_progress(const char *text)
{
    if (!term_is_terminal(stderr))
        progress_line(text);
    if (!term_is_terminal(stderr) || (!text && !has_progress))
        return;
    fprintf(stderr, "\r%*s\r%.*s", has_progress ? term_width() - 1 : 0, "", term_width() - 1,
            text ? text : "");
    fflush(stderr);
    has_progress = text != NULL;
}

void term_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    term_progress(NULL);
    fflush(stdout);
    fputs("wen: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int term_usage(const char *command, const char *message)
{
    fprintf(stderr, "wen %s: %s (\"wen help %s\" lists the options)\n", command, message, command);
    return 2;
}

static int output_errno; /* of the first failure of standard output */

bool term_flush(FILE *stream)
{
    if (fflush(stream) != 0 && stream == stdout && !output_errno)
        output_errno = errno;
    return !ferror(stdout);
}

bool term_finish_output(void)
{
    if (term_flush(stdout))
        return true;
    if (output_errno != EPIPE)
        term_note("standard output: %s",
                  output_errno ? strerror(output_errno) : "could not be written");
    return false;
}
