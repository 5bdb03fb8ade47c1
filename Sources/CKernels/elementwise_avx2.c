// Activations, sums, conversions: AVX2.
#include "lanes_avx2.h"

#include "elementwise_body.h"

CK_LEVEL_END
