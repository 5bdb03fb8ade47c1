// Activations, sums, conversions: NEON.
#if defined(__aarch64__)
#include "lanes_neon.h"

#include "elementwise_body.h"

CK_LEVEL_END
#endif
