// Weights that are not numbers, found at load instead of as garbage in the output.
#pragma once
#include <string>

#include "base/thread_pool.h"
#include "tensor/quantized_matrix.h"

namespace aquatint::model {

// Throws BadInput naming `tensor`, `where` and the first position whose value is NaN or infinite. Codes that
// cannot be either are not looked at, so most quantized matrices cost one look at each scale.
void check_finite(const tensor::QuantizedMatrix& matrix, const std::string& tensor, const std::string& where,
                  base::ThreadPool& pool);
// The same for rows [begin, end).
void check_finite(const tensor::QuantizedMatrix& matrix, int64_t begin, int64_t end,
                  const std::string& tensor, const std::string& where, base::ThreadPool& pool);
void check_finite(const std::vector<float>& values, const std::string& tensor, const std::string& where);

}  // namespace aquatint::model
