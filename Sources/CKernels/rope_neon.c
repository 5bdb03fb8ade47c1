// Rotary position embedding: NEON.
#if defined(__aarch64__)
#include "lanes_neon.h"

#include "rope_body.h"

CK_LEVEL_END
#endif
