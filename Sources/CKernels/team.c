// A fixed team of threads that run one function together: spin for a bounded while, then sleep on a futex.
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CKernels.h"

// About 30 µs on a current core: longer than the gap between two kernels of a step, shorter than a step.
enum { spins = 2000 };

struct ck_team {
    _Alignas(64) atomic_uint round;    // raised by the caller: there is work
    _Alignas(64) atomic_uint pending;  // threads that have not finished the round
    _Alignas(64) atomic_uint sleepers;
    _Alignas(64) atomic_uint caller_sleeps;
    _Alignas(64) ck_team_body body;
    void *context;
    int32_t threads;
    int ending;
    pthread_mutex_t busy;
    pthread_t handles[];
};

typedef struct {
    ck_team *team;
    int32_t thread;
} start;

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void sleep_while(atomic_uint *word, unsigned value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(atomic_uint *word, int count) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0); }

static unsigned next_round(ck_team *team, unsigned seen) {
    for (int i = 0; i < spins; i++) {
        const unsigned now = atomic_load_explicit(&team->round, memory_order_acquire);
        if (now != seen) { return now; }
        relax();
    }
    // Sequentially consistent with the caller's raise-then-read: it sees the sleeper, or the futex sees the round.
    atomic_fetch_add(&team->sleepers, 1);
    unsigned now;
    while ((now = atomic_load(&team->round)) == seen) { sleep_while(&team->round, seen); }
    atomic_fetch_sub(&team->sleepers, 1);
    return now;
}

static void *work(void *argument) {
    start own = *(start *)argument;
    free(argument);
    ck_team *team = own.team;
    unsigned seen = 0;
    for (;;) {
        seen = next_round(team, seen);
        if (team->ending) { return NULL; }
        team->body(team->context, own.thread, team->threads);
        if (atomic_fetch_sub(&team->pending, 1) == 1 && atomic_load(&team->caller_sleeps)) { wake(&team->pending, 1); }
    }
}

static void raise_round(ck_team *team) {
    atomic_fetch_add(&team->round, 1);
    if (atomic_load(&team->sleepers) > 0) { wake(&team->round, team->threads); }
}

ck_team *ck_team_create(int32_t threads) {
    ck_team *team = NULL;
    const size_t size = sizeof(ck_team) + (size_t)threads * sizeof(pthread_t);
    if (threads < 1 || posix_memalign((void **)&team, 64, size) != 0) { return NULL; }
    atomic_init(&team->round, 0);
    atomic_init(&team->pending, 0);
    atomic_init(&team->sleepers, 0);
    atomic_init(&team->caller_sleeps, 0);
    team->threads = 1;
    team->ending = 0;
    pthread_mutex_init(&team->busy, NULL);
    for (int32_t thread = 1; thread < threads; thread++) {
        start *own = malloc(sizeof *own);
        if (own) { *own = (start){team, thread}; }
        if (!own || pthread_create(&team->handles[thread], NULL, work, own) != 0) {
            free(own);
            break;
        }
        team->threads = thread + 1;
    }
    return team;
}

int32_t ck_team_count(const ck_team *team) { return team->threads; }

void ck_team_run(ck_team *team, ck_team_body body, void *context) {
    if (team->threads == 1 || pthread_mutex_trylock(&team->busy) != 0) {
        for (int32_t thread = 0; thread < team->threads; thread++) { body(context, thread, team->threads); }
        return;
    }
    team->body = body;
    team->context = context;
    atomic_store_explicit(&team->pending, (unsigned)team->threads - 1, memory_order_relaxed);
    raise_round(team);
    body(context, 0, team->threads);
    for (int i = 0; i < spins && atomic_load_explicit(&team->pending, memory_order_acquire) != 0; i++) { relax(); }
    if (atomic_load_explicit(&team->pending, memory_order_acquire) != 0) {
        atomic_store(&team->caller_sleeps, 1);
        unsigned left;
        while ((left = atomic_load(&team->pending)) != 0) { sleep_while(&team->pending, left); }
        atomic_store(&team->caller_sleeps, 0);
    }
    pthread_mutex_unlock(&team->busy);
}

void ck_team_destroy(ck_team *team) {
    team->ending = 1;
    raise_round(team);
    for (int32_t thread = 1; thread < team->threads; thread++) { pthread_join(team->handles[thread], NULL); }
    pthread_mutex_destroy(&team->busy);
    free(team);
}
