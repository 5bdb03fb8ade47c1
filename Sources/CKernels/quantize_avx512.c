// Activation rows to int8: AVX-512.
#include "lanes_avx512.h"

#include "quantize_body.h"

CK_LEVEL_END
