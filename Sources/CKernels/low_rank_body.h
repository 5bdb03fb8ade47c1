// The low-rank change of a product with one row: y += B·(A·x). Included once per level after its lanes_*.h.

/// Rows of A that go together; enough chains to hide the latency of a multiply-add.
#define CK_RANKS (CK_CHAINS >= ck_rank_group ? ck_rank_group : 4)

CK_INLINE v16 CK(low_rank_load)(const void *values, int64_t index, int is_half) {
    return is_half ? v_load_half((const uint16_t *)values + index) : v_load((const float *)values + index);
}

/// out = factor · A·x, 16 lanes over the inputs each.
CK_INLINE void CK(low_rank_inner)(const ck_low_rank *change, const float *x, float *out, const int is_half) {
    const int64_t inputs = change->inputs, stride = (inputs + 15) / 16 * 16;
    for (int64_t first = 0; first < change->rank; first += CK_RANKS) {
        const int64_t a = first * stride;
        v16 sums[CK_RANKS];
        CK_UNROLL
        for (int j = 0; j < CK_RANKS; j++) { sums[j] = v_set1(0); }
        int64_t i = 0;
        for (; i + 16 <= inputs; i += 16) {
            const v16 values = v_load(x + i);
            CK_UNROLL
            for (int j = 0; j < CK_RANKS; j++) {
                sums[j] = v_fma(CK(low_rank_load)(change->a, a + j * stride + i, is_half), values, sums[j]);
            }
        }
        if (i < inputs) {
            const v16 values = v_load_partial(x + i, inputs - i, 0);
            CK_UNROLL
            for (int j = 0; j < CK_RANKS; j++) {
                sums[j] = v_fma(CK(low_rank_load)(change->a, a + j * stride + i, is_half), values, sums[j]);
            }
        }
        CK_UNROLL
        for (int j = 0; j < CK_RANKS; j++) { out[first + j] = v_sum(sums[j]) * change->factor; }
    }
}

/// y += B·inner, a chain over the rank for each output, four panels of outputs at a time.
CK_INLINE void CK(low_rank_outer)(const ck_low_rank *change, const float *inner, float *y, const int is_half) {
    const int64_t rank = change->rank, outputs = change->outputs, panel = 16 * rank;
    int64_t n = 0;
    for (; n + 64 <= outputs; n += 64) {
        const int64_t b = n * rank;
        v16 sums[4];
        CK_UNROLL
        for (int p = 0; p < 4; p++) { sums[p] = v_load(y + n + 16 * p); }
        for (int64_t j = 0; j < rank; j++) {
            const v16 value = v_set1(inner[j]);
            CK_UNROLL
            for (int p = 0; p < 4; p++) {
                sums[p] = v_fma(CK(low_rank_load)(change->b, b + p * panel + 16 * j, is_half), value, sums[p]);
            }
        }
        CK_UNROLL
        for (int p = 0; p < 4; p++) { v_store(y + n + 16 * p, sums[p]); }
    }
    for (; n < outputs; n += 16) {
        const int64_t b = n * rank;
        v16 sum = v_load_partial(y + n, outputs - n, 0);
        for (int64_t j = 0; j < rank; j++) {
            sum = v_fma(CK(low_rank_load)(change->b, b + 16 * j, is_half), v_set1(inner[j]), sum);
        }
        v_store_partial(y + n, sum, outputs - n < 16 ? outputs - n : 16);
    }
}

void CK(ck_add_low_rank)(const ck_low_rank *change, const float *x, float *y) {
    float inner[ck_highest_rank];
    if (change->is_half) {
        CK(low_rank_inner)(change, x, inner, 1);
        CK(low_rank_outer)(change, inner, y, 1);
    } else {
        CK(low_rank_inner)(change, x, inner, 0);
        CK(low_rank_outer)(change, inner, y, 0);
    }
}
