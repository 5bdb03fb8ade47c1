// Activation rows to int8: AVX2.
#include "lanes_avx2.h"

#include "quantize_body.h"

CK_LEVEL_END
