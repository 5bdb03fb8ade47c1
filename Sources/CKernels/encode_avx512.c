// Weights to the blocks of GGUF files: AVX-512.
#include "lanes_avx512.h"

#include "encode_body.h"

CK_LEVEL_END
