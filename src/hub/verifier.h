/* Hashes files while they arrive, on a thread of its own, and syncs those that are right.
 *
 * It reads back what each file holds, from its beginning up to the first gap, so that a hash is
 * ready moments after the last byte and speaks of what is on disk; a resumed file's beginning is
 * hashed while the rest is fetched. */
#ifndef WEN_HUB_VERIFIER_H
#define WEN_HUB_VERIFIER_H

#include "hub/part_file.h"

typedef struct Verifier Verifier;
typedef struct VerifierJob VerifierJob;

typedef enum Verdict {
    VERDICT_PENDING,
    VERDICT_GOOD,   /* the hub's hash; and it is on the disk */
    VERDICT_BAD,    /* another hash */
    VERDICT_FAILED, /* the file cannot be read or synced: *err */
} Verdict;

/* `wake` is called on the thread when a verdict is there. */
Verifier *verifier_open(void (*wake)(void *context), void *context, Error *err) MUST_USE;
void verifier_close(Verifier *v); /* NULL is fine */

/* `part` stays the caller's until a verdict, or verifier_close. */
VerifierJob *verifier_add(Verifier *v, PartFile *part);
/* There may be more to hash. */
void verifier_poke(Verifier *v);
Verdict verifier_verdict(Verifier *v, VerifierJob *job, Error *err);
uint64_t verifier_hashed(Verifier *v, VerifierJob *job);
/* Begins again, after VERDICT_BAD. */
void verifier_restart(Verifier *v, VerifierJob *job);

#endif
