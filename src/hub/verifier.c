/* See verifier.h. */
#include "hub/verifier.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_BYTES = 1 << 20 };

struct VerifierJob {
    PartFile *part;
    EVP_MD_CTX *hash;
    uint64_t hashed;
    Verdict verdict;
    Error error;
    VerifierJob *next;
};

struct Verifier {
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t more;
    bool is_closing, is_poked;
    VerifierJob *jobs;
    void (*wake)(void *context);
    void *context;
};

/* git names a blob by the SHA-1 of a short header and the contents. */
static void begin_hash(VerifierJob *job)
{
    const RepoFile *file = part_file(job->part);
    bool is_git = !file->sha256[0] && file->git_sha1[0];
    EVP_DigestInit_ex(job->hash, is_git ? EVP_sha1() : EVP_sha256(), NULL);
    char header[40];
    int n = snprintf(header, sizeof header, "blob %llu", (unsigned long long)file->bytes);
    if (is_git)
        EVP_DigestUpdate(job->hash, header, (size_t)n + 1);
    job->hashed = 0;
    job->verdict = VERDICT_PENDING;
}

static Verdict judge(VerifierJob *job)
{
    const RepoFile *file = part_file(job->part);
    const char *wanted = file->sha256[0] ? file->sha256 : file->git_sha1;
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned n = 0;
    EVP_DigestFinal_ex(job->hash, digest, &n);
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
    return strcmp(hex, wanted) == 0 ? VERDICT_GOOD : VERDICT_BAD;
}

/* A chunk of a job; called without the lock, since only this thread moves a pending job. */
static Verdict hash_chunk(VerifierJob *job, char *chunk, size_t *bytes)
{
    uint64_t ready = part_prefix(job->part) - job->hashed;
    *bytes = ready < CHUNK_BYTES ? (size_t)ready : CHUNK_BYTES;
    if (!part_read(job->part, job->hashed, chunk, *bytes, &job->error))
        return VERDICT_FAILED;
    EVP_DigestUpdate(job->hash, chunk, *bytes);
    if (job->hashed + *bytes < part_file(job->part)->bytes)
        return VERDICT_PENDING;
    Verdict verdict = judge(job);
    bool is_safe = verdict != VERDICT_GOOD || part_sync(job->part, &job->error);
    return is_safe ? verdict : VERDICT_FAILED;
}

static VerifierJob *next_job(Verifier *v)
{
    for (VerifierJob *job = v->jobs; job; job = job->next)
        if (job->verdict == VERDICT_PENDING &&
            (part_prefix(job->part) > job->hashed || part_file(job->part)->bytes == 0))
            return job;
    return NULL;
}

static void *run(void *context)
{
    Verifier *v = context;
    char *chunk = mem_alloc(CHUNK_BYTES);
    pthread_mutex_lock(&v->lock);
    while (!v->is_closing) {
        VerifierJob *job = next_job(v);
        if (!job) {
            while (!v->is_poked && !v->is_closing)
                pthread_cond_wait(&v->more, &v->lock);
            v->is_poked = false;
            continue;
        }
        pthread_mutex_unlock(&v->lock);
        size_t bytes = 0;
        Verdict verdict = hash_chunk(job, chunk, &bytes);
        pthread_mutex_lock(&v->lock);
        job->hashed += bytes;
        job->verdict = verdict;
        if (verdict != VERDICT_PENDING)
            v->wake(v->context);
    }
    pthread_mutex_unlock(&v->lock);
    mem_free(chunk);
    return NULL;
}

Verifier *verifier_open(void (*wake)(void *context), void *context, Error *err)
{
    Verifier *v = mem_alloc(sizeof *v);
    v->wake = wake;
    v->context = context;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->more, NULL);
    if (pthread_create(&v->thread, NULL, run, v) != 0) {
        error_set(err, ERROR_IO, "no thread for checking what is fetched");
        mem_free(v);
        return NULL;
    }
    return v;
}

void verifier_close(Verifier *v)
{
    if (!v)
        return;
    pthread_mutex_lock(&v->lock);
    v->is_closing = true;
    pthread_cond_signal(&v->more);
    pthread_mutex_unlock(&v->lock);
    pthread_join(v->thread, NULL);
    for (VerifierJob *job = v->jobs, *next; job; job = next) {
        next = job->next;
        EVP_MD_CTX_free(job->hash);
        mem_free(job);
    }
    pthread_cond_destroy(&v->more);
    pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

VerifierJob *verifier_add(Verifier *v, PartFile *part)
{
    VerifierJob *job = mem_alloc(sizeof *job);
    job->part = part;
    job->hash = EVP_MD_CTX_new();
    begin_hash(job);
    pthread_mutex_lock(&v->lock);
    job->next = v->jobs;
    v->jobs = job;
    pthread_mutex_unlock(&v->lock);
    verifier_poke(v);
    return job;
}

void verifier_poke(Verifier *v)
{
    pthread_mutex_lock(&v->lock);
    v->is_poked = true;
    pthread_cond_signal(&v->more);
    pthread_mutex_unlock(&v->lock);
}

Verdict verifier_verdict(Verifier *v, VerifierJob *job, Error *err)
{
    pthread_mutex_lock(&v->lock);
    Verdict verdict = job->verdict;
    if (verdict == VERDICT_FAILED && err)
        *err = job->error;
    pthread_mutex_unlock(&v->lock);
    return verdict;
}

uint64_t verifier_hashed(Verifier *v, VerifierJob *job)
{
    pthread_mutex_lock(&v->lock);
    uint64_t hashed = job->hashed;
    pthread_mutex_unlock(&v->lock);
    return hashed;
}

void verifier_restart(Verifier *v, VerifierJob *job)
{
    pthread_mutex_lock(&v->lock);
    begin_hash(job);
    pthread_mutex_unlock(&v->lock);
}
