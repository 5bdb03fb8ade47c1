// Norms, softmax, log-sum-exp, argmax: AVX2.
#include "lanes_avx2.h"

#include "rows_body.h"

CK_LEVEL_END
