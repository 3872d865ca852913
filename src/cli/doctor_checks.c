/* See doctor_checks.h. Each check is a function; the table at the end lists them. */
#include "cli/doctor_checks.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/hub.h"
#include "wen.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SYSTEM_FILE_BYTES_MAX = 1 << 16, FILES_WANTED = 1024 };

static const double GIB = 1 << 30;

/* A small file of the system's; false: it is not there or cannot be read. */
static bool read_system(const char *path, Buf *text)
{
    Error ignored;
    return file_read(text, path, SYSTEM_FILE_BYTES_MAX, &ignored);
}

/* ---- Processor ------------------------------------------------------------------------------- */

static void look_at_processor(const json_t *about, Finding *f)
{
    const json_t *levels = json_object_get(about, "levels");
    size_t n = json_array_size(levels), n_usable = 0;
    for (size_t i = 0; i < n; i++)
        n_usable += json_is_true(json_object_get(json_array_get(levels, i), "is_usable"));
    const json_t *best = json_array_get(levels, n_usable - 1);
    buf_printf(&f->found, "%s, level %s (%zu of %zu), %ld processors",
               json_string_value(json_object_get(about, "machine")),
               json_string_value(json_object_get(best, "name")), n_usable, n,
               sysconf(_SC_NPROCESSORS_ONLN));
    if (n_usable > 1)
        return;
    f->verdict = VERDICT_BAD;
    buf_puts(&f->advice, n > 1 ? "This processor (or the virtual machine's) has no AVX2: answers "
                                 "are some ten times slower.\nIn a virtual machine, pass the "
                                 "host's processor through."
                               : "This build has plain C kernels only: answers are some ten times "
                                 "slower than on x86-64 with AVX2.");
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Qwen3 with Q4_K_M weights, and a context of 8k tokens beside them. */
static const struct {
    const char *name;
    double gib;
} sizes[] = {{"0.6B", 1.3}, {"1.7B", 2.1}, {"4B", 3.6},       {"8B", 6.1},
             {"14B", 10.1}, {"32B", 20.9}, {"30B-A3B", 18.7}, {"235B-A22B", 135.0}};

/* The group's limit (containers, systemd), or no limit. */
static double group_limit(void)
{
    Buf text = {0};
    double limit = HUGE_VAL;
    char *end;
    if (read_system("/sys/fs/cgroup/memory.max", &text)) {
        double bytes = strtod(buf_str(&text).data, &end);
        if (end != text.data)
            limit = bytes;
    }
    buf_free(&text);
    return limit;
}

static void look_at_memory(const json_t *about, Finding *f)
{
    const json_t *memory = json_object_get(about, "memory");
    double total = json_number_value(json_object_get(memory, "total_bytes"));
    double available = json_number_value(json_object_get(memory, "available_bytes"));
    double limit = group_limit();
    const char *largest = NULL;
    double largest_gib = 0;
    buf_printf(&f->found, "%.1f GiB free of %.1f", available / GIB, total / GIB);
    if (limit < total)
        buf_printf(&f->found, ", limited to %.1f by its control group", limit / GIB);
    double usable = (available < limit ? available : limit) / GIB;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].gib <= usable && sizes[i].gib > largest_gib) {
            largest = sizes[i].name;
            largest_gib = sizes[i].gib;
        }
    if (largest) {
        buf_printf(&f->found, ": up to Qwen3-%s in Q4_K_M", largest);
        return;
    }
    f->verdict = VERDICT_BAD;
    buf_puts(&f->advice,
             "That is too little for a released Qwen3 (0.6B takes 1.3 GiB): close other "
             "programs.\nThe built-in model works.");
}

