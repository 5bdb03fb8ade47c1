// Rotary position embedding: AVX-512.
#if defined(__x86_64__)
#include "lanes_avx512.h"

#include "rope_body.h"

CK_LEVEL_END
#endif
