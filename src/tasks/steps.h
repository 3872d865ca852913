/* One step of arithmetic, written so that every part of it is easy:
 *
 *     67 + 28 = 95                     12 - 87 = -(87 - 12) = -75
 *     -20 - 73 = -(20 + 73) = -93      -20 + 73 = 73 - 20 = 53
 *     67 * 8 = 480 + 56 = 536          258 * 7 = 1400 + 350 + 56 = 1806
 */
#ifndef WEN_TASKS_STEPS_H
#define WEN_TASKS_STEPS_H

#include "tasks/maker.h"

/* a op b, for op + - *. In a product, b has one digit, perhaps with zeros behind it. */
int64_t step_value(int64_t a, char op, int64_t b);
/* Adds the step to the thought, or puts it on a new line; its value. */
int64_t step_write(Maker *m, int64_t a, char op, int64_t b);
int64_t step_think(Maker *m, int64_t a, char op, int64_t b);
/* a * b by the digits of b (schoolbook), several lines. */
int64_t step_product(Maker *m, int64_t a, int64_t b);

#endif
