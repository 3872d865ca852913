/* Days of the week and times of the day. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/steps.h"

#include <inttypes.h>
#include <string.h>

static const char *const days[N_LANGS][7] = {
    {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"},
    {"星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"},
    {"Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"},
    {"lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"},
};
/* [language][0: ahead, 1: back] */
static const char *const day_asks[N_LANGS][2] = {
    {"Today is {0}. What day is it in {1} days?", "Today is {0}. What day was it {1} days ago?"},
    {"今天是{0}。{1} 天后是星期几？", "今天是{0}。{1} 天前是星期几？"},
    {"Heute ist {0}. Welcher Tag ist in {1} Tagen?",
     "Heute ist {0}. Welcher Tag war vor {1} Tagen?"},
    {"Hoy es {0}. ¿Qué día será en {1} días?", "Hoy es {0}. ¿Qué día fue hace {1} días?"},
};
static const char *const later_asks[N_LANGS] = {
    "It is {0}. What time is it in {1} hours and {2} minutes?",
    "现在是 {0}。{1} 小时 {2} 分钟后是几点？",
    "Es ist {0}. Wie spät ist es in {1} Stunden und {2} Minuten?",
    "Son las {0}. ¿Qué hora será en {1} horas y {2} minutos?"};
static const char *const span_asks[N_LANGS] = {
    "How many minutes are there from {0} to {1}?", "从 {0} 到 {1} 有多少分钟？",
    "Wie viele Minuten sind es von {0} bis {1}?", "¿Cuántos minutos hay de {0} a {1}?"};

static void make_weekday(Maker *m)
{
    static const int64_t sizes[] = {13, 60, 400};
    int64_t from, n;
    bool is_back;
    do {
        from = maker_int(m, 0, 6);
        n = maker_int(m, 2, sizes[m->level - 1]);
        is_back = maker_chance(m, 0.3);
    } while (!maker_owns(m, key_more(key_more(key_text("weekday") + is_back, from), n)));
    maker_user(m, day_asks[m->lang][is_back], days[m->lang][from], maker_num(m, n), NULL);
    maker_think_line(m, "%" PRId64 " = %" PRId64 " * 7 + %" PRId64, n, n / 7, n % 7);
    int64_t day = from;
    maker_think_line(m, "%s", days[m->lang][day]);
    for (int64_t i = 0; i < n % 7; i++) {
        day = (day + (is_back ? 6 : 1)) % 7;
        maker_think(m, " %" PRId64 " %s", i + 1, days[m->lang][day]);
    }
    maker_reply(m, "%s", days[m->lang][day]);
}

static const char *clock_text(Maker *m, int64_t minutes)
{
    return maker_text(m, "%02d:%02d", (int)(minutes / 60), (int)(minutes % 60));
}

static void make_later(Maker *m)
{
    int64_t start, hours, minutes;
    do {
        start = maker_int(m, 0, 24 * 60 - 1);
        hours = maker_int(m, 1, m->level == 1 ? 5 : 20);
        minutes = m->level == 1 ? 5 * maker_int(m, 1, 11) : maker_int(m, 1, 59);
    } while (!maker_owns(m, key_more(key_more(key_text("later"), start), hours * 60 + minutes)));
    maker_user(m, later_asks[m->lang], clock_text(m, start), maker_num(m, hours),
               maker_num(m, minutes), NULL);
    int64_t minute = step_think(m, start % 60, '+', minutes), carry = 0;
    if (minute >= 60) {
        minute = step_think(m, minute, '-', 60);
        carry = 1;
    }
    int64_t hour = step_think(m, start / 60, '+', hours);
    if (carry)
        hour = step_think(m, hour, '+', 1);
    if (hour >= 24)
        hour = step_think(m, hour, '-', 24);
    maker_reply(m, "%s", clock_text(m, hour * 60 + minute));
}

static void make_span(Maker *m)
{
    int64_t start, end;
    do {
        start = maker_int(m, 0, 20 * 60);
        end = maker_int(m, start + 5, m->level == 1 ? start + 180 : 24 * 60 - 1);
    } while (!maker_owns(m, key_more(key_more(key_text("span"), start), end)));
    maker_user(m, span_asks[m->lang], clock_text(m, start), clock_text(m, end), NULL);
    const int64_t hours = step_think(m, end / 60, '-', start / 60);
    const int64_t whole = step_think(m, 60, '*', hours < 10 ? hours : 10);
    int64_t total = whole;
    if (hours > 10)
        total = step_think(m, whole, '+', 60 * (hours - 10));
    total = step_think(m, total, '+', end % 60);
    maker_reply(m, "%" PRId64, step_think(m, total, '-', start % 60));
}

const TaskFamily calendar_families[] = {
    {.name = "weekday",
     .domain = "arithmetic",
     .about = "the day of the week some days away",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_weekday,
     .score = score_text},
    {.name = "clock_later",
     .domain = "arithmetic",
     .about = "the time some hours later",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_later,
     .score = score_text},
    {.name = "clock_span",
     .domain = "arithmetic",
     .about = "minutes between two times",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_span,
     .score = score_number},
    {.name = NULL},
};
