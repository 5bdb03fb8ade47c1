// A machine whose clock is wrong by MILLRACE_CLOCK_SKEW seconds, for a program started with this library in LD_PRELOAD.
// Only the time of day is wrong; clocks that count from the start of the machine go on as they do.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t skew(void) {
    static time_t seconds;
    static int isKnown;
    if (!isKnown) {
        const char *text = getenv("MILLRACE_CLOCK_SKEW");
        seconds = text ? atol(text) : 0;
        isKnown = 1;
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*original)(clockid_t, struct timespec *);
    if (!original) original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = original(clock, time);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += skew();
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    static int (*original)(struct timeval *, void *);
    if (!original) original = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
    int result = original(time, zone);
    if (!result) time->tv_sec += skew();
    return result;
}

time_t time(time_t *target) {
    static time_t (*original)(time_t *);
    if (!original) original = (time_t (*)(time_t *))dlsym(RTLD_NEXT, "time");
    time_t now = original(NULL) + skew();
    if (target) *target = now;
    return now;
}
