// Activation rows to int8 per 32-block. Included once per level after its lanes_*.h. Plain loops that the
// compiler vectorises; maxima and sums are over integers, hence exact in any order.

void CK(ck_quantize_rows)(const float *x, int64_t x_stride, int64_t row_begin, int64_t row_end, int64_t columns,
                          const ck_quantized *out) {
    const int64_t blocks = columns / ck_block;
    for (int64_t m = row_begin; m < row_end; m++) {
        const ck_row_place place = ck_place_row(m, out->rows, blocks);
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t at = place.first + b * place.rows;
            const float *block = x + m * x_stride + b * ck_block;
            int8_t *values = out->values + at * ck_block;
            int32_t largest = 0;
            for (int i = 0; i < ck_block; i++) {
                const int32_t size = (int32_t)(ck_bits(block[i]) & 0x7fffffff);
                largest = size > largest ? size : largest;
            }
            const ck_int8_scale scale = ck_scale_of(largest);
            int32_t sum = 0;
            if (scale.is_plain) {
                for (int i = 0; i < ck_block; i++) {
                    const int32_t q = ck_rounded(block[i] * scale.inverse);
                    values[i] = (int8_t)q;
                    sum += q;
                }
            } else {
                memset(values, 0, ck_block);
            }
            out->scales[at] = scale.scale;
            out->sums[at] = scale.scale * (float)sum;
            out->offsets[at] = -128 * sum;
        }
    }
}
