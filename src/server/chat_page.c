/* GET /: the chat page, one file (web/), as bytes of the program. It may be asked for without a
 * key: it holds nothing, and asks with the key that its user types. */
#include "server/server_state.h"

#include <stdio.h>
#include <string.h>

extern const char page_html_begin[], page_html_end[], page_policy_begin[], page_policy_end[];
__asm__(".section .rodata\n"
        ".global page_html_begin, page_html_end, page_policy_begin, page_policy_end\n"
        ".hidden page_html_begin, page_html_end, page_policy_begin, page_policy_end\n"
        "page_html_begin: .incbin \"web/dist/page.html\"\n"
        "page_html_end: .byte 0\n"
        "page_policy_begin: .incbin \"web/dist/policy.txt\"\n"
        "page_policy_end: .byte 0\n"
        ".previous\n");

static Str page_html(void)
{
    return (Str){page_html_begin, (size_t)(page_html_end - page_html_begin)};
}

static Str page_policy(void)
{
    return (Str){page_policy_begin, (size_t)(page_policy_end - page_policy_begin)};
}

void handle_page(HttpCall *call)
{
    char tag[24];
    Buf body = {0};
    snprintf(tag, sizeof tag, "\"%016llx\"", (unsigned long long)str_hash(page_html()));
    http_add_header(call, "ETag", "%s", tag);
    http_add_header(call, "Cache-Control", "no-cache");
    http_add_header(call, "Content-Security-Policy", "%.*s", STR_ARG(page_policy()));
    http_add_header(call, "X-Content-Type-Options", "nosniff");
    http_add_header(call, "Referrer-Policy", "no-referrer");
    http_add_header(call, "Cross-Origin-Opener-Policy", "same-origin");
    const char *known = http_header(call, "If-None-Match");
    if (known && strstr(known, tag)) {
        http_send(call, 304, NULL, &body);
        return;
    }
    buf_add(&body, page_html());
    http_send(call, 200, "text/html; charset=utf-8", &body);
}
