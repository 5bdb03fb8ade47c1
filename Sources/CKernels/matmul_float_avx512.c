// Matrix product with float weights: AVX-512.
#if defined(__x86_64__)
#include "lanes_avx512.h"

// Eight chains keep both multipliers busy; twenty-four of the thirty-two registers are for sums.
#define CK_TALLEST 12
#define CK_PANELS(rows) ((rows) <= 4 ? 4 : 2)
#define CK_TILES TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#include "matmul_float_body.h"

CK_LEVEL_END
#endif
