// The peak of AVX-512: chains of vfmadd, and of vpdpbusd, with operands in registers and nothing loaded or stored.
#if defined(__x86_64__)
#include "lanes_avx512.h"

double ck_peak_float_avx512(int64_t rounds) {
    __m512 sums[24], a = _mm512_set1_ps(1.0001f), b = _mm512_set1_ps(0.9999f);
    CK_UNROLL for (int c = 0; c < 24; c++) { sums[c] = _mm512_setzero_ps(); }
    for (int64_t i = 0; i < rounds; i++) {
        CK_UNROLL for (int c = 0; c < 24; c++) {
            sums[c] = _mm512_fmadd_ps(a, b, sums[c]);
            __asm__ volatile("" : "+v"(sums[c]));  // neither dropped nor merged
        }
    }
    return 2.0 * 16 * 24 * (double)rounds;
}

double ck_peak_integer_avx512(int64_t rounds) {
    __m512i sums[24], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
    CK_UNROLL for (int c = 0; c < 24; c++) { sums[c] = _mm512_setzero_si512(); }
    for (int64_t i = 0; i < rounds; i++) {
        CK_UNROLL for (int c = 0; c < 24; c++) {
            sums[c] = _mm512_dpbusd_epi32(sums[c], a, b);
            __asm__ volatile("" : "+v"(sums[c]));
        }
    }
    return 2.0 * 64 * 24 * (double)rounds;
}

CK_LEVEL_END
#endif
