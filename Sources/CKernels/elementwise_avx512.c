// Activations, sums, conversions: AVX-512.
#if defined(__x86_64__)
#include "lanes_avx512.h"

#include "elementwise_body.h"

CK_LEVEL_END
#endif
