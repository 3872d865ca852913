/* Names and things for word problems and stories. */
#ifndef WEN_TASKS_PEOPLE_H
#define WEN_TASKS_PEOPLE_H

#include "tasks/maker.h"

enum { N_NAMES = 24, N_THINGS = 12 };

extern const char *const person_names[N_LANGS][N_NAMES];
/* Plurals behind a number; Chinese ones with their measure word, Spanish ones all masculine. */
extern const char *const thing_names[N_LANGS][N_THINGS];

/* n different names. */
void person_choose(Maker *m, int n, const char **names);
const char *thing_choose(Maker *m);

#endif
