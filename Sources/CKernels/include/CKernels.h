// The compute kernels behind LLMKernels: plain C, one table of functions per CPU feature level, chosen once.
//
// Bytes contract: every level gives the same bytes for every function (NaN payloads excepted). An output element of a
// matmul is one chain of fused multiply-adds over K; reductions over a row use 16 virtual lanes (element i goes to lane
// i mod 16) combined as lanes l and l+8, then l+4, l+2, l+1; exp and tanh are our own polynomials. Hence no result
// depends on the number of rows, on tiling, or on threads. Nothing here checks sizes: LLMKernels does, at its border.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Packed matrices

/// W [rows = outputs N, columns = inputs K] in panels of 16 outputs, panel after panel, each padded to 64 bytes.
/// float32, float16, bfloat16: [K][16].
/// int4, values 0...15: per 32-block [4 groups][16 outputs][4 k] bytes, low nibble k = 4·group + i, high nibble 16 more;
///   then float16 scales [16] and float16 minimums [16]: 320 bytes.
/// int8Minimum: per 32-block [8 groups][16 outputs][4 k] signed bytes, then scales [16] and minimums [16]: 576 bytes.
/// int8: two 32-blocks of [8][16][4] after each other, then their scales [2][16]: 1,088 bytes per pair, so that every
///   vector load stays within a cache line. w = q·scale + minimum.
typedef enum {
    ck_float32 = 0,
    ck_float16 = 1,
    ck_bfloat16 = 2,
    ck_int8 = 3,
    ck_int8_minimum = 4,
    ck_int4 = 5
} ck_layout;

enum { ck_panel = 16, ck_block = 32, ck_row_group = 32, ck_token_block = 16, ck_attention_span = 64 };

typedef struct {
    int64_t rows, columns;
    int64_t panel_bytes;
    ck_layout layout;
    void *panels;  // 64-byte aligned, ceil(rows / 16) · panel_bytes bytes
} ck_matrix;

/// Bytes of one panel of `columns` inputs.
int64_t ck_panel_bytes(ck_layout layout, int64_t columns);
/// Float layouts: converts (round to nearest even). int8: quantises each 32-block to q = rne(w / (max|w| / 127)).
void ck_pack_floats(const ck_matrix *matrix, int64_t row, const float *values);
/// int8, int8_minimum, int4 (low four bits of each q are taken); minimums is ignored for int8.
void ck_pack_quantized(const ck_matrix *matrix, int64_t row, const uint8_t *q, const float *scales,
                       const float *minimums);
/// One row back as floats: fma(q, scale, minimum), or the exact value of the float layouts.
void ck_unpack_row(const ck_matrix *matrix, int64_t row, float *out);

// MARK: Matrix product

/// Rows quantised to int8 per 32-block: scale = max|x| / 127, q = rne(x · (127 / max|x|)). A block with a NaN or an
/// infinity gets scale NaN and q = 0; one whose maximum is below 2^-100 counts as zero.
/// In groups of 32 rows (R: the rows of the group, fewer in the last), so that a tile reads one stream.
typedef struct {
    int64_t rows;      // M
    int8_t *values;    // per group [K / 32][R][32]
    float *scales;     // per group [K / 32][R]
    float *sums;       // as scales: scale · Σq
    int32_t *offsets;  // as scales: -128 · Σq
} ck_quantized;

/// y[m, n] = Σ_k x[m, k] · W[n, k] (+ bias[n]) (+ the old y[m, n]), added in this order.
/// Float layouts: acc = fma(x, w, acc), k ascending. Integer layouts, per 32-block b ascending:
/// acc = fma(dot_b, sx_b · sw_b, acc), then acc = fma(sum_b, minimum_b, acc) if the layout has minimums.
typedef struct {
    ck_matrix weights;
    const float *x;  // float layouts
    int64_t x_stride;
    ck_quantized quantized;  // integer layouts
    float *y;
    int64_t y_stride;
    const float *bias;  // N values or null
    int32_t accumulate;
} ck_matmul;

// MARK: Low-rank changes of a product (LoRA, Hu et al. 2021)

enum { ck_rank_group = 8, ck_highest_rank = 512 };

