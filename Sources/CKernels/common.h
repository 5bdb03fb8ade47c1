// Shared by all levels: no contraction, forced inlining, bit casts and the exact 16-bit float conversions.
#ifndef CK_COMMON_H
#define CK_COMMON_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "CKernels.h"

// a·b + c is fused exactly where the source says fma, at every level.
#pragma STDC FP_CONTRACT OFF

#define CK_INLINE static inline __attribute__((always_inline, unused))
#define CK_UNROLL _Pragma("clang loop unroll(full)")

CK_INLINE uint32_t ck_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

CK_INLINE float ck_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

CK_INLINE float ck_half_to_float(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) {  // infinity, or NaN made quiet as the hardware does
        return ck_from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13 | (rest > 0x7c00 ? 0x400000 : 0));
    }
    if (rest < 0x400) {  // subnormal: rest · 2^-24 is exact
        return ck_from_bits(sign | ck_bits((float)rest * 0x1p-24f));
    }
    return ck_from_bits(sign | ((rest << 13) + 0x38000000));
}

CK_INLINE uint16_t ck_float_to_half(float x) {
    const uint32_t bits = ck_bits(x), rest = bits & 0x7fffffff;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (rest > 0x7f800000) { return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff)); }
    if (rest >= 0x477ff000) { return (uint16_t)(sign | 0x7c00); }  // rounds to 2^16 or more
    if (rest < 0x38800000) {  // below 2^-14: adding 1/2 leaves the rounded multiple of 2^-24 in the low bits
        return (uint16_t)(sign | (ck_bits(ck_from_bits(rest) + 0.5f) & 0x7ff));
    }
    return (uint16_t)(sign | ((rest + 0xfff + (rest >> 13 & 1) - 0x38000000) >> 13));
}

CK_INLINE float ck_bfloat_to_float(uint16_t h) { return ck_from_bits((uint32_t)h << 16); }

CK_INLINE uint16_t ck_float_to_bfloat(float x) {
    const uint32_t bits = ck_bits(x);
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

/// Symmetric int8: q = ck_rounded(x · inverse), x ≈ q · scale.
typedef struct {
    float scale, inverse;
    int32_t is_plain;  // else every q is 0: all but zero, or with NaN or infinity among them, which makes the scale NaN
} ck_int8_scale;

/// `largest`: the bits of the largest |x|, which order like the numbers, NaN above infinity.
CK_INLINE ck_int8_scale ck_scale_of(int32_t largest) {
    const float maximum = ck_from_bits((uint32_t)largest);
    const int32_t is_finite = largest < 0x7f800000, is_zero = maximum < 0x1p-100f;
    const float scale = !is_finite ? NAN : is_zero ? 0 : maximum / 127.0f;
    return (ck_int8_scale){scale, 127.0f / maximum, is_finite && !is_zero};
}

/// To the nearest even integer, |x| below 2^22: adding 1.5·2^23 rounds and leaves it in the low bits.
CK_INLINE int32_t ck_rounded(float x) { return (int32_t)ck_bits(x + 12582912.0f) - 0x4b400000; }

/// The height of the next tile when `rows` are left: as few tiles as `tallest` allows, all about equally high.
CK_INLINE int64_t ck_tile_height(int64_t rows, int64_t tallest) {
    const int64_t tiles = (rows + tallest - 1) / tallest;
    return (rows + tiles - 1) / tiles;
}

/// base + ln(sum), computed in double by own means (logarithm.c).
float ck_add_logarithm(float base, float sum);

/// Where row m of ck_quantized has block 0: `first` counts blocks from the start, block b is b · `rows` blocks further.
typedef struct {
    int64_t first, rows;
} ck_row_place;

CK_INLINE ck_row_place ck_place_row(int64_t m, int64_t rows, int64_t blocks) {
    const int64_t start = m / ck_row_group * ck_row_group, rest = rows - start;
    return (ck_row_place){start * blocks + (m - start), rest < ck_row_group ? rest : ck_row_group};
}

// Where the parts of a 32-block lie within a panel (see ck_layout).
enum { ck_int8_pair_bytes = 1088, ck_int8_minimum_bytes = 576, ck_int4_bytes = 320 };

CK_INLINE const uint8_t *ck_int8_values(const uint8_t *panel, int64_t block) {
    return panel + (block >> 1) * ck_int8_pair_bytes + (block & 1) * 512;
}

CK_INLINE const uint16_t *ck_int8_scales(const uint8_t *panel, int64_t block) {
    return (const uint16_t *)(panel + (block >> 1) * ck_int8_pair_bytes + 1024 + (block & 1) * 32);
}

#endif
