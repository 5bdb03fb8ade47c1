// The peak of a level, and of memory.
#include "common.h"

double ck_peak_float_scalar(int64_t rounds);
double ck_peak_integer_scalar(int64_t rounds);
#if defined(__x86_64__)
double ck_peak_float_avx2(int64_t rounds);
double ck_peak_integer_avx2(int64_t rounds);
double ck_peak_float_avx512(int64_t rounds);
double ck_peak_integer_avx512(int64_t rounds);
#elif defined(__aarch64__)
double ck_peak_float_neon(int64_t rounds);
double ck_peak_integer_neon(int64_t rounds);
#endif

double ck_peak(ck_level level, int32_t integer, int64_t rounds) {
    if (!ck_kernels_of(level)) { return 0; }
#if defined(__x86_64__)
    if (level == ck_avx512vnni) { return integer ? ck_peak_integer_avx512(rounds) : ck_peak_float_avx512(rounds); }
    if (level == ck_avx2) { return integer ? ck_peak_integer_avx2(rounds) : ck_peak_float_avx2(rounds); }
#elif defined(__aarch64__)
    if (level == ck_neon) { return integer ? ck_peak_integer_neon(rounds) : ck_peak_float_neon(rounds); }
#endif
    return integer ? ck_peak_integer_scalar(rounds) : ck_peak_float_scalar(rounds);
}

uint64_t ck_read_memory(const uint64_t *words, int64_t count) {
    uint64_t sums[8] = {0};
    for (int64_t i = 0; i + 8 <= count; i += 8) {
        // As the kernels do: the hardware's own prefetch alone reaches half of what memory gives.
        __builtin_prefetch(words + i + 256);
        CK_UNROLL for (int c = 0; c < 8; c++) { sums[c] += words[i + c]; }
    }
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}
