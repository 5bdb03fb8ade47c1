// One token's key and value into its block of the paged cache.
#include "common.h"

int64_t ck_kv_head_bytes(int32_t head_size, ck_kv_precision precision) {
    const int64_t elements = (int64_t)head_size * ck_token_block;
    switch (precision) {
        case ck_kv_float32: return elements * 4;
        case ck_kv_float16: return elements * 2;
        // Rounded up so that scales, and the next head, are aligned like everything else.
        default: return (elements + 63) / 64 * 64 + ck_token_block * (int64_t)sizeof(float);
    }
}

/// n elements of x to base[i · stride], and their scale to where the part ends.
static void store_int8(uint8_t *part, int64_t part_bytes, int64_t first, int64_t stride, int32_t slot, const float *x,
                       int32_t n) {
    int32_t largest = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t size = (int32_t)(ck_bits(x[i]) & 0x7fffffff);
        largest = size > largest ? size : largest;
    }
    const ck_int8_scale scale = ck_scale_of(largest);
    int8_t *values = (int8_t *)part + first;
    for (int32_t i = 0; i < n; i++) {
        values[i * stride] = scale.is_plain ? (int8_t)ck_rounded(x[i] * scale.inverse) : 0;
    }
    float *scales = (float *)(part + part_bytes) - ck_token_block;
    scales[slot] = scale.scale;
}

void ck_store_token(uint8_t *block, int32_t kv_heads, int32_t head_size, ck_kv_precision precision, int32_t slot,
                    const float *key, const float *value) {
    const int64_t part_bytes = ck_kv_head_bytes(head_size, precision), value_offset = kv_heads * part_bytes;
    for (int32_t h = 0; h < kv_heads; h++, key += head_size, value += head_size) {
        uint8_t *keys = block + h * part_bytes, *values = block + value_offset + h * part_bytes;
        const int64_t first = (int64_t)slot * head_size;
        switch (precision) {
            case ck_kv_float32:
                for (int32_t d = 0; d < head_size; d++) { ((float *)keys)[d * ck_token_block + slot] = key[d]; }
                memcpy((float *)values + first, value, (size_t)head_size * sizeof(float));
                break;
            case ck_kv_float16: {
                const ck_kernels *table = ck_active();
                uint16_t halves[64];
                for (int32_t d = 0; d < head_size; d += 64) {
                    const int32_t count = head_size - d < 64 ? head_size - d : 64;
                    table->float_to_half(key + d, halves, count);
                    for (int32_t i = 0; i < count; i++) { ((uint16_t *)keys)[(d + i) * ck_token_block + slot] = halves[i]; }
                }
                table->float_to_half(value, (uint16_t *)values + first, head_size);
                break;
            }
            case ck_kv_int8:
                store_int8(keys, part_bytes, slot, ck_token_block, slot, key, head_size);
                store_int8(values, part_bytes, first, 1, slot, value, head_size);
                break;
        }
    }
}
