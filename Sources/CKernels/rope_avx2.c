// Rotary position embedding: AVX2.
#if defined(__x86_64__)
#include "lanes_avx2.h"

#include "rope_body.h"

CK_LEVEL_END
#endif
