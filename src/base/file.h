/* Files: mapping, reading whole, and writing so that a half-written file is never seen. */
#ifndef WEN_BASE_FILE_H
#define WEN_BASE_FILE_H

#include "base/str.h"

typedef struct FileMap {
    const uint8_t *data; /* read-only mapping; NULL for an empty file */
    size_t bytes;
} FileMap;

bool file_map(FileMap *map, const char *path, Error *err) MUST_USE;
void file_unmap(FileMap *map);
/* Lets go of the memory that a mapping's pages take; reading them again reads the file. */
void file_map_release(const FileMap *map);
/* Small parts will be read here and there: nothing is to be read ahead. */
void file_map_scattered(const FileMap *map);

/* Reads a file ("-" is standard input) of at most bytes_max bytes into a Buf. */
bool file_read(Buf *out, const char *path, size_t bytes_max, Error *err) MUST_USE;

bool file_exists(const char *path);
bool file_is_dir(const char *path);
/* When it was last written to, in nanoseconds; 0 when that cannot be found out. */
int64_t file_time(const char *path);
/* Makes a directory and its missing parents. */
bool file_make_dir(const char *path, Error *err) MUST_USE;
/* Removes a folder and all below it; links are removed, not followed. One that is not there is
 * fine. */
bool file_remove_tree(const char *path, Error *err) MUST_USE;
/* "dir/name", allocated with mem_alloc. */
char *file_join(const char *dir, const char *name);
/* The last part of a path, inside it: "sft" of "runs/sft/". */
Str file_base_name(const char *path);

/* A file being written: bytes go to a temporary beside `path`, which has no name until it is whole
 * where the file system can do that; commit syncs and renames it over `path`, cancel removes it.
 * Buffered. After the first failure all calls fail with that error. */
typedef struct FileWriter FileWriter;
FileWriter *file_writer_open(const char *path, Error *err) MUST_USE;
bool file_writer_write(FileWriter *w, const void *data, size_t bytes, Error *err) MUST_USE;
/* Overwrites bytes already written (headers whose size is known only at the end). */
bool file_writer_patch(FileWriter *w, uint64_t offset, const void *data, size_t bytes,
                       Error *err) MUST_USE;
uint64_t file_writer_offset(const FileWriter *w);
bool file_writer_commit(FileWriter *w, Error *err) MUST_USE; /* frees w either way */
void file_writer_cancel(FileWriter *w);                      /* NULL is fine */

/* Commits if `ok`, else cancels; true: there was a commit that worked, or w is NULL and ok. */
bool file_writer_finish(FileWriter *w, bool ok, Error *err) MUST_USE;

/* Writes a whole file through a FileWriter. */
bool file_write(const char *path, Str contents, Error *err) MUST_USE;

#endif
