// Sixteen float lanes as four NEON registers. Up to CK_LEVEL_END all is compiled for ARMv8.2 with dot products.
#include <arm_neon.h>

#include "common.h"

#define CK(name) name##_neon
#define CK_LEVEL_END _Pragma("clang attribute pop")

// Of 32 registers 16 hold sums, four a vector.
#define CK_CHAINS 4

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

typedef struct {
    float32x4_t quarter[4];
} v16;

#define EACH_QUARTER CK_UNROLL for (int i = 0; i < 4; i++)

CK_INLINE v16 v_set1(float x) {
    v16 r;
    EACH_QUARTER { r.quarter[i] = vdupq_n_f32(x); }
    return r;
}

CK_INLINE v16 v_load(const float *p) {
    v16 r;
    EACH_QUARTER { r.quarter[i] = vld1q_f32(p + 4 * i); }
    return r;
}

/// The first n lanes, the others `fill`.
CK_INLINE v16 v_load_partial(const float *p, int64_t n, float fill) {
    float lanes[16];
    for (int i = 0; i < 16; i++) { lanes[i] = i < n ? p[i] : fill; }
    return v_load(lanes);
}

CK_INLINE v16 v_load_bytes(const int8_t *p) {
    const int8x16_t bytes = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
    return (v16){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                  vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}

CK_INLINE v16 v_load_half(const uint16_t *p) {
    v16 r;
    EACH_QUARTER { r.quarter[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); }
    return r;
}

CK_INLINE v16 v_load_bfloat(const uint16_t *p) {
    v16 r;
    EACH_QUARTER { r.quarter[i] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); }
    return r;
}

CK_INLINE void v_store(float *p, v16 a) {
    EACH_QUARTER { vst1q_f32(p + 4 * i, a.quarter[i]); }
}

CK_INLINE void v_store_partial(float *p, v16 a, int64_t n) {
    float lanes[16];
    v_store(lanes, a);
    for (int i = 0; i < n; i++) { p[i] = lanes[i]; }
}

CK_INLINE void v_store_half(uint16_t *p, v16 a) {
    EACH_QUARTER { vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.quarter[i]))); }
}

#define V_BINARY(name, expression)                                    \
    CK_INLINE v16 name(v16 a, v16 b) {                                \
        v16 r;                                                        \
        EACH_QUARTER {                                                \
            const float32x4_t x = a.quarter[i], y = b.quarter[i];     \
            r.quarter[i] = (expression);                              \
        }                                                             \
        return r;                                                     \
    }
V_BINARY(v_add, vaddq_f32(x, y))
V_BINARY(v_sub, vsubq_f32(x, y))
V_BINARY(v_mul, vmulq_f32(x, y))
V_BINARY(v_div, vdivq_f32(x, y))
V_BINARY(v_max, vbslq_f32(vcgtq_f32(x, y), x, y))  // y if either is NaN, as maxps
V_BINARY(v_min, vbslq_f32(vcltq_f32(x, y), x, y))
V_BINARY(v_copysign, vbslq_f32(vdupq_n_u32(0x80000000), y, x))
#undef V_BINARY

/// a·b + c, rounded once.
CK_INLINE v16 v_fma(v16 a, v16 b, v16 c) {
    EACH_QUARTER { c.quarter[i] = vfmaq_f32(c.quarter[i], a.quarter[i], b.quarter[i]); }
    return c;
}

/// c - a·b, rounded once.
CK_INLINE v16 v_fnma(v16 a, v16 b, v16 c) {
    EACH_QUARTER { c.quarter[i] = vfmsq_f32(c.quarter[i], a.quarter[i], b.quarter[i]); }
    return c;
}

/// a < b ? x : y
CK_INLINE v16 v_select_less(v16 a, v16 b, v16 x, v16 y) {
    EACH_QUARTER { y.quarter[i] = vbslq_f32(vcltq_f32(a.quarter[i], b.quarter[i]), x.quarter[i], y.quarter[i]); }
    return y;
}

/// 2^n for t = 1.5·2^23 + n, -126 ≤ n ≤ 127.
CK_INLINE v16 v_power_of_two(v16 t) {
    EACH_QUARTER {
        const uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(t.quarter[i]), 23);
        t.quarter[i] = vreinterpretq_f32_u32(vaddq_u32(exponent, vdupq_n_u32(0x3f800000)));
    }
    return t;
}

/// Lanes l and l+8, then l+4, l+2, l+1.
CK_INLINE float v_sum(v16 a) {
    const float32x4_t four =
        vaddq_f32(vaddq_f32(a.quarter[0], a.quarter[2]), vaddq_f32(a.quarter[1], a.quarter[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

CK_INLINE float v_maximum(v16 a) {
    v16 b = a;
    for (int half = 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            const float32x4_t x = b.quarter[i], y = b.quarter[i + half];
            b.quarter[i] = vbslq_f32(vcgtq_f32(x, y), x, y);
        }
    }
    float lanes[4];
    vst1q_f32(lanes, b.quarter[0]);
    for (int half = 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) { lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half]; }
    }
    return lanes[0];
}
#undef EACH_QUARTER