/// W + B·A for a W [outputs, inputs] that is multiplied elsewhere.
typedef struct {
    int64_t inputs, outputs;
    int64_t rank;      // 0: no change; at most ck_highest_rank
    int32_t is_half;   // float16 instead of float32
    float factor;      // of A·x
    const void *a;     // [rank, rounded up to 8][inputs, rounded up to 16], zeros beyond
    const void *b;     // panels of 16 outputs, each [rank][16], zeros beyond the last output
} ck_low_rank;

// MARK: Attention over a paged cache

/// How keys and values are stored. int8: a token's key (and value) of a head is a float32 scale times integers.
typedef enum { ck_kv_float32 = 0, ck_kv_float16 = 1, ck_kv_int8 = 2 } ck_kv_precision;

/// One layer: block b at b · block_bytes holds 16 tokens: the key part of each K/V head [head size][16 tokens], then at
/// value_offset the value part of each [16 tokens][head size]; with int8 the 16 tokens' scales follow in each part.
typedef struct {
    const float *queries;  // [row][kv head · group + g][head size]
    int64_t query_stride;
    float *output;  // as queries
    int64_t output_stride;
    const uint8_t *cache;
    int64_t block_bytes;
    int32_t kv_heads, group, head_size;
    ck_kv_precision precision;
    int64_t rows;
    const int32_t *positions;  // [row]
    const int32_t *tables;     // [row]: where the block list of the row's sequence starts in `blocks`
    const int32_t *blocks;
    const int32_t *order;  // the rows as tiles name them
    float scale;
    float softcap;   // 0 = none
    int32_t window;  // 0 = all; else positions p - window < t ≤ p
} ck_attention;

/// Rows order[begin], …, order[end - 1] that are computed together: those of a sequence stand together with ascending
/// positions, and the block lists of all its sequences begin with the blocks of the same `common_spans` spans (read only
/// when there are several).
typedef struct {
    int32_t begin, end, common_spans;
} ck_attention_tile;

// MARK: The table

typedef enum { ck_scalar = 0, ck_avx2 = 1, ck_avx512vnni = 2, ck_neon = 3 } ck_level;

/// C = row length. "rows" functions work on consecutive rows of a stride; in-place use (x == out) is fine everywhere.
typedef struct {
    ck_level level;
    void (*quantize_rows)(const float *x, int64_t x_stride, int64_t row_begin, int64_t row_end, int64_t columns,
                          const ck_quantized *out);
    /// Rows [row_begin, row_end) × panels [panel_begin, panel_end); integer: row_begin is a multiple of 32, and row_end
    /// too or M.
    void (*matmul_float)(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin,
                         int64_t panel_end);
    void (*matmul_integer)(const ck_matmul *job, int64_t row_begin, int64_t row_end, int64_t panel_begin,
                           int64_t panel_end);
    /// y += B·(factor · A·x): A·x over 16 lanes of the inputs, then for each output a chain from y over the rank, ascending.
    void (*add_low_rank)(const ck_low_rank *change, const float *x, float *y);
    /// out = x / sqrt(mean(x²) + epsilon) · weight
    void (*rms_norm)(const float *x, const float *weight, float epsilon, float *out, int64_t C);
    /// out = (x - mean) / sqrt(variance + epsilon) · weight + bias (bias may be null)
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon, float *out, int64_t C);
    /// Rotates pairs (i, i + pairs) of each head.
    void (*rope_halves)(float *x, int64_t heads, int64_t head_size, int64_t pairs, const float *cosine,
                        const float *sine);
    /// Rotates pairs (2i, 2i + 1) of each head.
    void (*rope_interleaved)(float *x, int64_t heads, int64_t head_size, int64_t pairs, const float *cosine,
                             const float *sine);
    void (*silu_product)(const float *gate, const float *up, float *out, int64_t n);
    void (*gelu_product)(const float *gate, const float *up, float *out, int64_t n);  // tanh form
    void (*gelu)(const float *x, float *out, int64_t n);                              // tanh form
    void (*add)(const float *x, const float *y, float *out, int64_t n);
    void (*scale)(const float *x, float factor, float *out, int64_t n);
    void (*softcap)(const float *x, float cap, float *out, int64_t n);  // cap · tanh(x / cap)
    void (*exponential)(const float *x, float *out, int64_t n);         // 0 below -87, infinity above 88.37
    void (*hyperbolic_tangent)(const float *x, float *out, int64_t n);
    void (*softmax)(const float *x, float *out, int64_t n);
    float (*log_sum_exp)(const float *x, int64_t n);
    int64_t (*argmax)(const float *x, int64_t n);  // the first maximum; NaN never wins; 0 if nothing is comparable
    void (*float_to_half)(const float *x, uint16_t *out, int64_t n);
    void (*half_to_float)(const uint16_t *x, float *out, int64_t n);
    void (*float_to_bfloat)(const float *x, uint16_t *out, int64_t n);
    void (*bfloat_to_float)(const uint16_t *x, float *out, int64_t n);
    /// Finite weights to blocks of 32 as GGUF files have them. Q8_0, 34 bytes: a float16 scale, 32 signed bytes. Q4_1, 20
    /// bytes: float16 scale and minimum, 16 bytes with value i below value 16 + i; of several scales the best.
    void (*encode_q8_0)(const float *x, uint8_t *out, int64_t blocks);
    void (*encode_q4_1)(const float *x, uint8_t *out, int64_t blocks);
    /// The rows of a tile × heads [head_begin, head_end) of the groups of K/V heads [kv_begin, kv_end). Online softmax
    /// over spans of 64 tokens, counted from position 0, from the window's first to the row's own, one merge per span;
    /// per row the result is that of the row alone. scratch: ck_attention_scratch floats for the queries of one K/V head,
    /// 64-byte aligned.
    void (*attention)(const ck_attention *job, const ck_attention_tile *tile, int32_t kv_begin, int32_t kv_end,
                      int32_t head_begin, int32_t head_end, float *scratch);
} ck_kernels;

