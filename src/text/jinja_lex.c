/* Template text -> tokens. Entry point: jinja_lex.
 *
 * White space control happens here, before the parser sees anything: trim_blocks removes the
 * newline behind a block or comment, lstrip_blocks the blanks of a line before one, "-" strips
 * everything on its side and "+" switches the two off. Inside open brackets the end marks of a tag
 * are operators ("}}" closes two dictionaries). */
#include "base/utf8.h"
#include "text/jinja_text.h"
#include "text/jinja_tree.h"

#include <string.h>

typedef struct Lexer {
    Arena *arena;
    Str s;
    size_t at;
    int line;
    bool line_starting; /* the last tag ended with a newline, or nothing came before */
    char open[JINJA_NESTING_MAX];
    int n_open;
    JinjaTokens *tokens;
    Error *err;
} Lexer;

void jinja_tokens_free(JinjaTokens *tokens)
{
    mem_free(tokens->data);
    *tokens = (JinjaTokens){0};
}

static bool lex_fail(const Lexer *lx, const char *what)
{
    return error_set(lx->err, ERROR_FORMAT, "template line %d: %s", lx->line, what);
}

static JinjaToken *push(Lexer *lx, JinjaTokenKind kind, Str text)
{
    JinjaTokens *t = lx->tokens;
    if (t->n == t->capacity) {
        int capacity = t->capacity ? t->capacity * 2 : 256;
        JinjaToken *grown =
            mem_try_grow(t->data, sizeof *t->data * (size_t)t->n,
                         sizeof *t->data * (size_t)capacity, "template tokens", lx->err);
        if (!grown)
            return NULL;
        t->data = grown;
        t->capacity = capacity;
    }
    JinjaToken *token = &t->data[t->n++];
    *token = (JinjaToken){.kind = kind, .line = lx->line, .text = text};
    return token;
}

static char peek(const Lexer *lx, size_t ahead)
{
    return lx->at + ahead < lx->s.bytes ? lx->s.data[lx->at + ahead] : '\0';
}

static bool looking_at(const Lexer *lx, const char *text)
{
    size_t n = strlen(text);
    return lx->s.bytes - lx->at >= n && memcmp(lx->s.data + lx->at, text, n) == 0;
}

static void advance(Lexer *lx, size_t to)
{
    for (; lx->at < to; lx->at++)
        lx->line += lx->s.data[lx->at] == '\n';
}

/* The end of the white space that starts at `from`. */
static size_t space_end(Str s, size_t from)
{
    uint32_t cp;
    size_t n;
    while ((n = utf8_decode(str_slice(s, from, s.bytes), &cp)) > 0 && jinja_is_space(cp))
        from += n;
    return from;
}

static Str strip_right(Str text)
{
    size_t end = text.bytes;
    while (end > 0) {
        size_t start = end - 1;
        while (start > 0 && ((unsigned char)text.data[start] & 0xC0u) == 0x80u)
            start--;
        uint32_t cp;
        if (utf8_decode(str_slice(text, start, end), &cp) == 0 || !jinja_is_space(cp))
            break;
        end = start;
    }
    return str_slice(text, 0, end);
}

/* The text before a tag, after what its sign and lstrip_blocks take away. */
static Str before_tag(const Lexer *lx, Str text, char sign, bool is_print)
{
    if (sign == '-')
        return strip_right(text);
    if (sign == '+' || is_print)
        return text;
    const char *newline = text.bytes ? memrchr(text.data, '\n', text.bytes) : NULL;
    size_t line_at = newline ? (size_t)(newline - text.data) + 1 : 0;
    bool at_line_start = line_at > 0 || lx->line_starting;
    if (at_line_start && space_end(text, line_at) == text.bytes)
        return str_slice(text, 0, line_at);
    return text;
}

/* The bytes of a tag's end mark at `at` with the white space that belongs to it, or 0. */
static size_t end_mark(const Lexer *lx, size_t at, const char *mark)
{
    Str rest = str_slice(lx->s, at, lx->s.bytes);
    char sign = rest.bytes && (rest.data[0] == '-' || rest.data[0] == '+') ? rest.data[0] : '\0';
    size_t n = sign ? 1 : 0;
    if (!str_starts(str_slice(rest, n, rest.bytes), str_from(mark)))
        return 0;
    n += 2;
    bool is_print = mark[0] == '}';
    if (is_print && sign == '+')
        return 0;
    if (sign == '-')
        return space_end(rest, n);
    if (!is_print && !sign && n < rest.bytes && rest.data[n] == '\n')
        n++;
    return n;
}

