// Matrix product with int8 and int4 weights: AVX-512 VNNI. One dpbusd multiplies 4 k of 16 outputs with 4 activations.
#if defined(__x86_64__)
#include "lanes_avx512.h"

#include "matmul_integer.h"

CK_INLINE __m512i broadcast4(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

/// `rows` × one panel, all accumulators in registers.
CK_INLINE void tile(const ck_matmul *job, int64_t m, int64_t panel, ck_layout layout, int rows) {
    const int64_t blocks = job->weights.columns / ck_block;
    const ck_row_place place = ck_place_row(m, job->quantized.rows, blocks);
    const uint8_t *base = CK(panel_base)(job, panel);
    v16 sums[16];
    CK_UNROLL for (int r = 0; r < rows; r++) { sums[r] = v_set1(0); }
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t at = place.first + b * place.rows;
        const int8_t *x = job->quantized.values + at * ck_block;
        __m512i dots[16];
        CK_UNROLL for (int r = 0; r < rows; r++) {
            // Signed weights are taken as w + 128, an unsigned operand; -128 · Σq puts it right, exactly.
            dots[r] = layout == ck_int4 ? _mm512_setzero_si512() : _mm512_set1_epi32(job->quantized.offsets[at + r]);
        }
        const uint8_t *values = CK(block_values)(base, b, layout);
        CK(prefetch_weights)(values, layout);
        CK_UNROLL for (int g = 0; g < (layout == ck_int4 ? 4 : 8); g++) {
            const __m512i w = _mm512_loadu_si512(values + g * 64), mask = _mm512_set1_epi8(15);
            const __m512i low =
                layout == ck_int4 ? _mm512_and_si512(w, mask) : _mm512_xor_si512(w, _mm512_set1_epi8(-128));
            const __m512i high = _mm512_and_si512(_mm512_srli_epi16(w, 4), mask);
            CK_UNROLL for (int r = 0; r < rows; r++) {
                const int8_t *four = x + r * ck_block + g * 4;
                dots[r] = _mm512_dpbusd_epi32(dots[r], low, broadcast4(four));
                if (layout == ck_int4) { dots[r] = _mm512_dpbusd_epi32(dots[r], high, broadcast4(four + 16)); }
            }
        }
        const v16 w_scales = CK(block_scales)(base, b, layout);
        CK_UNROLL for (int r = 0; r < rows; r++) {
            const v16 factor = v_mul(v_set1(job->quantized.scales[at + r]), w_scales);
            sums[r] = v_fma(_mm512_cvtepi32_ps(dots[r]), factor, sums[r]);
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
            height = ck_tile_height(rest < row_end - m ? rest : row_end - m, 16);
#define TILE(rows) case rows: tile(job, m, panel, layout, rows); break;
            switch (height) {
                TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
                TILE(13) TILE(14) TILE(15) TILE(16)
            }
#undef TILE
        }
    }
}

void ck_matmul_integer_avx512(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin,
                              int64_t panel_end) {
    switch (job->weights.layout) {
        case ck_int4: range(job, row_begin, row_end, panel_begin, panel_end, ck_int4); break;
        case ck_int8: range(job, row_begin, row_end, panel_begin, panel_end, ck_int8); break;
        default: range(job, row_begin, row_end, panel_begin, panel_end, ck_int8_minimum); break;
    }
}

CK_LEVEL_END
#endif
