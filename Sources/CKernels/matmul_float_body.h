// Matrix product with float32, float16 and bfloat16 weights. Included once per level after its lanes_*.h, with
// CK_TALLEST, CK_PANELS(rows) and CK_TILES, the list of tile heights.
#include "matmul_finish.h"

CK_INLINE v16 CK(load_weights)(const uint8_t *panel, int64_t k, ck_layout layout) {
    switch (layout) {
        case ck_float16: return v_load_half((const uint16_t *)panel + k * ck_panel);
        case ck_bfloat16: return v_load_bfloat((const uint16_t *)panel + k * ck_panel);
        default: return v_load((const float *)panel + k * ck_panel);
    }
}

/// `rows` × `panels` tile, all accumulators in registers.
CK_INLINE void CK(tile_float)(const ck_matmul *job, int64_t m, int64_t panel, ck_layout layout, int rows, int panels) {
    const uint8_t *weights = (const uint8_t *)job->weights.panels + panel * job->weights.panel_bytes;
    const float *x = job->x + m * job->x_stride;
    const int64_t x_stride = job->x_stride, panel_bytes = job->weights.panel_bytes;
    v16 sums[CK_TALLEST][4];
    CK_UNROLL for (int r = 0; r < rows; r++) {
        CK_UNROLL for (int p = 0; p < panels; p++) { sums[r][p] = v_set1(0); }
    }
    for (int64_t k = 0; k < job->weights.columns; k++) {
        v16 w[4];
        CK_UNROLL for (int p = 0; p < panels; p++) {
            w[p] = CK(load_weights)(weights + p * panel_bytes, k, layout);
        }
        CK_UNROLL for (int r = 0; r < rows; r++) {
            const v16 value = v_set1(x[r * x_stride + k]);
            CK_UNROLL for (int p = 0; p < panels; p++) { sums[r][p] = v_fma(value, w[p], sums[r][p]); }
        }
    }
    CK_UNROLL for (int r = 0; r < rows; r++) {
        CK_UNROLL for (int p = 0; p < panels; p++) { CK(finish)(job, m + r, panel + p, sums[r][p]); }
    }
}

/// Tiles of `rows` rows: CK_PANELS(rows) panels wide as long as there are that many.
CK_INLINE int64_t CK(strip)(const ck_matmul *job, int64_t m, int64_t panel, int64_t panel_end, ck_layout layout,
                            int rows, int panels) {
    for (; panel + panels <= panel_end; panel += panels) { CK(tile_float)(job, m, panel, layout, rows, panels); }
    return panel;
}

CK_INLINE void CK(range_float)(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin,
                               int64_t panel_end, ck_layout layout) {
    // A few panels at a time over all rows, so that their weights are still in the cache for the next tile.
    for (int64_t panel = panel_begin, end; panel < panel_end; panel = end) {
        end = panel + 4 < panel_end ? panel + 4 : panel_end;
        for (int64_t m = row_begin, height; m < row_end; m += height) {
            height = ck_tile_height(row_end - m, CK_TALLEST);
#define TILE(rows)                                                                             \
    case rows: {                                                                               \
        const int64_t rest = CK(strip)(job, m, panel, end, layout, rows, CK_PANELS(rows));     \
        CK(strip)(job, m, rest, end, layout, rows, 1);                                         \
        break;                                                                                 \
    }
            switch (height) { CK_TILES }
#undef TILE
        }
    }
}

void CK(ck_matmul_float)(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin,
                         int64_t panel_end) {
    switch (job->weights.layout) {
        case ck_float16: CK(range_float)(job, row_begin, row_end, panel_begin, panel_end, ck_float16); break;
        case ck_bfloat16: CK(range_float)(job, row_begin, row_end, panel_begin, panel_end, ck_bfloat16); break;
        default: CK(range_float)(job, row_begin, row_end, panel_begin, panel_end, ck_float32); break;
    }
}
