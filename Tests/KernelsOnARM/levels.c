// Every level of this CPU against plain C, byte by byte: what scripts/test-arm runs on an emulated ARM processor. The same
// is tested more widely, in Swift, on the processors that Swift runs on here.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

static uint64_t state;

static uint64_t next(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static int below(int limit) { return (int)(next() % (uint64_t)limit); }
static float number(float size) { return ((float)(next() >> 40) / 8388608.0f - 1) * size; }

static float *numbers(int64_t count, float size) {
    float *values = malloc((size_t)count * 4 + 4);
    for (int64_t i = 0; i < count; i++) { values[i] = number(size); }
    return values;
}

static int failures, checks;

/// NaN payloads may differ.
static int is_same(const float *a, const float *b, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (memcmp(a + i, b + i, 4) != 0 && !(isnan(a[i]) && isnan(b[i]))) { return 0; }
    }
    return 1;
}

static void expect(int holds, const char *what, int a, int b, int c) {
    checks++;
    if (holds) { return; }
    failures++;
    printf("%s (%d, %d, %d) differs\n", what, a, b, c);
}

// MARK: Products

static ck_matrix matrix(ck_layout layout, int64_t rows, int64_t columns) {
    const int64_t bytes = ck_panel_bytes(layout, columns), panels = (rows + ck_panel - 1) / ck_panel;
    void *memory = aligned_alloc(64, (size_t)(panels * bytes + 4096));
    memset(memory, 0, (size_t)(panels * bytes + 4096));
    const ck_matrix result = {rows, columns, bytes, layout, memory};
    for (int64_t row = 0; row < rows; row++) {
        float *values = numbers(columns, 0.2f), *scales = numbers(columns / 32 + 1, 0.02f);
        float *minimums = numbers(columns / 32 + 1, 0.2f);
        uint8_t q[4096];
        for (int64_t i = 0; i < columns; i++) { q[i] = (uint8_t)(layout == ck_int4 ? below(16) : below(256)); }
        if (layout >= ck_int8) {
            ck_pack_quantized(&result, row, q, scales, minimums);
        } else {
            ck_pack_floats(&result, row, values);
        }
        free(values), free(scales), free(minimums);
    }
    return result;
}

static ck_quantized quantized(int64_t rows, int64_t columns) {
    const size_t blocks = (size_t)(rows * columns / 32);
    return (ck_quantized){rows, calloc(blocks, 32), calloc(blocks, 4), calloc(blocks, 4), calloc(blocks, 4)};
}

static void products(const ck_kernels *plain, const ck_kernels *level, ck_layout layout) {
    const int rows = 1 + below(70), outputs = 1 + below(80), columns = 32 * (1 + below(8));
    const ck_matrix weights = matrix(layout, outputs, columns);
    float *x = numbers((int64_t)rows * columns, below(9) ? 3 : 0), *bias = numbers(outputs, 1);
    if (!below(4)) { x[below(rows * columns)] = below(2) ? NAN : INFINITY; }
    float *y[2] = {numbers((int64_t)rows * outputs, 1), malloc((size_t)rows * (size_t)outputs * 4)};
    memcpy(y[1], y[0], (size_t)rows * (size_t)outputs * 4);
    const int64_t panels = (outputs + ck_panel - 1) / ck_panel, blocks = (int64_t)rows * columns / 32;
    ck_quantized q[2] = {quantized(rows, columns), quantized(rows, columns)};
    const int accumulate = below(2), has_bias = below(2);
    for (int side = 0; side < 2; side++) {
        const ck_kernels *kernels = side ? level : plain;
        kernels->quantize_rows(x, columns, 0, rows, columns, &q[side]);
        const ck_matmul job = {weights, x, columns, q[side], y[side], outputs, has_bias ? bias : NULL, accumulate};
        (layout >= ck_int8 ? kernels->matmul_integer : kernels->matmul_float)(&job, 0, rows, 0, panels);
    }
    expect(is_same(y[0], y[1], (int64_t)rows * outputs), "product", layout, rows, columns);
    expect(memcmp(q[0].values, q[1].values, (size_t)blocks * 32) == 0 && is_same(q[0].scales, q[1].scales, blocks)
               && is_same(q[0].sums, q[1].sums, blocks) && memcmp(q[0].offsets, q[1].offsets, (size_t)blocks * 4) == 0,
           "quantised rows", rows, columns, 0);
    free(weights.panels), free(x), free(bias), free(y[0]), free(y[1]);
    for (int side = 0; side < 2; side++) {
        free(q[side].values), free(q[side].scales), free(q[side].sums), free(q[side].offsets);
    }
}

