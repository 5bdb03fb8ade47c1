// Attention over the paged cache: AVX-512.
#include "lanes_avx512.h"

#include "attention_body.h"

CK_LEVEL_END
