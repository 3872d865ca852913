/* See thought_view.h. */
#include "cli/thought_view.h"

#include "base/utf8.h"
#include "cli/term.h"

#include <string.h>
#include <utf8proc.h>

static void begin_row(ThoughtView *v)
{
    if (v->n_rows == THOUGHT_VIEW_ROWS) {
        const size_t gone = v->rows[1];
        memmove(v->text.data, v->text.data + gone, v->text.bytes - gone);
        v->text.bytes -= gone;
        v->n_rows--;
        for (int i = 0; i < v->n_rows; i++)
            v->rows[i] = v->rows[i + 1] - gone;
    }
    v->rows[v->n_rows++] = v->text.bytes;
    v->column = 0;
}

static void add_character(ThoughtView *v, Str bytes, uint32_t c)
{
    if (v->n_rows == 0 && c == '\n')
        return;
    const int n = c == '\t' ? 4 : utf8proc_charwidth((utf8proc_int32_t)c);
    if (v->n_rows == 0 || (v->column > 0 && v->column + n > v->width))
        begin_row(v);
    if (c == '\n') {
        begin_row(v);
        return;
    }
    v->column += n;
    buf_add(&v->text, c == '\t' ? STR("    ") : bytes);
}

static void erase(const ThoughtView *v)
{
    if (v->n_shown > 1)
        fprintf(v->out, "\033[%dA", v->n_shown - 1);
    if (v->n_shown > 0)
        fputs("\r\033[J", v->out);
}

static void draw(ThoughtView *v)
{
    erase(v);
    term_style(v->out, TERM_DIM);
    for (int i = 0; i < v->n_rows; i++) {
        const size_t end = i + 1 < v->n_rows ? v->rows[i + 1] : v->text.bytes;
        if (i > 0)
            fputc('\n', v->out);
        term_put_text(v->out, str_slice(buf_str(&v->text), v->rows[i], end));
    }
    term_style(v->out, TERM_PLAIN);
    v->n_shown = v->n_rows;
}

void thought_view_put(ThoughtView *v, Str text)
{
    if (v->width == 0) /* one column less: a full last one behaves differently everywhere */
        v->width = term_width() > 8 ? term_width() - 1 : 8;
    for (size_t at = 0; at < text.bytes;) {
        uint32_t c = 0xfffd;
        size_t n = utf8_decode(str_slice(text, at, text.bytes), &c);
        n = n ? n : 1;
        add_character(v, str_slice(text, at, at + n), c);
        at += n;
    }
    draw(v);
}

void thought_view_close(ThoughtView *v)
{
    erase(v);
    buf_free(&v->text);
    *v = (ThoughtView){.out = v->out};
}
