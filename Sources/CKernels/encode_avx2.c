// Weights to the blocks of GGUF files: AVX2.
#if defined(__x86_64__)
#include "lanes_avx2.h"

#include "encode_body.h"

CK_LEVEL_END
#endif
