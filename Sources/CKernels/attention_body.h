// Attention of query rows over a paged cache, online softmax over spans of four blocks: one merge per 64 tokens, counted
// from the sequence's start. Included once per level after its lanes_*.h, which says in CK_CHAINS how many sums its
// registers hold. The query heads that share a K/V head, of all rows given, are the queries here: row r, head g is query
// r·heads + g. Which queries are computed together, and how many blocks at once, never changes a sum.
#include "lanes_math.h"

enum { CK(span_tokens) = ck_attention_span, CK(span_blocks) = ck_attention_span / ck_token_block };

/// The tokens of a span that a query sees: [begin, end) within 0...64.
typedef struct {
    int32_t begin, end;
} CK(token_range);

/// What the queries of a run share: `count` of them from `first` on, and their part of one span.
typedef struct {
    const float *queries[4];
    const uint8_t *keys[4], *values[4];  // of the span's blocks; only those within `range` are there
    const uint8_t *ahead[4];             // keys that are read next, to be fetched meanwhile
    int is_first;                        // the first run over this span: it meets cold memory
    ck_kv_precision precision;           // of keys and values; int8 stays without its scales
    const float *key_scales[4], *value_scales[4];  // int8: of each block's tokens
    CK(token_range) range;
    float *maxima, *sums, *states;
    int64_t state_stride;
} CK(span_run);

CK_INLINE CK(token_range) CK(visible)(const ck_attention *job, int32_t position, int32_t span) {
    const int32_t first = span * CK(span_tokens);
    const int32_t oldest = job->window > 0 && position >= job->window ? position - job->window + 1 : 0;
    const int32_t begin = oldest > first ? oldest - first : 0;
    const int32_t end = position - first + 1 < CK(span_tokens) ? position - first + 1 : CK(span_tokens);
    return (CK(token_range)){begin, end};
}

CK_INLINE int CK(element_bytes)(ck_kv_precision precision) {
    return precision == ck_kv_float32 ? 4 : precision == ck_kv_float16 ? 2 : 1;
}

CK_INLINE v16 CK(load_lanes)(const uint8_t *base, int64_t index, int64_t n, ck_kv_precision precision) {
    if (precision == ck_kv_int8) {
        const int8_t *p = (const int8_t *)base + index;
        if (n >= 16) { return v_load_bytes(p); }
        float lanes[16];
        for (int i = 0; i < 16; i++) { lanes[i] = i < n ? (float)p[i] : 0; }
        return v_load(lanes);
    }
    if (precision == ck_kv_float16) {
        const uint16_t *p = (const uint16_t *)base + index;
        if (n >= 16) { return v_load_half(p); }
        float lanes[16];
        for (int i = 0; i < 16; i++) { lanes[i] = i < n ? ck_half_to_float(p[i]) : 0; }
        return v_load(lanes);
    }
    const float *p = (const float *)base + index;
    return n >= 16 ? v_load(p) : v_load_partial(p, n, 0);
}

/// scores[i·4 + b] = q_i · K of the 16 tokens of block first + b, one chain over the head per score.
CK_INLINE void CK(dot_keys)(const CK(span_run) *run, int head_size, ck_kv_precision precision, int count, int first, int blocks,
                            v16 *scores) {
    const float *const *queries = run->queries;
    const uint8_t *keys[4], *values[4];
    CK_UNROLL for (int b = 0; b < blocks; b++) { keys[b] = run->keys[first + b], values[b] = run->values[first + b]; }
    const int row_bytes = ck_token_block * CK(element_bytes)(precision);
    v16 sums[16];
    CK_UNROLL for (int i = 0; i < count * blocks; i++) { sums[i] = v_set1(0); }
    for (int d = 0; d < head_size; d++) {
        v16 key[4];
        // Blocks lie anywhere in memory, where the hardware's prefetch can't follow.
        if (run->is_first) {
            CK_UNROLL for (int b = 0; b < blocks; b++) { __builtin_prefetch(values[b] + d * row_bytes); }
        }
        CK_UNROLL for (int b = 0; b < blocks; b++) {
            key[b] = CK(load_lanes)(keys[b], (int64_t)d * ck_token_block, 16, precision);
        }
        CK_UNROLL for (int i = 0; i < count; i++) {
            const v16 query = v_set1(queries[i][d]);
            CK_UNROLL for (int b = 0; b < blocks; b++) {
                sums[i * blocks + b] = v_fma(query, key[b], sums[i * blocks + b]);
            }
        }
    }
    CK_UNROLL for (int i = 0; i < count; i++) {
        CK_UNROLL for (int b = 0; b < blocks; b++) { scores[i * 4 + b] = sums[i * blocks + b]; }
    }
}

