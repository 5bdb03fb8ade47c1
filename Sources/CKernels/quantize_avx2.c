// Activation rows to int8: AVX2.
#if defined(__x86_64__)
#include "lanes_avx2.h"

#include "quantize_body.h"

CK_LEVEL_END
#endif
