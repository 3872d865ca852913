/* See events.h. */
#include "train/events.h"

#include "base/crc32c.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { PREFIX_BYTES = 12, SUFFIX_BYTES = 4, FILES_PER_SECOND_MAX = 1000 };

struct Events {
    int fd;
    char *path;
    Buf records; /* not yet written */
};

/* ---- Messages: protocol buffers, written by hand
 * --------------------------------------------------------------------------------------------- */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_LOG = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_TENSOR = 8, VALUE_METADATA = 9 };

static void put_varint(Buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_putc(out, (char)(uint8_t)(value | 0x80));
    buf_putc(out, (char)(uint8_t)value);
}

static void put_little(Buf *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++, value >>= 8)
        buf_putc(out, (char)(uint8_t)value);
}

static void put_key(Buf *out, int field, int wire)
{
    put_varint(out, (uint64_t)(field << 3 | wire));
}

static void put_integer(Buf *out, int field, int64_t value)
{
    put_key(out, field, WIRE_VARINT);
    put_varint(out, (uint64_t)value);
}

static void put_bytes(Buf *out, int field, Str bytes)
{
    put_key(out, field, WIRE_BYTES);
    put_varint(out, bytes.bytes);
    buf_add(out, bytes);
}

/* Puts a message inside another and empties it. */
static void put_message(Buf *out, int field, Buf *message)
{
    put_bytes(out, field, buf_str(message));
    buf_free(message);
}

