// Element by element: activations, sums, conversions. Included once per level after its lanes_*.h.
#include "lanes_math.h"

#define MAP(n, full, partial)                        \
    int64_t i = 0;                                   \
    for (; i + 16 <= (n); i += 16) { full; }         \
    if (i < (n)) {                                   \
        const int64_t rest = (n)-i;                  \
        partial;                                     \
    }

#define MAP_ONE(x, out, n, f) \
    MAP(n, v_store(out + i, f(v_load(x + i))), v_store_partial(out + i, f(v_load_partial(x + i, rest, 0)), rest))

#define MAP_TWO(x, y, out, n, f)                                                \
    MAP(n, v_store(out + i, f(v_load(x + i), v_load(y + i))),                   \
        v_store_partial(out + i, f(v_load_partial(x + i, rest, 0), v_load_partial(y + i, rest, 0)), rest))

CK_INLINE v16 CK(silu_times)(v16 gate, v16 up) { return v_mul(v_silu(gate), up); }
CK_INLINE v16 CK(gelu_times)(v16 gate, v16 up) { return v_mul(v_gelu(gate), up); }

void CK(ck_silu_product)(const float *gate, const float *up, float *out, int64_t n) {
    MAP_TWO(gate, up, out, n, CK(silu_times))
}

void CK(ck_gelu_product)(const float *gate, const float *up, float *out, int64_t n) {
    MAP_TWO(gate, up, out, n, CK(gelu_times))
}

void CK(ck_gelu)(const float *x, float *out, int64_t n) { MAP_ONE(x, out, n, v_gelu) }

void CK(ck_add)(const float *x, const float *y, float *out, int64_t n) { MAP_TWO(x, y, out, n, v_add) }

void CK(ck_scale)(const float *x, float factor, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) { out[i] = x[i] * factor; }
}

void CK(ck_softcap)(const float *x, float cap, float *out, int64_t n) {
    const v16 limit = v_set1(cap), inverse = v_set1(1.0f / cap);
#define CAPPED(value) v_mul(limit, v_tanh(v_mul(value, inverse)))
    MAP_ONE(x, out, n, CAPPED)
#undef CAPPED
}

void CK(ck_exponential)(const float *x, float *out, int64_t n) { MAP_ONE(x, out, n, v_exp) }

void CK(ck_hyperbolic_tangent)(const float *x, float *out, int64_t n) { MAP_ONE(x, out, n, v_tanh) }

void CK(ck_float_to_half)(const float *x, uint16_t *out, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) { v_store_half(out + i, v_load(x + i)); }
    for (; i < n; i++) { out[i] = ck_float_to_half(x[i]); }
}

void CK(ck_half_to_float)(const uint16_t *x, float *out, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) { v_store(out + i, v_load_half(x + i)); }
    for (; i < n; i++) { out[i] = ck_half_to_float(x[i]); }
}

void CK(ck_float_to_bfloat)(const float *x, uint16_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) { out[i] = ck_float_to_bfloat(x[i]); }
}

void CK(ck_bfloat_to_float)(const uint16_t *x, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) { out[i] = ck_bfloat_to_float(x[i]); }
}

#undef MAP
#undef MAP_ONE
#undef MAP_TWO
