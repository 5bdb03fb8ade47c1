// Matrix product with float weights: AVX2, tiles of 6 rows × 1 panels.
#include "lanes_avx2.h"

#define CK_TILE_ROWS 6
#define CK_TILE_PANELS 1
#include "matmul_float_body.h"

CK_LEVEL_END
