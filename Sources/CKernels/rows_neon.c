// Norms, softmax, log-sum-exp, argmax: NEON.
#if defined(__aarch64__)
#include "lanes_neon.h"

#include "rows_body.h"

CK_LEVEL_END
#endif
