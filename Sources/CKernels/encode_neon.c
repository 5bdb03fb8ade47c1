// Weights to the blocks of GGUF files: NEON.
#if defined(__aarch64__)
#include "lanes_neon.h"

#include "encode_body.h"

CK_LEVEL_END
#endif
