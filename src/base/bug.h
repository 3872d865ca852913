/* Assertions: for bugs of this program, never for bad input (that is an Error).
 * ASSERT is always on; DEBUG_ASSERT only in debug and sanitizer builds, for inner loops. */
#ifndef WEN_BASE_BUG_H
#define WEN_BASE_BUG_H

_Noreturn void bug_abort(const char *file, int line, const char *what);

#define ASSERT(condition) ((condition) ? (void)0 : bug_abort(__FILE__, __LINE__, #condition))
#ifdef WEN_DEBUG
#define DEBUG_ASSERT(condition) ASSERT(condition)
#else
#define DEBUG_ASSERT(condition) ((void)0)
#endif

#endif
