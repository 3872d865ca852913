/* Who may ask. Three things are looked at:
 *
 *   Origin  a web page's; allowed are pages of this machine, this server's own page, and those of
 *           --cors-origin. Others get a 403 before anything is done, so a page elsewhere cannot
 * make a browser ask. Host    on a server that listens to this machine only: must be a name of this
 * machine, so that a foreign name that resolves to it (DNS rebinding) gets nowhere. key
 * Authorization: Bearer KEY, or x-api-key: KEY, compared in constant time. */
#include "server/server_state.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool starts_with(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* "localhost", "x.localhost", "127.0.0.1", "[::1]", each with a port or without. */
static bool is_this_machine(const char *host)
{
    size_t n = *host == '[' ? strcspn(host, "]") : strcspn(host, ":");
    const char *end = host + n + (host[n] == ']');
    if (*end == ':') {
        end++;
        while (isdigit((unsigned char)*end))
            end++;
    }
    if (*end)
        return false;
    if (*host == '[')
        return n == 4 && strncmp(host, "[::1", 4) == 0;
    if (n == 9 && strncasecmp(host, "localhost", 9) == 0)
        return true;
    if (n > 10 && strncasecmp(host + n - 10, ".localhost", 10) == 0)
        return true;
    return n > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= n;
}

static bool is_own_page(const char *origin)
{
    const char *host = starts_with(origin, "http://")    ? origin + 7
                       : starts_with(origin, "https://") ? origin + 8
                                                         : NULL;
    return host && is_this_machine(host);
}

/* The page that this server sent itself. A name is believed only with a key: whoever owns a name
 * can let it resolve to this server, and then its page has this origin too. */
static bool is_from_here(const HttpCall *call, const char *origin)
{
    const char *host = http_header(call, "Host");
    const char *from = strstr(origin, "://");
    if (!host || !from || strcasecmp(from + 3, host) != 0)
        return false;
    bool is_number = *host == '[' || strspn(host, "0123456789.:") == strlen(host);
    return is_number || call->server->options.n_api_keys > 0;
}

static bool check_origin(HttpCall *call, Fault *fault)
{
    const ServerOptions *o = &call->server->options;
    const char *origin = http_header(call, "Origin");
    if (!origin)
        return true;
    bool is_allowed = is_own_page(origin) || is_from_here(call, origin);
    for (int i = 0; i < o->n_origins; i++)
        is_allowed |= strcmp(o->origins[i], "*") == 0 || strcasecmp(o->origins[i], origin) == 0;
    if (!is_allowed || strlen(origin) > 190)
        return fault_set(fault, 403, NULL,
                         "pages of %.150s may not ask this server; --cors-origin allows them",
                         origin);
    http_add_header(call, "Access-Control-Allow-Origin", "%s", origin);
    http_add_header(call, "Vary", "Origin");
    http_add_header(call, "Access-Control-Expose-Headers",
                    "x-request-id, retry-after, wen-thinking, wen-stream-id");
    return true;
}

static bool check_host(HttpCall *call, Fault *fault)
{
    const char *host = http_header(call, "Host");
    if (!call->server->is_loopback || !host || is_this_machine(host))
        return true;
    return fault_set(fault, 403, NULL,
                     "this server is for this machine only, and %.100s is another name; --host "
                     "makes it listen to others",
                     host);
}

/* Takes as long for any two strings of the same lengths. */
static bool equals_slowly(const char *given, const char *key)
{
    size_t n_given = strlen(given), n_key = strlen(key);
    unsigned different = n_given != n_key;
    for (size_t i = 0; i < n_key; i++)
        different |= (unsigned char)key[i] ^ (unsigned char)(i < n_given ? given[i] : 0);
    return different == 0;
}

static bool check_key(HttpCall *call, Fault *fault)
{
    const ServerOptions *o = &call->server->options;
    if (o->n_api_keys == 0 || (call->route && call->route->is_public))
        return true;
    const char *bearer = http_header(call, "Authorization");
    const char *given = http_header(call, "x-api-key");
    if (bearer && starts_with(bearer, "Bearer "))
        given = bearer + 7;
    bool is_known = false;
    for (int i = 0; i < o->n_api_keys && given; i++)
        is_known |= equals_slowly(given, o->api_keys[i]);
    return is_known || fault_set(fault, 401, NULL, "%s",
                                 given ? "this API key is not valid"
                                       : "an API key is needed: Authorization: Bearer KEY");
}

bool access_check(HttpCall *call, Fault *fault)
{
    bool is_preflight = strcmp(call->method, "OPTIONS") == 0;
    return check_origin(call, fault) && check_host(call, fault) &&
           (is_preflight || check_key(call, fault));
}

void access_send_preflight(HttpCall *call)
{
    Buf none = {0};
    const char *wanted = http_header(call, "Access-Control-Request-Headers");
    http_add_header(call, "Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
    http_add_header(call, "Access-Control-Allow-Headers", "%.190s",
                    wanted ? wanted : "Authorization, Content-Type, x-api-key");
    http_add_header(call, "Access-Control-Max-Age", "600");
    http_send(call, 204, NULL, &none);
}
