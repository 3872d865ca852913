/* What went wrong with a request, and how each dialect says so.
 *
 *   status  OpenAI type             code                     Anthropic type
 *   400     invalid_request_error   (or a more exact one)    invalid_request_error
 *   401     authentication_error    invalid_api_key          authentication_error
 *   403     permission_error        forbidden                permission_error
 *   404     not_found_error         not_found                not_found_error
 *   405     invalid_request_error   method_not_allowed       invalid_request_error
 *   413     invalid_request_error   request_too_large        request_too_large
 *   429     rate_limit_error        queue_full               rate_limit_error
 *   500     server_error            internal_error           api_error
 *   501     not_supported_error     not_supported            api_error
 *   503     unavailable_error       unavailable              overloaded_error
 *   504     timeout_error           timeout                  api_error
 */
#ifndef WEN_SERVER_FAULT_H
#define WEN_SERVER_FAULT_H

#include "base/str.h"
#include "wen.h"

typedef struct Fault {
    int status;
    const char *code;  /* static; NULL: the status's usual one */
    char param[96];    /* the field at fault, or "" */
    int retry_after_s; /* 0: no Retry-After */
    char message[600]; /* one line */
} Fault;

/* Both return false. param may be NULL. */
bool fault_set(Fault *fault, int status, const char *param, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* What the library said. */
bool fault_from_wen(Fault *fault, const wen_error *err);

typedef enum FaultShape {
    FAULT_OPENAI,    /* {"error":{"message","type","param","code"}} */
    FAULT_ANTHROPIC, /* {"type":"error","error":{"type","message"},"request_id"} */
    FAULT_OLLAMA,    /* {"error":"text"} */
} FaultShape;

/* Appends the JSON object. request_id may be "". */
void fault_put(Buf *out, const Fault *fault, FaultShape shape, const char *request_id);

#endif
