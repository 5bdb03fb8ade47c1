// Reductions over a row: norms, softmax, log-sum-exp, argmax. Included once per level after its lanes_*.h.
#include "lanes_math.h"

void CK(ck_rms_norm)(const float *x, const float *weight, float epsilon, float *out, int64_t C) {
    v16 squares = v_set1(0);
    int64_t i = 0;
    for (; i + 16 <= C; i += 16) {
        const v16 a = v_load(x + i);
        squares = v_fma(a, a, squares);
    }
    if (i < C) {
        const v16 a = v_load_partial(x + i, C - i, 0);
        squares = v_fma(a, a, squares);
    }
    const float inverse = 1.0f / sqrtf(v_sum(squares) / (float)C + epsilon);
    for (i = 0; i < C; i++) { out[i] = x[i] * inverse * weight[i]; }
}

void CK(ck_layer_norm)(const float *x, const float *weight, const float *bias, float epsilon, float *out, int64_t C) {
    v16 sum = v_set1(0);
    int64_t i = 0;
    for (; i + 16 <= C; i += 16) { sum = v_add(sum, v_load(x + i)); }
    if (i < C) { sum = v_add(sum, v_load_partial(x + i, C - i, 0)); }
    const float mean = v_sum(sum) / (float)C;

    const v16 means = v_set1(mean);
    v16 squares = v_set1(0);
    for (i = 0; i + 16 <= C; i += 16) {
        const v16 a = v_sub(v_load(x + i), means);
        squares = v_fma(a, a, squares);
    }
    if (i < C) {
        const v16 a = v_sub(v_load_partial(x + i, C - i, mean), means);
        squares = v_fma(a, a, squares);
    }
    const float inverse = 1.0f / sqrtf(v_sum(squares) / (float)C + epsilon);
    if (bias) {
        for (i = 0; i < C; i++) { out[i] = fmaf((x[i] - mean) * inverse, weight[i], bias[i]); }
    } else {
        for (i = 0; i < C; i++) { out[i] = (x[i] - mean) * inverse * weight[i]; }
    }
}

/// NaN never wins; -infinity if there is nothing else.
CK_INLINE float CK(row_maximum)(const float *x, int64_t n) {
    v16 maximum = v_set1(-INFINITY);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) { maximum = v_max(v_load(x + i), maximum); }
    if (i < n) { maximum = v_max(v_load_partial(x + i, n - i, -INFINITY), maximum); }
    return v_maximum(maximum);
}

/// Σ e^(x - maximum), also written to out unless null. Runs of 512 are summed first: a long row keeps its digits.
CK_INLINE float CK(exponentials)(const float *x, float maximum, float *out, int64_t n) {
    const v16 top = v_set1(maximum);
    v16 total = v_set1(0);
    for (int64_t run = 0; run < n; run += 512) {
        const int64_t end = run + 512 < n ? run + 512 : n;
        v16 sum = v_set1(0);
        int64_t i = run;
        for (; i + 16 <= end; i += 16) {
            const v16 e = v_exp(v_sub(v_load(x + i), top));
            if (out) { v_store(out + i, e); }
            sum = v_add(sum, e);
        }
        if (i < end) {
            const v16 e = v_exp(v_sub(v_load_partial(x + i, end - i, -INFINITY), top));
            if (out) { v_store_partial(out + i, e, end - i); }
            sum = v_add(sum, e);
        }
        total = v_add(total, sum);
    }
    return v_sum(total);
}

void CK(ck_softmax)(const float *x, float *out, int64_t n) {
    const float inverse = 1.0f / CK(exponentials)(x, CK(row_maximum)(x, n), out, n);
    for (int64_t i = 0; i < n; i++) { out[i] *= inverse; }
}

float CK(ck_log_sum_exp)(const float *x, int64_t n) {
    const float maximum = CK(row_maximum)(x, n);
    return ck_add_logarithm(maximum, CK(exponentials)(x, maximum, NULL, n));
}

int64_t CK(ck_argmax)(const float *x, int64_t n) {
    const float maximum = CK(row_maximum)(x, n);
    for (int64_t i = 0; i < n; i++) {
        if (x[i] == maximum) { return i; }
    }
    return 0;
}
