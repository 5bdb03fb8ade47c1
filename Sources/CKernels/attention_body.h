// Attention of query rows over a paged cache, online softmax block by block. Included once per level after its
// lanes_*.h. The query heads that share a K/V head, of all rows given, are the queries here: row r, head g is query
// r·heads + g.
#include "lanes_math.h"

/// The tokens of a block that a query sees: [begin, end) within 0...16.
typedef struct {
    int32_t begin, end;
} CK(token_range);

CK_INLINE CK(token_range) CK(visible)(const ck_attention *job, int32_t position, int32_t block) {
    const int32_t first = block * ck_token_block;
    const int32_t oldest = job->window > 0 && position >= job->window ? position - job->window + 1 : 0;
    const int32_t begin = oldest > first ? oldest - first : 0;
    const int32_t end = position - first + 1 < ck_token_block ? position - first + 1 : ck_token_block;
    return (CK(token_range)){begin, end};
}

CK_INLINE v16 CK(load_lanes)(const uint8_t *base, int64_t index, int64_t n, int half) {
    if (half) {
        const uint16_t *p = (const uint16_t *)base + index;
        if (n >= 16) { return v_load_half(p); }
        float lanes[16];
        for (int i = 0; i < 16; i++) { lanes[i] = i < n ? ck_half_to_float(p[i]) : 0; }
        return v_load(lanes);
    }
    const float *p = (const float *)base + index;
    return n >= 16 ? v_load(p) : v_load_partial(p, n, 0);
}

/// scores[i] = q_i · K of all 16 tokens, one chain over the head per score.
CK_INLINE void CK(dot_keys)(const float *const *queries, const uint8_t *keys, int head_size, int half, int count,
                            v16 *scores) {
    v16 sums[4];
    CK_UNROLL for (int i = 0; i < count; i++) { sums[i] = v_set1(0); }
    for (int d = 0; d < head_size; d++) {
        const v16 key = CK(load_lanes)(keys, (int64_t)d * ck_token_block, 16, half);
        CK_UNROLL for (int i = 0; i < count; i++) { sums[i] = v_fma(v_set1(queries[i][d]), key, sums[i]); }
    }
    CK_UNROLL for (int i = 0; i < count; i++) { scores[i] = sums[i]; }
}

/// state_i = state_i · decay_i + Σ_t weights_i[t] · V_t, t ascending over the range.
CK_INLINE void CK(add_values)(float *states, int64_t state_stride, const float *weights, const float *decay,
                              const uint8_t *values, int head_size, int half, CK(token_range) range, int count) {
    for (int d = 0; d < head_size; d += 16) {
        v16 sums[4];
        CK_UNROLL for (int i = 0; i < count; i++) {
            sums[i] = v_mul(v_load(states + i * state_stride + d), v_set1(decay[i]));
        }
        for (int t = range.begin; t < range.end; t++) {
            const v16 value = CK(load_lanes)(values, (int64_t)t * head_size + d, head_size - d, half);
            CK_UNROLL for (int i = 0; i < count; i++) {
                sums[i] = v_fma(v_set1(weights[i * 16 + t]), value, sums[i]);
            }
        }
        CK_UNROLL for (int i = 0; i < count; i++) { v_store(states + i * state_stride + d, sums[i]); }
    }
}

/// Merges one block into `count` queries that see the same range of it.
CK_INLINE void CK(merge_block)(const ck_attention *job, const float *const *queries, const uint8_t *keys,
                               const uint8_t *values, CK(token_range) range, int half, int count, float *maxima,
                               float *sums, float *states, int64_t state_stride) {
    v16 scores[4];
    float weights[4 * 16], decay[16] = {0};
    CK(dot_keys)(queries, keys, job->head_size, half, count, scores);
    for (int i = 0; i < count; i++) {
        v16 score = v_mul(scores[i], v_set1(job->scale));
        if (job->softcap > 0) {
            score = v_mul(v_set1(job->softcap), v_tanh(v_mul(score, v_set1(1.0f / job->softcap))));
        }
        if (range.begin > 0 || range.end < ck_token_block) {
            float lanes[16];
            v_store(lanes, score);
            for (int t = 0; t < 16; t++) { lanes[t] = t >= range.begin && t < range.end ? lanes[t] : -INFINITY; }
            score = v_load(lanes);
        }
        const float previous = maxima[i], block_maximum = v_maximum(score);
        maxima[i] = block_maximum > previous ? block_maximum : previous;
        decay[i] = previous - maxima[i];
        scores[i] = v_exp(v_sub(score, v_set1(maxima[i])));
        v_store(weights + i * 16, scores[i]);
    }
    v_store(decay, v_exp(v_load(decay)));
    for (int i = 0; i < count; i++) { sums[i] = fmaf(sums[i], decay[i], v_sum(scores[i])); }
    CK(add_values)(states, state_stride, weights, decay, values, job->head_size, half, range, count);
}