/// state_i = state_i · decay_i + Σ_t weights_i[t] · V_t, t ascending over the range, for `width` · 16 elements from d on;
/// `whole`: the head has them all.
CK_INLINE void CK(add_values)(const CK(span_run) *run, const float *weights, const float *decay, int head_size, int d,
                              ck_kv_precision precision, int count, int width, int whole) {
    v16 sums[16];
    CK_UNROLL for (int i = 0; i < count; i++) {
        CK_UNROLL for (int w = 0; w < width; w++) {
            sums[i * width + w] = v_mul(v_load(run->states + i * run->state_stride + d + w * 16), v_set1(decay[i]));
        }
    }
    const CK(token_range) range = run->range;
    for (int b = range.begin / ck_token_block; b * ck_token_block < range.end; b++) {
        const int first = b * ck_token_block;
        const int begin = range.begin > first ? range.begin : first;
        const int end = range.end < first + ck_token_block ? range.end : first + ck_token_block;
        const uint8_t *values = run->values[b], *ahead = run->ahead[b];
        const int row_bytes = head_size * CK(element_bytes)(precision);
        for (int t = begin; t < end; t++) {
            v16 value[4];
            if (run->is_first && ahead && d == 0) {
                for (int byte = 0; byte < row_bytes; byte += 64) {
                    __builtin_prefetch(ahead + (t - first) * row_bytes + byte);
                }
            }
            CK_UNROLL for (int w = 0; w < width; w++) {
                const int at = d + w * 16;
                value[w] = CK(load_lanes)(values, (int64_t)(t - first) * head_size + at, whole ? 16 : head_size - at, precision);
            }
            CK_UNROLL for (int i = 0; i < count; i++) {
                const v16 weight = v_set1(weights[i * CK(span_tokens) + t]);
                CK_UNROLL for (int w = 0; w < width; w++) {
                    sums[i * width + w] = v_fma(weight, value[w], sums[i * width + w]);
                }
            }
        }
    }
    CK_UNROLL for (int i = 0; i < count; i++) {
        CK_UNROLL for (int w = 0; w < width; w++) {
            v_store(run->states + i * run->state_stride + d + w * 16, sums[i * width + w]);
        }
    }
}

/// One score vector as the softmax takes it: scaled, capped, and -infinity for tokens out of sight.
CK_INLINE v16 CK(masked_score)(const ck_attention *job, v16 dot, int begin, int end) {
    v16 score = v_mul(dot, v_set1(job->scale));
    if (job->softcap > 0) {
        score = v_mul(v_set1(job->softcap), v_tanh(v_mul(score, v_set1(1.0f / job->softcap))));
    }
    if (begin <= 0 && end >= ck_token_block) { return score; }
    float lanes[16];
    v_store(lanes, score);
    for (int t = 0; t < 16; t++) { lanes[t] = t >= begin && t < end ? lanes[t] : -INFINITY; }
    return v_load(lanes);
}

