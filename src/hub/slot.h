/* One connection of a transfer: what it asks for, and what the answer means. */
#ifndef WEN_HUB_SLOT_H
#define WEN_HUB_SLOT_H

#include "hub/hub_access.h"
#include "hub/part_file.h"
#include "hub/verifier.h"

/* A file being fetched, over one slot or several. */
typedef struct Download {
    PartFile *part; /* NULL: not begun, or finished */
    VerifierJob *job;
    char *url, *direct_url; /* the hub's; where it led, until that fails */
    int n_active;           /* slots */
    int n_failures;         /* in a row, without a byte gained */
    int n_bad;              /* times that the hash was wrong */
    double not_before;      /* not asked again until then */
    bool knows_no_ranges;
} Download;

typedef struct Slot {
    CURL *easy;
    Download *download; /* NULL: idle */
    const RepoFile *file;
    uint64_t begin, at, end; /* asked from, received up to, asked to */
    long status;
    int n_redirects;
    bool is_whole_file; /* no range was asked for */
    bool is_direct;     /* asked where the hub had led, not the hub */
    double retry_after_s, asked_at;
    uint64_t asked_from;
    bool is_hurried; /* this piece was taken off a slow connection, once */
    char error_code[64];
    Error error;   /* what our own callbacks found */
    bool is_fatal; /* error: trying again will not help */
    bool is_changed;
} Slot;

/* Takes the next piece of `d`, if there is one for this idle slot. */
bool slot_claim(Slot *s, Download *d);
/* Gives it back; an idle slot stays idle. */
void slot_release(Slot *s);
/* Sets the request for what the piece still lacks, from where the hub last led. */
void slot_prepare(Slot *s, const HubAccess *access);

typedef enum SlotEnd {
    SLOT_COMPLETE,   /* the piece is there */
    SLOT_REDIRECTED, /* prepare and ask again */
    SLOT_CUT,        /* *why; may be tried again */
    SLOT_CHANGED,    /* *why: these are not the contents that the hub listed */
    SLOT_FATAL,      /* *why: trying again will not help */
} SlotEnd;

/* What became of a request that is over. `what` (a repository) begins the errors. */
SlotEnd slot_end(Slot *s, const HubAccess *access, const char *what, CURLcode code, Error *why);

#endif
