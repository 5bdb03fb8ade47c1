// Norms, softmax, log-sum-exp, argmax: AVX2.
#if defined(__x86_64__)
#include "lanes_avx2.h"

#include "rows_body.h"

CK_LEVEL_END
#endif
