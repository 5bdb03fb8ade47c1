// Activations, sums, conversions: plain C.
#include "lanes_scalar.h"

#include "elementwise_body.h"

CK_LEVEL_END