static void pass_end_mark(Lexer *lx, size_t bytes)
{
    advance(lx, lx->at + bytes);
    lx->line_starting = lx->s.data[lx->at - 1] == '\n';
}

static bool lex_comment(Lexer *lx)
{
    ptrdiff_t hit = str_find(lx->s, STR("#}"), lx->at);
    if (hit < 0)
        return lex_fail(lx, "missing end of comment tag");
    size_t end = (size_t)hit;
    if (end > lx->at && (lx->s.data[end - 1] == '-' || lx->s.data[end - 1] == '+'))
        end--;
    advance(lx, end);
    pass_end_mark(lx, end_mark(lx, end, "#}"));
    return true;
}

/* If `at` starts the word of a raw tag, the offset behind the word and the blanks after it. */
static size_t after_word(const Lexer *lx, size_t at, const char *word)
{
    at = space_end(lx->s, at);
    if (!str_starts(str_slice(lx->s, at, lx->s.bytes), str_from(word)))
        return 0;
    return space_end(lx->s, at + strlen(word));
}

/* A raw tag's own end: no newline is trimmed behind "raw". */
static size_t raw_begin_bytes(const Lexer *lx, size_t at)
{
    Str rest = str_slice(lx->s, at, lx->s.bytes);
    if (str_starts(rest, STR("-%}")))
        return space_end(rest, 3);
    return str_starts(rest, STR("%}")) ? 2 : 0;
}

static bool lex_raw(Lexer *lx)
{
    size_t from = lx->at;
    for (size_t at = from;;) {
        ptrdiff_t hit = str_find(lx->s, STR("{%"), at);
        if (hit < 0)
            return lex_fail(lx, "missing end of raw directive");
        size_t tag = (size_t)hit + 2;
        char sign = tag < lx->s.bytes ? lx->s.data[tag] : '\0';
        bool has_sign = sign == '-' || sign == '+';
        size_t word_end = after_word(lx, tag + has_sign, "endraw");
        size_t mark = word_end ? end_mark(lx, word_end, "%}") : 0;
        if (mark == 0) {
            at = (size_t)hit + 1;
            continue;
        }
        Str text = before_tag(lx, str_slice(lx->s, from, (size_t)hit), sign, false);
        if (text.bytes && !push(lx, TOKEN_DATA, text))
            return false;
        advance(lx, word_end);
        pass_end_mark(lx, mark);
        return true;
    }
}

/* The value of a backslash escape's digits, or -1. */
static int64_t escape_digits(Str s, size_t from, int n_min, int n_max, int base, size_t *end)
{
    int64_t value = 0;
    int n = 0;
    for (; n < n_max && from + (size_t)n < s.bytes; n++) {
        char c = s.data[from + (size_t)n];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : 99;
        if (digit >= base)
            break;
        value = value * base + digit;
    }
    *end = from + (size_t)n;
    return n >= n_min ? value : -1;
}

/* Resolves one escape at `at` (behind the backslash); returns the offset behind it, 0: malformed.
 */
