/* See hub_access.h. */
#include "hub/hub_access.h"

#include "base/file.h"
#include "base/mem.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    CONNECT_MS = 15000,
    LOW_SPEED_BYTES = 512, /* a second, for */
    LOW_SPEED_S = 20,
    REDIRECTS_MAX = 10,
    TRIES = 3,
    TOKEN_BYTES_MAX = 4096,
};

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static const char *first_env(const char *const *names)
{
    for (; *names; names++)
        if (env(*names))
            return env(*names);
    return NULL;
}

/* ---- Address and token ----------------------------------------------------------------------- */

static char *endpoint_of(HubSite site)
{
    static const char *const modelscope[] = {"MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN", NULL};
    const char *text = site == HUB_MODELSCOPE ? first_env(modelscope) : env("HF_ENDPOINT");
    if (!text)
        text = site == HUB_MODELSCOPE ? "https://modelscope.cn" : "https://huggingface.co";
    Buf url = {0};
    buf_printf(&url, "%s%s", strstr(text, "://") ? "" : "https://", text);
    while (url.bytes > 0 && url.data[url.bytes - 1] == '/')
        url.data[--url.bytes] = '\0';
    return url.data;
}

static char *token_from_file(void)
{
    const char *path = env("HF_TOKEN_PATH"), *home = env("HF_HOME"), *cache = env("XDG_CACHE_HOME");
    Buf name = {0}, text = {0};
    if (path)
        buf_puts(&name, path);
    else if (home)
        buf_printf(&name, "%s/token", home);
    else if (cache)
        buf_printf(&name, "%s/huggingface/token", cache);
    else if (env("HOME"))
        buf_printf(&name, "%s/.cache/huggingface/token", env("HOME"));
    bool ok = name.bytes && file_exists(name.data) &&
              file_read(&text, name.data, TOKEN_BYTES_MAX, NULL) && text.bytes > 0;
    buf_free(&name);
    if (!ok)
        buf_free(&text);
    return text.data;
}

static char *token_of(HubSite site)
{
    static const char *const hugging_face[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", NULL};
    static const char *const modelscope[] = {"MODELSCOPE_API_TOKEN", "MODELSCOPE_ACCESS_TOKEN",
                                             NULL};
    const char *text = first_env(site == HUB_MODELSCOPE ? modelscope : hugging_face);
    char *token = text ? mem_strdup(text) : site == HUB_HUGGING_FACE ? token_from_file() : NULL;
    size_t n = token ? strcspn(token, " \t\r\n") : 0; /* nothing that could begin another header */
    if (n > 0)
        token[n] = '\0';
    else if (token)
        mem_free(token);
    return n > 0 ? token : NULL;
}

static void init_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

bool hub_access_open(HubAccess *a, HubSite site, Error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const char *const yes[] = {"1", "true", "yes", "on"};
    const char *offline = site == HUB_HUGGING_FACE ? env("HF_HUB_OFFLINE") : NULL;
    for (size_t i = 0; offline && i < sizeof yes / sizeof *yes; i++)
        if (strcasecmp(offline, yes[i]) == 0)
            return error_set(err, ERROR_IO, "HF_HUB_OFFLINE=%s: nothing is fetched", yes[i]);
    pthread_once(&once, init_curl);
    *a = (HubAccess){.site = site, .endpoint = endpoint_of(site), .token = token_of(site)};
    if (a->token) {
        Buf header = {0};
        buf_printf(&header, "Authorization: Bearer %s", a->token);
        a->authorized = curl_slist_append(NULL, header.data);
        if (site == HUB_MODELSCOPE) { /* what its older endpoints look at */
            buf_clear(&header);
            buf_printf(&header, "Cookie: m_session_id=%s", a->token);
            a->authorized = curl_slist_append(a->authorized, header.data);
        }
        buf_free(&header);
    }
    return true;
}

void hub_access_close(HubAccess *a)
{
    curl_slist_free_all(a->authorized);
    mem_free(a->endpoint);
    mem_free(a->token);
    *a = (HubAccess){0};
}

static bool is_ours(const HubAccess *a, const char *url)
{
    size_t n = strlen(a->endpoint);
    return strncmp(url, a->endpoint, n) == 0 && (url[n] == '/' || url[n] == '\0');
}

void hub_access_prepare(const HubAccess *a, CURL *easy, const char *url)
{
    static const char *const bundles[] = {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE",
                                          NULL};
    /* From an https hub nothing leads to a place that everybody on the way can read and change. */
    bool is_secure = strncmp(a->endpoint, "http://", 7) != 0;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, is_secure ? "https" : "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, is_ours(a, url) ? a->authorized : NULL);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "wen");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)LOW_SPEED_BYTES);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)LOW_SPEED_S);
    /* A connection a request: HTTP/2 would put them all on one, where one loss stops all. */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (first_env(bundles))
        curl_easy_setopt(easy, CURLOPT_CAINFO, first_env(bundles));
    if (env("SSL_CERT_DIR"))
        curl_easy_setopt(easy, CURLOPT_CAPATH, env("SSL_CERT_DIR"));
}

/* ---- Errors ---------------------------------------------------------------------------------- */

bool hub_access_trouble(const HubAccess *a, const char *what, CURLcode code, CURL *easy, Error *err)
{
    char *url = NULL;
    long verified = 0;
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    const char *host = url && strstr(url, "://") ? strstr(url, "://") + 3 : a->endpoint;
    int n = (int)strcspn(host, "/?");
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return error_set(err, ERROR_IO, "%s: no network: %.*s cannot be reached%s", what, n, host,
                         a->site == HUB_HUGGING_FACE
                             ? " (another mirror: HF_ENDPOINT; ModelScope: --hub modelscope)"
                             : "");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(err, ERROR_IO,
                         "%s: the certificate of %.*s is not trusted (CURL_CA_BUNDLE or "
                         "SSL_CERT_FILE names the file of a network's own CA)",
                         what, n, host);
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, ERROR_IO, "%s: %.*s does not answer", what, n, host);
    case CURLE_UNSUPPORTED_PROTOCOL:
        return error_set(err, ERROR_IO, "%s: %.*s leads to an address that is not https", what, n,
                         host);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
        return error_set(err, ERROR_IO, "%s: %.*s cut the connection", what, n, host);
    default:
        return error_set(err, ERROR_IO, "%s: %.*s: %s", what, n, host, curl_easy_strerror(code));
    }
}

