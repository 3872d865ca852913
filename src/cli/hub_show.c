/* See hub_show.h. */
#include "cli/hub_show.h"

#include <stdio.h>

const char *show_bytes(uint64_t bytes, char out[SHOWN_MAX])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t u = 0;
    for (; value >= 1000 && u + 1 < sizeof units / sizeof *units; u++)
        value /= 1000;
    snprintf(out, SHOWN_MAX,
             u == 0        ? "%.0f %s"
             : value < 100 ? "%.3g %s"
                           : "%.0f %s",
             value, units[u]);
    return out;
}
