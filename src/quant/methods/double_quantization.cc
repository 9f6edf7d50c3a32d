#include "quant/methods/double_quantization.h"

#include <algorithm>
#include <cmath>

namespace aquatint::quant {
namespace {

constexpr int64_t kScalesPerSuper = 256;
constexpr int kExponents = 7;

// n evenly spaced values from 0.1 to 1, counted from the nearer end and rounded once, as torch.linspace does.
float linspace(int i, int n) {
  const float step = (1.0f - 0.1f) / static_cast<float>(n - 1);
  return i < n / 2 ? std::fma(step, static_cast<float>(i), 0.1f)
                   : std::fma(-step, static_cast<float>(n - 1 - i), 1.0f);
}

std::array<float, 256> make_dynamic_map() {
  std::array<float, 256> map{};
  size_t count = 0;
  for (int exponent = 0; exponent < kExponents; ++exponent) {
    const int fractions = 1 << exponent;
    const float decade = static_cast<float>(std::pow(10.0, exponent - (kExponents - 1)));
    for (int i = 0; i < fractions; ++i) {
      const float mean = (linspace(i, fractions + 1) + linspace(i + 1, fractions + 1)) / 2.0f;
      map[count++] = decade * mean;
      map[count++] = -(decade * mean);
    }
  }
  map[count++] = 0.0f;
  map[count++] = 1.0f;
  std::sort(map.begin(), map.end());
  return map;
}

uint8_t nearest_code(const std::array<float, 256>& map, float value) {
  const auto above = std::lower_bound(map.begin(), map.end(), value);
  if (above == map.begin()) return 0;
  if (above == map.end()) return 255;
  const auto below = above - 1;
  return static_cast<uint8_t>((value > (*below + *above) * 0.5f ? above : below) - map.begin());
}

}  // namespace

const std::array<float, 256>& dynamic_map() {
  static const std::array<float, 256> map = make_dynamic_map();
  return map;
}

tensor::Scales double_quantize(const std::vector<float>& scales) {
  const auto& map = dynamic_map();
  const auto count = static_cast<int64_t>(scales.size());
  double sum = 0;
  for (const float scale : scales) sum += scale;
  const float offset = count > 0 ? static_cast<float>(sum / static_cast<double>(count)) : 0.0f;

  tensor::Scales result;
  result.format = &numeric::uint8;
  result.table.assign(map.begin(), map.end());
  result.super_format = &numeric::fp32;
  result.per_super = kScalesPerSuper;
  result.offset = offset;
  result.codes = tensor::Storage::owned(static_cast<size_t>(count));
  std::vector<float> super(static_cast<size_t>(base::ceil_div(count, kScalesPerSuper)));
  for (int64_t begin = 0; begin < count; begin += kScalesPerSuper) {
    const int64_t end = std::min(count, begin + kScalesPerSuper);
    float largest = 0;
    for (int64_t i = begin; i < end; ++i)
      largest = std::max(largest, std::fabs(scales[static_cast<size_t>(i)] - offset));
    super[static_cast<size_t>(begin / kScalesPerSuper)] = largest;
    const float inverse = 1.0f / std::max(largest, 1e-38f);
    for (int64_t i = begin; i < end; ++i)
      result.codes.mutable_u8()[i] = nearest_code(map, (scales[static_cast<size_t>(i)] - offset) * inverse);
  }
  result.super = tensor::Storage::copy_of(std::span<const float>(super));
  return result;
}

}  // namespace aquatint::quant
