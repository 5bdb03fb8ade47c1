// Sixteen float lanes as two AVX registers. Everything up to CK_LEVEL_END is compiled for AVX2, FMA and F16C.
#include <immintrin.h>

#include "common.h"

#define CK(name) name##_avx2
#define CK_LEVEL_END _Pragma("clang attribute pop")

// Of 16 registers 12 hold sums, two a vector.
#define CK_CHAINS 6

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

typedef struct {
    __m256 low, high;
} v16;

#define V(low_half, high_half) ((v16){(low_half), (high_half)})

CK_INLINE v16 v_set1(float x) { return V(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
CK_INLINE v16 v_load(const float *p) { return V(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }

/// The first n lanes, the others `fill`.
CK_INLINE v16 v_load_partial(const float *p, int64_t n, float fill) {
    float lanes[16];
    for (int i = 0; i < 16; i++) { lanes[i] = i < n ? p[i] : fill; }
    return v_load(lanes);
}

CK_INLINE v16 v_load_bytes(const int8_t *p) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    return (v16){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                 _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}

CK_INLINE v16 v_load_half(const uint16_t *p) {
    return V(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
             _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8))));
}

CK_INLINE v16 v_load_bfloat(const uint16_t *p) {
    const __m256i low = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    const __m256i high = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 8)));
    return V(_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(high, 16)));
}

CK_INLINE void v_store(float *p, v16 a) {
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
}

CK_INLINE void v_store_partial(float *p, v16 a, int64_t n) {
    float lanes[16];
    v_store(lanes, a);
    for (int i = 0; i < n; i++) { p[i] = lanes[i]; }
}

CK_INLINE void v_store_half(uint16_t *p, v16 a) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT));
}

CK_INLINE v16 v_add(v16 a, v16 b) { return V(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)); }
CK_INLINE v16 v_sub(v16 a, v16 b) { return V(_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)); }
CK_INLINE v16 v_mul(v16 a, v16 b) { return V(_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)); }
CK_INLINE v16 v_div(v16 a, v16 b) { return V(_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)); }
CK_INLINE v16 v_max(v16 a, v16 b) { return V(_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)); }
CK_INLINE v16 v_min(v16 a, v16 b) { return V(_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)); }

CK_INLINE v16 v_copysign(v16 a, v16 b) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return V(_mm256_or_ps(_mm256_andnot_ps(sign, a.low), _mm256_and_ps(sign, b.low)),
             _mm256_or_ps(_mm256_andnot_ps(sign, a.high), _mm256_and_ps(sign, b.high)));
}

/// a·b + c, rounded once.
CK_INLINE v16 v_fma(v16 a, v16 b, v16 c) {
    return V(_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high));
}

/// c - a·b, rounded once.
CK_INLINE v16 v_fnma(v16 a, v16 b, v16 c) {
    return V(_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high));
}

/// a < b ? x : y
CK_INLINE v16 v_select_less(v16 a, v16 b, v16 x, v16 y) {
    return V(_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
             _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)));
}

CK_INLINE __m256 v_power_of_two_half(__m256 t) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3f800000)));
}

/// 2^n for t = 1.5·2^23 + n, -126 ≤ n ≤ 127.
CK_INLINE v16 v_power_of_two(v16 t) { return V(v_power_of_two_half(t.low), v_power_of_two_half(t.high)); }

/// Lanes l and l+8, then l+4, l+2, l+1.
CK_INLINE float v_sum(v16 a) {
    const __m256 eight = _mm256_add_ps(a.low, a.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

CK_INLINE float v_maximum(v16 a) {
    const __m256 eight = _mm256_max_ps(a.low, a.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
#undef V
