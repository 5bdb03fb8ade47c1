// Counts the heap allocations of the calling thread, for tests that promise none. Linking it replaces the C library's
// allocation functions in the test program by ones that count and then do what the library does.
#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H
#include <stdint.h>

/// Allocations of this thread since it began.
uint64_t allocationCount(void);

#endif
