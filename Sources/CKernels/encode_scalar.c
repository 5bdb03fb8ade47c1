// Weights to the blocks of GGUF files: plain C.
#include "lanes_scalar.h"

#include "encode_body.h"

CK_LEVEL_END
