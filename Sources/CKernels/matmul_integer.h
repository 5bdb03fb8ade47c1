// What the integer products of all levels share: where the parts of a block are. Include a lanes_*.h first.
#include "matmul_finish.h"

CK_INLINE const uint8_t *CK(panel_base)(const ck_matmul *job, int64_t panel) {
    return (const uint8_t *)job->weights.panels + panel * job->weights.panel_bytes;
}

/// The block's values, and its scales and minimums (null for int8) as 16 halves each.
CK_INLINE const uint8_t *CK(block_values)(const uint8_t *panel, int64_t block, ck_layout layout) {
    switch (layout) {
        case ck_int8: return ck_int8_values(panel, block);
        case ck_int8_minimum: return panel + block * ck_int8_minimum_bytes;
        default: return panel + block * ck_int4_bytes;
    }
}

// Bytes; measured best between 1 and 4 KB. Panels follow each other, so this runs on into the next panel.
enum { ck_prefetch_distance = 2048 };

/// Weights from memory are consumed faster than the hardware's own prefetch asks for them.
CK_INLINE void CK(prefetch_weights)(const uint8_t *values, ck_layout layout) {
    CK_UNROLL for (int line = 0; line < (layout == ck_int4 ? 5 : 9); line++) {
        __builtin_prefetch(values + ck_prefetch_distance + line * 64);
    }
}

CK_INLINE v16 CK(block_scales)(const uint8_t *panel, int64_t block, ck_layout layout) {
    switch (layout) {
        case ck_int8: return v_load_half(ck_int8_scales(panel, block));
        case ck_int8_minimum: return v_load_half((const uint16_t *)(panel + block * ck_int8_minimum_bytes + 512));
        default: return v_load_half((const uint16_t *)(panel + block * ck_int4_bytes + 256));
    }
}

CK_INLINE v16 CK(block_minimums)(const uint8_t *panel, int64_t block, ck_layout layout) {
    return v_load_half((const uint16_t *)(layout == ck_int4 ? panel + block * ck_int4_bytes + 288
                                                            : panel + block * ck_int8_minimum_bytes + 544));
}
