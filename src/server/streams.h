/* Streams that can be picked up again after the connection was cut.
 *
 * A request asks for it with stream_options {"resume_seconds": N}. Its answer is then read by a
 * thread of its own, which keeps the stream's bytes; the client's connection is only a reader of
 * them, and there may be others, now or later:
 *
 *     engine -> exchange -> the stream's thread -> kept bytes -> readers (connections)
 *
 * Each event is preceded by "id: N", the place in the stream where it begins. A reader that comes
 * with Last-Event-ID: N gets what is behind that event, one without gets all. Without readers the
 * answer goes on for N seconds; as long it is kept when it has ended. Of a stream the last
 * STREAM_BYTES_MAX bytes are kept, at most STREAMS_MAX streams at a time; a further request is
 * answered as if it had not asked.
 *
 *     kept --a reader comes / goes--> kept --N seconds without a reader, or DELETE--> gone */
#ifndef WEN_SERVER_STREAMS_H
#define WEN_SERVER_STREAMS_H

#include "server/exchange.h"

enum { STREAMS_MAX = 64, STREAM_BYTES_MAX = 16 << 20 };

typedef struct Streams Streams;

Streams *streams_open(void);
/* Ends all, waits for their threads; no reader may be left. NULL is fine. */
void streams_close(Streams *streams);

/* Takes x over and answers its call with a stream that is kept; the header Wen-Stream-Id names it.
 * False: too many are kept, or there is no thread; x is as it was. */
bool streams_start(Streams *streams, Exchange *x) MUST_USE;

#endif