static void look_at_huge_pages(const json_t *about, Finding *f)
{
    (void)about;
    Buf text = {0};
    if (!read_system("/sys/kernel/mm/transparent_hugepage/enabled", &text)) {
        buf_puts(&f->found, "not known: /sys does not tell");
    } else if (str_find(buf_str(&text), STR("[never]"), 0) >= 0) {
        f->verdict = VERDICT_NOTE;
        buf_puts(&f->found, "switched off");
        buf_puts(&f->advice, "Weights are read faster with them:\n"
                             "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
    } else {
        buf_puts(&f->found, "on where they are asked for");
    }
    buf_free(&text);
}

/* ---- Devices --------------------------------------------------------------------------------- */

static bool has_device(const json_t *about, const char *name)
{
    const json_t *devices = json_object_get(about, "devices");
    for (size_t i = 0; i < json_array_size(devices); i++)
        if (strcmp(json_string_value(json_array_get(devices, i)), name) == 0)
            return true;
    return false;
}

static void look_at_gpu(const json_t *about, Finding *f)
{
    bool has_driver = file_exists("/proc/driver/nvidia/version");
    bool has_card = has_driver || file_exists("/dev/nvidia0");
    if (!has_card) {
        buf_puts(&f->found, "no NVIDIA GPU: the CPU computes");
    } else if (!has_device(about, "cuda")) {
        f->verdict = VERDICT_NOTE;
        buf_puts(&f->found, "an NVIDIA GPU, which this build cannot use: the CPU computes");
        buf_puts(&f->advice,
                 "This version of wen has no CUDA backend; nothing can be switched on.");
    } else if (!has_driver) {
        f->verdict = VERDICT_BAD;
        buf_puts(&f->found, "an NVIDIA GPU without its driver");
        buf_puts(&f->advice, "Install the NVIDIA driver (Debian: nvidia-driver), then restart.");
    } else {
        buf_puts(&f->found, "an NVIDIA GPU and its driver");
    }
}

/* ---- Sandbox --------------------------------------------------------------------------------- */

static bool is_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char *copy = mem_strdup(path ? path : "/usr/bin:/bin"), *rest = copy;
    bool found = false;
    for (char *dir; !found && (dir = strsep(&rest, ":"));) {
        char *file = file_join(*dir ? dir : ".", program);
        found = access(file, X_OK) == 0;
        mem_free(file);
    }
    mem_free(copy);
    return found;
}

/* Whether a program without rights may make a user namespace; tried in a child, as it cannot be
 * undone. */
static bool can_make_namespace(void)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void look_at_sandbox(const json_t *about, Finding *f)
{
    (void)about;
    bool has_namespaces = can_make_namespace(), has_bubblewrap = is_in_path("bwrap");
    buf_printf(&f->found, "user namespaces %s, bubblewrap %s", has_namespaces ? "work" : "are off",
               has_bubblewrap ? "is there" : "is missing");
    if (has_namespaces && has_bubblewrap)
        return;
    f->verdict = VERDICT_NOTE;
    buf_puts(&f->advice, "Only needed to shut in what others wrote, such as verifiers and "
                         "pdftotext: bwrap ... before the command.");
    if (!has_bubblewrap)
        buf_puts(&f->advice, "\nInstall bubblewrap (Debian: apt install bubblewrap).");
    if (!has_namespaces)
        buf_puts(&f->advice,
                 "\nAllow user namespaces: sudo sysctl -w user.max_user_namespaces=15000"
                 "\n(in a container: by its own options).");
}

/* ---- The store ------------------------------------------------------------------------------- */

/* The nearest folder that exists: the store is made by the first pull. */
static char *existing_parent(const char *dir)
{
    char *path = mem_strdup(dir);
    for (char *slash; !file_is_dir(path) && (slash = strrchr(path, '/'));)
        slash[slash == path] = '\0'; /* "/" stays */
    return path;
}

