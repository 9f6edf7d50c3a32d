// What ptx/pairs.h says: FP32 arithmetic holds products and sums of BF16 exactly enough to round once.
#include "kernels/cuda/ptx/pairs.h"
#include "numeric/format.h"

namespace aquatint::kernels::cuda::ptx {
namespace {

template <class F>
uint32_t each_half(uint32_t a, uint32_t b, F f) {
  uint32_t d = 0;
  for (int half = 0; half < 2; ++half) {
    const double x = numeric::bf16_to_float(static_cast<uint16_t>(a >> 16 * half)),
                 y = numeric::bf16_to_float(static_cast<uint16_t>(b >> 16 * half));
    d |= static_cast<uint32_t>(numeric::float_to_bf16(static_cast<float>(f(x, y)))) << 16 * half;
  }
  return d;
}

}  // namespace

uint32_t sub_bf16(uint32_t a, uint32_t b) {
  return each_half(a, b, [](double x, double y) { return x - y; });
}
uint32_t mul_bf16(uint32_t a, uint32_t b) {
  return each_half(a, b, [](double x, double y) { return x * y; });
}
uint32_t to_bf16(float low, float high) {
  return numeric::float_to_bf16(low) | static_cast<uint32_t>(numeric::float_to_bf16(high)) << 16;
}
float from_fp16(uint32_t bits) { return numeric::fp16_to_float(static_cast<uint16_t>(bits)); }

}  // namespace aquatint::kernels::cuda::ptx
