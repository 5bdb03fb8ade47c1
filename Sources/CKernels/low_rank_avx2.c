// Low-rank changes: AVX2.
#include "lanes_avx2.h"

#include "low_rank_body.h"

CK_LEVEL_END
