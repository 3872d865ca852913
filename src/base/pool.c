/* See pool.h.
 *
 * A job is published by advancing `generation`. Workers count themselves out in `n_left`, and the
 * caller waits for it to reach zero, so no worker can still look at the job's fields when the next
 * job overwrites them. */
#include "base/pool.h"

#include "base/bug.h"
#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

/* About 50 microseconds: longer than the gap between two operations of a decode step, shorter than
 * anything a person or a power meter would notice. */
enum { SPINS_BEFORE_SLEEP = 2000, SPINS_BEFORE_YIELD = 400, N_THREADS_MAX = 256 };

typedef struct Worker {
    Pool *pool;
    int index;
    pthread_t thread;
} Worker;

struct Pool {
    int n_threads;
    Worker *workers; /* [n_threads - 1] */
    PoolTask *run;
    void *context;
    int n_tasks;
    _Alignas(64) atomic_int next_task;
    _Alignas(64) atomic_int n_left;
    _Alignas(64) atomic_uint generation;
    atomic_int n_sleeping;
    atomic_bool is_closing;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void run_tasks(Pool *pool, int worker)
{
    for (;;) {
        int task = atomic_fetch_add_explicit(&pool->next_task, 1, memory_order_relaxed);
        if (task >= pool->n_tasks)
            return;
        pool->run(pool->context, task, worker);
    }
}

static unsigned wait_for_job(Pool *pool, unsigned seen)
{
    for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
        unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen)
            return now;
        spin_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (atomic_load(&pool->generation) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
    return atomic_load(&pool->generation);
}

static void *worker_main(void *argument)
{
    Worker *worker = argument;
    Pool *pool = worker->pool;
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_job(pool, seen);
        if (atomic_load(&pool->is_closing))
            return NULL;
        run_tasks(pool, worker->index);
        atomic_fetch_sub_explicit(&pool->n_left, 1, memory_order_release);
    }
}

static void publish(Pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->n_sleeping) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

int pool_n_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return 1;
}

Pool *pool_open(int n_threads, Error *err)
{
    if (n_threads == 0)
        n_threads = pool_n_processors();
    if (n_threads < 1 || n_threads > N_THREADS_MAX) {
        error_set(err, ERROR_ARGUMENT, "%d threads asked for; 1 to %d are possible", n_threads,
                  N_THREADS_MAX);
        return NULL;
    }
    Pool *pool = mem_alloc(sizeof *pool);
    pool->n_threads = 1;
    pool->workers = mem_alloc(sizeof(Worker) * (size_t)n_threads);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (int i = 1; i < n_threads; i++) {
        Worker *worker = &pool->workers[i - 1];
        *worker = (Worker){.pool = pool, .index = i};
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            error_set(err, ERROR_MEMORY, "cannot start thread %d of %d", i + 1, n_threads);
            pool_close(pool);
            return NULL;
        }
        pool->n_threads++;
    }
    return pool;
}

void pool_close(Pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->is_closing, true);
    publish(pool);
    for (int i = 1; i < pool->n_threads; i++)
        pthread_join(pool->workers[i - 1].thread, NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    mem_free(pool->workers);
    mem_free(pool);
}

int pool_n_threads(const Pool *pool) { return pool->n_threads; }

void pool_run(Pool *pool, int n_tasks, PoolTask *run, void *context)
{
    if (pool->n_threads == 1 || n_tasks <= 1) {
        for (int task = 0; task < n_tasks; task++)
            run(context, task, 0);
        return;
    }
    pool->run = run;
    pool->context = context;
    pool->n_tasks = n_tasks;
    atomic_store_explicit(&pool->next_task, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->n_left, pool->n_threads - 1, memory_order_relaxed);
    publish(pool);
    run_tasks(pool, 0);
    for (int i = 0; atomic_load_explicit(&pool->n_left, memory_order_acquire) > 0; i++) {
        spin_pause();
        if (i >= SPINS_BEFORE_YIELD)
            sched_yield();
    }
}
