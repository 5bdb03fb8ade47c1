// Rotary position embedding of one row. Included once per level after its lanes_*.h. Plain loops:
// no sums across elements.

void CK(ck_rope_halves)(float *x, int64_t heads, int64_t head_size, int64_t pairs, const float *restrict cosine,
                        const float *restrict sine) {
    for (int64_t h = 0; h < heads; h++) {
        float *restrict first = x + h * head_size, *restrict second = first + pairs;
        for (int64_t i = 0; i < pairs; i++) {
            const float a = first[i], b = second[i];
            first[i] = fmaf(-b, sine[i], a * cosine[i]);
            second[i] = fmaf(a, sine[i], b * cosine[i]);
        }
    }
}

void CK(ck_rope_interleaved)(float *x, int64_t heads, int64_t head_size, int64_t pairs, const float *restrict cosine,
                             const float *restrict sine) {
    for (int64_t h = 0; h < heads; h++) {
        float *restrict head = x + h * head_size;
        for (int64_t i = 0; i < pairs; i++) {
            const float a = head[2 * i], b = head[2 * i + 1];
            head[2 * i] = fmaf(-b, sine[i], a * cosine[i]);
            head[2 * i + 1] = fmaf(a, sine[i], b * cosine[i]);
        }
    }
}
