/* See part_file.h. */
#include "hub/part_file.h"

#include "base/bug.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pieces of a file: about N_PIECES, so that every connection gets several; not so small that asking
 * takes longer than fetching, nor so large that the last ones keep few connections busy. */
#define PIECE_BYTES_MIN ((uint64_t)4 << 20)
#define PIECE_BYTES_MAX ((uint64_t)64 << 20)
enum { N_PIECES = 32 };
#define STATE_MAGIC "wenpart1"

/* The table as it lies on disk; this machine's byte order, since it never leaves it. */
typedef struct PartState {
    char magic[8];
    uint64_t bytes, piece_bytes;
    char contents[72]; /* the hash: whose bytes these are */
    uint64_t done[];   /* of each piece, from its beginning */
} PartState;

struct PartFile {
    RepoFile file; /* path: the finished file's, ours */
    char *part_path, *state_path;
    int fd;
    int n_pieces;
    uint64_t piece_bytes; /* of all but the last */
    PartState *state;
    size_t state_bytes;
    bool *is_claimed; /* [n_pieces] */
    uint64_t done;
    _Atomic uint64_t prefix;
};

static void cut_in_pieces(PartFile *p)
{
    p->piece_bytes = PIECE_BYTES_MIN;
    while (p->piece_bytes < PIECE_BYTES_MAX && p->piece_bytes * N_PIECES < p->file.bytes)
        p->piece_bytes *= 2;
    p->n_pieces = (int)((p->file.bytes + p->piece_bytes - 1) / p->piece_bytes);
}

static uint64_t piece_begin(const PartFile *p, int i) { return (uint64_t)i * p->piece_bytes; }

static uint64_t piece_bytes(const PartFile *p, int i)
{
    uint64_t left = p->file.bytes - piece_begin(p, i);
    return left < p->piece_bytes ? left : p->piece_bytes;
}

static void count(PartFile *p)
{
    uint64_t done = 0, prefix = 0;
    bool has_gap = false;
    for (int i = 0; i < p->n_pieces; i++) {
        done += p->state->done[i];
        prefix += has_gap ? 0 : p->state->done[i];
        has_gap |= p->state->done[i] < piece_bytes(p, i);
    }
    p->done = done;
    atomic_store(&p->prefix, prefix);
}

static const char *contents_of(const RepoFile *file)
{
    return file->sha256[0] ? file->sha256 : file->git_sha1;
}

/* Whether the table speaks of this file, and the bytes that it counts can be there. */
static bool is_ours(const PartFile *p, uint64_t part_bytes)
{
    const PartState *s = p->state;
    const char *contents = contents_of(&p->file);
    bool ok = memcmp(s->magic, STATE_MAGIC, sizeof s->magic) == 0 && s->bytes == p->file.bytes &&
              s->piece_bytes == p->piece_bytes &&
              strncmp(s->contents, contents, sizeof s->contents) == 0;
    for (int i = 0; i < p->n_pieces && ok; i++)
        ok = s->done[i] <= piece_bytes(p, i) &&
             (s->done[i] == 0 || piece_begin(p, i) + s->done[i] <= part_bytes);
    return ok;
}

static void begin_anew(PartFile *p)
{
    memset(p->state, 0, p->state_bytes);
    memcpy(p->state->magic, STATE_MAGIC, sizeof p->state->magic);
    p->state->bytes = p->file.bytes;
    p->state->piece_bytes = p->piece_bytes;
    snprintf(p->state->contents, sizeof p->state->contents, "%s", contents_of(&p->file));
}

static bool map_state(PartFile *p, Error *err)
{
    int fd = open(p->state_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    p->state_bytes = sizeof(PartState) + (size_t)p->n_pieces * sizeof(uint64_t);
    /* Blocks, not a hole: a full disk must show here and not as a fault in the mapping. */
    int why = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)p->state_bytes);
    void *map = MAP_FAILED;
    if (why == 0 && ftruncate(fd, (off_t)p->state_bytes) == 0)
        map = mmap(NULL, p->state_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED) {
        errno = why ? why : errno;
        return error_set_errno(err, "%s", p->state_path);
    }
    p->state = map;
    return true;
}

static bool make_parent(const char *path, Error *err)
{
    char *parent = mem_strdup(path);
    *strrchr(parent, '/') = '\0';
    bool ok = file_make_dir(parent, err);
    mem_free(parent);
    return ok;
}

static char *with_ending(const char *path, const char *ending)
{
    Buf text = {0};
    buf_printf(&text, "%s%s", path, ending);
    return text.data;
}

