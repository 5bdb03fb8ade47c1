// Matrix product with int8 and int4 weights: AVX2. maddubs adds two u8 · s8 products into int16 and may saturate there:
// int4 cannot (8 groups · 2 · 15 · 127 = 30,480), nor int8 as |w| and sign(w) · x (2 · 128 · 127 = 32,512).
#if defined(__x86_64__)
#include "lanes_avx2.h"

#include "matmul_integer.h"

CK_INLINE __m256i broadcast4(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

/// Exact dots of one int4 block: int16 all the way, widened once.
CK_INLINE void dot_int4(const uint8_t *values, const int8_t *x, int rows, __m256i (*dots)[2]) {
    const __m256i mask = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    CK_UNROLL for (int r = 0; r < rows; r++) { dots[r][0] = dots[r][1] = _mm256_setzero_si256(); }
    CK_UNROLL for (int g = 0; g < 4; g++) {
        CK_UNROLL for (int h = 0; h < 2; h++) {
            const __m256i w = _mm256_loadu_si256((const __m256i *)(values + g * 64 + h * 32));
            const __m256i low = _mm256_and_si256(w, mask), high = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
            CK_UNROLL for (int r = 0; r < rows; r++) {
                const int8_t *four = x + r * ck_block + g * 4;
                const __m256i first = _mm256_maddubs_epi16(low, broadcast4(four));
                const __m256i second = _mm256_maddubs_epi16(high, broadcast4(four + 16));
                dots[r][h] = _mm256_add_epi16(dots[r][h], _mm256_add_epi16(first, second));
            }
        }
    }
    CK_UNROLL for (int r = 0; r < rows; r++) {
        CK_UNROLL for (int h = 0; h < 2; h++) { dots[r][h] = _mm256_madd_epi16(dots[r][h], ones); }
    }
}

/// Exact dots of one int8 block.
CK_INLINE void dot_int8(const uint8_t *values, const int8_t *x, int rows, __m256i (*dots)[2]) {
    const __m256i ones = _mm256_set1_epi16(1);
    CK_UNROLL for (int r = 0; r < rows; r++) { dots[r][0] = dots[r][1] = _mm256_setzero_si256(); }
    CK_UNROLL for (int g = 0; g < 8; g++) {
        CK_UNROLL for (int h = 0; h < 2; h++) {
            const __m256i w = _mm256_loadu_si256((const __m256i *)(values + g * 64 + h * 32));
            const __m256i size = _mm256_abs_epi8(w);
            CK_UNROLL for (int r = 0; r < rows; r++) {
                const __m256i four = _mm256_sign_epi8(broadcast4(x + r * ck_block + g * 4), w);
                const __m256i pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(size, four), ones);
                dots[r][h] = _mm256_add_epi32(dots[r][h], pairs);
            }
        }
    }
}

/// `rows` × one panel.
CK_INLINE void tile(const ck_matmul *job, int64_t m, int64_t panel, ck_layout layout, int rows) {
    const int64_t blocks = job->weights.columns / ck_block;
    const ck_row_place place = ck_place_row(m, job->quantized.rows, blocks);
    const uint8_t *base = CK(panel_base)(job, panel);
    v16 sums[6];
    CK_UNROLL for (int r = 0; r < rows; r++) { sums[r] = v_set1(0); }
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t at = place.first + b * place.rows;
        const int8_t *x = job->quantized.values + at * ck_block;
        __m256i dots[6][2];
        const uint8_t *values = CK(block_values)(base, b, layout);
        CK(prefetch_weights)(values, layout);
        if (layout == ck_int4) {
            dot_int4(values, x, rows, dots);
        } else {
            dot_int8(values, x, rows, dots);
        }
        const v16 w_scales = CK(block_scales)(base, b, layout);
        CK_UNROLL for (int r = 0; r < rows; r++) {
            const v16 factor = v_mul(v_set1(job->quantized.scales[at + r]), w_scales);
            const v16 dot = {_mm256_cvtepi32_ps(dots[r][0]), _mm256_cvtepi32_ps(dots[r][1])};
            sums[r] = v_fma(dot, factor, sums[r]);
        }
        if (layout != ck_int8) {
            const v16 minimums = CK(block_minimums)(base, b, layout);
            CK_UNROLL for (int r = 0; r < rows; r++) {
                sums[r] = v_fma(v_set1(job->quantized.sums[at + r]), minimums, sums[r]);
            }
        }
    }
    CK_UNROLL for (int r = 0; r < rows; r++) { CK(finish)(job, m + r, panel, sums[r]); }
}

CK_INLINE void range(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin, int64_t panel_end,
                     ck_layout layout) {
    for (int64_t panel = panel_begin; panel < panel_end; panel++) {
        for (int64_t m = row_begin, height; m < row_end; m += height) {
            const int64_t rest = ck_row_group - m % ck_row_group;  // a tile stays within its group
            height = ck_tile_height(rest < row_end - m ? rest : row_end - m, 6);
#define TILE(rows) case rows: tile(job, m, panel, layout, rows); break;
            switch (height) { TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) }
#undef TILE
        }
    }
}

void ck_matmul_integer_avx2(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin,
                            int64_t panel_end) {
    switch (job->weights.layout) {
        case ck_int4: range(job, row_begin, row_end, panel_begin, panel_end, ck_int4); break;
        case ck_int8: range(job, row_begin, row_end, panel_begin, panel_end, ck_int8); break;
        default: range(job, row_begin, row_end, panel_begin, panel_end, ck_int8_minimum); break;
    }
}

CK_LEVEL_END
#endif
