/* The two tables of filters. */
#ifndef WEN_TEXT_JINJA_FILTERS_H
#define WEN_TEXT_JINJA_FILTERS_H

#include "text/jinja_run.h"

/* The filters on sequences (jinja_sequence_filters.c); NULL: not one of them. */
const JinjaBuiltin *jinja_sequence_filter(Str name);

#endif