static size_t lex_escape(Buf *out, Str s, size_t at)
{
    static const char names[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
    char c = s.data[at];
    const char *simple = strchr(names, c);
    if (c && simple) {
        buf_putc(out, values[simple - names]);
        return at + 1;
    }
    if (c == '\n')
        return at + 1;
    int64_t cp;
    size_t end = at + 1;
    if (c >= '0' && c <= '7')
        cp = escape_digits(s, at, 1, 3, 8, &end);
    else if (c == 'x')
        cp = escape_digits(s, at + 1, 2, 2, 16, &end);
    else if (c == 'u')
        cp = escape_digits(s, at + 1, 4, 4, 16, &end);
    else if (c == 'U')
        cp = escape_digits(s, at + 1, 8, 8, 16, &end);
    else if (c == 'N')
        return 0;
    else {
        buf_putc(out, '\\'); /* Python keeps an escape that it does not know */
        return at;
    }
    if (cp < 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
        return 0;
    char bytes[4];
    buf_append(out, bytes, utf8_encode((uint32_t)cp, bytes));
    return end;
}

static bool lex_string(Lexer *lx)
{
    char quote = peek(lx, 0);
    size_t from = lx->at + 1, end = from;
    bool has_escape = false;
    while (end < lx->s.bytes && lx->s.data[end] != quote) {
        if (lx->s.data[end] == '\\') {
            has_escape = true;
            end++;
        }
        end++;
    }
    if (end >= lx->s.bytes)
        return lex_fail(lx, "a string is not closed");
    Str raw = str_slice(lx->s, from, end);
    JinjaToken *token = push(lx, TOKEN_STRING, raw);
    if (!token)
        return false;
    if (has_escape) {
        Buf text = {0};
        size_t i = 0;
        while (i < raw.bytes) {
            if (raw.data[i] != '\\') {
                buf_putc(&text, raw.data[i++]);
                continue;
            }
            i = lex_escape(&text, raw, i + 1);
            if (i == 0) {
                buf_free(&text);
                return lex_fail(lx, "malformed escape in a string");
            }
        }
        token->text = (Str){arena_strndup(lx->arena, buf_str(&text).data, text.bytes), text.bytes};
        buf_free(&text);
    }
    advance(lx, end + 1);
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The end of digits that may be separated by single underscores. */
static size_t digits_end(Str s, size_t at)
{
    while (at < s.bytes && (is_digit(s.data[at]) ||
                            (s.data[at] == '_' && at + 1 < s.bytes && is_digit(s.data[at + 1]))))
        at++;
    return at;
}

/* The end of a float literal at `at`, or 0 when there is none. */
static size_t float_end(Str s, size_t at)
{
    if (at > 0 && s.data[at - 1] == '.')
        return 0;
    size_t end = digits_end(s, at);
    bool is_float = false;
    if (end + 1 < s.bytes && s.data[end] == '.' && is_digit(s.data[end + 1])) {
        end = digits_end(s, end + 1);
        is_float = true;
    }
    if (end < s.bytes && (s.data[end] == 'e' || s.data[end] == 'E')) {
        size_t digits = end + 1;
        if (digits < s.bytes && (s.data[digits] == '+' || s.data[digits] == '-'))
            digits++;
        if (digits < s.bytes && is_digit(s.data[digits])) {
            end = digits_end(s, digits);
            is_float = true;
        }
    }
    return is_float ? end : 0;
}

static size_t int_end(Str s, size_t at, int *base)
{
    *base = 10;
    if (s.data[at] != '0')
        return digits_end(s, at);
    char c = at + 1 < s.bytes ? s.data[at + 1] | 0x20 : '\0';
    *base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
    if (*base == 10) {
        while (at < s.bytes && (s.data[at] == '0' ||
                                (s.data[at] == '_' && at + 1 < s.bytes && s.data[at + 1] == '0')))
            at++;
        return at;
    }
    size_t end;
    for (at += 2;; at = end) {
        size_t from = at < s.bytes && s.data[at] == '_' ? at + 1 : at;
        if (escape_digits(s, from, 1, 1, *base, &end) < 0)
            return at;
    }
}

static bool lex_number(Lexer *lx)
{
    size_t end = float_end(lx->s, lx->at);
    bool is_float = end > 0;
    int base = 10;
    if (!is_float)
        end = int_end(lx->s, lx->at, &base);
    Str text = str_slice(lx->s, lx->at, end);
    JinjaToken *token = push(lx, is_float ? TOKEN_FLOAT : TOKEN_INT, text);
    if (!token)
        return false;
    bool ok = is_float ? jinja_parse_float(text, &token->number)
                       : jinja_parse_int(text, base, &token->integer);
    if (!ok)
        return lex_fail(lx, "a number is out of range or malformed");
    advance(lx, end);
    return true;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c) ||
           (unsigned char)c >= 0x80;
}

static bool lex_operator(Lexer *lx)
{
    static const char *const doubles[] = {"//", "**", "==", "!=", ">=", "<="};
    size_t n = 0;
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles && n == 0; i++)
        n = looking_at(lx, doubles[i]) ? 2 : 0;
    char c = peek(lx, 0);
    if (n == 0 && c && strchr("+-*/%~[](){}><=.:|,;", c))
        n = 1;
    if (n == 0)
        return lex_fail(lx, "unexpected character");
    if (n == 1 && strchr("([{", c)) {
        if (lx->n_open == JINJA_NESTING_MAX)
            return lex_fail(lx, "brackets are nested too deeply");
        lx->open[lx->n_open++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    }
    if (n == 1 && strchr(")]}", c)) {
        if (lx->n_open == 0 || lx->open[--lx->n_open] != c)
            return lex_fail(lx, "a bracket is closed that was not opened");
    }
    if (!push(lx, TOKEN_OPERATOR, str_slice(lx->s, lx->at, lx->at + n)))
        return false;
    lx->at += n;
    return true;
}

/* The inside of {{ }} or {% %}, its end mark included. */
static bool lex_tag(Lexer *lx, bool is_print)
{
    lx->n_open = 0;
    for (;;) {
        size_t n = lx->n_open == 0 ? end_mark(lx, lx->at, is_print ? "}}" : "%}") : 0;
        if (n > 0) {
            if (!push(lx, is_print ? TOKEN_PRINT_END : TOKEN_BLOCK_END, (Str){0}))
                return false;
            pass_end_mark(lx, n);
            return true;
        }
        size_t end = space_end(lx->s, lx->at);
        if (end > lx->at) {
            advance(lx, end);
            continue;
        }
        if (lx->at >= lx->s.bytes)
            return lex_fail(lx, "the template ends inside a tag");
        char c = peek(lx, 0);
        bool ok;
        if (is_digit(c)) {
            ok = lex_number(lx);
        } else if (is_name_byte(c)) {
            for (end = lx->at; end < lx->s.bytes && is_name_byte(lx->s.data[end]);)
                end++;
            ok = push(lx, TOKEN_NAME, str_slice(lx->s, lx->at, end)) != NULL;
            lx->at = end;
        } else if (c == '\'' || c == '"') {
            ok = lex_string(lx);
        } else {
            ok = lex_operator(lx);
        }
        if (!ok)
            return false;
    }
}

/* The offset of the next "{%", "{{" or "{#", or the end. */
static size_t next_tag(Str s, size_t from)
{
    while (from + 1 < s.bytes) {
        const char *brace = memchr(s.data + from, '{', s.bytes - 1 - from);
        if (!brace)
            break;
        if (brace[1] == '%' || brace[1] == '{' || brace[1] == '#')
            return (size_t)(brace - s.data);
        from = (size_t)(brace - s.data) + 1;
    }
    return s.bytes;
}

bool jinja_lex(Arena *arena, Str source, JinjaTokens *tokens, Error *err)
{
    Lexer lx = {.arena = arena,
                .s = source,
                .line = 1,
                .line_starting = true,
                .tokens = tokens,
                .err = err};
    while (lx.at < source.bytes) {
        size_t tag = next_tag(source, lx.at);
        char kind = tag < source.bytes ? source.data[tag + 1] : '\0';
        char sign = tag + 2 < source.bytes ? source.data[tag + 2] : '\0';
        Str text = str_slice(source, lx.at, tag);
        if (kind)
            text = before_tag(&lx, text, sign, kind == '{');
        if (text.bytes && !push(&lx, TOKEN_DATA, text))
            return false;
        advance(&lx, tag);
        if (!kind)
            break;
        size_t inside = tag + 2 + (sign == '-' || sign == '+');
        size_t raw = kind == '%' ? after_word(&lx, inside, "raw") : 0;
        size_t raw_mark = raw ? raw_begin_bytes(&lx, raw) : 0;
        bool ok = true;
        lx.line_starting = false;
        if (raw_mark) {
            advance(&lx, raw);
            pass_end_mark(&lx, raw_mark);
            ok = lex_raw(&lx);
        } else if (kind == '#') {
            lx.at = inside;
            ok = lex_comment(&lx);
        } else {
            ok = push(&lx, kind == '{' ? TOKEN_PRINT_BEGIN : TOKEN_BLOCK_BEGIN, (Str){0}) != NULL;
            lx.at = inside;
            ok = ok && lex_tag(&lx, kind == '{');
        }
        if (!ok)
            return false;
    }
    return push(&lx, TOKEN_END, (Str){0}) != NULL;
}
