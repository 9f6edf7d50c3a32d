// Weight matrices of every kind the hub can hold, shared by the kernels' tests and benches.
#pragma once
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/rng.h"
#include "tensor/quantized_matrix.h"

namespace aquatint::cases {

// One kind of weight. `group` 0: one scale per row; a negative one: per flat run of that many elements.
struct WeightKind {
  std::string name;
  const numeric::Format* format;
  int group = 0;
  const numeric::Format* scale_format = nullptr;  // null: no scales at all
  enum { none, zero_points, minima } offset = none;
  numeric::ActivationScheme input = {};
  int per_super = 0;     // > 0: scales (and minima) are small integers, that many under one FP16 factor
  bool divided = false;  // scales stand under one FP32 divisor
};

inline std::vector<WeightKind> weight_kinds() {
  using namespace numeric;
  const ActivationScheme int8_token = {&int8, Granularity::token};
  ActivationScheme int8_outliers = int8_token;
  int8_outliers.outlier_threshold = 2.25f;  // one in forty of the tests' inputs
  const ActivationScheme fp8_token = {&fp8_e4m3, Granularity::token};
  ActivationScheme fp8_static = {&fp8_e4m3, Granularity::tensor, false, 0.01f};
  return {
      {"fp32", &fp32},
      {"bf16", &bf16},
      {"fp16", &fp16},
      {"int8_channel", &int8, 0, &fp32},
      {"q8_0", &int8, 32, &fp16},
      {"uint8_zero", &uint8, 64, &fp16, WeightKind::zero_points},
      {"w8a8", &int8, 0, &fp32, WeightKind::none, int8_token},
      {"llm_int8", &int8, 0, &fp32, WeightKind::none, int8_outliers, 0, true},
      {"fp8_channel", &fp8_e4m3, 0, &fp32},
      {"fp8_dynamic", &fp8_e4m3, 0, &fp32, WeightKind::none, fp8_token},
      {"fp8_static", &fp8_e4m3, 0, &fp32, WeightKind::none, fp8_static},
      {"w4a8", &int4, 32, &bf16, WeightKind::none, int8_token},
      {"w4a16", &int4, 64, &bf16},
      {"w4a16_asym", &uint4, 64, &bf16, WeightKind::zero_points},
      {"w4_channel", &int4, 0, &fp32},
      {"q4_0", &int4, 32, &fp16},
      {"q4_1", &uint4, 32, &fp16, WeightKind::minima},
      {"nf4", &nf4, -64, &fp32},
      {"bnb_fp4", &bnb_fp4, -64, &fp32},
      {"fp4_g16", &fp4_e2m1, 16, &fp8_e4m3},
      {"int6_g16", &int6, 16, &fp16},
      {"uint5_min", &uint5, 32, &fp16, WeightKind::minima},
      {"int3", &int3, 64, &bf16},
      {"fp6", &fp6_e2m3, 64, &bf16},
      {"odd_group", &int4, 24, &bf16},
      {"int6_g64", &int6, 64, &fp16},
      {"mxfp4", &fp4_e2m1, 32, &e8m0},
      {"w4a4", &int4, 32, &bf16, WeightKind::none, {&int4, Granularity::token}},
      {"w4afp8", &int4, 64, &bf16, WeightKind::none, fp8_token},
      {"w4a8_fp", &fp4_e2m1, 64, &bf16, WeightKind::none, fp8_token},
      {"fp8_groups", &fp8_e4m3, 0, &fp32, WeightKind::none, {&fp8_e4m3, Granularity::group, true, 0, 32}},
      {"mxfp4_both",
       &fp4_e2m1,
       32,
       &e8m0,
       WeightKind::none,
       {&fp4_e2m1, Granularity::group, true, 0, 32, &e8m0}},
      {"mxfp6", &fp6_e2m3, 32, &e8m0},
      {"mxfp8", &fp8_e4m3, 32, &e8m0, WeightKind::none, {&fp8_e4m3, Granularity::group, true, 0, 32, &e8m0}},
      {"nvfp4",
       &fp4_e2m1,
       16,
       &fp8_e4m3,
       WeightKind::none,
       {&fp4_e2m1, Granularity::group, true, 700, 16, &fp8_e4m3},
       0,
       true},
      {"q4_k", &uint4, 32, &uint6, WeightKind::minima, {}, 2},
      {"q5_k", &uint5, 32, &uint6, WeightKind::minima, {}, 2},
      {"q6_k", &int6, 16, &int8, WeightKind::none, {}, 4},
  };
}

inline void put_code(const numeric::Format& format, uint8_t* codes, int64_t i, uint32_t code) {
  std::memcpy(codes + i * format.bytes(), &code, static_cast<size_t>(format.bytes()));
}

inline tensor::Scales random_scales(const numeric::Format& format, int64_t count, double typical,
                                    base::Rng& rng) {
  tensor::Scales s;
  s.format = &format;
  s.codes = tensor::Storage::owned(static_cast<size_t>(count * format.bytes()));
  for (int64_t i = 0; i < count; ++i)
    put_code(format, s.codes.mutable_u8(), i,
             format.encode(static_cast<float>(typical * (0.5 + rng.uniform()))));
  return s;
}

inline tensor::Scales two_level_scales(const numeric::Format& format, int64_t count, int64_t per_super,
                                       double typical, base::Rng& rng) {
  tensor::Scales s = random_scales(numeric::fp16, count / per_super, typical / 30, rng);
  s.super_format = s.format;
  s.super = s.codes;
  s.per_super = per_super;
  s.format = &format;
  s.codes = tensor::Storage::owned(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    put_code(format, s.codes.mutable_u8(), i, static_cast<uint32_t>(rng.below(60)));
  return s;
}

inline tensor::QuantizedMatrix random_matrix(const WeightKind& kind, int64_t rows, int64_t cols,
                                             uint64_t seed) {
  base::Rng rng(seed);
  tensor::QuantizedMatrix m;
  m.format = kind.format;
  m.rows = rows;
  m.cols = cols;
  m.input = kind.input;
  m.codes = tensor::Storage::owned(static_cast<size_t>(rows * cols * kind.format->bytes()));
  const bool plain = kind.scale_format == nullptr;
  for (int64_t i = 0; i < rows * cols; ++i) {
    const float spread = plain ? 0.05f : kind.format->max / 3;
    put_code(*kind.format, m.codes.mutable_u8(), i,
             kind.format->encode(static_cast<float>(rng.normal()) * spread));
    if (kind.format->kind == numeric::Kind::codebook ||
        kind.format->decode(kind.format->encode(-1.0f)) == 0.0f)
      put_code(*kind.format, m.codes.mutable_u8(), i,
               static_cast<uint32_t>(rng.below(1u << kind.format->bits)));
  }
  m.stored_bytes = m.codes.size();
  if (plain) return m;
  m.block_cols = kind.group > 0 ? kind.group : cols;
  if (kind.group < 0) m.flat_block = -kind.group;
  const auto scales = [&](double typical) {
    return kind.per_super > 0 ? two_level_scales(*kind.scale_format, m.blocks(), kind.per_super, typical, rng)
                              : random_scales(*kind.scale_format, m.blocks(), typical, rng);
  };
  m.scales = scales((kind.divided ? 2688 : 1) * 0.15 / kind.format->max);
  if (kind.divided) {
    const float divisor[] = {2688};
    m.scales.super_format = &numeric::fp32;
    m.scales.super = tensor::Storage::copy_of(std::span<const float>(divisor));
    m.scales.per_super = m.blocks();
    m.scales.super_divides = true;
  }
  if (kind.offset == WeightKind::zero_points)
    for (int64_t i = 0; i < m.blocks(); ++i)
      m.zero_points.push_back(static_cast<int16_t>(rng.below(1u << kind.format->bits)));
  if (kind.offset == WeightKind::minima) {
    m.minima = scales(0.07);
    m.minima.negated = true;
  }
  return m;
}

inline std::vector<float> random_floats(int64_t count, uint64_t seed, double spread = 1.0) {
  base::Rng rng(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = static_cast<float>(rng.normal() * spread);
  return values;
}

}  // namespace aquatint::cases