PartFile *part_open(const char *path, const RepoFile *file, Error *err)
{
    PartFile *p = mem_alloc(sizeof *p);
    struct stat st = {0};
    p->file = *file;
    p->file.path = mem_strdup(path);
    p->part_path = with_ending(path, ".part");
    p->state_path = with_ending(path, ".state");
    cut_in_pieces(p);
    p->fd = -1;
    bool ok = make_parent(path, err);
    if (ok) {
        p->fd = open(p->part_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        ok = (p->fd >= 0 && fstat(p->fd, &st) == 0) || error_set_errno(err, "%s", p->part_path);
    }
    ok = ok && map_state(p, err);
    p->is_claimed = mem_try_alloc((size_t)p->n_pieces + 1, "pieces of a file", ok ? err : NULL);
    if (!ok || !p->is_claimed) {
        part_close(p);
        return NULL;
    }
    if (!is_ours(p, (uint64_t)st.st_size))
        begin_anew(p);
    count(p);
    return p;
}

void part_close(PartFile *p)
{
    if (!p)
        return;
    if (p->state)
        munmap(p->state, p->state_bytes);
    if (p->fd >= 0)
        close(p->fd);
    mem_free(p->is_claimed);
    mem_free(p->file.path);
    mem_free(p->part_path);
    mem_free(p->state_path);
    mem_free(p);
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

bool part_claim(PartFile *p, uint64_t *begin, uint64_t *end)
{
    for (int i = 0; i < p->n_pieces; i++) {
        if (p->is_claimed[i] || p->state->done[i] == piece_bytes(p, i))
            continue;
        p->is_claimed[i] = true;
        *begin = piece_begin(p, i) + p->state->done[i];
        *end = piece_begin(p, i) + piece_bytes(p, i);
        return true;
    }
    return false;
}

void part_claim_all(PartFile *p, uint64_t *begin, uint64_t *end)
{
    for (int i = 0; i < p->n_pieces; i++)
        p->is_claimed[i] = true;
    *begin = 0;
    *end = p->file.bytes;
}

void part_release(PartFile *p, uint64_t begin, uint64_t end)
{
    for (int i = 0; i < p->n_pieces; i++)
        if (piece_begin(p, i) < end && begin < piece_begin(p, i) + piece_bytes(p, i))
            p->is_claimed[i] = false;
}

static bool write_all(const PartFile *p, uint64_t at, const char *data, size_t bytes, Error *err)
{
    for (size_t put = 0; put < bytes;) {
        ssize_t n = pwrite(p->fd, data + put, bytes - put, (off_t)(at + put));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set_errno(err, "writing %s", p->part_path);
        put += (size_t)n;
    }
    return true;
}

bool part_write(PartFile *p, uint64_t at, const void *data, size_t bytes, Error *err)
{
    const uint64_t to = at + bytes;
    for (uint64_t here = at, next; here < to; here = next) {
        int i = (int)(here / p->piece_bytes);
        uint64_t piece_end = piece_begin(p, i) + piece_bytes(p, i);
        uint64_t counted = piece_begin(p, i) + p->state->done[i];
        next = to < piece_end ? to : piece_end;
        ASSERT(here <= counted);
        if (next <= counted)
            continue;
        if (!write_all(p, counted, (const char *)data + (counted - at), next - counted, err))
            return false;
        p->state->done[i] = next - piece_begin(p, i);
    }
    count(p);
    return true;
}

bool part_read(const PartFile *p, uint64_t at, void *data, size_t bytes, Error *err)
{
    for (size_t got = 0; got < bytes;) {
        ssize_t n = pread(p->fd, (char *)data + got, bytes - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set_errno(err, "reading %s", p->part_path);
        got += (size_t)n;
    }
    return true;
}

uint64_t part_done(const PartFile *p) { return p->done; }
uint64_t part_prefix(const PartFile *p) { return atomic_load(&p->prefix); }
int part_n_pieces(const PartFile *p) { return p->n_pieces; }
const RepoFile *part_file(const PartFile *p) { return &p->file; }

void part_reset(PartFile *p)
{
    begin_anew(p);
    count(p);
}

bool part_sync(PartFile *p, Error *err)
{
    /* An older list's longer contents may have been here before. */
    return (ftruncate(p->fd, (off_t)p->file.bytes) == 0 && fsync(p->fd) == 0) ||
           error_set_errno(err, "writing %s", p->part_path);
}

bool part_finish(PartFile *p, Error *err)
{
    bool ok = rename(p->part_path, p->file.path) == 0 ||
              error_set_errno(err, "renaming %s to %s", p->part_path, p->file.path);
    if (ok)
        unlink(p->state_path);
    part_close(p);
    return ok;
}