static uint32_t masked_crc(const void *data, size_t bytes)
{
    const uint32_t crc = crc32c(data, bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

/* One Event with one of its alternatives; `content` is emptied. */
static void put_event(Events *e, int64_t step, int field, Buf *content)
{
    Buf event = {0};
    struct timeval now;
    uint64_t bits;
    gettimeofday(&now, NULL);
    const double seconds = (double)now.tv_sec + 1e-6 * (double)now.tv_usec;
    memcpy(&bits, &seconds, sizeof bits);
    put_key(&event, EVENT_WALL_TIME, WIRE_FIXED64);
    put_little(&event, bits, 8);
    if (step != 0) /* what is not there is 0 */
        put_integer(&event, EVENT_STEP, step);
    put_message(&event, field, content);
    const size_t at = e->records.bytes;
    put_little(&e->records, event.bytes, 8);
    put_little(&e->records, masked_crc(e->records.data + at, 8), 4);
    buf_add(&e->records, buf_str(&event));
    put_little(&e->records, masked_crc(event.data, event.bytes), 4);
    buf_free(&event);
}

static void put_value(Events *e, int64_t step, Buf *value)
{
    Buf summary = {0};
    put_message(&summary, SUMMARY_VALUE, value);
    put_event(e, step, EVENT_SUMMARY, &summary);
}

void events_scalar(Events *e, int64_t step, const char *tag, double value)
{
    Buf message = {0};
    const float number = (float)value;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_bytes(&message, VALUE_TAG, str_from(tag));
    put_key(&message, VALUE_SIMPLE, WIRE_FIXED32);
    put_little(&message, bits, 4);
    put_value(e, step, &message);
}

void events_text(Events *e, int64_t step, const char *tag, Str markdown)
{
    enum { TENSOR_TYPE = 1, TENSOR_SHAPE = 2, TENSOR_STRING = 8, TYPE_STRING = 7 };
    enum { SHAPE_DIM = 2, DIM_SIZE = 1, METADATA_PLUGIN = 1, PLUGIN_NAME = 1 };
    Buf dim = {0}, shape = {0}, tensor = {0}, plugin = {0}, metadata = {0}, value = {0};
    put_integer(&dim, DIM_SIZE, 1);
    put_message(&shape, SHAPE_DIM, &dim);
    put_integer(&tensor, TENSOR_TYPE, TYPE_STRING);
    put_message(&tensor, TENSOR_SHAPE, &shape);
    put_bytes(&tensor, TENSOR_STRING, markdown);
    put_bytes(&plugin, PLUGIN_NAME, STR("text"));
    put_message(&metadata, METADATA_PLUGIN, &plugin);
    put_bytes(&value, VALUE_TAG, str_from(tag));
    put_message(&value, VALUE_TENSOR, &tensor);
    put_message(&value, VALUE_METADATA, &metadata);
    put_value(e, step, &value);
}

bool events_flush(Events *e, Error *err)
{
    size_t at = 0;
    while (at < e->records.bytes) {
        const ssize_t n = write(e->fd, e->records.data + at, e->records.bytes - at);
        if (n < 0 && errno != EINTR)
            return error_set_errno(err, "%s", e->path);
        at += n > 0 ? (size_t)n : 0;
    }
    buf_clear(&e->records);
    return true;
}

/* ---- Old files
 * --------------------------------------------------------------------------------------------- */

static uint64_t little(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | from[i];
    return value;
}

/* The step of an Event as put_event writes it: behind the wall time, or 0. -1: another shape. */
static int64_t event_step(const uint8_t *event, size_t bytes)
{
    const size_t at = 1 + 8;
    uint64_t step = 0;
    if (bytes <= at || event[0] != (EVENT_WALL_TIME << 3 | WIRE_FIXED64))
        return -1;
    if (event[at] != (EVENT_STEP << 3 | WIRE_VARINT))
        return 0;
    for (size_t i = at + 1, shift = 0; i < bytes && shift < 63; i++, shift += 7) {
        step |= (uint64_t)(event[i] & 0x7f) << shift;
        if (event[i] < 0x80)
            return (int64_t)step;
    }
    return -1;
}

/* Bytes of a file up to the first record that is broken or of a later step. */
static size_t bytes_to_keep(const uint8_t *data, size_t bytes, int64_t steps_done)
{
    size_t at = 0;
    while (bytes - at >= PREFIX_BYTES + SUFFIX_BYTES) {
        const uint64_t n = little(data + at, 8);
        const uint8_t *event = data + at + PREFIX_BYTES;
        if (little(data + at + 8, 4) != masked_crc(data + at, 8) ||
            n > bytes - at - PREFIX_BYTES - SUFFIX_BYTES ||
            little(event + n, 4) != masked_crc(event, n))
            break;
        const int64_t step = event_step(event, n);
        if (step < 0 || step > steps_done)
            break;
        at += PREFIX_BYTES + n + SUFFIX_BYTES;
    }
    return at;
}

static bool cut_file(const char *path, int64_t steps_done, Error *err)
{
    FileMap map;
    if (steps_done == 0)
        return unlink(path) == 0 || error_set_errno(err, "%s", path);
    if (!file_map(&map, path, err))
        return false;
    const size_t all = map.bytes, kept = bytes_to_keep(map.data, all, steps_done);
    file_unmap(&map);
    return kept == all || truncate(path, (off_t)kept) == 0 || error_set_errno(err, "%s", path);
}

static bool cut_files(const char *folder, int64_t steps_done, Error *err)
{
    bool ok = true;
    DIR *dir = opendir(folder);
    if (!dir)
        return error_set_errno(err, "%s", folder);
    for (const struct dirent *entry; ok && (entry = readdir(dir));) {
        if (!str_starts(str_from(entry->d_name), STR("events.out.tfevents.")))
            continue;
        char *path = file_join(folder, entry->d_name);
        ok = cut_file(path, steps_done, err);
        mem_free(path);
    }
    closedir(dir);
    return ok;
}

/* ---- Opening
 * --------------------------------------------------------------------------------------------- */

/* A name that is new, and behind all older ones in the order of names, which is how they are read.
 */
static bool create_file(Events *e, const char *folder, Error *err)
{
    char host[64] = "", name[128];
    struct timeval now;
    gethostname(host, sizeof host - 1);
    gettimeofday(&now, NULL);
    for (int i = 0; i < FILES_PER_SECOND_MAX; i++) {
        snprintf(name, sizeof name, "events.out.tfevents.%010" PRId64 ".%s.%03d",
                 (int64_t)now.tv_sec, host[0] ? host : "wen", i);
        mem_free(e->path);
        e->path = file_join(folder, name);
        e->fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (e->fd >= 0 || errno != EEXIST)
            break;
    }
    return e->fd >= 0 || error_set_errno(err, "%s", e->path);
}

Events *events_open(const char *folder, int64_t steps_done, Error *err)
{
    enum { LOG_STATUS = 1, STATUS_START = 1 };
    Buf version = {0}, log = {0};
    Events *e = mem_alloc(sizeof *e);
    e->fd = -1;
    if (!cut_files(folder, steps_done, err) || !create_file(e, folder, err)) {
        events_close(e);
        return NULL;
    }
    buf_puts(&version, "brain.Event:2");
    put_event(e, 0, EVENT_VERSION, &version);
    if (steps_done > 0) {
        put_integer(&log, LOG_STATUS, STATUS_START);
        put_event(e, steps_done + 1, EVENT_LOG, &log);
    }
    if (!events_flush(e, err)) {
        events_close(e);
        return NULL;
    }
    return e;
}

void events_close(Events *e)
{
    if (!e)
        return;
    if (e->fd >= 0)
        close(e->fd);
    mem_free(e->path);
    buf_free(&e->records);
    mem_free(e);
}
