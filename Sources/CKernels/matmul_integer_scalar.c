// Matrix product with int8 and int4 weights: plain C, the reference.
#include "lanes_scalar.h"

#include "matmul_integer.h"

/// The exact dot of one block with each of 16 outputs.
static void dot_block(const int8_t *x, const uint8_t *values, ck_layout layout, float *dots) {
    for (int n = 0; n < ck_panel; n++) {
        int32_t sum = 0;
        for (int k = 0; k < ck_block; k++) {
            if (layout == ck_int4) {
                const uint8_t pair = values[(k % 16 / 4) * 64 + n * 4 + k % 4];
                sum += (k < 16 ? pair & 15 : pair >> 4) * x[k];
            } else {
                sum += (int8_t)values[k / 4 * 64 + n * 4 + k % 4] * x[k];
            }
        }
        dots[n] = (float)sum;
    }
}

void ck_matmul_integer_scalar(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin,
                              int64_t panel_end) {
    const int64_t blocks = job->weights.columns / ck_block;
    const ck_layout layout = job->weights.layout;
    for (int64_t panel = panel_begin; panel < panel_end; panel++) {
        const uint8_t *base = panel_base_scalar(job, panel);
        for (int64_t m = row_begin; m < row_end; m++) {
            const ck_row_place place = ck_place_row(m, job->quantized.rows, blocks);
            v16 sum = v_set1(0);
            for (int64_t b = 0; b < blocks; b++) {
                const int64_t at = place.first + b * place.rows;
                v16 dots;
                dot_block(job->quantized.values + at * ck_block, block_values_scalar(base, b, layout), layout,
                          dots.lane);
                const v16 scale = v_set1(job->quantized.scales[at]);
                sum = v_fma(dots, v_mul(scale, block_scales_scalar(base, b, layout)), sum);
                if (layout != ck_int8) {
                    const v16 total = v_set1(job->quantized.sums[at]);
                    sum = v_fma(total, block_minimums_scalar(base, b, layout), sum);
                }
            }
            finish_scalar(job, m, panel, sum);
        }
    }
}

CK_LEVEL_END
