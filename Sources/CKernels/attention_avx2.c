// Attention over the paged cache: AVX2.
#include "lanes_avx2.h"

#include "attention_body.h"

CK_LEVEL_END
