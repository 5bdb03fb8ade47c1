// Activations, sums, conversions: AVX-512.
#include "lanes_avx512.h"

#include "elementwise_body.h"

CK_LEVEL_END
