// The tables of all levels and the choice between them, made once.
#include <pthread.h>
#include <stdlib.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "common.h"

#define DECLARE(L)                                                                                                   \
    void ck_quantize_rows_##L(const float *, int64_t, int64_t, int64_t, int64_t, const ck_quantized *);              \
    void ck_matmul_float_##L(const ck_matmul *, int64_t, int64_t, int64_t, int64_t);                                 \
    void ck_matmul_integer_##L(const ck_matmul *, int64_t, int64_t, int64_t, int64_t);                               \
    void ck_add_low_rank_##L(const ck_low_rank *, const float *, float *);                                           \
    void ck_rms_norm_##L(const float *, const float *, float, float *, int64_t);                                     \
    void ck_layer_norm_##L(const float *, const float *, const float *, float, float *, int64_t);                    \
    void ck_rope_halves_##L(float *, int64_t, int64_t, int64_t, const float *, const float *);                       \
    void ck_rope_interleaved_##L(float *, int64_t, int64_t, int64_t, const float *, const float *);                  \
    void ck_silu_product_##L(const float *, const float *, float *, int64_t);                                        \
    void ck_gelu_product_##L(const float *, const float *, float *, int64_t);                                        \
    void ck_gelu_##L(const float *, float *, int64_t);                                                               \
    void ck_add_##L(const float *, const float *, float *, int64_t);                                                 \
    void ck_scale_##L(const float *, float, float *, int64_t);                                                       \
    void ck_softcap_##L(const float *, float, float *, int64_t);                                                     \
    void ck_exponential_##L(const float *, float *, int64_t);                                                        \
    void ck_hyperbolic_tangent_##L(const float *, float *, int64_t);                                                 \
    void ck_softmax_##L(const float *, float *, int64_t);                                                            \
    float ck_log_sum_exp_##L(const float *, int64_t);                                                                \
    int64_t ck_argmax_##L(const float *, int64_t);                                                                   \
    void ck_float_to_half_##L(const float *, uint16_t *, int64_t);                                                   \
    void ck_half_to_float_##L(const uint16_t *, float *, int64_t);                                                   \
    void ck_float_to_bfloat_##L(const float *, uint16_t *, int64_t);                                                 \
    void ck_bfloat_to_float_##L(const uint16_t *, float *, int64_t);                                                 \
    void ck_encode_q8_0_##L(const float *, uint8_t *, int64_t);                                                      \
    void ck_encode_q4_1_##L(const float *, uint8_t *, int64_t);                                                      \
    void ck_attention_##L(const ck_attention *, const ck_attention_tile *, int32_t, int32_t, int32_t, int32_t, float *);

#define TABLE(L, value)                                                                                              \
    static const ck_kernels table_##L = {                                                                            \
        value, ck_quantize_rows_##L, ck_matmul_float_##L, ck_matmul_integer_##L, ck_add_low_rank_##L,                \
        ck_rms_norm_##L, ck_layer_norm_##L, ck_rope_halves_##L, ck_rope_interleaved_##L, ck_silu_product_##L,        \
        ck_gelu_product_##L, ck_gelu_##L, ck_add_##L, ck_scale_##L, ck_softcap_##L, ck_exponential_##L,              \
        ck_hyperbolic_tangent_##L, ck_softmax_##L, ck_log_sum_exp_##L, ck_argmax_##L, ck_float_to_half_##L,          \
        ck_half_to_float_##L, ck_float_to_bfloat_##L, ck_bfloat_to_float_##L, ck_encode_q8_0_##L,                    \
        ck_encode_q4_1_##L, ck_attention_##L};

DECLARE(scalar)
TABLE(scalar, ck_scalar)
#if defined(__x86_64__)
DECLARE(avx2)
TABLE(avx2, ck_avx2)
DECLARE(avx512)
TABLE(avx512, ck_avx512vnni)
#elif defined(__aarch64__)
DECLARE(neon)
TABLE(neon, ck_neon)
#endif

const ck_kernels *ck_kernels_of(ck_level level) {
    if (level == ck_scalar) { return &table_scalar; }
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (level == ck_avx2) { return avx2 ? &table_avx2 : NULL; }
    if (level == ck_avx512vnni) {
        const int wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vnni");
        return avx2 && wide ? &table_avx512 : NULL;
    }
#elif defined(__aarch64__)
    if (level == ck_neon) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? &table_neon : NULL; }
#endif
    return NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const ck_kernels *active;
static ck_selection state;

static void choose(void) {
    static const char *const names[] = {"scalar", "avx2", "avx512vnni", "neon"};
    for (int level = ck_neon; level >= 0 && !active; level--) { active = ck_kernels_of((ck_level)level); }
    const char *wish = getenv("MILLRACE_CPU");
    if (!wish || !*wish) { return; }
    state = ck_unknown_level;
    for (int level = 0; level <= ck_neon; level++) {
        if (strcmp(wish, names[level]) != 0) { continue; }
        const ck_kernels *table = ck_kernels_of((ck_level)level);
        state = table ? ck_selected : ck_unsupported_level;
        if (table) { active = table; }
    }
}

const ck_kernels *ck_active(void) {
    pthread_once(&once, choose);
    return active;
}

ck_selection ck_selection_state(void) {
    pthread_once(&once, choose);
    return state;
}

int64_t ck_attention_scratch(int64_t queries, int32_t head_size) {
    // A span of keys and values, and for each query its state, maximum and sum.
    return 2 * ck_attention_span * (int64_t)head_size + queries * ((head_size + 15) / 16 * 16 + 2);
}
