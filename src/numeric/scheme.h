// A scheme says which tensors get which format and granularity. Presets carry the names that
// compressed-tensors uses where it has them.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "numeric/format.h"

namespace aquatint::numeric {

// Which numbers share one scale.
enum class Granularity {
  tensor,
  channel,  // one per output row of a weight
  token,    // one per row of an activation
  group,    // runs of `group` along the input dimension
  block,    // group × group tiles
  flat,     // runs of `group` of the flattened tensor (bitsandbytes)
};

// What a linear's input is rounded to before it meets the weight. `format` null: left in 16 or 32 bit.
// Groups have scales of 16 or 32 bits, powers of two (E8M0), or E4M3 over a divisor for the tensor (NVFP4).
struct ActivationScheme {
  const Format* format = nullptr;
  Granularity granularity = Granularity::token;
  bool dynamic = true;  // scale from the values at hand; otherwise a calibrated constant
  // Calibrated, of one matrix, not part of what tells two schemes apart: the scale of the tensor, or, with
  // E4M3 scales, the divisor (448 · 6 / largest input).
  float static_scale = 0;
  int group = 0;
  const Format* scale_format = &fp32;
  // > 0: magnitudes from it on are left out of a token's scale and codes, and meet the weights in 16 bits.
  float outlier_threshold = 0;
  bool operator==(const ActivationScheme&) const = default;
  bool needs_calibration() const { return format && (!dynamic || scale_format == &fp8_e4m3); }
};

// Two factors beside the codes that make up for part of what rounding lost. Integers have one BF16 scale for
// each row of a factor.
struct LowRankScheme {
  int rank = 0;                  // 0: none
  const Format* format = &bf16;  // bf16, fp16, fp32 or int8
  bool operator==(const LowRankScheme&) const = default;
};

struct WeightScheme {
  const Format* format = nullptr;
  Granularity granularity = Granularity::channel;
  int group = 0;  // preset's size; the pipeline lowers it to divide every width
  bool symmetric = true;
  const Format* scale_format = &fp32;  // bf16 becomes fp16 when the model's own 16-bit type is fp16
  bool double_quantized = false;       // bitsandbytes: 8-bit scales in blocks of 256 with an offset
  bool minima = false;  // asymmetric by a real minimum of the scales' type instead of an integer zero-point
  // > 0: of every FP32 scale; bitsandbytes' int8 stores max|w| for the scale max|w| / 127.
  float constant_divisor = 0;
  LowRankScheme low_rank = {};
  bool operator==(const WeightScheme&) const = default;
  // Scales stand under an FP32 divisor of the whole matrix: E4M3 ones, as NVFP4 has it, or all under the
  // same.
  bool has_divisor() const { return scale_format == &fp8_e4m3 || constant_divisor > 0; }
  // No two rows share a scale.
  bool rows_stand_alone() const {
    return granularity == Granularity::channel || granularity == Granularity::group;
  }
  // NVFP4 and the MX formats define their group size.
  bool fixed_group() const { return scale_format->bits == 8; }
};

struct Scheme {
  std::string_view name;
  WeightScheme weights;
  ActivationScheme input;
  std::string_view note;
};

// With another group size, also of the inputs where they follow the weights' (FP8_BLOCK).
Scheme with_group(Scheme scheme, int group);

// Whether matrices of both are stored and used alike: the names and the static scales of single matrices may
// differ.
bool same_form(const Scheme& a, const Scheme& b);

std::span<const Scheme> schemes();  // the presets
// A preset, or one put together in words (composed_scheme.h); nullptr when unknown. Case-insensitive.
const Scheme* find_scheme(std::string_view name);
// The preset with the formats and granularities of `scheme`, whatever the group size, the type of 16- or
// 32-bit scales, the threshold of outliers and the low-rank part; nullptr when there is none.
const Scheme* preset_of(const Scheme& scheme);

}  // namespace aquatint::numeric
