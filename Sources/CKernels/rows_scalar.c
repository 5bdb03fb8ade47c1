// Norms, softmax, log-sum-exp, argmax: plain C.
#include "lanes_scalar.h"

#include "rows_body.h"

CK_LEVEL_END
