// Activation rows to int8: plain C.
#include "lanes_scalar.h"

#include "quantize_body.h"

CK_LEVEL_END
