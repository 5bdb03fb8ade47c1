// Rotary position embedding: AVX2.
#include "lanes_avx2.h"

#include "rope_body.h"

CK_LEVEL_END
