/* Getting ready for the next question of a conversation.
 *
 * Templates drop the thought of an answer when a new question follows, so what was computed behind
 * the thought does not fit the next prompt: it would have to read the whole answer again while
 * somebody waits. So, when an answer with a thought has ended and nothing else is to be done, the
 * conversation is read as the next prompt will have it, while the user reads the answer. A request
 * that comes meanwhile ends that; what was computed by then stays in the engine's pages. */
#ifndef WEN_SERVER_NEXT_TURN_H
#define WEN_SERVER_NEXT_TURN_H

#include "server/exchange.h"

/* Call when x has ended, before it is closed. */
void next_turn_prepare(const Exchange *x);

#endif
