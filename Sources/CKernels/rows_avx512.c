// Norms, softmax, log-sum-exp, argmax: AVX-512.
#include "lanes_avx512.h"

#include "rows_body.h"

CK_LEVEL_END
