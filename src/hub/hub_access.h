/* How to reach a hub: its address, the user's token, the certificates to trust; and small answers.
 *
 * Redirects are followed here and not by libcurl, so that it is plain who gets the token: only
 * addresses that begin with the hub's own. */
#ifndef WEN_HUB_HUB_ACCESS_H
#define WEN_HUB_HUB_ACCESS_H

#include "hub/hub.h"

#include <curl/curl.h>

typedef struct HubAccess {
    HubSite site;
    char *endpoint;                /* "https://huggingface.co", without a slash at the end */
    char *token;                   /* NULL: none */
    struct curl_slist *authorized; /* headers with the token */
} HubAccess;

/* Hugging Face: HF_ENDPOINT; HF_TOKEN, HUGGING_FACE_HUB_TOKEN or the file that "hf auth login"
 * writes (HF_TOKEN_PATH, HF_HOME). ModelScope: MODELSCOPE_DOMAIN or MODELSCOPE_ENDPOINT;
 * MODELSCOPE_API_TOKEN. HF_HUB_OFFLINE=1 is an error here. */
bool hub_access_open(HubAccess *a, HubSite site, Error *err) MUST_USE;
void hub_access_close(HubAccess *a);

/* Sets what every request has: address, token where it may go, protocols, certificates
 * (CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR), time limits. */
void hub_access_prepare(const HubAccess *a, CURL *easy, const char *url);

/* The answer's body, at most bytes_max bytes. Tried again a few times when the network fails.
 * `what` (a repository) begins the error. */
bool hub_access_get(const HubAccess *a, const char *url, const char *what, size_t bytes_max,
                    Buf *body, Error *err) MUST_USE;

/* Errors in words, `what` the repository. They return false. error_code: the answer's X-Error-Code,
 * or "". */
bool hub_access_trouble(const HubAccess *a, const char *what, CURLcode code, CURL *easy,
                        Error *err);
bool hub_access_refused(const HubAccess *a, const char *what, long status, const char *error_code,
                        Error *err);

/* Whether a header line is that one; its value without blanks, borrowed. */
bool hub_header_is(Str line, const char *name, Str *value);

#endif
