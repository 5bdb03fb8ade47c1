// Fills packed matrices row by row and reads rows back (see ck_layout for where things lie).
#include "common.h"

int64_t ck_panel_bytes(ck_layout layout, int64_t columns) {
    const int64_t blocks = columns / ck_block;
    switch (layout) {
        case ck_float32: return columns * ck_panel * 4;
        case ck_float16:
        case ck_bfloat16: return (columns * ck_panel * 2 + 63) / 64 * 64;
        case ck_int8: return (blocks + 1) / 2 * ck_int8_pair_bytes;
        case ck_int8_minimum: return blocks * ck_int8_minimum_bytes;
        case ck_int4: return blocks * ck_int4_bytes;
    }
    return 0;
}

typedef struct {
    uint8_t *values;  // at the row's first four
    uint16_t *scale, *minimum;
} block_place;

static block_place place(const ck_matrix *matrix, int64_t row, int64_t block) {
    uint8_t *panel = (uint8_t *)matrix->panels + row / ck_panel * matrix->panel_bytes;
    const int64_t n = row % ck_panel;
    block_place at = {NULL, NULL, NULL};
    uint8_t *base;
    switch (matrix->layout) {
        case ck_int8:
            base = (uint8_t *)ck_int8_values(panel, block);
            at.scale = (uint16_t *)ck_int8_scales(panel, block) + n;
            break;
        case ck_int8_minimum:
            base = panel + block * ck_int8_minimum_bytes;
            at.scale = (uint16_t *)(base + 512) + n, at.minimum = at.scale + ck_panel;
            break;
        default:
            base = panel + block * ck_int4_bytes;
            at.scale = (uint16_t *)(base + 256) + n, at.minimum = at.scale + ck_panel;
            break;
    }
    at.values = base + n * 4;
    return at;
}

static void put_block(const block_place *at, ck_layout layout, const uint8_t *q) {
    for (int k = 0; k < ck_block; k++) {
        if (layout == ck_int4) {
            uint8_t *pair = at->values + k % 16 / 4 * 64 + k % 4;
            *pair = k < 16 ? q[k] & 15 : (uint8_t)(*pair | q[k] << 4);
        } else {
            at->values[k / 4 * 64 + k % 4] = q[k];
        }
    }
}

void ck_pack_quantized(const ck_matrix *matrix, int64_t row, const uint8_t *q, const float *scales,
                       const float *minimums) {
    for (int64_t b = 0; b < matrix->columns / ck_block; b++) {
        const block_place at = place(matrix, row, b);
        put_block(&at, matrix->layout, q + b * ck_block);
        *at.scale = ck_float_to_half(scales[b]);
        if (at.minimum) { *at.minimum = ck_float_to_half(minimums[b]); }
    }
}

/// Symmetric: the scale is rounded to half first, so that q fits the scale that is stored.
static void pack_int8(const ck_matrix *matrix, int64_t row, const float *values) {
    for (int64_t b = 0; b < matrix->columns / ck_block; b++) {
        const float *x = values + b * ck_block;
        float maximum = 0;
        for (int k = 0; k < ck_block; k++) { maximum = fabsf(x[k]) > maximum ? fabsf(x[k]) : maximum; }
        const block_place at = place(matrix, row, b);
        *at.scale = ck_float_to_half(maximum / 127.0f);
        if (at.minimum) { *at.minimum = 0; }
        const float scale = ck_half_to_float(*at.scale);
        uint8_t q[ck_block];
        for (int k = 0; k < ck_block; k++) {
            const float ideal = scale > 0 && isfinite(x[k]) ? rintf(x[k] / scale) : 0;
            q[k] = (uint8_t)(int8_t)(ideal > 127 ? 127 : ideal < -127 ? -127 : ideal);
        }
        put_block(&at, matrix->layout, q);
    }
}

void ck_pack_floats(const ck_matrix *matrix, int64_t row, const float *values) {
    uint8_t *panel = (uint8_t *)matrix->panels + row / ck_panel * matrix->panel_bytes;
    const int64_t n = row % ck_panel;
    switch (matrix->layout) {
        case ck_float32:
            for (int64_t k = 0; k < matrix->columns; k++) { ((float *)panel)[k * ck_panel + n] = values[k]; }
            break;
        case ck_float16:
            for (int64_t k = 0; k < matrix->columns; k++) {
                ((uint16_t *)panel)[k * ck_panel + n] = ck_float_to_half(values[k]);
            }
            break;
        case ck_bfloat16:
            for (int64_t k = 0; k < matrix->columns; k++) {
                ((uint16_t *)panel)[k * ck_panel + n] = ck_float_to_bfloat(values[k]);
            }
            break;
        default: pack_int8(matrix, row, values); break;
    }
}

void ck_unpack_row(const ck_matrix *matrix, int64_t row, float *out) {
    const uint8_t *panel = (const uint8_t *)matrix->panels + row / ck_panel * matrix->panel_bytes;
    const int64_t n = row % ck_panel;
    if (matrix->layout <= ck_bfloat16) {
        for (int64_t k = 0; k < matrix->columns; k++) {
            const int64_t i = k * ck_panel + n;
            out[k] = matrix->layout == ck_float32   ? ((const float *)panel)[i]
                : matrix->layout == ck_float16 ? ck_half_to_float(((const uint16_t *)panel)[i])
                                               : ck_bfloat_to_float(((const uint16_t *)panel)[i]);
        }
        return;
    }
    for (int64_t b = 0; b < matrix->columns / ck_block; b++) {
        const block_place at = place(matrix, row, b);
        const float scale = ck_half_to_float(*at.scale), minimum = at.minimum ? ck_half_to_float(*at.minimum) : 0;
        for (int k = 0; k < ck_block; k++) {
            const uint8_t byte =
                at.values[(matrix->layout == ck_int4 ? k % 16 / 4 : k / 4) * 64 + k % 4];
            const int q = matrix->layout != ck_int4 ? (int8_t)byte : k < 16 ? byte & 15 : byte >> 4;
            out[b * ck_block + k] = fmaf((float)q, scale, minimum);
        }
    }
}
