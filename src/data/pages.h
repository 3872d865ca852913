/* The text layer of a PDF, page by page, through pdftotext (poppler-utils) as a child process; and
 * tidying of what it gives. */
#ifndef WEN_DATA_PAGES_H
#define WEN_DATA_PAGES_H

#include "base/str.h"

typedef struct Pages {
    Buf text;  /* of all pages, one behind the other */
    Str *page; /* [n], in text */
    int n;
} Pages;

void pages_close(Pages *pages); /* a zeroed one is fine */

/* Runs pdftotext. That it is not installed, or cannot read the file, is an error. */
bool pages_read(Pages *pages, const char *path, Error *err) MUST_USE;

/* Appends page i as running text: without lines that stand at the head or foot of most pages
 * (numbers in them aside) and bare page numbers; words that were cut at a line's end joined; the
 * lines of a paragraph joined, as far as line lengths tell. */
void pages_tidy(const Pages *pages, int i, Buf *out);

#endif
