/* Words to count, spell and turn round: made of syllables without limit, or common English ones.
 *
 * Words belong to splits by their hash (maker_owns with key_text), but for the few of the model
 * card's dialogue (strawberries, blueberries and other fruit), which are train's. */
#ifndef WEN_TASKS_WORDS_H
#define WEN_TASKS_WORDS_H

#include "tasks/maker.h"

/* A made-up word of about n_min .. n_max lower-case letters that this problem's split owns. */
const char *word_invented(Maker *m, int n_min, int n_max);
/* A common English word of the split, of at least n_min and at most n_max letters. */
const char *word_common(Maker *m, int n_min, int n_max);
/* A fruit word of the train split. */
const char *word_fruit(Maker *m);
bool word_owned(Maker *m, const char *word);

extern const char *const common_words[];
extern const int n_common_words;

#endif
