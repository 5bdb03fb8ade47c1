// Attention over the paged cache: NEON.
#if defined(__aarch64__)
#include "lanes_neon.h"

#include "attention_body.h"

CK_LEVEL_END
#endif
