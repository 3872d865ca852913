/* How a reply looks: thoughts, text, and what stands between them. */
#ifndef WEN_CLI_DISPLAY_H
#define WEN_CLI_DISPLAY_H

#include "cli/markdown.h"
#include "cli/thought_view.h"

/* What the person wants to see. Zeroed: nothing. */
typedef struct DisplayStyle {
    bool is_shown;
    bool folds_thoughts; /* on a terminal: shown while they come, then a line of how long they were
                          */
    bool has_markdown;   /* on a terminal with colour: rendered */
} DisplayStyle;

/* Zeroed: shows nothing. */
typedef struct Display {
    FILE *thoughts; /* NULL: not shown */
    FILE *text;     /* NULL: nothing is shown */
    FILE *open;     /* where a thought is being shown */
    char last;      /* written to `text` (or to the terminal that shows both) */
    bool has_text;
    bool folds;
    double thought_began;
    size_t n_characters; /* of the thought */
    ThoughtView view;
    bool renders;
    Markdown markdown;
} Display;

/* Thoughts are for people: on the terminal that shows the answer, or beside an answer that goes
 * elsewhere. */
Display display_open(DisplayStyle style);
void display_thinking(Display *d, Str text);
void display_text(Display *d, Str text);
/* Ends the thought, the styles and the line. */
void display_close(Display *d);

#endif
