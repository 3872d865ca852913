/* See process.h. */
#include "base/process.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 1 << 20, GRACE_MS = 500 };

struct Process {
    char *command;
    pid_t pid;
    int in, out;  /* its standard input and output: our ends */
    Buf received; /* behind the last answer */
};

/* Both ends are closed in other children; writing to one that is gone is an error, not a signal. */
static bool make_pipes(int to[2], int from[2], Error *err)
{
    if (pipe2(to, O_CLOEXEC) != 0)
        return error_set(err, ERROR_IO, "cannot make a pipe: %s", strerror(errno));
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]);
        close(to[1]);
        return error_set(err, ERROR_IO, "cannot make a pipe: %s", strerror(errno));
    }
    return true;
}

static _Noreturn void run_child(const char *command, int in, int out)
{
    setpgid(0, 0);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

Process *process_open(const char *command, Error *err)
{
    int to[2], from[2];
    if (!make_pipes(to, from, err))
        return NULL;
    const pid_t pid = fork();
    if (pid == 0)
        run_child(command, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    if (pid < 0) {
        close(to[1]);
        close(from[0]);
        error_set(err, ERROR_IO, "%s: cannot be started: %s", command, strerror(errno));
        return NULL;
    }
    Process *p = mem_alloc(sizeof *p);
    *p = (Process){mem_strdup(command), pid, to[1], from[0], {0}};
    fcntl(p->in, F_SETFL, O_NONBLOCK);
    return p;
}

void process_close(Process *p)
{
    if (!p)
        return;
    close(p->in);
    for (int waited = 0; waitpid(p->pid, NULL, WNOHANG) == 0; waited += 10) {
        if (waited >= GRACE_MS) {
            kill(-p->pid, SIGKILL);
            waitpid(p->pid, NULL, 0);
            break;
        }
        usleep(10 * 1000);
    }
    kill(-p->pid, SIGKILL); /* what it started and left behind */
    close(p->out);
    buf_free(&p->received);
    mem_free(p->command);
    mem_free(p);
}

/* Moves the first line of what was received to `answer`; false when there is none yet. */
static bool take_line(Process *p, Buf *answer)
{
    const char *end = p->received.bytes ? memchr(p->received.data, '\n', p->received.bytes) : NULL;
    if (!end)
        return false;
    const size_t n = (size_t)(end - p->received.data);
    buf_clear(answer);
    buf_append(answer, p->received.data, n);
    p->received.bytes -= n + 1;
    memmove(p->received.data, end + 1, p->received.bytes);
    return true;
}

/* Whether the child said how it ended. */
static bool ended(const Process *p, Error *err)
{
    siginfo_t info = {0};
    for (int waited = 0; waited < GRACE_MS && info.si_pid == 0; waited += 10) {
        usleep(waited ? 10 * 1000 : 0);
        waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT); /* process_close reaps */
    }
    if (info.si_pid == 0)
        return error_set(err, ERROR_IO, "%s: it closed its output instead of answering",
                         p->command);
    if (info.si_code != CLD_EXITED)
        return error_set(err, ERROR_IO, "%s: it was ended by signal %d instead of answering",
                         p->command, info.si_status);
    return error_set(err, ERROR_IO, "%s: it ended with status %d instead of answering", p->command,
                     info.si_status);
}

/* Writes some of what is left; true when that went well or would have to wait. */
static bool write_some(Process *p, Str *left)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    sigaction(SIGPIPE, &ignore, &old);
    const ssize_t n = write(p->in, left->data, left->bytes);
    const bool is_fine = n >= 0 || errno == EAGAIN || errno == EINTR;
    sigaction(SIGPIPE, &old, NULL);
    if (n > 0)
        *left = (Str){left->data + n, left->bytes - (size_t)n};
    return is_fine;
}

/* False at the end of the output, or on failure. */
static bool read_some(Process *p)
{
    char block[4096];
    const ssize_t n = read(p->out, block, sizeof block);
    if (n > 0)
        buf_append(&p->received, block, (size_t)n);
    return n > 0 || (n < 0 && errno == EINTR);
}

bool process_ask(Process *p, Str line, int timeout_ms, Buf *answer, Error *err)
{
    Buf question = {0};
    bool ok = true;
    const double until = clock_seconds() + timeout_ms / 1000.0;
    buf_add(&question, line);
    buf_putc(&question, '\n');
    Str left = buf_str(&question);
    while (ok && (left.bytes > 0 || !take_line(p, answer))) {
        const double remaining = until - clock_seconds();
        struct pollfd fds[2] = {{p->out, POLLIN, 0}, {left.bytes > 0 ? p->in : -1, POLLOUT, 0}};
        if (remaining <= 0 || poll(fds, 2, (int)(remaining * 1000) + 1) == 0)
            ok = error_set(err, ERROR_IO, "%s: no answer within %g s", p->command,
                           timeout_ms / 1000.0);
        else if (fds[0].revents && !read_some(p))
            ok = ended(p, err);
        else if (fds[1].revents && !write_some(p, &left))
            ok = ended(p, err);
        else if (p->received.bytes > LINE_BYTES_MAX)
            ok = error_set(err, ERROR_LIMIT, "%s: a line of over a megabyte", p->command);
    }
    buf_free(&question);
    return ok;
}
