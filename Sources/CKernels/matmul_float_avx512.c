// Matrix product with float weights: AVX-512, tiles of 8 rows × 2 panels.
#include "lanes_avx512.h"

#define CK_TILE_ROWS 8
#define CK_TILE_PANELS 2
#include "matmul_float_body.h"

CK_LEVEL_END
