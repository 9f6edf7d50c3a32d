// The large ones of linear_algebra.h where the kernels' memory is a device's. Operands and results lie on the
// host; what products are made of is copied to the device and stays there as long as it is needed, panels of
// a factorization, which are small, are the host's. OutOfResource where the device has no room.
#pragma once
#include "quant/linear_algebra.h"

namespace aquatint::quant::device {

// Both triangles where a and b are the same, to the rounding of sums.
void add_cross(View<const float> a, View<const float> b, View<float> out, const model::Backend& backend);
// The same of a and b in the device's memory.
void add_placed_cross(View<const float> a, View<const float> b, View<float> out,
                      const model::Backend& backend);

std::optional<base::HugeVector<float>> inverse_cholesky(std::span<const float> a, int64_t n, double added,
                                                        const model::Backend& backend);

double quadratic_form(std::span<const float> w, std::span<const float> h, int64_t n,
                      const model::Backend& backend);

}  // namespace aquatint::quant::device
