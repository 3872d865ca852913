/* See display.h. */
#include "cli/display.h"

#include "base/clock.h"
#include "cli/term.h"

Display display_open(DisplayStyle style)
{
    Display d = {0};
    if (!style.is_shown)
        return d;
    d.text = stdout;
    d.thoughts = term_is_terminal(stdout) ? stdout : term_is_terminal(stderr) ? stderr : NULL;
    d.folds = style.folds_thoughts && d.thoughts == stdout && term_has_color(stdout);
    d.view.out = stdout;
    d.renders = style.has_markdown && term_has_color(stdout);
    d.markdown.out = stdout;
    return d;
}

static size_t count_characters(Str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.bytes; i++)
        n += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return n;
}

static void begin_thinking(Display *d, FILE *out)
{
    d->open = out;
    d->thought_began = clock_seconds();
    d->n_characters = 0;
    if (d->folds)
        return;
    if (term_has_color(out))
        term_style(out, TERM_DIM);
    else
        fputs("<think>\n", out);
}

void display_thinking(Display *d, Str text)
{
    FILE *out = d->thoughts;
    if (!out || text.bytes == 0)
        return;
    if (!d->open)
        begin_thinking(d, out);
    d->n_characters += count_characters(text);
    if (d->folds)
        thought_view_put(&d->view, text);
    else
        term_put_text(out, text);
    term_flush(out);
    if (out == d->text)
        d->last = text.data[text.bytes - 1];
}

static void fold_thought(Display *d)
{
    thought_view_close(&d->view);
    term_style(d->open, TERM_DIM);
    fprintf(d->open, "thought for %.1f s, %zu characters; /thinking shows it",
            clock_seconds() - d->thought_began, d->n_characters);
    term_style(d->open, TERM_PLAIN);
    fputc('\n', d->open);
}

static void end_thinking(Display *d)
{
    FILE *out = d->open;
    if (!out)
        return;
    if (d->folds) {
        fold_thought(d);
    } else if (term_has_color(out)) {
        term_style(out, TERM_PLAIN);
        fputs("\n\n", out);
    } else {
        fputs("\n</think>\n\n", out);
    }
    term_flush(out);
    d->open = NULL;
    d->last = '\n';
}

void display_text(Display *d, Str text)
{
    if (!d->text || text.bytes == 0)
        return;
    end_thinking(d);
    if (d->renders)
        markdown_put(&d->markdown, text);
    else
        term_put_text(d->text, text);
    term_flush(d->text);
    d->has_text = true;
    d->last = text.data[text.bytes - 1];
}

void display_close(Display *d)
{
    if (!d->text)
        return;
    if (d->open && !d->folds && !d->has_text && term_has_color(d->open)) {
        term_style(d->open, TERM_PLAIN); /* a cut thought needs no blank line behind it */
        fputs("\n", d->open);
        d->last = '\n';
    } else {
        end_thinking(d);
    }
    if (d->renders)
        markdown_end(&d->markdown);
    if (d->last != '\n' && (d->last || d->has_text || !term_is_terminal(d->text)))
        fputs("\n", d->text);
    term_flush(d->text);
}
