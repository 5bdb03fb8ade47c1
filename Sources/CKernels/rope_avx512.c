// Rotary position embedding: AVX-512.
#include "lanes_avx512.h"

#include "rope_body.h"

CK_LEVEL_END