/// Merges one span into `count` queries that see the same range of it.
CK_INLINE void CK(merge_span)(const ck_attention *job, const CK(span_run) *run, ck_kv_precision precision, int count) {
    const CK(token_range) range = run->range;
    const int first = range.begin / ck_token_block, last = (range.end + ck_token_block - 1) / ck_token_block;
    v16 scores[4 * 4];
    for (int b = first; b < last;) {
        const int rest = last - b;
        if (rest >= 4 && 4 * count <= CK_CHAINS) {
            CK(dot_keys)(run, job->head_size, precision, count, b, 4, scores + b);
            b += 4;
        } else if (rest >= 2 && 2 * count <= CK_CHAINS) {
            CK(dot_keys)(run, job->head_size, precision, count, b, 2, scores + b);
            b += 2;
        } else {
            CK(dot_keys)(run, job->head_size, precision, count, b, 1, scores + b);
            b += 1;
        }
    }
    float weights[4 * CK(span_tokens)], decay[16] = {0};
    v16 totals[4];
    for (int i = 0; i < count; i++) {
        v16 largest = v_set1(-INFINITY);
        for (int b = first; b < last; b++) {
            const int from = b * ck_token_block;
            if (run->key_scales[b]) { scores[i * 4 + b] = v_mul(scores[i * 4 + b], v_load(run->key_scales[b])); }
            scores[i * 4 + b] = CK(masked_score)(job, scores[i * 4 + b], range.begin - from, range.end - from);
            largest = v_max(largest, scores[i * 4 + b]);
        }
        const float previous = run->maxima[i], span_maximum = v_maximum(largest);
        run->maxima[i] = span_maximum > previous ? span_maximum : previous;
        decay[i] = previous - run->maxima[i];
        const v16 top = v_set1(run->maxima[i]);
        v16 parts[4];
        CK_UNROLL for (int b = 0; b < 4; b++) { parts[b] = v_set1(0); }
        for (int b = first; b < last; b++) {
            parts[b] = v_exp(v_sub(scores[i * 4 + b], top));
            // Scales of tokens out of sight may be anything; their weights are not read.
            const v16 weight = run->value_scales[b] ? v_mul(parts[b], v_load(run->value_scales[b])) : parts[b];
            v_store(weights + i * CK(span_tokens) + b * ck_token_block, weight);
        }
        totals[i] = v_add(v_add(parts[0], parts[1]), v_add(parts[2], parts[3]));
    }
    v_store(decay, v_exp(v_load(decay)));
    for (int i = 0; i < count; i++) { run->sums[i] = fmaf(run->sums[i], decay[i], v_sum(totals[i])); }
    for (int d = 0; d < job->head_size;) {
        const int rest = job->head_size - d;
        if (rest >= 64 && 4 * count <= CK_CHAINS) {
            CK(add_values)(run, weights, decay, job->head_size, d, precision, count, 4, 1);
            d += 64;
        } else if (rest >= 32 && 2 * count <= CK_CHAINS) {
            CK(add_values)(run, weights, decay, job->head_size, d, precision, count, 2, 1);
            d += 32;
        } else {
            CK(add_values)(run, weights, decay, job->head_size, d, precision, count, 1, rest >= 16);
            d += 16;
        }
    }
}

static void CK(merge_run)(const ck_attention *job, const CK(span_run) *run, int count) {
#define MERGE(n)                                                               \
    switch (run->precision) {                                                  \
        case ck_kv_float32: CK(merge_span)(job, run, ck_kv_float32, n); break; \
        case ck_kv_float16: CK(merge_span)(job, run, ck_kv_float16, n); break; \
        case ck_kv_int8: CK(merge_span)(job, run, ck_kv_int8, n); break;       \
    }
    switch (count) {
        case 1: MERGE(1); break;
        case 2: MERGE(2); break;
        case 3: MERGE(3); break;
        default: MERGE(4); break;
    }
#undef MERGE
}

/// Where a span is: in the blocks that `table` lists, up to `last_block`, at `offset` within each. No table: nowhere.
typedef struct {
    const int32_t *table;
    int32_t span, last_block;
    int64_t offset;
} CK(span_place);

/// The keys of a span's blocks, of those that there are; null for the others.
CK_INLINE void CK(span_keys)(const ck_attention *job, CK(span_place) place, const uint8_t **keys) {
    for (int b = 0; b < CK(span_blocks); b++) {
        const int32_t block = place.span * CK(span_blocks) + b;
        const int there = place.table && block <= place.last_block;
        keys[b] = there ? job->cache + place.table[block] * job->block_bytes + place.offset : NULL;
    }
}

CK_INLINE int32_t CK(first_span)(const ck_attention *job, int32_t position) {
    return (job->window > 0 && position >= job->window ? position - job->window + 1 : 0) / CK(span_tokens);
}

/// The queries of a tile's rows on one K/V head, and what has been merged into them.
typedef struct {
    const int32_t *rows;
    int32_t heads;
    int64_t head_offset;  // of the first query within its row
    float *states, *maxima, *sums;
    int64_t state_stride;
    float *widened;  // keys and values of one span as float32
} CK(tile_queries);

