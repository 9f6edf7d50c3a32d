#include "kernels/cuda/linear_rule.h"

#include <cmath>

namespace aquatint::kernels::cuda {
namespace {

using numeric::ActivationScheme;
using numeric::Format;

Grid grid_of(const Format& format) {
  Grid g;
  g.high = format.max;
  g.integer = format.kind == numeric::Kind::integer;
  g.low = g.integer ? -static_cast<float>(1 << (format.bits - 1)) : -format.max;
  if (g.integer) return g;
  const float next = format.decode(format.encode(1.0f) + 1);
  g.mantissa = -std::ilogb(next - 1.0f);
  g.exponent = std::ilogb(format.smallest) + g.mantissa;
  return g;
}

}  // namespace

InputRule input_rule(const ActivationScheme& scheme, Precision precision, bool blocks) {
  InputRule r;
  r.to_bf16 = precision != Precision::fp32;
  r.blocks = blocks;
  if (!scheme.format) return r;
  const Format& format = *scheme.format;
  const bool integer = format.kind == numeric::Kind::integer;
  r.grid = grid_of(format);
  r.threshold = scheme.outlier_threshold;
  r.constant = scheme.static_scale;
  r.range = r.threshold > 0 || !integer ? format.max : static_cast<float>((1 << format.bits) - 1) / 2.0f;
  if (scheme.granularity != numeric::Granularity::group || scheme.group <= 0 || !scheme.dynamic) {
    r.scale = scheme.dynamic ? InputScale::token : InputScale::constant;
    return r;
  }
  r.scale = InputScale::groups;
  r.group = scheme.group;
  r.group_scale = scheme.scale_format == &numeric::e8m0       ? GroupScale::power
                  : scheme.scale_format == &numeric::fp8_e4m3 ? GroupScale::e4m3
                                                              : GroupScale::plain;
  r.kept_bits = format.bits == 6 ? 3 : 1;  // as numeric::mx_scale
  r.top_exponent = std::ilogb(format.max);
  return r;
}

}  // namespace aquatint::kernels::cuda
