/* The one error convention of the code below cli/.
 *
 * A function that can fail returns bool (true: it worked) or a pointer (NULL: it did not) and takes
 * `Error *err` last. The error is set once, where the fault is seen, with the place in the file or
 * request; callers may put context in front of it on the way up. Both setters return false, so a
 * failing branch is one line:
 *
 *     if (header_bytes > LIMIT)
 *         return error_set(err, ERROR_LIMIT, "byte 0: header of %zu bytes; at most %zu", ...);
 */
#ifndef WEN_BASE_ERROR_H
#define WEN_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

typedef enum ErrorCode {
    ERROR_NONE = 0,
    ERROR_IO,          /* the operating system said no: file, disk, network */
    ERROR_FORMAT,      /* foreign bytes are malformed; the message says where */
    ERROR_UNSUPPORTED, /* well-formed, but not something this program does */
    ERROR_MEMORY,      /* an allocation sized by the outside world failed */
    ERROR_ARGUMENT,    /* the caller asked for something impossible */
    ERROR_LIMIT,       /* a documented limit was exceeded */
    ERROR_DEVICE,      /* the compute device failed or is missing */
    ERROR_CANCELLED,   /* stopped on request */
} ErrorCode;

typedef struct Error {
    ErrorCode code;
    char message[512]; /* one line, no newline at the end; cut with "..." if longer */
} Error;

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_arg)                                                       \
    __attribute__((format(printf, format_index, first_arg)))

/* Sets code and message. `err` may be NULL when the caller only needs to know that it failed.
 * Returns false. */
bool error_set(Error *err, ErrorCode code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Like error_set with ERROR_IO (ERROR_MEMORY for ENOMEM), ending in ": " and the text of errno. */
bool error_set_errno(Error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "context: " before the message already there. Returns false. */
bool error_add(Error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* The code's stable name, for machines: "io", "format", ... */
const char *error_name(ErrorCode code);

#endif
