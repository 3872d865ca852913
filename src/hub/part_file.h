/* A file on its way: PATH.part has the bytes in their places, PATH.state says which are there.
 *
 * The file is cut into pieces of 4 to 64 MiB, fetched side by side; each grows from its beginning.
 * PATH.state is a mapped table of how far each has come, and whose contents these are: a process
 * that is killed at any moment loses nothing that it had written, since a byte is written before it
 * is counted. (After a power cut the table may count bytes that the disk has lost; the hash over
 * what the file really holds finds that.)
 *
 * Threads: part_prefix and part_read may be called from another thread. */
#ifndef WEN_HUB_PART_FILE_H
#define WEN_HUB_PART_FILE_H

#include "hub/repo_files.h"

typedef struct PartFile PartFile;

/* Takes up what lies there of the same contents; else begins anew. Makes missing folders. `path` is
 * the finished file's. */
PartFile *part_open(const char *path, const RepoFile *file, Error *err) MUST_USE;
void part_close(PartFile *part); /* keeps both files; NULL is fine */

/* The next piece that nobody has claimed and that is not complete: bytes from *begin (behind those
 * that are there) up to *end. False: there is none. */
bool part_claim(PartFile *part, uint64_t *begin, uint64_t *end);
/* Claims the whole file, from its beginning: for a server that knows no ranges. */
void part_claim_all(PartFile *part, uint64_t *begin, uint64_t *end);
/* Gives a claim back; `at` is any byte of it. */
void part_release(PartFile *part, uint64_t begin, uint64_t end);

/* Bytes at `at`, which must not leave a gap behind what its piece has. A byte that is counted is
 * never written again (it may have been hashed): such are passed over. */
bool part_write(PartFile *part, uint64_t at, const void *data, size_t bytes, Error *err) MUST_USE;
bool part_read(const PartFile *part, uint64_t at, void *data, size_t bytes, Error *err) MUST_USE;

uint64_t part_done(const PartFile *part);   /* bytes that are there */
uint64_t part_prefix(const PartFile *part); /* of them, those without a gap before them */
int part_n_pieces(const PartFile *part);
const RepoFile *part_file(const PartFile *part);

/* Forgets all bytes. Nothing may be claimed. */
void part_reset(PartFile *part);
/* To the disk; from any thread, when the file is whole. */
bool part_sync(PartFile *part, Error *err) MUST_USE;
/* Gives the file its name, removes the table; frees `part` either way. */
bool part_finish(PartFile *part, Error *err) MUST_USE;

#endif
