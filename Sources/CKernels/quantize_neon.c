// Activation rows to int8: NEON.
#if defined(__aarch64__)
#include "lanes_neon.h"

#include "quantize_body.h"

CK_LEVEL_END
#endif