/// Floats of scratch that `attention` needs for `queries` = rows × heads.
int64_t ck_attention_scratch(int64_t queries, int32_t head_size);
/// Bytes of the key part (or the value part) of one K/V head in a block.
int64_t ck_kv_head_bytes(int32_t head_size, ck_kv_precision precision);
/// Writes one token's key and value ([kv head][head size] each) into its block. int8: to nearest even of x · 127 / max|x|;
/// a head with NaN or infinity gets a scale of NaN.
void ck_store_token(uint8_t *block, int32_t kv_heads, int32_t head_size, ck_kv_precision precision, int32_t slot,
                    const float *key, const float *value);

/// The table of a level, null if this CPU lacks it.
const ck_kernels *ck_kernels_of(ck_level level);
/// The table in use: the highest level of the CPU, or the one that MILLRACE_CPU names (chosen at the first call).
const ck_kernels *ck_active(void);
typedef enum { ck_selected = 0, ck_unknown_level = 1, ck_unsupported_level = 2 } ck_selection;
/// Whether MILLRACE_CPU, if set, could be followed; when not, ck_active() is the highest level of the CPU.
ck_selection ck_selection_state(void);

// MARK: What the machine can do at best, for measuring

/// `rounds` of independent multiply-adds of a level in registers: vfmadd, or (integer) vpdpbusd, maddubs with its
/// additions. Returns how many operations that were (a multiply-add of one value counts two); 0 if this CPU lacks the level.
double ck_peak(ck_level level, int32_t integer, int64_t rounds);
/// Reads all words once, front to back.
uint64_t ck_read_memory(const uint64_t *words, int64_t count);

// MARK: Thread team

/// Fixed threads that run one function together. They spin briefly, then sleep on a futex.
typedef struct ck_team ck_team;
typedef void (*ck_team_body)(void *context, int32_t part, int32_t parts, int32_t thread);
/// `threads` counts the caller, so threads - 1 are started, or as many as the system grants. Null without memory.
ck_team *ck_team_create(int32_t threads);
int32_t ck_team_count(const ck_team *team);
/// Calls body(context, p, parts, t) for every part p (at most 32,767), on whichever thread t gets to it first; thread 0 is
/// the caller. Returns when all are done. No allocation. While the team is busy (a call from within a body, or from
/// another thread) the caller runs every part itself, as thread 0.
void ck_team_run(ck_team *team, ck_team_body body, void *context, int32_t parts);
/// Ends and joins the threads.
void ck_team_destroy(ck_team *team);

#ifdef __cplusplus
}
#endif
#endif
