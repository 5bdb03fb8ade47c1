// The peak of the scalar level: single fused multiply-adds, single integer ones.
#include "common.h"

#if defined(__x86_64__)
#define PEAK_REGISTER(value) "+x"(value)
#elif defined(__aarch64__)
#define PEAK_REGISTER(value) "+w"(value)
#else
#define PEAK_REGISTER(value) "+m"(value)
#endif

double ck_peak_float_scalar(int64_t rounds) {
    float sums[8] = {0};
    float a = 1.0001f, b = 0.9999f;
    for (int64_t i = 0; i < rounds; i++) {
        CK_UNROLL for (int c = 0; c < 8; c++) {
            sums[c] = fmaf(a, b, sums[c]);
            __asm__ volatile("" : PEAK_REGISTER(sums[c]));  // neither dropped nor merged
        }
    }
    return 2.0 * 8 * (double)rounds;
}

double ck_peak_integer_scalar(int64_t rounds) {
    int32_t sums[8] = {0};
    int32_t a = 3, b = 5;
    __asm__ volatile("" : "+r"(a), "+r"(b));
    for (int64_t i = 0; i < rounds; i++) {
        CK_UNROLL for (int c = 0; c < 8; c++) {
            sums[c] += a * b;
            __asm__ volatile("" : "+r"(sums[c]), "+r"(a));
        }
    }
    return 2.0 * 8 * (double)rounds;
}
