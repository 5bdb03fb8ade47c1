// Sixteen float lanes, plain C: the reference of the other levels.
#include "common.h"

#define CK(name) name##_scalar
#define CK_LEVEL_END

#define CK_CHAINS 4

typedef struct {
    float lane[16];
} v16;

#define EACH_LANE for (int i = 0; i < 16; i++)

CK_INLINE v16 v_set1(float x) {
    v16 r;
    EACH_LANE r.lane[i] = x;
    return r;
}

CK_INLINE v16 v_load(const float *p) {
    v16 r;
    EACH_LANE r.lane[i] = p[i];
    return r;
}

/// The first n lanes, the others `fill`.
CK_INLINE v16 v_load_partial(const float *p, int64_t n, float fill) {
    v16 r;
    EACH_LANE r.lane[i] = i < n ? p[i] : fill;
    return r;
}

CK_INLINE v16 v_load_bytes(const int8_t *p) {
    v16 r;
    EACH_LANE r.lane[i] = (float)p[i];
    return r;
}

CK_INLINE v16 v_load_half(const uint16_t *p) {
    v16 r;
    EACH_LANE r.lane[i] = ck_half_to_float(p[i]);
    return r;
}

CK_INLINE v16 v_load_bfloat(const uint16_t *p) {
    v16 r;
    EACH_LANE r.lane[i] = ck_bfloat_to_float(p[i]);
    return r;
}

CK_INLINE void v_store(float *p, v16 a) { EACH_LANE p[i] = a.lane[i]; }

CK_INLINE void v_store_partial(float *p, v16 a, int64_t n) {
    for (int i = 0; i < n; i++) { p[i] = a.lane[i]; }
}

CK_INLINE void v_store_half(uint16_t *p, v16 a) { EACH_LANE p[i] = ck_float_to_half(a.lane[i]); }

#define V_BINARY(name, expression)                                 \
    CK_INLINE v16 name(v16 a, v16 b) {                             \
        v16 r;                                                     \
        for (int i = 0; i < 16; i++) {                             \
            const float x = a.lane[i], y = b.lane[i];              \
            r.lane[i] = (expression);                              \
        }                                                          \
        return r;                                                  \
    }
V_BINARY(v_add, x + y)
V_BINARY(v_sub, x - y)
V_BINARY(v_mul, x *y)
V_BINARY(v_div, x / y)
V_BINARY(v_max, x > y ? x : y)  // y if either is NaN, as maxps
V_BINARY(v_min, x < y ? x : y)
V_BINARY(v_copysign, ck_from_bits((ck_bits(x) & 0x7fffffff) | (ck_bits(y) & 0x80000000)))
#undef V_BINARY

/// a·b + c, rounded once.
CK_INLINE v16 v_fma(v16 a, v16 b, v16 c) {
    v16 r;
    EACH_LANE r.lane[i] = fmaf(a.lane[i], b.lane[i], c.lane[i]);
    return r;
}

/// c - a·b, rounded once.
CK_INLINE v16 v_fnma(v16 a, v16 b, v16 c) {
    v16 r;
    EACH_LANE r.lane[i] = fmaf(-a.lane[i], b.lane[i], c.lane[i]);
    return r;
}

/// a < b ? x : y
CK_INLINE v16 v_select_less(v16 a, v16 b, v16 x, v16 y) {
    v16 r;
    EACH_LANE r.lane[i] = a.lane[i] < b.lane[i] ? x.lane[i] : y.lane[i];
    return r;
}

/// 2^n for t = 1.5·2^23 + n, -126 ≤ n ≤ 127.
CK_INLINE v16 v_power_of_two(v16 t) {
    v16 r;
    EACH_LANE r.lane[i] = ck_from_bits((ck_bits(t.lane[i]) << 23) + 0x3f800000);
    return r;
}

/// Lanes l and l+8, then l+4, l+2, l+1.
CK_INLINE float v_sum(v16 a) {
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) { a.lane[i] = a.lane[i] + a.lane[i + half]; }
    }
    return a.lane[0];
}

CK_INLINE float v_maximum(v16 a) {
    for (int half = 8; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) { a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half]; }
    }
    return a.lane[0];
}
