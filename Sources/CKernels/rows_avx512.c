// Norms, softmax, log-sum-exp, argmax: AVX-512.
#if defined(__x86_64__)
#include "lanes_avx512.h"

#include "rows_body.h"

CK_LEVEL_END
#endif
