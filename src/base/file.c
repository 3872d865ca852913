/* See file.h. */
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITER_BUFFER_BYTES = 1 << 20 };

bool file_map(FileMap *map, const char *path, Error *err)
{
    *map = (FileMap){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "%s", path);
    struct stat st;
    bool ok = true;
    if (fstat(fd, &st) != 0)
        ok = error_set_errno(err, "%s", path);
    else if (!S_ISREG(st.st_mode))
        ok = error_set(err, ERROR_IO, "%s: not a regular file", path);
    else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
            ok = error_set_errno(err, "%s: cannot map", path);
        else
            *map = (FileMap){data, (size_t)st.st_size};
    }
    close(fd);
    return ok;
}

void file_unmap(FileMap *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->bytes);
    *map = (FileMap){0};
}

void file_map_release(const FileMap *map)
{
    if (map->data)
        (void)madvise((void *)(uintptr_t)map->data, map->bytes, MADV_DONTNEED);
}

void file_map_scattered(const FileMap *map)
{
    if (map->data)
        (void)madvise((void *)(uintptr_t)map->data, map->bytes, MADV_RANDOM);
}

bool file_read(Buf *out, const char *path, size_t bytes_max, Error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "%s", path);
    bool ok = true;
    char chunk[65536];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            ok = error_set_errno(err, "%s", path);
            break;
        }
        if (out->bytes + (size_t)n > bytes_max) {
            ok = error_set(err, ERROR_LIMIT, "%s: longer than %zu bytes", path, bytes_max);
            break;
        }
        buf_append(out, chunk, (size_t)n);
    }
    if (!is_stdin)
        close(fd);
    return ok;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t file_time(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

bool file_remove_tree(const char *path, Error *err)
{
    enum { FOLDERS_OPEN = 16 };
    return nftw(path, remove_entry, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT ||
           error_set_errno(err, "removing %s", path);
}

bool file_make_dir(const char *path, Error *err)
{
    char *copy = mem_strdup(path);
    bool ok = true;
    for (char *p = copy + 1; ok; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char saved = *p;
        *p = '\0';
        if (mkdir(copy, 0777) != 0 && !(errno == EEXIST && file_is_dir(copy)))
            ok = error_set_errno(err, "%s", copy);
        *p = saved;
        if (saved == '\0')
            break;
    }
    mem_free(copy);
    return ok;
}

char *file_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    Buf path = {0};
    buf_printf(&path, "%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
    return path.data;
}

Str file_base_name(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return (Str){path + start, end - start};
}

struct FileWriter {
    int fd;
    bool is_nameless; /* until it is committed */
    char *path, *temporary;
    char *buffer;
    size_t buffered;
    uint64_t offset; /* bytes written so far, buffered ones included */
    Error error;     /* the first failure */
};

static void writer_free(FileWriter *w)
{
    if (w->fd >= 0)
        close(w->fd);
    mem_free(w->path);
    mem_free(w->temporary);
    mem_free(w->buffer);
    mem_free(w);
}

/* A file without a name in the folder of `path`: the system removes it if the process dies. -1
 * where the file system has no such files, or where nothing could give them a name later. */
static int open_nameless(const char *path)
{
    const size_t n = file_base_name(path).data - path;
    char *dir = n == 0 ? mem_strdup(".") : mem_strndup(path, n);
    int fd =
        access("/proc/self/fd", F_OK) == 0 ? open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666) : -1;
    mem_free(dir);
    return fd;
}

static bool give_name(const FileWriter *w)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", w->fd);
    unlink(w->temporary); /* of a process that died */
    return linkat(AT_FDCWD, self, AT_FDCWD, w->temporary, AT_SYMLINK_FOLLOW) == 0;
}

FileWriter *file_writer_open(const char *path, Error *err)
{
    FileWriter *w = mem_alloc(sizeof *w);
    w->path = mem_strdup(path);
    Buf temporary = {0};
    buf_printf(&temporary, "%s.%d.part", path, (int)getpid());
    w->temporary = temporary.data;
    w->buffer = mem_alloc(WRITER_BUFFER_BYTES);
    w->fd = open_nameless(path);
    w->is_nameless = w->fd >= 0;
    if (!w->is_nameless)
        w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        error_set_errno(err, "%s", w->temporary);
        writer_free(w);
        return NULL;
    }
    return w;
}

static bool write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool writer_flush(FileWriter *w)
{
    if (w->error.code == ERROR_NONE && w->buffered > 0 && !write_all(w->fd, w->buffer, w->buffered))
        error_set_errno(&w->error, "writing %s", w->path);
    w->buffered = 0;
    return w->error.code == ERROR_NONE;
}

static bool writer_result(const FileWriter *w, Error *err)
{
    if (w->error.code == ERROR_NONE)
        return true;
    if (err)
        *err = w->error;
    return false;
}

bool file_writer_write(FileWriter *w, const void *data, size_t bytes, Error *err)
{
    const char *from = data;
    w->offset += bytes;
    while (bytes > 0 && w->error.code == ERROR_NONE) {
        size_t room = WRITER_BUFFER_BYTES - w->buffered;
        size_t n = bytes < room ? bytes : room;
        memcpy(w->buffer + w->buffered, from, n);
        w->buffered += n;
        from += n;
        bytes -= n;
        if (w->buffered == WRITER_BUFFER_BYTES)
            writer_flush(w);
    }
    return writer_result(w, err);
}

bool file_writer_patch(FileWriter *w, uint64_t offset, const void *data, size_t bytes, Error *err)
{
    if (writer_flush(w)) {
        ssize_t n = pwrite(w->fd, data, bytes, (off_t)offset);
        if (n < 0 || (size_t)n != bytes)
            error_set_errno(&w->error, "writing %s", w->path);
    }
    return writer_result(w, err);
}

uint64_t file_writer_offset(const FileWriter *w) { return w->offset; }

bool file_writer_commit(FileWriter *w, Error *err)
{
    if (writer_flush(w) && fsync(w->fd) != 0)
        error_set_errno(&w->error, "writing %s", w->path);
    if (w->error.code == ERROR_NONE && w->is_nameless && !give_name(w))
        error_set_errno(&w->error, "naming %s", w->temporary);
    if (w->error.code == ERROR_NONE && rename(w->temporary, w->path) != 0)
        error_set_errno(&w->error, "renaming %s to %s", w->temporary, w->path);
    bool ok = writer_result(w, err);
    if (!ok)
        unlink(w->temporary);
    writer_free(w);
    return ok;
}

void file_writer_cancel(FileWriter *w)
{
    if (!w)
        return;
    unlink(w->temporary);
    writer_free(w);
}

bool file_writer_finish(FileWriter *w, bool ok, Error *err)
{
    if (w && ok)
        return file_writer_commit(w, err);
    file_writer_cancel(w);
    return ok;
}

bool file_write(const char *path, Str contents, Error *err)
{
    FileWriter *w = file_writer_open(path, err);
    if (!w)
        return false;
    if (!file_writer_write(w, contents.data, contents.bytes, err)) {
        file_writer_cancel(w);
        return false;
    }
    return file_writer_commit(w, err);
}
