// Rotary position embedding: plain C.
#include "lanes_scalar.h"

#include "rope_body.h"

CK_LEVEL_END
