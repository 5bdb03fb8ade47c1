// Activation rows to int8: AVX-512.
#if defined(__x86_64__)
#include "lanes_avx512.h"

#include "quantize_body.h"

CK_LEVEL_END
#endif
