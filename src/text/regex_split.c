/* See regex_split.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex_split.h"

#include "base/mem.h"

#include <pcre2.h>
#include <string.h>

enum {
    MATCH_LIMIT = 1000 * 1000, /* backtracking steps for one piece */
    HEAP_LIMIT_KIB = 64 * 1024,
    JIT_STACK_MIN = 32 * 1024,
    JIT_STACK_MAX = 1024 * 1024,
};

/* The White_Space characters: inside brackets. Source: Unicode PropList.txt. */
static const char WHITE_SPACE[] = "\\t-\\r\\x{85}\\p{Z}";

struct RegexSplit {
    pcre2_code *code;
};

static bool put_class(Buf *out, Str pattern, size_t at, bool in_brackets, Error *err)
{
    char c = pattern.data[at + 1];
    if (c == 'h' || c == 'H')
        return error_set(err, ERROR_UNSUPPORTED, "splitting expression, byte %zu: \\%c", at, c);
    if (c == 's') {
        buf_printf(out, in_brackets ? "%s" : "[%s]", WHITE_SPACE);
    } else if (c == 'S' && !in_brackets) {
        buf_printf(out, "[^%s]", WHITE_SPACE);
    } else {
        buf_append(out, pattern.data + at, 2);
    }
    return true;
}

/* The pattern in PCRE2's spelling. */
static bool translate(Buf *out, Str pattern, Error *err)
{
    bool in_brackets = false;
    for (size_t i = 0; i < pattern.bytes; i++) {
        char c = pattern.data[i];
        if (c == '\\' && i + 1 < pattern.bytes) {
            if (!put_class(out, pattern, i, in_brackets, err))
                return false;
            i++;
            continue;
        }
        Str rest = str_slice(pattern, i, pattern.bytes);
        if ((in_brackets && (c == '[' || str_starts(rest, STR("&&")))) ||
            str_starts(rest, STR("[]")) || str_starts(rest, STR("[^]")))
            return error_set(err, ERROR_UNSUPPORTED,
                             "splitting expression, byte %zu: a class of this kind", i);
        if (c == '[')
            in_brackets = true;
        else if (c == ']')
            in_brackets = false;
        buf_putc(out, c);
    }
    return true;
}

RegexSplit *regex_split_open(Str pattern, Error *err)
{
    if (pattern.bytes > REGEX_SPLIT_BYTES_MAX) {
        error_set(err, ERROR_LIMIT, "splitting expression of %zu bytes; at most %d", pattern.bytes,
                  REGEX_SPLIT_BYTES_MAX);
        return NULL;
    }
    Buf translated = {0};
    RegexSplit *regex = NULL;
    if (!translate(&translated, pattern, err))
        goto done;
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled = pcre2_compile(
        (PCRE2_SPTR)buf_str(&translated).data, translated.bytes,
        PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
    if (!compiled) {
        char message[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
        error_set(err, ERROR_UNSUPPORTED, "splitting expression, byte %zu: %s", (size_t)offset,
                  message);
        goto done;
    }
    /* Without a JIT on this machine matching is slower, and the same. */
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    regex = mem_alloc(sizeof *regex);
    regex->code = compiled;
done:
    buf_free(&translated);
    return regex;
}

void regex_split_close(RegexSplit *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    mem_free(regex);
}

bool regex_scan_open(RegexScan *scan, const RegexSplit *regex, Error *err)
{
    *scan = (RegexScan){.regex = regex};
    scan->match = pcre2_match_data_create(1, NULL);
    scan->limits = pcre2_match_context_create(NULL);
    scan->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
    if (!scan->match || !scan->limits || !scan->stack) {
        regex_scan_close(scan);
        return error_set(err, ERROR_MEMORY, "no memory for splitting text");
    }
    pcre2_set_match_limit(scan->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(scan->limits, HEAP_LIMIT_KIB);
    pcre2_jit_stack_assign(scan->limits, NULL, scan->stack);
    return true;
}

void regex_scan_close(RegexScan *scan)
{
    pcre2_match_data_free(scan->match);
    pcre2_match_context_free(scan->limits);
    pcre2_jit_stack_free(scan->stack);
    *scan = (RegexScan){0};
}

/* The first match at or after `at`: 1, and its place; 0 when there is none; -1 on error. */
static int next_match(RegexScan *scan, Str text, size_t at, size_t *from, size_t *to, Error *err)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text.data;
    const pcre2_code *code = scan->regex->code;
    int n =
        pcre2_match(code, subject, text.bytes, at, PCRE2_NO_UTF_CHECK, scan->match, scan->limits);
    if (n == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter backtracks on the heap */
        n = pcre2_match(code, subject, text.bytes, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        scan->match, scan->limits);
    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(scan->match);
    if (n >= 0 && range[0] >= at && range[1] >= range[0]) {
        *from = range[0];
        *to = range[1];
        return 1;
    }
    char message[128] = "the match runs backwards";
    if (n < 0)
        pcre2_get_error_message(n, (PCRE2_UCHAR *)message, sizeof message);
    error_set(err, n < 0 ? ERROR_LIMIT : ERROR_UNSUPPORTED,
              "the tokenizer's splitting expression fails on this text: %s", message);
    return -1;
}

static bool give_piece(Str text, size_t from, size_t to, RegexPieceHandler *each, void *context,
                       Error *err)
{
    return from == to || each(context, str_slice(text, from, to), err);
}

bool regex_scan_split(RegexScan *scan, Str text, RegexPieceHandler *each, void *context, Error *err)
{
    size_t done = 0, at = 0, from, to;
    int found = 0;
    while (at < text.bytes && (found = next_match(scan, text, at, &from, &to, err)) > 0) {
        if (!give_piece(text, done, from, each, context, err) ||
            !give_piece(text, from, to, each, context, err))
            return false;
        done = at = to;
        if (to == from &&
            at < text.bytes) { /* an empty match only cuts; go on one character later */
            at++;
            while (at < text.bytes && ((unsigned char)text.data[at] & 0xC0) == 0x80)
                at++;
        }
    }
    return found >= 0 && give_piece(text, done, text.bytes, each, context, err);
}
