// ggml's block types as QuantizedMatrix, exactly (https://github.com/ggml-org/ggml, src/ggml-common.h):
// sub-block scales are the first level, the block's FP16 scale the second.
#pragma once
#include "base/bytes.h"
#include "checkpoint/gguf.h"
#include "tensor/quantized_matrix.h"

namespace aquatint::checkpoint {

// `data` holds rows · cols / type.block blocks; cols is a multiple of type.block and the type is supported.
// F32, F16 and BF16 borrow `data`; codes of blocks are deferred, and `data` must outlive the matrix too.
tensor::QuantizedMatrix decode_ggml(const GgmlType& type, base::Bytes data, int64_t rows, int64_t cols);

// Row r of the result is row source[r] of m: codes and scales move, nothing is rounded. Every row must hold
// whole blocks.
tensor::QuantizedMatrix permute_rows(const tensor::QuantizedMatrix& m, const std::vector<int64_t>& source);

}  // namespace aquatint::checkpoint
