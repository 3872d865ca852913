/* What the commands about the store print. */
#ifndef WEN_CLI_HUB_SHOW_H
#define WEN_CLI_HUB_SHOW_H

#include "hub/hub.h"

enum { SHOWN_MAX = 32 };

/* "5.03 GB", as the hubs' pages count: 1 GB is 10^9 bytes. Returns `out`. */
const char *show_bytes(uint64_t bytes, char out[SHOWN_MAX]);

#endif
