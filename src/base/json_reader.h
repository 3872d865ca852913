/* A pull reader for JSON in memory, for files too big for a tree (an 11 MB vocabulary).
 *
 * Strict RFC 8259: UTF-8, no comments, no trailing commas, one value. Every call gives the next
 * event; nothing is allocated but the text of strings with escapes. Nesting is limited, so a reader
 * is a fixed-size thing. Errors say "byte N: ..." */
#ifndef WEN_BASE_JSON_READER_H
#define WEN_BASE_JSON_READER_H

#include "base/str.h"

enum { JSON_READER_DEPTH_MAX = 64 };

typedef enum JsonEvent {
    JSON_EVENT_ERROR, /* and again at every later call */
    JSON_EVENT_OBJECT,
    JSON_EVENT_OBJECT_END,
    JSON_EVENT_ARRAY,
    JSON_EVENT_ARRAY_END,
    JSON_EVENT_KEY,    /* reader.string: the key */
    JSON_EVENT_STRING, /* reader.string: the text, escapes resolved; may hold NUL bytes */
    JSON_EVENT_NUMBER, /* reader.string: as spelled */
    JSON_EVENT_TRUE,
    JSON_EVENT_FALSE,
    JSON_EVENT_NULL,
    JSON_EVENT_END, /* the one value is over and nothing follows it */
} JsonEvent;

typedef struct JsonReader {
    Str string;      /* of the last event; borrowed until the next one */
    size_t event_at; /* where the last event began */
    /* The reader's own: */
    Str text;
    size_t at;
    int state, depth;
    bool is_object[JSON_READER_DEPTH_MAX];
    Buf unescaped;
} JsonReader;

void json_reader_open(JsonReader *r, Str text); /* text is borrowed */
/* A reader for the value that begins at byte `at` of text; offsets in errors count from 0. What
 * follows the value is not looked at: do not ask for an event after its end. */
void json_reader_open_at(JsonReader *r, Str text, size_t at);
void json_reader_close(JsonReader *r);

JsonEvent json_reader_next(JsonReader *r, Error *err) MUST_USE;
/* Reads to the end of the value whose first event was `first` (a scalar: nothing to do). */
bool json_reader_skip(JsonReader *r, JsonEvent first, Error *err) MUST_USE;
/* Takes one whole value and drops it. */
bool json_reader_skip_value(JsonReader *r, Error *err) MUST_USE;
/* The next event must be this one: else a FORMAT error says what was expected ("a string"). */
bool json_reader_expect(JsonReader *r, JsonEvent event, Error *err) MUST_USE;
/* The next value must be a whole number (no fraction, no exponent) from min to max. */
bool json_reader_int(JsonReader *r, int64_t min, int64_t max, int64_t *value, Error *err) MUST_USE;
/* The same for the number that was just read. */
bool json_reader_number_as_int(const JsonReader *r, int64_t min, int64_t max, int64_t *value,
                               Error *err) MUST_USE;
/* "an object", "a string", ...: for messages. */
const char *json_event_name(JsonEvent event);

#endif
