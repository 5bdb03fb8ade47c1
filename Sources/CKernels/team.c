// A fixed team of threads that run the parts of one job together: each claims the next part when it has finished one, so
// that a thread the system holds up delays nothing but the part it is at. Idle threads spin for a bounded while, then
// sleep on a futex.
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CKernels.h"

// 30 to 100 µs, by how long a core's pause is: longer than the gap between two kernels of a step, shorter than a step.
enum { spins = 2000 };

struct ck_team {
    /// The round (upper 32 bits, what idle threads wait on), its number of parts (16), and the next part to claim (16).
    /// A claim is one addition: it can't mix up two rounds. Claims beyond the last part are harmless; a thread makes one
    /// a round, so they never reach the parts' bits.
    _Alignas(64) atomic_ullong claims;
    _Alignas(64) atomic_uint finished;  // parts of the round
    _Alignas(64) atomic_uint sleepers;
    atomic_uint caller_sleeps;
    atomic_uint ending;
    /// Read by those who hold a part only: the caller can't go on to the next round before they have finished it.
    _Alignas(64) ck_team_body body;
    void *context;
    int32_t threads;
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

static uint32_t round_of(unsigned long long claims) { return (uint32_t)(claims >> 32); }
static int32_t parts_of(unsigned long long claims) { return claims >> 16 & 0xffff; }

/// The half of `claims` that holds the round, as a futex word (all supported machines are little-endian).
static uint32_t *round_word(ck_team *team) { return (uint32_t *)&team->claims + 1; }

static void sleep_while(void *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(void *word, int count) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0); }

static void wait_for_round_after(ck_team *team, uint32_t seen) {
    for (int i = 0; i < spins; i++) {
        if (round_of(atomic_load_explicit(&team->claims, memory_order_acquire)) != seen) { return; }
        relax();
    }
    // Sequentially consistent with the caller's raise-then-read: it sees the sleeper, or the futex sees the round.
    atomic_fetch_add(&team->sleepers, 1);
    while (round_of(atomic_load(&team->claims)) == seen) { sleep_while(round_word(team), seen); }
    atomic_fetch_sub(&team->sleepers, 1);
}

/// Works on the present round until nothing of it is left to claim. Returns the round.
static uint32_t work_off(ck_team *team, int32_t thread) {
    unsigned finished = 0;
    int32_t parts;
    unsigned long long claim;
    for (;;) {
        claim = atomic_fetch_add_explicit(&team->claims, 1, memory_order_acq_rel);
        parts = parts_of(claim);
        const int32_t part = claim & 0xffff;
        if (part >= parts) { break; }
        team->body(team->context, part, parts, thread);
        finished++;
    }
    if (finished > 0 && (int32_t)(atomic_fetch_add(&team->finished, finished) + finished) == parts && thread > 0
        && atomic_load(&team->caller_sleeps)) {
        wake(&team->finished, 1);
    }
    return round_of(claim);
}

static void *work(void *argument) {
    const start own = *(start *)argument;
    free(argument);
    uint32_t seen = 0;
    while (!atomic_load(&own.team->ending)) {
        wait_for_round_after(own.team, seen);
        seen = work_off(own.team, own.thread);
    }
    return NULL;
}

static void raise_round(ck_team *team, int32_t parts) {
    const uint32_t next = round_of(atomic_load_explicit(&team->claims, memory_order_relaxed)) + 1;
    atomic_store(&team->claims, (unsigned long long)next << 32 | (unsigned long long)parts << 16);
    if (atomic_load(&team->sleepers) > 0) { wake(round_word(team), team->threads); }
}

ck_team *ck_team_create(int32_t threads) {
    ck_team *team = NULL;
    const size_t size = sizeof(ck_team) + (size_t)threads * sizeof(pthread_t);
    if (threads < 1 || posix_memalign((void **)&team, 64, size) != 0) { return NULL; }
    atomic_init(&team->claims, 0);
    atomic_init(&team->finished, 0);
    atomic_init(&team->sleepers, 0);
    atomic_init(&team->caller_sleeps, 0);
    atomic_init(&team->ending, 0);
    team->threads = 1;
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

void ck_team_run(ck_team *team, ck_team_body body, void *context, int32_t parts) {
    if (parts < 2 || team->threads == 1 || pthread_mutex_trylock(&team->busy) != 0) {
        for (int32_t part = 0; part < parts; part++) { body(context, part, parts, 0); }
        return;
    }
    team->body = body;
    team->context = context;
    atomic_store_explicit(&team->finished, 0, memory_order_relaxed);
    raise_round(team, parts);
    work_off(team, 0);
    const unsigned all = (unsigned)parts;
    for (int i = 0; i < spins && atomic_load_explicit(&team->finished, memory_order_acquire) != all; i++) { relax(); }
    if (atomic_load_explicit(&team->finished, memory_order_acquire) != all) {
        atomic_store(&team->caller_sleeps, 1);
        unsigned now;
        while ((now = atomic_load(&team->finished)) != all) { sleep_while(&team->finished, now); }
        atomic_store(&team->caller_sleeps, 0);
    }
    pthread_mutex_unlock(&team->busy);
}

void ck_team_destroy(ck_team *team) {
    atomic_store(&team->ending, 1);
    raise_round(team, 0);
    for (int32_t thread = 1; thread < team->threads; thread++) { pthread_join(team->handles[thread], NULL); }
    pthread_mutex_destroy(&team->busy);
    free(team);
}