/// Merges one span into the rows [begin, end) of the tile.
static void CK(merge_rows)(const ck_attention *job, const CK(tile_queries) *queries, CK(span_run) *run, int32_t span,
                           int64_t begin, int64_t end) {
    const int32_t heads = queries->heads;
    int waiting = 0;
    for (int64_t query = begin * heads; query <= end * heads; query++) {
        // Collects up to four neighbours that see the same tokens; a row that sees none of the span ends the run.
        const int64_t row = query < end * heads ? queries->rows[query / heads] : -1;
        const int live = row >= 0 && job->positions[row] >= span * CK(span_tokens);
        const CK(token_range) range = live ? CK(visible)(job, job->positions[row], span) : (CK(token_range)){0, 0};
        const int seen = live && range.begin < range.end;
        const int same = range.begin == run->range.begin && range.end == run->range.end;
        if (waiting > 0 && (!seen || waiting == 4 || !same)) {
            CK(merge_run)(job, run, waiting);
            waiting = 0, run->is_first = 0;
        }
        if (!seen) { continue; }
        if (waiting == 0) {
            run->range = range;
            run->maxima = queries->maxima + query, run->sums = queries->sums + query;
            run->states = queries->states + query * queries->state_stride;
        }
        run->queries[waiting++] = job->queries + row * job->query_stride + queries->head_offset
            + query % heads * job->head_size;
    }
}

CK_INLINE void CK(widen)(const uint8_t *part, float *out, int64_t n, ck_kv_precision precision) {
    for (int64_t i = 0; i < n; i += 16) { v_store(out + i, CK(load_lanes)(part, i, 16, precision)); }
}

/// Replaces the keys and values of a span by their float32: worth it when several runs read them.
CK_INLINE void CK(widen_span)(const ck_attention *job, CK(span_run) *run, int64_t value_offset, float *widened) {
    const int64_t size = (int64_t)ck_token_block * job->head_size, bytes = size * CK(element_bytes)(job->precision);
    for (int b = 0; b < CK(span_blocks); b++) {
        for (int64_t byte = 0; run->ahead[b] && byte < bytes; byte += 64) {
            __builtin_prefetch(run->ahead[b] + byte, 0, 2);
            __builtin_prefetch(run->ahead[b] + value_offset + byte, 0, 2);
        }
        if (!run->keys[b]) { continue; }
        float *keys = widened + 2 * b * size, *values = keys + size;
        if (job->precision == ck_kv_int8) {
            CK(widen)(run->keys[b], keys, size, ck_kv_int8), CK(widen)(run->values[b], values, size, ck_kv_int8);
        } else {
            CK(widen)(run->keys[b], keys, size, ck_kv_float16), CK(widen)(run->values[b], values, size, ck_kv_float16);
        }
        run->keys[b] = (const uint8_t *)keys, run->values[b] = (const uint8_t *)values;
    }
    run->precision = ck_kv_float32, run->is_first = 0;
}

/// Merges the spans from `place` up to its last block into the rows [begin, end) of the tile; `next` is read after them.
static void CK(merge_spans)(const ck_attention *job, const CK(tile_queries) *queries, CK(span_place) place,
                            CK(span_place) next, int64_t begin, int64_t end) {
    const int64_t head_bytes = ck_kv_head_bytes(job->head_size, job->precision), value_offset = job->kv_heads * head_bytes;
    for (; place.span * CK(span_blocks) <= place.last_block; place.span++) {
        CK(span_run) run = {.state_stride = queries->state_stride, .is_first = 1, .precision = job->precision};
        CK(span_keys)(job, place, run.keys);
        for (int b = 0; b < CK(span_blocks); b++) {
            if (!run.keys[b]) { continue; }
            run.values[b] = run.keys[b] + value_offset;
            if (job->precision == ck_kv_int8) {
                run.key_scales[b] = (const float *)(run.keys[b] + head_bytes) - ck_token_block;
                run.value_scales[b] = (const float *)(run.values[b] + head_bytes) - ck_token_block;
            }
        }
        CK(span_place) following = place;
        following.span++;
        CK(span_keys)(job, following.span * CK(span_blocks) <= place.last_block ? following : next, run.ahead);
        if (run.precision != ck_kv_float32 && (end - begin) * queries->heads > 4) { CK(widen_span)(job, &run, value_offset, queries->widened); }
        CK(merge_rows)(job, queries, &run, place.span, begin, end);
    }
}

