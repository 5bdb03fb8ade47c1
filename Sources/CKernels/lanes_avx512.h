// Sixteen float lanes as one AVX-512 register. Up to CK_LEVEL_END all is compiled for AVX-512 F, BW, VL, DQ, VNNI.
#include <immintrin.h>

#include "common.h"

#define CK(name) name##_avx512
#define CK_LEVEL_END _Pragma("clang attribute pop")

// 32 registers: 16 sums, and room for what they are made of.
#define CK_CHAINS 16

#pragma clang attribute push(                                                                          \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), apply_to = function)

typedef __m512 v16;

CK_INLINE v16 v_set1(float x) { return _mm512_set1_ps(x); }
CK_INLINE v16 v_load(const float *p) { return _mm512_loadu_ps(p); }

/// The first n lanes, the others `fill`.
CK_INLINE v16 v_load_partial(const float *p, int64_t n, float fill) {
    const __mmask16 mask = n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask, p);
}

CK_INLINE v16 v_load_bytes(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

CK_INLINE v16 v_load_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }

CK_INLINE v16 v_load_bfloat(const uint16_t *p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

CK_INLINE void v_store(float *p, v16 a) { _mm512_storeu_ps(p, a); }

CK_INLINE void v_store_partial(float *p, v16 a, int64_t n) {
    _mm512_mask_storeu_ps(p, n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1), a);
}

CK_INLINE void v_store_half(uint16_t *p, v16 a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

CK_INLINE v16 v_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
CK_INLINE v16 v_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
CK_INLINE v16 v_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
CK_INLINE v16 v_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
CK_INLINE v16 v_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
CK_INLINE v16 v_min(v16 a, v16 b) { return _mm512_min_ps(a, b); }

CK_INLINE v16 v_copysign(v16 a, v16 b) {
    const __m512 sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, b));
}

/// a·b + c, rounded once.
CK_INLINE v16 v_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
/// c - a·b, rounded once.
CK_INLINE v16 v_fnma(v16 a, v16 b, v16 c) { return _mm512_fnmadd_ps(a, b, c); }

/// a < b ? x : y
CK_INLINE v16 v_select_less(v16 a, v16 b, v16 x, v16 y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}

/// 2^n for t = 1.5·2^23 + n, -126 ≤ n ≤ 127.
CK_INLINE v16 v_power_of_two(v16 t) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3f800000)));
}

/// Lanes l and l+8, then l+4, l+2, l+1.
CK_INLINE float v_sum(v16 a) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

CK_INLINE float v_maximum(v16 a) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
