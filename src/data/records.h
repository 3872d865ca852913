/* Reading training data a document at a time: .jsonl (an object a line) or .txt (one document). The
 * file is mapped, so memory is that of one document. */
#ifndef WEN_DATA_RECORDS_H
#define WEN_DATA_RECORDS_H

#include "base/file.h"

#include <jansson.h>

typedef struct Record {
    json_t *json;   /* the object; of a .txt {"text": ...}. Borrowed until the next record */
    Str line;       /* as it stands in the file, without its line end; of a .txt: all of it */
    int64_t number; /* of the line, from 1 */
    size_t at;      /* the line's first byte */
} Record;

typedef struct RecordReader {
    const char *path; /* borrowed */
    FileMap map;
    bool is_text;
    size_t at;
    int64_t number;
    Record record;
} RecordReader;

bool records_open(RecordReader *r, const char *path, Error *err) MUST_USE;
void records_close(RecordReader *r); /* a zeroed one is fine */

/* The next record that is not blank; *record is NULL at the end. A malformed line is an error with
 * file and line. */
bool records_next(RecordReader *r, const Record **record, Error *err) MUST_USE;
/* The record whose line begins at byte `at` (Record.at) and has this number (0: not known). */
bool records_at(RecordReader *r, size_t at, int64_t number, const Record **record,
                Error *err) MUST_USE;

/* Puts "path:line" (or the byte) before an error about the record read last. Returns false. */
bool records_error(const RecordReader *r, Error *err);

/* Appends what is written in a document: its "text"; or of its "messages" each thought, content (a
 * string, or the texts of its parts) and tool call, a line between them. Something else is an
 * error. */
bool record_text(const json_t *document, Buf *out, Error *err) MUST_USE;

/* Writes the record as a line of a .jsonl. */
bool record_write(const Record *record, FileWriter *out, Error *err) MUST_USE;
/* Writes a JSON value as a line. */
bool record_write_json(const json_t *json, FileWriter *out, Error *err) MUST_USE;

#endif
