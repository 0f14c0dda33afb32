/* Loops shared out among threads, for native.c: by OpenMP where it is compiled in, else by a pool of our own. */
#include <stddef.h>

/* Iterations `from` to `to` (exclusive) of a loop. At any time a `worker`, 0 to threads - 1, does one piece only. */
typedef void Body(const void *context, ptrdiff_t from, ptrdiff_t to, int worker);

#ifdef _OPENMP
extern int omp_get_thread_num(void);

/* Iterations 0 to `count`, in pieces of `step`, on at most so many threads; returns when all are done. */
static void in_parallel(Body *body, const void *context, ptrdiff_t count, ptrdiff_t step, int threads) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (ptrdiff_t from = 0; from < count; from += step)
        body(context, from, from + step < count ? from + step : count, omp_get_thread_num());
}

#else /* The callers work too; the pool's threads, as many as one loop ever asked for, are shared by all callers. */

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
typedef SRWLOCK Lock;
typedef CONDITION_VARIABLE Signal;
#define LOCK_READY SRWLOCK_INIT
#define SIGNAL_READY CONDITION_VARIABLE_INIT
#define lock(l) AcquireSRWLockExclusive(l)
#define unlock(l) ReleaseSRWLockExclusive(l)
#define wait_for(s, l) SleepConditionVariableSRW(s, l, INFINITE, 0)
#define wake(s) WakeAllConditionVariable(s)
#define THREAD(f) static DWORD WINAPI f(void *unused)
static int start(DWORD (WINAPI *f)(void *)) {
    HANDLE thread = CreateThread(NULL, 0, f, NULL, 0, NULL);
    return thread && CloseHandle(thread);
}
#else
#include <pthread.h>
typedef pthread_mutex_t Lock;
typedef pthread_cond_t Signal;
#define LOCK_READY PTHREAD_MUTEX_INITIALIZER
#define SIGNAL_READY PTHREAD_COND_INITIALIZER
#define lock(l) pthread_mutex_lock(l)
#define unlock(l) pthread_mutex_unlock(l)
#define wait_for(s, l) pthread_cond_wait(s, l)
#define wake(s) pthread_cond_broadcast(s)
#define THREAD(f) static void *f(void *unused)
static int start(void *(*f)(void *)) {
    pthread_t thread;
    return pthread_create(&thread, NULL, f, NULL) == 0 && pthread_detach(thread) == 0;
}
#endif

typedef struct Loop {
    Body *body;
    const void *context;
    ptrdiff_t count, step, next; /* `next` is the first iteration that nobody has taken */
    int threads, workers, busy;  /* most workers, those that ever joined, those in it now */
    struct Loop *other;
} Loop;

/* All of the state that there is, but for `next` guarded by the lock. */
static struct {
    Lock lock;
    Signal begun, left;
    Loop *loops; /* that may be joined */
    int size;
} pool = {LOCK_READY, SIGNAL_READY, SIGNAL_READY, NULL, 0};

static void work_on(Loop *loop, int worker) {
    for (;;) {
        ptrdiff_t from = __atomic_fetch_add(&loop->next, loop->step, __ATOMIC_RELAXED), left = loop->count - from;
        if (left <= 0) return;
        loop->body(loop->context, from, from + (loop->step < left ? loop->step : left), worker);
    }
}

THREAD(pool_thread) {
    (void)unused;
    lock(&pool.lock);
    for (;;) {
        Loop *loop = pool.loops;
        while (loop && loop->workers == loop->threads) loop = loop->other;
        if (!loop) {
            wait_for(&pool.begun, &pool.lock);
            continue;
        }
        int worker = loop->workers++;
        loop->busy++;
        unlock(&pool.lock);
        work_on(loop, worker);
        lock(&pool.lock);
        if (!--loop->busy) wake(&pool.left);
    }
    return 0;
}

#ifndef _WIN32 /* A fork's child has none of the pool's threads, and waits for none: whoever forks computes nothing then. */
static void before_fork(void) { lock(&pool.lock); }
static void after_fork(void) { unlock(&pool.lock); }
static void after_fork_in_child(void) {
    pool.lock = (Lock)LOCK_READY;
    pool.begun = pool.left = (Signal)SIGNAL_READY;
    pool.loops = NULL;
    pool.size = 0;
}
__attribute__((constructor)) static void make_forks_safe(void) {
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}
#endif

/* Iterations 0 to `count`, in pieces of `step`, on at most so many threads; returns when all are done. */
static void in_parallel(Body *body, const void *context, ptrdiff_t count, ptrdiff_t step, int threads) {
    Loop loop = {body, context, count, step, 0, threads, 1, 0, NULL};
    if (threads > 1 && count > step) {
        lock(&pool.lock);
        while (pool.size < threads - 1 && start(pool_thread)) pool.size++;
        loop.other = pool.loops;
        pool.loops = &loop;
        wake(&pool.begun);
        unlock(&pool.lock);
    }
    work_on(&loop, 0);
    if (threads > 1 && count > step) {
        lock(&pool.lock);
        Loop **at = &pool.loops;
        while (*at != &loop) at = &(*at)->other;
        *at = loop.other;
        while (loop.busy) wait_for(&pool.left, &pool.lock);
        unlock(&pool.lock);
    }
}
#endif
