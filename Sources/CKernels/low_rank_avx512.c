// Low-rank changes: AVX-512.
#include "lanes_avx512.h"

#include "low_rank_body.h"

CK_LEVEL_END