static void low_rank(const ck_kernels *plain, const ck_kernels *level) {
    const int inputs = 1 + below(200), outputs = 1 + below(200), rank = 1 + below(40), is_half = below(2);
    const int64_t a_count = (rank + 7) / 8 * 8 * (int64_t)((inputs + 15) / 16 * 16);
    const int64_t b_count = (outputs + 15) / 16 * 16 * (int64_t)rank;
    float *a = numbers(a_count, 1), *b = numbers(b_count, 1), *x = numbers(inputs, 2), *y = numbers(outputs, 1);
    uint16_t *halves = malloc((size_t)(a_count + b_count) * 2);
    plain->float_to_half(a, halves, a_count);
    plain->float_to_half(b, halves + a_count, b_count);
    const ck_low_rank change = {inputs, outputs, rank, is_half, 0.5f, is_half ? (void *)halves : a,
                                is_half ? (void *)(halves + a_count) : b};
    float *other = malloc((size_t)outputs * 4);
    memcpy(other, y, (size_t)outputs * 4);
    plain->add_low_rank(&change, x, y);
    level->add_low_rank(&change, x, other);
    expect(is_same(y, other, outputs), "low-rank change", inputs, outputs, rank);
    free(a), free(b), free(x), free(y), free(other), free(halves);
}

// MARK: Rows

