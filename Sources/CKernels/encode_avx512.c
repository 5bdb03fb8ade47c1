// Weights to the blocks of GGUF files: AVX-512.
#if defined(__x86_64__)
#include "lanes_avx512.h"

#include "encode_body.h"

CK_LEVEL_END
#endif
