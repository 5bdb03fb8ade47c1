// Matrix product with float weights: AVX2.
#if defined(__x86_64__)
#include "lanes_avx2.h"

// Eight chains keep both multipliers busy; twelve of the sixteen registers are for sums.
#define CK_TALLEST 6
#define CK_PANELS(rows) ((rows) == 1 ? 4 : (rows) <= 3 ? 2 : 1)
#define CK_TILES TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#include "matmul_float_body.h"

CK_LEVEL_END
#endif
