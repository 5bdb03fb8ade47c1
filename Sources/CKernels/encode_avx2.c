// Weights to the blocks of GGUF files: AVX2.
#include "lanes_avx2.h"

#include "encode_body.h"

CK_LEVEL_END
