// Matrix product with float weights: plain C.
#include "lanes_scalar.h"

#define CK_TALLEST 1
#define CK_PANELS(rows) 1
#define CK_TILES TILE(1)
#include "matmul_float_body.h"

CK_LEVEL_END
