// Matrix product with float weights: NEON.
#if defined(__aarch64__)
#include "lanes_neon.h"

// Sixteen of 32 registers are for sums, four a vector.
#define CK_TALLEST 4
#define CK_PANELS(rows) ((rows) == 1 ? 4 : (rows) == 2 ? 2 : 1)
#define CK_TILES TILE(1) TILE(2) TILE(3) TILE(4)
#include "matmul_float_body.h"

CK_LEVEL_END
#endif
