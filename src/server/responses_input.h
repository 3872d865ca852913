/* The input of OpenAI's /v1/responses in the shape of its chat. */
#ifndef WEN_SERVER_RESPONSES_INPUT_H
#define WEN_SERVER_RESPONSES_INPUT_H

#include "server/fault.h"

#include <jansson.h>

/* The conversation of a request's body, a new reference:
 *   instructions            a system message in front
 *   input, a string         a user message
 *   message                 a message; its parts joined
 *   reasoning               reasoning_content of the assistant message behind it
 *   function_call           tool_calls of one assistant message, calls in a row together
 *   function_call_output    a tool message
 * NULL and a fault: something else, such as an image or a stored response. */
json_t *responses_messages(const json_t *body, Fault *fault) MUST_USE;

#endif
