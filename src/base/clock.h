/* Monotonic time in seconds; only differences mean anything. */
#ifndef WEN_BASE_CLOCK_H
#define WEN_BASE_CLOCK_H

double clock_seconds(void);

#endif