bool hub_access_refused(const HubAccess *a, const char *what, long status, const char *error_code,
                        Error *err)
{
    const char *site = hub_site_name(a->site);
    const char *variable = a->site == HUB_MODELSCOPE ? "MODELSCOPE_API_TOKEN" : "HF_TOKEN";
    bool is_denied = status == 401 || status == 403;
    if (strcmp(error_code, "GatedRepo") == 0 || status == 403)
        return error_set(err, ERROR_IO,
                         "%s: gated: accept its terms at https://%s/%s%s, and set %s to a token of "
                         "that account",
                         what, site, a->site == HUB_MODELSCOPE ? "models/" : "", what, variable);
    if (is_denied && a->token && strcmp(error_code, "RepoNotFound") != 0)
        return error_set(err, ERROR_IO, "%s: %s does not accept the token in %s", what, site,
                         variable);
    if (is_denied || status == 404)
        return error_set(err, ERROR_IO,
                         "%s: %s has no such repository or file, or it is private%s%s", what, site,
                         a->token ? "" : ": then set ", a->token ? "" : variable);
    if (status == 429)
        return error_set(err, ERROR_IO, "%s: %s asks to wait: too many requests", what, site);
    return error_set(err, ERROR_IO, "%s: %s answers with status %ld", what, site, status);
}

bool hub_header_is(Str line, const char *name, Str *value)
{
    size_t n = strlen(name);
    if (line.bytes <= n || line.data[n] != ':' || strncasecmp(line.data, name, n) != 0)
        return false;
    *value = str_slice(line, n + 1, line.bytes);
    while (value->bytes > 0 && isspace((unsigned char)value->data[0]))
        *value = str_slice(*value, 1, value->bytes);
    while (value->bytes > 0 && isspace((unsigned char)value->data[value->bytes - 1]))
        value->bytes--;
    return true;
}

/* ---- Small answers --------------------------------------------------------------------------- */

typedef struct Answer {
    Buf *body;
    size_t bytes_max;
    char error_code[64];
} Answer;

static size_t take_body(char *data, size_t one, size_t bytes, void *context)
{
    Answer *answer = context;
    if (answer->body->bytes + one * bytes > answer->bytes_max)
        return 0;
    buf_append(answer->body, data, one * bytes);
    return one * bytes;
}

static size_t take_header(char *data, size_t one, size_t bytes, void *context)
{
    Answer *answer = context;
    Str value;
    if (hub_header_is((Str){data, one * bytes}, "X-Error-Code", &value))
        snprintf(answer->error_code, sizeof answer->error_code, "%.*s", STR_ARG(value));
    return one * bytes;
}

/* One try, redirects included. *is_final: trying again will not help. */
static bool get_once(const HubAccess *a, CURL *easy, const char *url, const char *what,
                     Answer *answer, bool *is_final, Error *err)
{
    char *next = mem_strdup(url);
    CURLcode code = CURLE_TOO_MANY_REDIRECTS;
    long status = 300;
    for (int i = 0; i < REDIRECTS_MAX && status / 100 == 3; i++) {
        char *redirect = NULL;
        buf_clear(answer->body);
        answer->error_code[0] = '\0';
        hub_access_prepare(a, easy, next);
        code = curl_easy_perform(easy);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
        if (code != CURLE_OK || !redirect)
            break;
        redirect = mem_strdup(redirect);
        mem_free(next);
        next = redirect;
    }
    mem_free(next);
    *is_final = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
                code == CURLE_UNSUPPORTED_PROTOCOL;
    if (code == CURLE_WRITE_ERROR) {
        *is_final = true;
        return error_set(err, ERROR_LIMIT, "%s: the answer of %s is longer than %zu bytes", what,
                         hub_site_name(a->site), answer->bytes_max);
    }
    if (code != CURLE_OK)
        return hub_access_trouble(a, what, code, easy, err);
    *is_final = status < 500 && status != 429;
    return status == 200 || hub_access_refused(a, what, status, answer->error_code, err);
}

bool hub_access_get(const HubAccess *a, const char *url, const char *what, size_t bytes_max,
                    Buf *body, Error *err)
{
    Answer answer = {.body = body, .bytes_max = bytes_max};
    CURL *easy = curl_easy_init();
    bool ok = false, is_final = !easy;
    if (!easy)
        error_set(err, ERROR_MEMORY, "%s: libcurl has no memory", what);
    for (int i = 0; i < TRIES && !ok && !is_final; i++) {
        struct timespec pause = {i, 0};
        nanosleep(&pause, NULL);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, &answer);
        ok = get_once(a, easy, url, what, &answer, &is_final, err);
    }
    curl_easy_cleanup(easy);
    return ok;
}
