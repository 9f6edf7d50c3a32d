#include "kernels/input_rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace aquatint::kernels {

using numeric::ActivationScheme;
using numeric::Format;
using numeric::Granularity;

namespace {

bool in_groups(const ActivationScheme& scheme) {
  return scheme.granularity == Granularity::group && scheme.group > 0 && scheme.dynamic &&
         scheme.format->kind == numeric::Kind::floating;
}

float group_scale(const ActivationScheme& scheme, float largest) {
  if (scheme.scale_format == &numeric::e8m0) return numeric::mx_scale(largest, *scheme.format);
  if (scheme.scale_format != &numeric::fp8_e4m3) return input_scale(scheme, largest);
  const Format& e4m3 = numeric::fp8_e4m3;
  const float scale = e4m3.decode(e4m3.encode(scheme.static_scale * (largest / scheme.format->max)));
  return (scale == 0 ? 0.125f : scale) / scheme.static_scale;
}

float to_precision(Precision precision, float x) {
  return precision == Precision::fp32 ? x : numeric::bf16_to_float(numeric::float_to_bf16(x));
}

void round_groups(const ActivationScheme& scheme, Precision precision, int64_t cols, float* values) {
  for (int64_t begin = 0; begin < cols; begin += scheme.group) {
    const int64_t end = std::min(begin + scheme.group, cols);
    float largest = 0;
    for (int64_t i = begin; i < end; ++i) largest = std::max(largest, std::fabs(values[i]));
    const float scale = group_scale(scheme, largest);
    for (int64_t i = begin; i < end; ++i) {
      const float rounded = scheme.format->decode(scheme.format->encode(values[i] / scale)) * scale;
      values[i] = to_precision(precision, rounded);
    }
  }
}

}  // namespace

void check_input_scheme(const ActivationScheme& scheme) {
  const Format* format = scheme.format;
  if (!format) return;
  const bool known_kind = format->bits <= 8 && format->kind != numeric::Kind::codebook;
  if (!known_kind || format->decode(format->encode(-1.0f)) != -1.0f)
    throw base::BadInput(
        fmt::format("linear input format {} is not supported; use int8 or fp8_e4m3", format->name));
  const bool whole_rows = scheme.granularity == Granularity::token || !scheme.dynamic;
  if (!whole_rows && !in_groups(scheme))
    throw base::BadInput(
        fmt::format("dynamic {} inputs need one scale per token, or floats in groups", format->name));
  const bool outliers = scheme.outlier_threshold != 0;
  if (outliers && !(format == &numeric::int8 && scheme.granularity == Granularity::token &&
                    scheme.outlier_threshold > 0 && std::isfinite(scheme.outlier_threshold)))
    throw base::BadInput(
        fmt::format("outliers from {} of {} inputs are not supported, expected a positive threshold of int8 "
                    "inputs per token",
                    scheme.outlier_threshold, format->name));
  if (scheme.needs_calibration() && !(scheme.static_scale > 0 && std::isfinite(scheme.static_scale)))
    throw base::BadInput(
        fmt::format("the static input scale is {}, expected a positive number", scheme.static_scale));
}

float input_scale(const ActivationScheme& scheme, float largest) {
  if (!scheme.dynamic) return scheme.static_scale;
  const Format& format = *scheme.format;
  const bool integer = format.kind == numeric::Kind::integer;
  const float range = scheme.outlier_threshold > 0 || !integer
                          ? format.max
                          : static_cast<float>((1 << format.bits) - 1) / 2.0f;
  const float scale = largest / range;
  return scale == 0 ? std::numeric_limits<float>::epsilon() : scale;
}

void round_blocks(const float* x, int64_t cols, float* values) {
  for (int64_t begin = 0; begin < cols; begin += kInputBlock) {
    const int64_t end = std::min(begin + kInputBlock, cols);
    float largest = 0;
    for (int64_t i = begin; i < end; ++i) largest = std::max(largest, std::fabs(x[i]));
    const float scale = largest / 127.0f, inverse = largest > 0x1p-100f ? 127.0f / largest : 0.0f;
    for (int64_t i = begin; i < end; ++i) values[i] = std::nearbyint(x[i] * inverse) * scale;
  }
}

float outlier_of(const ActivationScheme& scheme, Precision precision, float x) {
  const float value = to_precision(precision, x);
  return scheme.outlier_threshold > 0 && std::fabs(value) >= scheme.outlier_threshold ? value : 0.0f;
}

float round_input(const ActivationScheme& scheme, Precision precision, const float* x, int64_t cols,
                  float* values) {
  for (int64_t i = 0; i < cols; ++i) {
    values[i] = to_precision(precision, x[i]);
    if (outlier_of(scheme, precision, values[i]) != 0) values[i] = 0;
  }
  if (!scheme.format) return 1.0f;
  if (in_groups(scheme)) {
    round_groups(scheme, precision, cols, values);
    return 1.0f;
  }
  float largest = 0;
  for (int64_t i = 0; i < cols; ++i) largest = std::max(largest, std::fabs(values[i]));
  const float scale = input_scale(scheme, largest);
  for (int64_t i = 0; i < cols; ++i)
    values[i] = scheme.format->decode(scheme.format->encode(values[i] / scale));
  return scale;
}

}  // namespace aquatint::kernels
