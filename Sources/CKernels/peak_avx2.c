// The peak of AVX2: chains of vfmadd, and of maddubs + madd + add, with operands in registers and nothing loaded or stored.
#if defined(__x86_64__)
#include "lanes_avx2.h"

double ck_peak_float_avx2(int64_t rounds) {
    __m256 sums[12], a = _mm256_set1_ps(1.0001f), b = _mm256_set1_ps(0.9999f);
    CK_UNROLL for (int c = 0; c < 12; c++) { sums[c] = _mm256_setzero_ps(); }
    for (int64_t i = 0; i < rounds; i++) {
        CK_UNROLL for (int c = 0; c < 12; c++) {
            sums[c] = _mm256_fmadd_ps(a, b, sums[c]);
            __asm__ volatile("" : "+x"(sums[c]));  // neither dropped nor merged
        }
    }
    return 2.0 * 8 * 12 * (double)rounds;
}

double ck_peak_integer_avx2(int64_t rounds) {
    __m256i sums[6], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5), ones = _mm256_set1_epi16(1);
    CK_UNROLL for (int c = 0; c < 6; c++) { sums[c] = _mm256_setzero_si256(); }
    for (int64_t i = 0; i < rounds; i++) {
        CK_UNROLL for (int c = 0; c < 6; c++) {
            __m256i pairs = _mm256_maddubs_epi16(a, b);
            __asm__ volatile("" : "+x"(pairs));
            sums[c] = _mm256_add_epi32(sums[c], _mm256_madd_epi16(pairs, ones));
            __asm__ volatile("" : "+x"(sums[c]));
        }
    }
    return 2.0 * 32 * 6 * (double)rounds;
}

CK_LEVEL_END
#endif
