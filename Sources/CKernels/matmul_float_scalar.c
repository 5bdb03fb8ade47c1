// Matrix product with float weights: plain C, tiles of 1 rows × 1 panels.
#include "lanes_scalar.h"

#define CK_TILE_ROWS 1
#define CK_TILE_PANELS 1
#include "matmul_float_body.h"

CK_LEVEL_END
