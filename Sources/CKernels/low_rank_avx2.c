// Low-rank changes: AVX2.
#if defined(__x86_64__)
#include "lanes_avx2.h"

#include "low_rank_body.h"

CK_LEVEL_END
#endif
