#include "tasks/steps.h"

#include <inttypes.h>
#include <stdlib.h>

int64_t step_value(int64_t a, char op, int64_t b)
{
    return op == '+' ? a + b : op == '-' ? a - b : a * b;
}

static bool is_power_of_ten(int64_t n)
{
    while (n > 0 && n % 10 == 0)
        n /= 10;
    return n == 1;
}

/* " = 480 + 56", nothing when |a| has only one digit that is not 0, or nothing is to be done. */
static void think_parts(Maker *m, int64_t a, int64_t b)
{
    const bool is_negative = (a < 0) != (b < 0);
    const int64_t size = llabs(a), by = llabs(b);
    int n = 0;
    int64_t unit = 1;
    for (int64_t rest = size; rest > 0; rest /= 10)
        n += rest % 10 != 0;
    if (n < 2 || by == 0 || is_power_of_ten(by))
        return;
    while (unit * 10 <= size)
        unit *= 10;
    maker_think(m, is_negative ? " = -(" : " = ");
    for (int i = 0; unit > 0; unit /= 10) {
        const int64_t digit = size / unit % 10;
        if (digit != 0)
            maker_think(m, "%s%" PRId64, i++ ? " + " : "", digit * unit * by);
    }
    maker_think(m, is_negative ? ")" : "");
}

int64_t step_write(Maker *m, int64_t a, char op, int64_t b)
{
    const int64_t value = step_value(a, op, b);
    maker_think(m, b < 0 ? "%" PRId64 " %c (%" PRId64 ")" : "%" PRId64 " %c %" PRId64, a, op, b);
    if (op == '*') {
        think_parts(m, a, b);
    } else if (a < 0 || b < 0 || value < 0) {
        /* The same with two sizes: a sum if they pull one way, else the larger less the smaller. */
        const int64_t added = op == '+' ? b : -b, x = llabs(a), y = llabs(added);
        const bool is_sum = (a < 0) == (added < 0), in_order = is_sum || x > y;
        maker_think(m,
                    value < 0 ? " = -(%" PRId64 " %c %" PRId64 ")" : " = %" PRId64 " %c %" PRId64,
                    in_order ? x : y, is_sum ? '+' : '-', in_order ? y : x);
    }
    maker_think(m, " = %" PRId64, value);
    return value;
}

int64_t step_think(Maker *m, int64_t a, char op, int64_t b)
{
    maker_think_line(m, "%s", "");
    return step_write(m, a, op, b);
}

int64_t step_product(Maker *m, int64_t a, int64_t b)
{
    int64_t sum = 0, unit = 1;
    while (unit * 10 <= b)
        unit *= 10;
    int64_t parts[20];
    int n = 0;
    for (; unit > 0; unit /= 10)
        if (b / unit % 10 != 0)
            parts[n++] = step_think(m, a, '*', b / unit % 10 * unit);
    for (int i = 0; i < n; i++)
        sum = i == 0 ? parts[0] : step_think(m, sum, '+', parts[i]);
    return sum;
}
