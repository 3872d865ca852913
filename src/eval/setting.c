/* See setting.h. */
#include "eval/setting.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_size(const void *a, const void *b)
{
    const unsigned x = (unsigned)*(const int *)a, y = (unsigned)*(const int *)b; /* -1 is last */
    return (x > y) - (x < y);
}

bool eval_budgets_read(const char *text, EvalSettings *s, Error *err)
{
    s->n_budgets = 0;
    for (const char *at = text; at;) {
        char *end = (char *)at;
        long value = -1;
        if (strncmp(at, "inf", 3) == 0)
            end += 3;
        else
            value = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || value < -1 || value > INT_MAX || *at == '-')
            return error_set(err, ERROR_ARGUMENT,
                             "--budgets %s: not a list of numbers and inf, such as 0,64,inf", text);
        if (s->n_budgets == EVAL_BUDGETS_MAX)
            return error_set(err, ERROR_ARGUMENT, "--budgets: at most %d", EVAL_BUDGETS_MAX);
        s->budgets[s->n_budgets++] = (int)value;
        at = *end ? end + 1 : NULL;
    }
    qsort(s->budgets, (size_t)s->n_budgets, sizeof *s->budgets, by_size);
    for (int i = 1; i < s->n_budgets; i++)
        if (s->budgets[i] == s->budgets[i - 1])
            return error_set(err, ERROR_ARGUMENT, "--budgets %s: one of them stands there twice",
                             text);
    return true;
}

static int add(EvalSettings *s, const char *name, int think, int budget)
{
    EvalSetting *setting = &s->items[s->n];
    *setting = (EvalSetting){.think = think, .budget = budget};
    snprintf(setting->name, sizeof setting->name, "%s", name);
    return s->n++;
}

static int add_budget(EvalSettings *s, int budget, bool plain_by_flag)
{
    char name[24];
    if (budget == 0 && s->plain_i >= 0 && !plain_by_flag)
        return s->plain_i;
    if (budget < 0 && s->think_i >= 0)
        return s->think_i;
    if (budget < 0)
        return add(s, "budget-inf", 1, -1);
    snprintf(name, sizeof name, "budget-%d", budget);
    return add(s, name, budget > 0, budget > 0 ? budget : -1);
}

bool eval_settings_make(EvalSettings *s, EvalModes modes, bool can_switch, bool always_thinks,
                        bool plain_by_flag, Error *err)
{
    const bool thinks = can_switch || always_thinks, not = can_switch || !always_thinks;
    s->n = 0;
    s->think_i = s->plain_i = -1;
    if (((modes & EVAL_THINK) && !thinks) || ((modes & EVAL_PLAIN) && !not ))
        return error_set(err, ERROR_ARGUMENT,
                         "--mode: the model's chat template has no switch for thinking; it can "
                         "only be asked with --mode %s",
                         always_thinks ? "think" : "plain");
    if (s->n_budgets > 0 && !thinks)
        return error_set(err, ERROR_ARGUMENT, "--budgets: this model does not think");
    if (modes & EVAL_THINK)
        s->think_i = add(s, "think", can_switch ? 1 : -1, -1);
    if (modes & EVAL_PLAIN) {
        const bool by_flag = plain_by_flag && can_switch;
        s->plain_i = add(s, "plain", can_switch && !by_flag ? 0 : -1, -1);
        s->items[s->plain_i].is_flagged = by_flag;
    }
    for (int i = 0; i < s->n_budgets; i++)
        s->budget_i[i] = add_budget(s, s->budgets[i], plain_by_flag);
    s->items[add(s, "flags", -1, -1)].is_own = true;
    return true;
}
