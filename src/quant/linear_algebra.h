// What calibration computes with matrices, over the kernel set's dense products. Row-major; results do not
// depend on the threads. Own factorizations: libraries choose their kernels by lists of processors, and one
// that a list does not know gets those of 2004 (OpenBLAS 0.3.21 on model 207: 8 times slower).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/huge_vector.h"
#include "model/model.h"

namespace aquatint::quant {

// gram[cols][cols] += xᵀ · x for x [rows][cols], both triangles; x in the kernel set's block fixed point
// (KernelSet::add_cross).
void add_gram(std::span<const float> x, int64_t cols, std::span<float> gram, const model::Backend& backend);
// The same of x in the memory of the backend's device.
void add_placed_gram(const float* x, int64_t rows, int64_t cols, std::span<float> gram,
                     const model::Backend& backend);

// Rows that lie `stride` values apart.
template <class Value>
struct View {
  Value* values;
  int64_t rows, cols, stride;
};

// out += aᵀ · b: of statistics over many tokens, in that block fixed point; of what becomes a weight, in
// FP32.
void add_cross(View<const float> a, View<const float> b, View<float> out, const model::Backend& backend);
void add_cross_fp32(View<const float> a, View<const float> b, View<float> out, const model::Backend& backend);

// a · b for a [rows][n] and square b [n][n].
std::vector<float> product(std::span<const float> a, int64_t rows, std::span<const float> b, int64_t n,
                           const model::Backend& backend);

// The Cholesky factor of an inverse: U upper triangular with Uᵀ U = A⁻¹, what GPTQ feeds errors through
// (Frantar et al., arXiv 2210.17323, step 3). Computed in FP64 as J L⁻¹ J with L Lᵀ = J A J and J the
// reversal, so A⁻¹ itself is never formed. `a` is symmetric [n][n]; `added` goes to its diagonal. nullopt
// when that is not positive definite in FP64.
std::optional<base::HugeVector<float>> inverse_cholesky(std::span<const float> a, int64_t n, double added,
                                                        const model::Backend& backend);

// tr(w · h · wᵀ) for w [rows][n] and symmetric h [n][n].
double quadratic_form(std::span<const float> w, std::span<const float> h, int64_t n,
                      const model::Backend& backend);

}  // namespace aquatint::quant
