// Weights to the blocks of 32 that GGUF files hold. Included once per level after its lanes_*.h.

/// To the nearest whole number, ties to even; for sizes far below 2^22.
CK_INLINE v16 CK(whole)(v16 x) {
    const v16 magic = v_set1(12582912.0f);
    return v_sub(v_add(x, magic), magic);
}

CK_INLINE v16 CK(step_of)(v16 x) { return v_min(v_max(CK(whole)(x), v_set1(0)), v_set1(15)); }

CK_INLINE float CK(sum_of)(v16 low, v16 high) { return v_sum(v_add(low, high)); }

/// A block as it would be stored, and the sum of the squares of what it is wrong by.
typedef struct {
    uint16_t scale, minimum;
    v16 low, high;
    float error;
} CK(candidate);

CK_INLINE CK(candidate) CK(try)(v16 low, v16 high, float scale, float minimum) {
    CK(candidate) result;
    result.scale = ck_float_to_half(fmaxf(-65504.0f, fminf(scale, 65504.0f)));
    result.minimum = ck_float_to_half(fmaxf(-65504.0f, fminf(minimum, 65504.0f)));
    const float width = ck_half_to_float(result.scale);
    const v16 steps = v_set1(width), offset = v_set1(ck_half_to_float(result.minimum));
    const int is_step = width > 0;
    result.low = is_step ? CK(step_of)(v_div(v_sub(low, offset), steps)) : v_set1(0);
    result.high = is_step ? CK(step_of)(v_div(v_sub(high, offset), steps)) : v_set1(0);
    const v16 a = v_sub(v_fma(result.low, steps, offset), low), b = v_sub(v_fma(result.high, steps, offset), high);
    result.error = CK(sum_of)(v_mul(a, a), v_mul(b, b));
    return result;
}

/// Of several widths of a step the one with the least sum of squared errors. For each, values are rounded to steps, then
/// scale and minimum are what fits these steps best (least squares).
CK_INLINE CK(candidate) CK(best_of)(v16 low, v16 high) {
    const float highest = v_maximum(v_max(low, high));
    const float lowest = -v_maximum(v_max(v_sub(v_set1(0), low), v_sub(v_set1(0), high)));
    const float width = highest - lowest;
    CK(candidate) best = CK(try)(low, high, width / 15, lowest);
    if (!(width > 0 && width < INFINITY)) { return best; }
    const float sum = CK(sum_of)(low, high);
    const v16 offset = v_set1(lowest);
    // Fewer steps than 15 over the width: blocks that were quantised before and don't use all of theirs; and widths
    // between, where cutting the ends off makes the middle finer.
    for (int tenth = -40; tenth <= 12; tenth += tenth < -10 ? 10 : 1) {
        const v16 steps = v_set1((15 + (float)tenth / 10) / width);
        const v16 p = CK(step_of)(v_mul(v_sub(low, offset), steps));
        const v16 q = CK(step_of)(v_mul(v_sub(high, offset), steps));
        const float ones = CK(sum_of)(p, q), squares = CK(sum_of)(v_mul(p, p), v_mul(q, q));
        const float products = CK(sum_of)(v_mul(p, low), v_mul(q, high));
        const float determinant = 32 * squares - ones * ones;
        if (determinant <= 0) { continue; }
        const float scale = (32 * products - ones * sum) / determinant;
        const CK(candidate) candidate = CK(try)(low, high, scale, (sum - scale * ones) / 32);
        if (candidate.error < best.error) { best = candidate; }
    }
    return best;
}

void CK(ck_encode_q4_1)(const float *x, uint8_t *out, int64_t blocks) {
    for (int64_t block = 0; block < blocks; block++, x += 32, out += 20) {
        const CK(candidate) best = CK(best_of)(v_load(x), v_load(x + 16));
        float low[16], high[16];
        v_store(low, best.low);
        v_store(high, best.high);
        memcpy(out, &best.scale, 2);
        memcpy(out + 2, &best.minimum, 2);
        for (int i = 0; i < 16; i++) { out[4 + i] = (uint8_t)((int)low[i] | (int)high[i] << 4); }
    }
}

/// scale = max|x| / 127, zero where that is no normal number; halves are rounded away from zero, as ggml does.
void CK(ck_encode_q8_0)(const float *x, uint8_t *out, int64_t blocks) {
    for (int64_t block = 0; block < blocks; block++, x += 32, out += 34) {
        const v16 zero = v_set1(0), low = v_load(x), high = v_load(x + 16);
        const v16 sizes = v_max(v_max(low, v_sub(zero, low)), v_max(high, v_sub(zero, high)));
        const float scale = v_maximum(sizes) / 127, inverse = scale < 0x1p-126f ? 0 : 1 / scale;
        const uint16_t half = ck_float_to_half(scale);
        memcpy(out, &half, 2);
        for (int i = 0; i < 32; i++) {
            const float scaled = fabsf(x[i] * inverse);
            const int whole = (int)scaled, rounded = whole + (int)(2 * (scaled - (float)whole));
            out[2 + i] = (uint8_t)(x[i] < 0 ? -rounded : rounded);
        }
    }
}
