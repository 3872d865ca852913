/* The configuration of a stage: YAML of the shape group -> name -> value, described by one table.
 *
 * A table lists every key with its type, range and default. Reading, --set, the complete
 * config.yaml of a run and the comparison on resume all go by it, so a key that is not in the table
 * is an error that names the nearest one. */
#ifndef WEN_TRAIN_FIELDS_H
#define WEN_TRAIN_FIELDS_H

#include "base/str.h"

#include <jansson.h>

typedef enum FieldType {
    FIELD_INT,    /* int */
    FIELD_INT64,  /* int64_t */
    FIELD_REAL,   /* double */
    FIELD_BOOL,   /* bool */
    FIELD_TEXT,   /* const char *, borrowed from the JSON; NULL: not given */
    FIELD_CHOICE, /* int: the index of one of `choices` */
    FIELD_JSON,   /* const json_t *: a list or mapping that the stage reads itself; NULL: absent */
} FieldType;

typedef struct Field {
    const char *key; /* "group.name" */
    FieldType type;
    size_t offset;              /* in the stage's struct */
    double low, high, fallback; /* of numbers; of a choice: its index */
    const char *choices;        /* "a|b|c" */
    bool may_change;            /* on resume */
} Field;

typedef struct FieldTable {
    const Field *fields;
    int n;
} FieldTable;

/* Reads `path`, applies n_sets texts "group.name=value", fills in the defaults and writes all
 * values to `config`, the struct that the table's offsets are of. Returns the complete JSON, which
 * the values borrow from (json_decref), or NULL. */
json_t *fields_read(const FieldTable *table, const char *path, const char *const *sets, int n_sets,
                    void *config, Error *err) MUST_USE;

/* What differs in keys that a resumed run may not change, "key: old -> new" apart by ";"; false
 * when nothing does. */
bool fields_differ(const FieldTable *table, const json_t *now, const json_t *old, Buf *difference);

#endif
