/* Anthropic's messages in OpenAI's shape. */
#ifndef WEN_SERVER_ANTHROPIC_H
#define WEN_SERVER_ANTHROPIC_H

#include "server/fault.h"

#include <jansson.h>

/* The conversation of a request's body, a new reference:
 *   system                    a system message in front
 *   text                      content
 *   thinking                  reasoning_content (redacted thoughts are left out)
 *   tool_use                  tool_calls of the assistant
 *   tool_result               a tool message of its own, in front of the turn's text
 * NULL and a fault: something else, such as an image. */
json_t *anthropic_messages(const json_t *body, Fault *fault) MUST_USE;

#endif
