// Matrix product with int8 and int4 weights: NEON with dot products (sdot).
#if defined(__aarch64__)
#include "lanes_neon.h"

#include "matmul_integer.h"

/// The exact dots of one block with each of 16 outputs, four registers a row.
CK_INLINE void dot_block(const uint8_t *values, const int8_t *x, ck_layout layout, int rows, int32x4_t (*dots)[4]) {
    CK_UNROLL for (int r = 0; r < rows; r++) {
        CK_UNROLL for (int q = 0; q < 4; q++) { dots[r][q] = vdupq_n_s32(0); }
    }
    CK_UNROLL for (int g = 0; g < (layout == ck_int4 ? 4 : 8); g++) {
        int8x16_t low[4], high[4];
        CK_UNROLL for (int q = 0; q < 4; q++) {
            const uint8x16_t bytes = vld1q_u8(values + g * 64 + q * 16);
            low[q] = vreinterpretq_s8_u8(layout == ck_int4 ? vandq_u8(bytes, vdupq_n_u8(15)) : bytes);
            high[q] = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
        }
        CK_UNROLL for (int r = 0; r < rows; r++) {
            const int8_t *four = x + r * ck_block + g * 4;
            const int8x16_t first = vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)four));
            CK_UNROLL for (int q = 0; q < 4; q++) { dots[r][q] = vdotq_s32(dots[r][q], low[q], first); }
            if (layout == ck_int4) {
                const int8x16_t second = vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(four + 16)));
                CK_UNROLL for (int q = 0; q < 4; q++) { dots[r][q] = vdotq_s32(dots[r][q], high[q], second); }
            }
        }
    }
}

/// `rows` × one panel.
CK_INLINE void tile(const ck_matmul *job, int64_t m, int64_t panel, ck_layout layout, int rows) {
    const int64_t blocks = job->weights.columns / ck_block;
    const ck_row_place place = ck_place_row(m, job->quantized.rows, blocks);
    const uint8_t *base = CK(panel_base)(job, panel);
    v16 sums[3];
    CK_UNROLL for (int r = 0; r < rows; r++) { sums[r] = v_set1(0); }
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t at = place.first + b * place.rows;
        int32x4_t dots[3][4];
        const uint8_t *values = CK(block_values)(base, b, layout);
        CK(prefetch_weights)(values, layout);
        dot_block(values, job->quantized.values + at * ck_block, layout, rows, dots);
        const v16 w_scales = CK(block_scales)(base, b, layout);
        CK_UNROLL for (int r = 0; r < rows; r++) {
            const v16 factor = v_mul(v_set1(job->quantized.scales[at + r]), w_scales);
            const v16 dot = {{vcvtq_f32_s32(dots[r][0]), vcvtq_f32_s32(dots[r][1]), vcvtq_f32_s32(dots[r][2]),
                              vcvtq_f32_s32(dots[r][3])}};
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
            height = ck_tile_height(rest < row_end - m ? rest : row_end - m, 3);
#define TILE(rows) case rows: tile(job, m, panel, layout, rows); break;
            switch (height) { TILE(1) TILE(2) TILE(3) }
#undef TILE
        }
    }
}

void ck_matmul_integer_neon(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin,
                            int64_t panel_end) {
    switch (job->weights.layout) {
        case ck_int4: range(job, row_begin, row_end, panel_begin, panel_end, ck_int4); break;
        case ck_int8: range(job, row_begin, row_end, panel_begin, panel_end, ck_int8); break;
        default: range(job, row_begin, row_end, panel_begin, panel_end, ck_int8_minimum); break;
    }
}

CK_LEVEL_END
#endif
