/* See markdown.h. A mark is looked for at the head of what is held; what is none is shown byte by
 * byte, whole characters at a time. */
#include "cli/markdown.h"

#include "base/utf8.h"
#include "cli/term.h"

#include <ctype.h>
#include <string.h>

/* What the head of the held text is. */
typedef enum Head {
    HEAD_TEXT,  /* a character */
    HEAD_TAKEN, /* a mark, dealt with */
    HEAD_WAITS, /* more text is needed to tell */
} Head;

static void restyle(const Markdown *m)
{
    fputs("\033[0m", m->out);
    if (m->is_heading || m->is_bold)
        fputs("\033[1m", m->out);
    if (m->is_italic)
        fputs("\033[3m", m->out);
    if (m->is_code || m->is_fenced)
        fputs("\033[36m", m->out);
}

static void toggle(Markdown *m, bool *style)
{
    *style = !*style;
    restyle(m);
}

static void drop(Markdown *m, size_t bytes)
{
    m->held.bytes -= bytes;
    memmove(m->held.data, m->held.data + bytes, m->held.bytes);
    if (m->held.bytes == 0)
        buf_clear(&m->held);
}

/* Characters of `mark` at text[from] and on. */
static size_t run_of(Str text, size_t from, char mark)
{
    size_t n = 0;
    while (from + n < text.bytes && text.data[from + n] == mark)
        n++;
    return n;
}

static size_t spaces(Str text) { return run_of(text, 0, ' '); }

/* ---- At the beginning of a line ---------------------------------------------------------------
 */

/* The line of a fence is not shown. */
static Head take_fence(Markdown *m, Str text, bool is_ended)
{
    const char *end = memchr(text.data, '\n', text.bytes);
    if (!end && !is_ended)
        return HEAD_WAITS;
    drop(m, end ? (size_t)(end - text.data) + 1 : text.bytes);
    toggle(m, &m->is_fenced);
    return HEAD_TAKEN;
}

static Head take_heading(Markdown *m, Str text, bool is_ended)
{
    const size_t n = run_of(text, 0, '#');
    if (n == text.bytes && n <= 6 && !is_ended)
        return HEAD_WAITS;
    if (n > 6 || n == text.bytes || text.data[n] != ' ')
        return HEAD_TEXT;
    drop(m, n + 1);
    m->is_inside_line = true;
    toggle(m, &m->is_heading);
    return HEAD_TAKEN;
}

/* "- ", "* " and "+ " with what stands before them. */
static Head take_item(Markdown *m, Str text, size_t indent, bool is_ended)
{
    if (indent + 1 == text.bytes)
        return is_ended ? HEAD_TEXT : HEAD_WAITS;
    if (text.data[indent + 1] != ' ')
        return HEAD_TEXT;
    fprintf(m->out, "%*s\xe2\x80\xa2 ", (int)indent, "");
    drop(m, indent + 2);
    m->is_inside_line = true;
    m->before = ' ';
    return HEAD_TAKEN;
}

static Head take_line_mark(Markdown *m, Str text, bool is_ended)
{
    const size_t indent = spaces(text);
    if (indent == text.bytes)
        return is_ended ? HEAD_TEXT : HEAD_WAITS;
    const char mark = text.data[indent];
    if (mark == '`') {
        const size_t n = run_of(text, indent, '`');
        if (n >= 3)
            return take_fence(m, text, is_ended);
        if (indent + n == text.bytes && !is_ended)
            return HEAD_WAITS;
    }
    if (m->is_fenced)
        return HEAD_TEXT;
    if (mark == '#' && indent == 0)
        return take_heading(m, text, is_ended);
    if (mark == '-' || mark == '*' || mark == '+')
        return take_item(m, text, indent, is_ended);
    return HEAD_TEXT;
}

/* ---- Inside a line ----------------------------------------------------------------------------
 */

/* A style begins before something and ends behind something: "2 * 3" has none. */
static Head take_stars(Markdown *m, Str text, bool is_ended)
{
    const size_t n = run_of(text, 0, '*');
    if (n == text.bytes && n <= 2 && !is_ended)
        return HEAD_WAITS;
    if (n > 2)
        return HEAD_TEXT;
    bool *style = n == 2 ? &m->is_bold : &m->is_italic;
    const bool is_before_text = n < text.bytes && !isspace((unsigned char)text.data[n]);
    const bool is_behind_text = m->before && !isspace((unsigned char)m->before);
    if (*style ? !is_behind_text : !is_before_text || (n == 1 && is_behind_text))
        return HEAD_TEXT;
    drop(m, n);
    toggle(m, style);
    return HEAD_TAKEN;
}

static Head take_inline_mark(Markdown *m, Str text, bool is_ended)
{
    if (m->is_fenced)
        return HEAD_TEXT;
    if (text.data[0] == '`' && run_of(text, 0, '`') == 1) {
        if (text.bytes == 1 && !is_ended && !m->is_code)
            return HEAD_WAITS;
        drop(m, 1);
        toggle(m, &m->is_code);
        return HEAD_TAKEN;
    }
    if (m->is_code)
        return HEAD_TEXT;
    return text.data[0] == '*' ? take_stars(m, text, is_ended) : HEAD_TEXT;
}

/* ---- Showing ----------------------------------------------------------------------------------
 */

static void end_line(Markdown *m)
{
    const bool had_style = m->is_heading || m->is_bold || m->is_italic || m->is_code;
    m->is_heading = m->is_bold = m->is_italic = m->is_code = false;
    if (had_style)
        restyle(m);
    m->is_inside_line = false;
    m->before = 0;
    fputc('\n', m->out);
}

/* A whole character, or a run of marks that are none. */
static Head show_character(Markdown *m, Str text, bool is_ended)
{
    uint32_t c;
    size_t cut, n = text.data[0] == '*' || text.data[0] == '`' ? run_of(text, 0, text.data[0])
                                                               : utf8_decode(text, &c);
    if (n == 0 && utf8_is_cut(text, &cut) && cut == text.bytes && !is_ended)
        return HEAD_WAITS;
    n = n ? n : 1;
    if (text.data[0] == '\n') {
        end_line(m);
    } else {
        term_put_text(m->out, str_slice(text, 0, n));
        m->is_inside_line = true;
        m->before = text.data[n - 1];
    }
    drop(m, n);
    return HEAD_TAKEN;
}

static void show_held(Markdown *m, bool is_ended)
{
    Head head = HEAD_TAKEN;
    while (m->held.bytes > 0 && head != HEAD_WAITS) {
        const Str text = buf_str(&m->held);
        head = m->is_inside_line ? take_inline_mark(m, text, is_ended)
                                 : take_line_mark(m, text, is_ended);
        if (head == HEAD_TEXT && !m->is_inside_line)
            head = take_inline_mark(m, text, is_ended);
        if (head == HEAD_TEXT)
            head = show_character(m, text, is_ended);
    }
}

void markdown_put(Markdown *m, Str text)
{
    buf_add(&m->held, text);
    show_held(m, false);
}

void markdown_end(Markdown *m)
{
    show_held(m, true);
    if (m->is_heading || m->is_bold || m->is_italic || m->is_code || m->is_fenced)
        fputs("\033[0m", m->out);
    buf_free(&m->held);
    *m = (Markdown){.out = m->out};
}