static void rows(const ck_kernels *plain, const ck_kernels *level) {
    const int n = 1 + below(700);
    float *x = numbers(n, below(3) ? 4 : 90), *w = numbers(n, 1), *a = malloc((size_t)n * 4), *b = malloc((size_t)n * 4);
    if (!below(5)) { x[below(n)] = below(2) ? NAN : below(2) ? INFINITY : -INFINITY; }
#define ROW(call)                                                                   \
    {                                                                               \
        const ck_kernels *k = plain;                                                \
        float *out = a;                                                             \
        call;                                                                       \
        k = level, out = b;                                                         \
        call;                                                                       \
        expect(is_same(a, b, n), #call, n, 0, 0);                                   \
    }
    ROW(k->rms_norm(x, w, 1e-5f, out, n))
    ROW(k->layer_norm(x, w, w, 1e-5f, out, n))
    ROW(k->layer_norm(x, w, NULL, 1e-5f, out, n))
    ROW(k->silu_product(x, w, out, n))
    ROW(k->gelu_product(x, w, out, n))
    ROW(k->gelu(x, out, n))
    ROW(k->add(x, w, out, n))
    ROW(k->scale(x, 0.3f, out, n))
    ROW(k->softcap(x, 30, out, n))
    ROW(k->exponential(x, out, n))
    ROW(k->hyperbolic_tangent(x, out, n))
    ROW(k->softmax(x, out, n))
    const float sums[2] = {plain->log_sum_exp(x, n), level->log_sum_exp(x, n)};
    expect(is_same(sums, sums + 1, 1), "log_sum_exp", n, 0, 0);
    expect(plain->argmax(x, n) == level->argmax(x, n), "argmax", n, 0, 0);
    const int heads = 1 + below(5), size = 2 * (1 + below(40)), pairs = 1 + below(size / 2);
    float *head[2] = {numbers((int64_t)heads * size, 2), malloc((size_t)(heads * size) * 4)};
    float *cosine = numbers(pairs, 1), *sine = numbers(pairs, 1);
    memcpy(head[1], head[0], (size_t)(heads * size) * 4);
    for (int style = 0; style < 2; style++) {
        for (int side = 0; side < 2; side++) {
            const ck_kernels *k = side ? level : plain;
            (style ? k->rope_halves : k->rope_interleaved)(head[side], heads, size, pairs, cosine, sine);
        }
        expect(is_same(head[0], head[1], heads * size), "rope", style, heads, size);
    }
    free(x), free(w), free(a), free(b), free(head[0]), free(head[1]), free(cosine), free(sine);
}

/// All halves, and floats all over the numbers.
static void conversions(const ck_kernels *plain, const ck_kernels *level) {
    static uint16_t halves[65536], results[2][65536];
    static float floats[2][65536];
    for (int i = 0; i < 65536; i++) { halves[i] = (uint16_t)i; }
    plain->half_to_float(halves, floats[0], 65536), level->half_to_float(halves, floats[1], 65536);
    expect(is_same(floats[0], floats[1], 65536), "half_to_float", 0, 0, 0);
    plain->bfloat_to_float(halves, floats[0], 65536), level->bfloat_to_float(halves, floats[1], 65536);
    expect(is_same(floats[0], floats[1], 65536), "bfloat_to_float", 0, 0, 0);
    for (int i = 0; i < 65536; i++) {
        const uint32_t bits = (uint32_t)next();
        memcpy(&floats[0][i], &bits, 4);
        if (isnan(floats[0][i])) { floats[0][i] = 1; }
    }
    plain->float_to_half(floats[0], results[0], 65536), level->float_to_half(floats[0], results[1], 65536);
    expect(memcmp(results[0], results[1], sizeof results[0]) == 0, "float_to_half", 0, 0, 0);
    plain->float_to_bfloat(floats[0], results[0], 65536), level->float_to_bfloat(floats[0], results[1], 65536);
    expect(memcmp(results[0], results[1], sizeof results[0]) == 0, "float_to_bfloat", 0, 0, 0);
}

static void blocks(const ck_kernels *plain, const ck_kernels *level) {
    float *x = numbers(64 * 32, below(2) ? 1e-4f : 5);
    uint8_t a[64 * 34], b[64 * 34];
    plain->encode_q8_0(x, a, 64), level->encode_q8_0(x, b, 64);
    expect(memcmp(a, b, 64 * 34) == 0, "Q8_0", 0, 0, 0);
    plain->encode_q4_1(x, a, 64), level->encode_q4_1(x, b, 64);
    expect(memcmp(a, b, 64 * 20) == 0, "Q4_1", 0, 0, 0);
    free(x);
}

// MARK: Attention

static void attention(const ck_kernels *plain, const ck_kernels *level, ck_kv_precision precision) {
    const int kv_heads = 1 + below(3), group = 1 + below(5), size = 16 * (1 + below(8)), known = 1 + below(300);
    const int queries = 1 + below(known < 8 ? known : 8), heads = kv_heads * group;
    const int64_t part = kv_heads * ck_kv_head_bytes(size, precision), bytes = 2 * part;
    const int count = (known + 15) / 16;
    uint8_t *cache = aligned_alloc(64, (size_t)((count * bytes + 127) / 64 * 64));
    int32_t *table = malloc((size_t)count * 4), positions[8], tables[8] = {0}, order[8];
    for (int i = 0; i < count; i++) { table[i] = count - 1 - i; }
    memset(cache, 0, (size_t)(count * bytes));
    for (int token = 0; token < known; token++) {
        float *key = numbers(kv_heads * size, 2), *value = numbers(kv_heads * size, 2);
        ck_store_token(cache + table[token / 16] * bytes, kv_heads, size, precision, token % 16, key, value);
        free(key), free(value);
    }
    for (int r = 0; r < queries; r++) { positions[r] = known - queries + r, order[r] = r; }
    float *q = numbers((int64_t)queries * heads * size, 1);
    float *out[2] = {calloc((size_t)(queries * heads * size), 4), calloc((size_t)(queries * heads * size), 4)};
    float *scratch = aligned_alloc(64, (size_t)(ck_attention_scratch(queries * group, size) * 4 + 127) / 64 * 64);
    for (int side = 0; side < 2; side++) {
        const ck_attention job = {
            .queries = q, .query_stride = heads * size, .output = out[side], .output_stride = heads * size,
            .cache = cache, .block_bytes = bytes, .kv_heads = kv_heads, .group = group, .head_size = size,
            .precision = precision, .rows = queries, .positions = positions, .tables = tables, .blocks = table,
            .order = order, .scale = 0.125f, .softcap = side < 2 && known % 3 == 0 ? 20 : 0,
            .window = known % 4 == 0 ? 40 : 0};
        const ck_attention_tile tile = {0, queries, 0};
        (side ? level : plain)->attention(&job, &tile, 0, kv_heads, 0, group, scratch);
    }
    expect(is_same(out[0], out[1], (int64_t)queries * heads * size), "attention", precision, known, size);
    free(cache), free(table), free(q), free(out[0]), free(out[1]), free(scratch);
}

int main(int count, char **arguments) {
    state = count > 1 ? strtoull(arguments[1], NULL, 10) : 1;
    const uint64_t seed = state;
    const ck_kernels *plain = ck_kernels_of(ck_scalar);
    int levels = 0;
    for (int number = ck_avx2; number <= ck_neon; number++) {
        const ck_kernels *level = ck_kernels_of((ck_level)number);
        if (!level) { continue; }
        levels++;
        conversions(plain, level);
        for (int round = 0; round < 60; round++) {
            for (int layout = ck_float32; layout <= ck_int4; layout++) { products(plain, level, (ck_layout)layout); }
            for (int precision = 0; precision <= ck_kv_int8; precision++) {
                attention(plain, level, (ck_kv_precision)precision);
            }
            low_rank(plain, level);
            rows(plain, level);
            blocks(plain, level);
        }
        printf("level %d: %d checks, %d failed (seed %llu)\n", number, checks, failures, (unsigned long long)seed);
    }
    return failures > 0 || levels == 0;
}
