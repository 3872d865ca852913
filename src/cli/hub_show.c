/* See hub_show.h. */
#include "cli/hub_show.h"

#include "cli/term.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *show_bytes(uint64_t bytes, char out[SHOWN_MAX])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t u = 0;
    for (; value >= 999.5 && u + 1 < sizeof units / sizeof *units; u++)
        value /= 1000;
    snprintf(out, SHOWN_MAX,
             u == 0        ? "%.0f %s"
             : value < 100 ? "%.3g %s"
                           : "%.0f %s",
             value, units[u]);
    return out;
}

/* "1:05:07", "12:31", "0:07" */
static const char *show_time(double seconds, char out[SHOWN_MAX])
{
    const long s = seconds < 359999 ? (long)(seconds + 0.5) : 359999;
    if (s >= 3600)
        snprintf(out, SHOWN_MAX, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, SHOWN_MAX, "%ld:%02ld", s / 60, s % 60);
    return out;
}

typedef struct Shown {
    PullConsent consent;
    bool was_interrupted;
} Shown;

static bool is_yes(void)
{
    char line[16] = "";
    if (!fgets(line, sizeof line, stdin))
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    return !*line || strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}

static bool show_plan(Shown *shown, const HubEvent *e)
{
    char total[SHOWN_MAX], here[SHOWN_MAX], room[SHOWN_MAX];
    Buf name = {0};
    hub_name_put(&name, e->name);
    term_note("%s: %s in %d %s from %s%s%s to %s (%s free)", name.data,
              show_bytes(e->total_bytes, total), e->n_files, e->n_files == 1 ? "file" : "files",
              hub_site_name(e->name->site), e->done_bytes ? ", of which here " : "",
              e->done_bytes ? show_bytes(e->done_bytes, here) : "", e->store,
              show_bytes(e->free_bytes, room));
    buf_free(&name);
    if (shown->consent == PULL_CONFIRMED) {
        fputs("Pull it? [Y/n] ", stderr);
        fflush(stderr);
        if (!is_yes())
            return false;
    }
    term_catch_interrupts(); /* until here Ctrl-C may end the program at once */
    return true;
}

static void show_progress(const HubEvent *e)
{
    char done[SHOWN_MAX], total[SHOWN_MAX], rate[SHOWN_MAX], left[SHOWN_MAX];
    Buf line = {0};
    buf_printf(&line, "%3d %%  %s of %s",
               e->total_bytes ? (int)(100 * e->done_bytes / e->total_bytes) : 100,
               show_bytes(e->done_bytes, done), show_bytes(e->total_bytes, total));
    if (e->done_bytes == e->total_bytes) {
        buf_printf(&line, "  checking, %d of %d files done", e->n_files_done, e->n_files);
    } else {
        buf_printf(&line, "  %s/s", show_bytes((uint64_t)e->bytes_per_s, rate));
        if (e->left_s >= 0)
            buf_printf(&line, "  %s left", show_time(e->left_s, left));
        if (e->n_retries > 0)
            buf_printf(&line, "  (%d %s)", e->n_retries, e->n_retries == 1 ? "retry" : "retries");
    }
    term_progress(line.data);
    buf_free(&line);
}

static bool on_event(void *context, const HubEvent *e)
{
    Shown *shown = context;
    if (e->kind == HUB_EVENT_PLAN)
        return show_plan(shown, e);
    if (e->kind == HUB_EVENT_PROGRESS)
        show_progress(e);
    else
        term_note("%s: trying again", e->message);
    shown->was_interrupted |= term_take_interrupt();
    return !shown->was_interrupted;
}

char *show_pull(HubName *name, const HubPullOptions *options, PullConsent consent, Error *err)
{
    Shown shown = {.consent = consent};
    HubPullOptions with_events = *options;
    with_events.on_event = on_event;
    with_events.context = &shown;
    char *path = hub_pull(name, &with_events, err);
    term_progress(NULL);
    term_release_interrupts();
    if (!path && shown.was_interrupted) {
        term_note("%s", err->message);
        term_die_interrupted();
    }
    return path;
}
