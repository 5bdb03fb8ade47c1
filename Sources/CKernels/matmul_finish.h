// The end of every matrix product: include a lanes_*.h first.

/// Adds bias and old output in the order of the contract, and writes what the panel has of real outputs.
CK_INLINE void CK(finish)(const ck_matmul *job, int64_t m, int64_t panel, v16 sum) {
    const int64_t n = panel * ck_panel, count = job->weights.rows - n;
    float *y = job->y + m * job->y_stride + n;
    if (count >= ck_panel) {
        if (job->bias) { sum = v_add(sum, v_load(job->bias + n)); }
        if (job->accumulate) { sum = v_add(sum, v_load(y)); }
        v_store(y, sum);
    } else {
        if (job->bias) { sum = v_add(sum, v_load_partial(job->bias + n, count, 0)); }
        if (job->accumulate) { sum = v_add(sum, v_load_partial(y, count, 0)); }
        v_store_partial(y, sum, count);
    }
}