static void look_at_store(const json_t *about, Finding *f)
{
    (void)about;
    Error err = {0};
    char *store = hub_store_dir(&err);
    if (!store) {
        f->verdict = VERDICT_NOTE;
        buf_puts(&f->found, "there is no place for models");
        buf_puts(&f->advice, err.message);
        return;
    }
    HubList list = {0};
    struct statvfs disk = {0};
    hub_list(&list);
    char *there = existing_parent(store);
    bool can_write = access(there, W_OK) == 0;
    double free_gib = 0;
    if (statvfs(there, &disk) == 0)
        free_gib = (double)disk.f_bavail * (double)disk.f_frsize / GIB;
    buf_printf(&f->found, "%s: %.1f GiB free; %d models here and in other tools' caches", store,
               free_gib, list.n);
    if (!can_write || free_gib < 1) {
        f->verdict = VERDICT_NOTE;
        buf_puts(&f->advice, can_write ? "That is too little for a model" : "It cannot be written");
        buf_puts(&f->advice, ": WEN_MODELS=DIR chooses another folder.");
    }
    hub_list_free(&list);
    mem_free(there);
    mem_free(store);
}

/* ---- The terminal and the server ------------------------------------------------------------- */

static void look_at_terminal(const json_t *about, Finding *f)
{
    (void)about;
    setlocale(LC_CTYPE, "");
    const char *encoding = nl_langinfo(CODESET);
    bool is_utf8 = strcmp(encoding, "UTF-8") == 0;
    buf_printf(&f->found, "locale with %s", encoding);
    if (is_utf8)
        return;
    f->verdict = VERDICT_NOTE;
    buf_puts(&f->advice, "Chinese, emoji and accents cannot be edited in the chat: export "
                         "LC_ALL=C.UTF-8");
}

static void look_at_files(const json_t *about, Finding *f)
{
    (void)about;
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur == RLIM_INFINITY) {
        buf_puts(&f->found, "no limit");
        return;
    }
    buf_printf(&f->found, "%llu at a time", (unsigned long long)limit.rlim_cur);
    if (limit.rlim_cur >= FILES_WANTED)
        return;
    f->verdict = VERDICT_NOTE;
    buf_printf(&f->advice, "wen serve takes one for each client: ulimit -n %d", FILES_WANTED);
}

/* ---- An answer ------------------------------------------------------------------------------- */

static bool ask_builtin(wen_event *done, wen_error *err)
{
    wen_model *model = wen_model_open("builtin", NULL, err);
    wen_engine_options options = wen_engine_options_defaults();
    options.context = 1024;
    wen_engine *engine = model ? wen_engine_open(model, &options, err) : NULL;
    wen_request request = wen_request_defaults();
    request.messages = "[{\"role\": \"user\", \"content\": \"What is 17 + 25?\"}]";
    request.max_tokens = 512;
    request.sampling.seed = 1;
    wen_reply *reply = engine ? wen_ask(engine, &request, err) : NULL;
    while (reply && wen_next(reply, -1, done) == WEN_NEXT_EVENT)
        if (done->kind == WEN_EVENT_DONE && done->finish == WEN_FINISH_ERROR)
            snprintf(err->message, sizeof err->message, "%s", done->text);
    bool ok = reply && done->finish != WEN_FINISH_ERROR && done->usage.completion_tokens > 0;
    wen_reply_free(reply);
    wen_engine_close(engine);
    wen_model_close(model);
    return ok;
}

static void look_at_answer(const json_t *about, Finding *f)
{
    wen_error err = {0};
    wen_event done = {0};
    if (json_integer_value(json_object_get(about, "builtin_bytes")) == 0) {
        buf_puts(&f->found, "no built-in model to ask");
        return;
    }
    double started = clock_seconds();
    if (ask_builtin(&done, &err)) {
        buf_printf(&f->found, "the built-in model: %d tokens in %.1f s",
                   done.usage.completion_tokens, clock_seconds() - started);
        return;
    }
    f->verdict = VERDICT_BAD;
    buf_puts(&f->found, "the built-in model did not answer");
    buf_printf(&f->advice, "%s", err.message);
}

const Check doctor_checks[] = {
    {"processor", look_at_processor},   {"memory", look_at_memory},
    {"huge pages", look_at_huge_pages}, {"GPU", look_at_gpu},
    {"store", look_at_store},           {"sandbox", look_at_sandbox},
    {"terminal", look_at_terminal},     {"open files", look_at_files},
    {"answer", look_at_answer},         {0},
};
