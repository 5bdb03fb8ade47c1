// The peak of NEON: chains of fmla, and of sdot, with operands in registers and nothing loaded or stored.
#if defined(__aarch64__)
#include "lanes_neon.h"

double ck_peak_float_neon(int64_t rounds) {
    float32x4_t sums[16], a = vdupq_n_f32(1.0001f), b = vdupq_n_f32(0.9999f);
    CK_UNROLL for (int c = 0; c < 16; c++) { sums[c] = vdupq_n_f32(0); }
    for (int64_t i = 0; i < rounds; i++) {
        CK_UNROLL for (int c = 0; c < 16; c++) {
            sums[c] = vfmaq_f32(sums[c], a, b);
            __asm__ volatile("" : "+w"(sums[c]));  // neither dropped nor merged
        }
    }
    return 2.0 * 4 * 16 * (double)rounds;
}

double ck_peak_integer_neon(int64_t rounds) {
    const int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(5);
    int32x4_t sums[16];
    CK_UNROLL for (int c = 0; c < 16; c++) { sums[c] = vdupq_n_s32(0); }
    for (int64_t i = 0; i < rounds; i++) {
        CK_UNROLL for (int c = 0; c < 16; c++) {
            sums[c] = vdotq_s32(sums[c], a, b);
            __asm__ volatile("" : "+w"(sums[c]));
        }
    }
    return 2.0 * 16 * 16 * (double)rounds;
}

CK_LEVEL_END
#endif
