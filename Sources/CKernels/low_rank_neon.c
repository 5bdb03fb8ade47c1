// Low-rank changes: NEON.
#if defined(__aarch64__)
#include "lanes_neon.h"

#include "low_rank_body.h"

CK_LEVEL_END
#endif
