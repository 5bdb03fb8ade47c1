// Activations, sums, conversions: AVX2.
#if defined(__x86_64__)
#include "lanes_avx2.h"

#include "elementwise_body.h"

CK_LEVEL_END
#endif
