/* See command.h. */
#include "pipeline/command.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TAIL_BYTES = 4096, POLL_MS = 50 };

/* ---- Its log --------------------------------------------------------------------------------- */

/* The last line with something in it behind byte `from`; a progress line may have been rewritten
 * with \r. */
static void last_line(int log, off_t from, Buf *out)
{
    char tail[TAIL_BYTES];
    const off_t end = lseek(log, 0, SEEK_END);
    const off_t at = end - from > TAIL_BYTES ? end - TAIL_BYTES : from;
    ssize_t n = pread(log, tail, sizeof tail, at);
    buf_clear(out);
    while (n > 0 && strchr("\n\r ", tail[n - 1]))
        n--;
    ssize_t begin = n;
    while (begin > 0 && !strchr("\n\r", tail[begin - 1]))
        begin--;
    if (n > begin)
        buf_append(out, tail + begin, (size_t)(n - begin));
}

/* As a shell reads it. */
static void put_word(const char *word, Buf *line)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./,:=@+";
    buf_putc(line, ' ');
    if (word[0] && strspn(word, plain) == strlen(word)) {
        buf_puts(line, word);
        return;
    }
    buf_putc(line, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_puts(line, "'\\'");
        buf_putc(line, *word);
    }
    buf_putc(line, '\'');
}

/* The command as one can type it. */
static void write_command(int log, const StageCommand *c)
{
    Buf line = {0};
    buf_puts(&line, "$ wen");
    for (int i = 0; i < c->n; i++)
        put_word(c->words[i], &line);
    buf_putc(&line, '\n');
    if (write(log, line.data, line.bytes) < 0)
        errno = 0; /* the command will meet the same trouble, and say so */
    buf_free(&line);
}

/* ---- The process ----------------------------------------------------------------------------- */

/* In the child. Its own group, so that Ctrl-C reaches it through us alone. */
static _Noreturn void become(const StageCommand *c, char **argv, int log, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int nothing = open("/dev/null", O_RDONLY);
    if (getppid() != parent || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
        dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(127);
    setenv("WEN_PROGRESS", "lines", 1);
    execv(c->program, argv);
    static const char why[] = "the program cannot be started\n";
    if (write(STDERR_FILENO, why, sizeof why - 1) < 0)
        _exit(126);
    _exit(127);
}

static void wait_a_moment(void)
{
    const struct timespec moment = {0, POLL_MS * 1000000L};
    nanosleep(&moment, NULL);
}

static void show(const StageCommand *c, const Buf *line)
{
    Buf text = {0};
    if (!c->progress)
        return;
    buf_printf(&text, "%s  %s", c->title, line->bytes ? line->data : "");
    c->progress(c->context, text.data);
    buf_free(&text);
}

/* Waits for the end, passing the wish to stop on. */
static bool wait_for(const StageCommand *c, pid_t child, int log, off_t from, int *status,
                     Error *err)
{
    Buf line = {0};
    bool is_told = false;
    for (;;) {
        const pid_t done = waitpid(child, status, WNOHANG);
        if (done == child || (done < 0 && errno != EINTR))
            break;
        if (!is_told && c->stop && *c->stop) {
            kill(child, SIGTERM);
            is_told = true;
        }
        last_line(log, from, &line);
        show(c, &line);
        wait_a_moment();
    }
    if (c->progress)
        c->progress(c->context, NULL);
    buf_free(&line);
    return !is_told || error_set(err, ERROR_CANCELLED, "stopped");
}

static bool judge(int status, int log, off_t from, Error *err)
{
    Buf line = {0};
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    last_line(log, from, &line);
    const char *said = line.bytes ? line.data : "it said nothing";
    if (line.bytes > 5 && strncmp(line.data, "wen: ", 5) == 0)
        said += 5;
    if (WIFSIGNALED(status))
        error_set(err, ERROR_DEVICE, "signal %d ended it: %.300s", WTERMSIG(status), said);
    else
        error_set(err, ERROR_ARGUMENT, "%.400s", said);
    buf_free(&line);
    return false;
}

bool command_run(const StageCommand *c, Error *err)
{
    int status = 0;
    const int log = open(c->log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log < 0)
        return error_set_errno(err, "%s", c->log);
    write_command(log, c);
    const off_t from = lseek(log, 0, SEEK_END);
    char **argv = mem_alloc(sizeof *argv * (size_t)(c->n + 2));
    static char name[] = "wen";
    argv[0] = name;
    memcpy(argv + 1, c->words, sizeof *argv * (size_t)c->n);
    const pid_t parent = getpid(), child = fork();
    if (child == 0)
        become(c, argv, log, parent);
    mem_free(argv);
    const bool ok =
        child > 0 ? wait_for(c, child, log, from, &status, err) && judge(status, log, from, err)
                  : error_set_errno(err, "a process for the stage");
    close(log);
    return ok;
}
