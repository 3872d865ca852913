/* The pages of reports: one self-contained HTML file, readable in light, dark and on paper. */
#ifndef WEN_TRAIN_PAGE_H
#define WEN_TRAIN_PAGE_H

#include "base/str.h"

/* The head with the style, and the title. `subtitle` may be NULL. */
void page_begin(Buf *html, const char *title, const char *subtitle);
void page_end(Buf *html);

/* Text as it is: characters that HTML gives a meaning are spelled. */
void page_escape(Buf *html, Str text);
void page_heading(Buf *html, const char *text);
/* One figure of a row of them: between page_tiles_begin and page_tiles_end. */
void page_tiles_begin(Buf *html);
void page_tile(Buf *html, const char *name, const char *value);
void page_tiles_end(Buf *html);
/* A block that is folded away; the text is shown in a fixed font. */
void page_text_block(Buf *html, const char *summary, Str text, bool is_open);

/* A number in few characters: 0.0003 as 3e-4, 12,500 as 12.5k. */
void page_number(double value, char text[32]);

#endif
