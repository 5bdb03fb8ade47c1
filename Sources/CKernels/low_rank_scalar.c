// Low-rank changes: plain C.
#include "lanes_scalar.h"

#include "low_rank_body.h"

CK_LEVEL_END
