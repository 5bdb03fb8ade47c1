// Attention over the paged cache: plain C.
#include "lanes_scalar.h"

#include "attention_body.h"

CK_LEVEL_END
