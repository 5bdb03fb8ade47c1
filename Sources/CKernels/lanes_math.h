// exp, tanh and what is made of them, on sixteen lanes of any level (include a lanes_*.h first).
// The coefficients are minimax fits (weighted least squares, Lawson iteration) rounded to float.

/// e^x within 2 units in the last place; 0 below -87, infinity above 88.37; NaN stays NaN.
CK_INLINE v16 v_exp(v16 x) {
    const v16 lowest = v_set1(-87.0f), highest = v_set1(88.37f);
    const v16 inside = v_max(lowest, v_min(highest, x));
    // x = n·ln 2 + r, |r| ≤ ln 2 / 2. Adding 1.5·2^23 rounds to an integer and leaves n in the low bits.
    const v16 magic = v_set1(12582912.0f);
    const v16 t = v_fma(inside, v_set1(1.44269502f), magic);
    const v16 n = v_sub(t, magic);
    v16 r = v_fnma(n, v_set1(0.69140625f), inside);  // eight significant bits: n times it is exact
    r = v_fnma(n, v_set1(0.00174093060f), r);
    v16 p = v_set1(0.0013814467f);  // (e^r - 1 - r) / r², relative error of e^r below 4e-9
    p = v_fma(p, r, v_set1(0.008368781f));
    p = v_fma(p, r, v_set1(0.041668393f));
    p = v_fma(p, r, v_set1(0.1666652f));
    p = v_fma(p, r, v_set1(0.49999994f));
    p = v_fma(p, r, v_set1(1.0f));
    p = v_fma(p, r, v_set1(1.0f));
    v16 result = v_mul(p, v_power_of_two(t));
    result = v_select_less(x, lowest, v_set1(0.0f), result);
    return v_select_less(highest, x, v_set1(INFINITY), result);
}

CK_INLINE v16 v_tanh(v16 x) {
    const v16 one = v_set1(1.0f), size = v_copysign(x, v_set1(0.0f));
    const v16 z = v_mul(x, x);
    v16 p = v_set1(-0.005704987f);  // (tanh x / x - 1) / x², relative error of tanh below 5e-9
    p = v_fma(p, z, v_set1(0.020639086f));
    p = v_fma(p, z, v_set1(-0.053739715f));
    p = v_fma(p, z, v_set1(0.13331442f));
    p = v_fma(p, z, v_set1(-0.3333328f));
    const v16 near = v_fma(v_mul(p, z), x, x);
    const v16 e = v_exp(v_add(size, size));
    const v16 far = v_copysign(v_sub(one, v_div(v_set1(2.0f), v_add(e, one))), x);
    return v_select_less(size, v_set1(0.625f), near, far);
}

/// x / (1 + e^-x)
CK_INLINE v16 v_silu(v16 x) {
    return v_div(x, v_add(v_set1(1.0f), v_exp(v_sub(v_set1(0.0f), x))));
}

/// x/2 · (1 + tanh u), u = √(2/π) · (x + 0.044715 x³), as x / (1 + e^-2u)
CK_INLINE v16 v_gelu(v16 x) {
    const v16 inner = v_mul(x, v_fma(v_mul(x, x), v_set1(0.044715f), v_set1(1.0f)));
    return v_div(x, v_add(v_set1(1.0f), v_exp(v_mul(inner, v_set1(-1.59576912f)))));
}
