// Bytes of weights and of the cache, exactly as quantize writes them and as kernels hold them.
#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "plan/choice.h"
#include "quant/recipe.h"

namespace aquatint::plan {
namespace {

using numeric::Granularity;

constexpr int64_t kScalesPerSuper = 256;  // bitsandbytes' second level
constexpr int64_t kKeyGroup = 64;         // positions of int4 keys under one scale (kernels/ops.h)
constexpr double kCachePair = 4;          // bytes of a BF16 scale and minimum

int64_t blocks_of(int64_t rows, int64_t cols, const numeric::WeightScheme& scheme) {
  const int64_t group = scheme.group;
  switch (scheme.granularity) {
    case Granularity::tensor:
      return 1;
    case Granularity::group:
      return rows * base::ceil_div(cols, group);
    case Granularity::block:
      return base::ceil_div(rows, group) * base::ceil_div(cols, group);
    case Granularity::flat:
      return base::ceil_div(rows * cols, group);
    default:
      return rows;
  }
}

double plain_bytes(const Matrices& m, const Choice& choice) { return m.weights() * choice.plain->bytes(); }

double quantized_bytes(const Shape& shape, const Choice& choice) {
  const numeric::WeightScheme scheme = fitted_weights(shape, choice);
  double total = 0;
  for (const Matrices& m : shape.matrices)
    if (m.quantized()) total += static_cast<double>(m.count) * matrix_bytes(m.rows, m.cols, scheme);
  return total;
}

// What stands beside the codes of one token's vector.
double cache_scale_bytes(const numeric::KvScheme& cache, int64_t width) {
  if (!cache.dynamic) return 0;
  if (cache.format->bits > 4) return sizeof(float);
  return (static_cast<double>(width) * kCachePair / kKeyGroup + kCachePair) / 2;  // keys; values
}

double layer_bytes(const CacheLayers& layers, const Choice& choice) {
  const int bits = choice.cache ? choice.cache->format->bits : 16;
  const double scale = choice.cache ? cache_scale_bytes(*choice.cache, layers.width) : 0;
  return static_cast<double>(layers.layers * layers.vectors) *
         (static_cast<double>(layers.width) * bits / 8 + scale);
}

}  // namespace

double matrix_bytes(int64_t rows, int64_t cols, const numeric::WeightScheme& scheme) {
  const int64_t blocks = blocks_of(rows, cols, scheme), bits = scheme.format->bits;
  int64_t bytes = base::ceil_div(rows * cols * bits, int64_t{8});
  if (scheme.double_quantized)
    bytes += blocks + base::ceil_div(blocks, kScalesPerSuper) * static_cast<int64_t>(sizeof(float));
  else
    bytes += blocks * scheme.scale_format->bytes();
  if (scheme.has_divisor() && scheme.constant_divisor == 0) bytes += static_cast<int64_t>(sizeof(float));
  if (scheme.minima)
    bytes += blocks * scheme.scale_format->bytes();
  else if (!scheme.symmetric)
    bytes += base::ceil_div(blocks * bits, int64_t{8});
  return static_cast<double>(bytes);
}

int group_of(const Shape& shape, const Choice& choice) {
  if (!choice.quantized()) return 0;
  const numeric::WeightScheme& scheme = choice.scheme->weights;
  if (scheme.granularity != Granularity::group && scheme.granularity != Granularity::block)
    return scheme.group;
  std::vector<int64_t> widths;
  for (const Matrices& m : shape.matrices)
    if (m.quantized()) widths.push_back(m.cols);
  return quant::choose_group(scheme.group, widths);
}

numeric::WeightScheme fitted_weights(const Shape& shape, const Choice& choice) {
  if (!choice.quantized()) return {};
  numeric::WeightScheme scheme = choice.scheme->weights;
  scheme.group = group_of(shape, choice);
  return scheme;
}

double weight_bytes(const Shape& shape, const Choice& choice) {
  double total = shape.vectors * choice.plain->bytes();
  for (const Matrices& m : shape.matrices) {
    if (m.part == Part::head && shape.tied_embeddings) continue;
    if (!choice.quantized() || !m.quantized()) total += plain_bytes(m, choice);
  }
  return choice.quantized() ? total + quantized_bytes(shape, choice) : total;
}

double bits_per_weight(const Shape& shape, const Choice& choice) {
  return choice.quantized() ? 8 * quantized_bytes(shape, choice) / shape.quantized_weights()
                            : choice.plain->bits;
}

double cache_bytes_per_token(const Shape& shape, const Choice& choice) {
  double total = 0;
  for (const CacheLayers& layers : shape.cache) total += layer_bytes(layers, choice);
  return total;
}

double cache_bytes(const Shape& shape, const Choice& choice, double context) {
  double total = 0;
  for (const CacheLayers& layers : shape.cache) {
    const double kept = layers.window > 0 ? std::min(context, static_cast<double>(layers.window)) : context;
    total += kept * layer_bytes(layers, choice);
  }
  return total;
}

}  // namespace aquatint::plan
