/* See bug.h. */
#include "base/bug.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void bug_abort(const char *file, int line, const char *what)
{
    fprintf(stderr, "wen: bug at %s:%d: %s\n", file, line, what);
    abort();
}
