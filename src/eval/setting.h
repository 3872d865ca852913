/* A setting: how a case is asked. The same case in two settings makes a pair, and differences are
 * taken between pairs. */
#ifndef WEN_EVAL_SETTING_H
#define WEN_EVAL_SETTING_H

#include "base/error.h"

enum { EVAL_SETTINGS_MAX = 20, EVAL_BUDGETS_MAX = 16 };

typedef enum EvalModes { EVAL_THINK = 1, EVAL_PLAIN = 2, EVAL_BOTH = 3 } EvalModes;

typedef struct EvalSetting {
    char name[24];   /* "think", "plain", "budget-64", "flags" */
    int think;       /* 1, 0; -1: as the model does by itself */
    int budget;      /* tokens of thought; -1: no limit */
    bool is_flagged; /* "/no_think" goes behind the last thing that the user says */
    bool is_own;     /* of the tasks that have their own mode, and of no other */
} EvalSetting;

typedef struct EvalSettings {
    EvalSetting items[EVAL_SETTINGS_MAX];
    int n;
    int think_i, plain_i; /* -1: not asked */
    /* The curve: which setting has which budget, in rising order (-1, no limit, is last). */
    int budgets[EVAL_BUDGETS_MAX], budget_i[EVAL_BUDGETS_MAX];
    int n_budgets;
} EvalSettings;

/* "0,16,64,inf", in any order, each once. */
bool eval_budgets_read(const char *text, EvalSettings *s, Error *err) MUST_USE;

/* can_switch: the model's template has a switch for its thought. Without one there is the one mode
 * that it has (always_thinks), and budgets only if that thinks. plain_by_flag: "/no_think" instead
 * of the template's switch. Budgets were read before. A budget of 0 is the same as no thought by
 * the switch, one without limit the same as thinking: those are asked once. */
bool eval_settings_make(EvalSettings *s, EvalModes modes, bool can_switch, bool always_thinks,
                        bool plain_by_flag, Error *err) MUST_USE;

#endif
