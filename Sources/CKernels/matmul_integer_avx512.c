// Matrix product with int8 and int4 weights: AVX-512 VNNI. One dpbusd multiplies 4 k of 16 outputs with 4 activations.
#include "lanes_avx512.h"

#include "matmul_integer.h"

CK_INLINE __m512i broadcast4(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

/// `rows` × `panels` tile, all accumulators in registers.
CK_INLINE void tile(const ck_matmul *job, int64_t m, int64_t panel, ck_layout layout, int rows, int panels) {
    const int64_t blocks = job->weights.columns / ck_block, columns = job->weights.columns;
    const int64_t panel_bytes = job->weights.panel_bytes;
    const uint8_t *base = CK(panel_base)(job, panel);
    const int8_t *x = CK(row_values)(job, m);
    const float *scales = job->quantized.scales + m * blocks, *totals = job->quantized.sums + m * blocks;
    const int32_t *offsets = job->quantized.offsets + m * blocks;
    v16 sums[8][4];
    CK_UNROLL for (int r = 0; r < rows; r++) {
        CK_UNROLL for (int p = 0; p < panels; p++) { sums[r][p] = v_set1(0); }
    }
    for (int64_t b = 0; b < blocks; b++) {
        __m512i dots[8][4];
        CK_UNROLL for (int r = 0; r < rows; r++) {
            // Signed weights are taken as w + 128, an unsigned operand; -128 · Σq puts it right, exactly.
            const __m512i start = layout == ck_int4 ? _mm512_setzero_si512()
                                                    : _mm512_set1_epi32(offsets[r * blocks + b]);
            CK_UNROLL for (int p = 0; p < panels; p++) { dots[r][p] = start; }
        }
        CK_UNROLL for (int g = 0; g < (layout == ck_int4 ? 4 : 8); g++) {
            __m512i low[4], high[4];
            CK_UNROLL for (int p = 0; p < panels; p++) {
                const __m512i w =
                    _mm512_loadu_si512(CK(block_values)(base + p * panel_bytes, b, layout) + g * 64);
                if (layout == ck_int4) {
                    low[p] = _mm512_and_si512(w, _mm512_set1_epi8(15));
                    high[p] = _mm512_and_si512(_mm512_srli_epi16(w, 4), _mm512_set1_epi8(15));
                } else {
                    low[p] = _mm512_xor_si512(w, _mm512_set1_epi8(-128));
                }
            }
            CK_UNROLL for (int r = 0; r < rows; r++) {
                const int8_t *four = x + r * columns + b * ck_block + g * 4;
                CK_UNROLL for (int p = 0; p < panels; p++) {
                    dots[r][p] = _mm512_dpbusd_epi32(dots[r][p], low[p], broadcast4(four));
                    if (layout == ck_int4) {
                        dots[r][p] = _mm512_dpbusd_epi32(dots[r][p], high[p], broadcast4(four + 16));
                    }
                }
            }
        }
        CK_UNROLL for (int p = 0; p < panels; p++) {
            const v16 w_scales = CK(block_scales)(base + p * panel_bytes, b, layout);
            CK_UNROLL for (int r = 0; r < rows; r++) {
                const v16 factor = v_mul(v_set1(scales[r * blocks + b]), w_scales);
                sums[r][p] = v_fma(_mm512_cvtepi32_ps(dots[r][p]), factor, sums[r][p]);
            }
            if (layout != ck_int8) {
                const v16 minimums = CK(block_minimums)(base + p * panel_bytes, b, layout);
                CK_UNROLL for (int r = 0; r < rows; r++) {
                    sums[r][p] = v_fma(v_set1(totals[r * blocks + b]), minimums, sums[r][p]);
                }
            }
        }
    }
    CK_UNROLL for (int r = 0; r < rows; r++) {
        CK_UNROLL for (int p = 0; p < panels; p++) { CK(finish)(job, m + r, panel + p, sums[r][p]); }
    }
}

CK_INLINE void range(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin, int64_t panel_end,
                     ck_layout layout) {
    int64_t panel = panel_begin;
    for (; panel + 2 <= panel_end; panel += 2) {
        int64_t m = row_begin;
        for (; m + 6 <= row_end; m += 6) { tile(job, m, panel, layout, 6, 2); }
        for (; m + 2 <= row_end; m += 2) { tile(job, m, panel, layout, 2, 2); }
        if (m < row_end) { tile(job, m, panel, layout, 1, 2); }
    }
    if (panel < panel_end) {
        int64_t m = row_begin;
        for (; m + 4 <= row_end; m += 4) { tile(job, m, panel, layout, 4, 1); }
        for (; m < row_end; m++) { tile(job, m, panel, layout, 1, 1); }
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