void CK(ck_attention)(const ck_attention *job, int64_t row_begin, int64_t row_end, int32_t kv_head, int32_t head_begin,
                      int32_t head_end, float *scratch) {
    const int32_t heads = head_end - head_begin, head_size = job->head_size, half = job->half_precision;
    const int64_t count = (row_end - row_begin) * heads, state_stride = (head_size + 15) / 16 * 16;
    const int64_t element = half ? 2 : 4;
    const int64_t head_bytes = (int64_t)head_size * ck_token_block * element;
    const int32_t *positions = job->positions + row_begin;
    const int64_t rows = row_end - row_begin;
    const int64_t head_offset = ((int64_t)kv_head * job->group + head_begin) * head_size;

    float *states = scratch, *maxima = states + count * state_stride, *sums = maxima + count;
    for (int64_t i = 0; i < count * state_stride; i++) { states[i] = 0; }
    for (int64_t i = 0; i < count; i++) { maxima[i] = -INFINITY, sums[i] = 0; }

    const int32_t *table = job->blocks + job->tables[row_begin];
    const int32_t oldest = job->window > 0 && positions[0] >= job->window ? positions[0] - job->window + 1 : 0;
    const int32_t last = positions[rows - 1] / ck_token_block;
    for (int32_t block = oldest / ck_token_block; block <= last; block++) {
        const uint8_t *keys = job->cache + table[block] * job->block_bytes + kv_head * head_bytes;
        const uint8_t *values = keys + job->value_offset;
        const float *queries[4];
        int waiting = 0;
        int64_t first = 0;
        CK(token_range) shared = {0, 0};
        for (int64_t query = 0; query <= count; query++) {
            // Collects up to four neighbours that see the same tokens; a row that sees none of the block ends the run.
            const int64_t row = query / heads;
            const int live = query < count && positions[row] >= block * ck_token_block;
            const CK(token_range) range = live ? CK(visible)(job, positions[row], block) : (CK(token_range)){0, 0};
            const int seen = live && range.begin < range.end;
            if (waiting > 0 && (!seen || waiting == 4 || range.begin != shared.begin || range.end != shared.end)) {
#define MERGE(n, precision)                                                                                     \
    CK(merge_block)(job, queries, keys, values, shared, precision, n, maxima + first, sums + first,              \
                    states + first * state_stride, state_stride)
#define MERGE_EITHER(n) (half ? MERGE(n, 1) : MERGE(n, 0))
                switch (waiting) {
                    case 1: MERGE_EITHER(1); break;
                    case 2: MERGE_EITHER(2); break;
                    case 3: MERGE_EITHER(3); break;
                    default: MERGE_EITHER(4); break;
                }
#undef MERGE_EITHER
#undef MERGE
                waiting = 0;
            }
            if (!seen) { continue; }
            if (waiting == 0) { first = query, shared = range; }
            queries[waiting++] =
                job->queries + (row_begin + row) * job->query_stride + head_offset + query % heads * head_size;
        }
    }
    for (int64_t query = 0; query < count; query++) {
        float *out = job->output + (row_begin + query / heads) * job->output_stride + head_offset
            + query % heads * head_size;
        const float inverse = 1.0f / sums[query];
        for (int32_t d = 0; d < head_size; d++) { out[d] = states[query * state_stride + d] * inverse; }
    }
}