/// The spans of the rows [begin, end) of a tile, which are of one sequence, from `span` on.
CK_INLINE CK(span_place) CK(own_spans)(const ck_attention *job, const int32_t *rows, int64_t begin, int64_t end,
                                       int32_t span, int64_t offset) {
    const int32_t first = CK(first_span)(job, job->positions[rows[begin]]);
    return (CK(span_place)){job->blocks + job->tables[rows[begin]], first > span ? first : span,
                            job->positions[rows[end - 1]] / ck_token_block, offset};
}

CK_INLINE int64_t CK(sequence_end)(const ck_attention *job, const int32_t *rows, int64_t begin, int64_t count) {
    int64_t end = begin + 1;
    while (end < count && job->tables[rows[end]] == job->tables[rows[begin]]) { end++; }
    return end;
}

/// All queries of one K/V head: first the spans that the tile's sequences have in common, read once for all, then each
/// sequence's own. `next`: what is read after the tile.
static void CK(attend_head)(const ck_attention *job, const ck_attention_tile *tile, int64_t offset,
                            CK(span_place) next, const CK(tile_queries) *queries) {
    const int32_t *rows = queries->rows;
    const int64_t count = tile->end - tile->begin;
    int64_t end = CK(sequence_end)(job, rows, 0, count);
    const int32_t common = end < count ? tile->common_spans : 0;
    if (common > 0) {
        CK(span_place) place = CK(own_spans)(job, rows, 0, 1, 0, offset);
        for (int64_t row = 1; row < count; row++) {
            const int32_t first = CK(first_span)(job, job->positions[rows[row]]);
            place.span = first < place.span ? first : place.span;
        }
        place.last_block = common * CK(span_blocks) - 1;
        CK(merge_spans)(job, queries, place, CK(own_spans)(job, rows, 0, end, common, offset), 0, count);
    }
    for (int64_t begin = 0; begin < count; begin = end) {
        end = CK(sequence_end)(job, rows, begin, count);
        CK(span_place) after = next;
        if (end < count) {
            after = CK(own_spans)(job, rows, end, CK(sequence_end)(job, rows, end, count), common, offset);
        }
        CK(merge_spans)(job, queries, CK(own_spans)(job, rows, begin, end, common, offset), after, begin, end);
    }
}

static void CK(write_output)(const ck_attention *job, const CK(tile_queries) *queries, int64_t count) {
    for (int64_t query = 0; query < count; query++) {
        float *out = job->output + queries->rows[query / queries->heads] * job->output_stride + queries->head_offset
            + query % queries->heads * job->head_size;
        const float inverse = 1.0f / queries->sums[query];
        for (int32_t d = 0; d < job->head_size; d++) { out[d] = queries->states[query * queries->state_stride + d] * inverse; }
    }
}

void CK(ck_attention)(const ck_attention *job, const ck_attention_tile *tile, int32_t kv_begin, int32_t kv_end,
                      int32_t head_begin, int32_t head_end, float *scratch) {
    const int32_t heads = head_end - head_begin, head_size = job->head_size;
    const int64_t rows = tile->end - tile->begin, count = rows * heads, state_stride = (head_size + 15) / 16 * 16;
    const int64_t head_bytes = ck_kv_head_bytes(head_size, job->precision);
    float *widened = scratch, *states = widened + 2 * CK(span_tokens) * head_size, *maxima = states + count * state_stride;
    CK(tile_queries) queries = {job->order + tile->begin, heads, 0, states, maxima, maxima + count, state_stride, widened};
    for (int32_t kv_head = kv_begin; kv_head < kv_end; kv_head++) {
        queries.head_offset = ((int64_t)kv_head * job->group + head_begin) * head_size;
        for (int64_t i = 0; i < count * state_stride; i++) { queries.states[i] = 0; }
        for (int64_t i = 0; i < count; i++) { queries.maxima[i] = -INFINITY, queries.sums[i] = 0; }
        const int64_t offset = kv_head * head_bytes;
        CK(span_place) next = {NULL, 0, 0, 0};
        if (kv_head + 1 < kv_end) {
            next = CK(own_spans)(job, queries.rows, 0, 1, 0, offset + head_bytes);
        } else if (tile->end < job->rows) {
            next = CK(own_spans)(job, job->order + tile->end, 0, 1, 0, kv_begin * head_bytes);
        }
        CK(attend_head)(job, tile, offset, next, &queries);
        CK(write_output)(job, &queries, count);
    }
}
