// How a matrix is packed: which form, which scales, where they stand.
#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "kernels/packed.h"

namespace aquatint::kernels {
namespace {

using numeric::Kind;
using tensor::QuantizedMatrix;

constexpr int64_t kSmallestGroup = 16;

// Columns along a row that share a block, if constant and simple to walk; 0 otherwise.
int64_t run_length(const QuantizedMatrix& m) {
  const int64_t run = m.flat_block > 0 ? m.flat_block : std::min(m.block_cols, m.cols);
  if (run == m.cols) return run;
  const bool simple =
      run >= kSmallestGroup && std::has_single_bit(static_cast<uint64_t>(run)) && m.cols % run == 0;
  return simple ? run : 0;
}

// Formats whose values are all E4M3's, so that its codes can stand for theirs.
bool fits_e4m3(const numeric::Format& format) {
  return format.kind == Kind::floating && format.bits <= 8 &&
         std::all_of(format.table().begin(), format.table().end(), [](float v) {
           return numeric::fp8_e4m3.decode(numeric::fp8_e4m3.encode(v)) == v || std::isnan(v);
         });
}

Form choose_form(const QuantizedMatrix& m, Precision precision) {
  if (precision == Precision::fp32) {
    const bool exact = m.plain() && !m.low_rank && m.format == &numeric::bf16;
    return exact ? Form::bf16 : Form::f32;
  }
  const bool zero_points = !m.zero_points.empty(), minima = m.minima.present();
  const int64_t run = run_length(m);
  if (m.plain() || run == 0 || (zero_points && minima) || m.format->bits > 8) return Form::bf16;
  if (m.format->kind == Kind::integer) {
    if (m.format->bits <= 4) return Form::bits4;
    const Form exact = m.format->bits == 5 ? Form::bits5 : m.format->bits == 6 ? Form::bits6 : Form::bits8;
    const bool whole_runs = run == m.cols || run % run_columns(exact) == 0;
    return whole_runs ? exact : Form::bits8;
  }
  if (zero_points || minima) return Form::bf16;
  if (m.format->bits <= 4) return Form::bits4;
  return fits_e4m3(*m.format) ? Form::fp8 : Form::bf16;
}

// Two levels as GGUF's K-quants have them: FP16 for each run of blocks times a small integer for each block.
bool is_super(const QuantizedMatrix& m) {
  const auto fits = [](const tensor::Scales& s) {
    return s.super_format == &numeric::fp16 && s.table.empty() && s.offset == 0 && s.format->kind == Kind::integer &&
           s.format->bits <= 8 && s.format->max <= 127;
  };
  const int64_t run = run_length(m);
  if (!m.zero_points.empty() || run == m.cols || !fits(m.scales) || m.flat_block > 0 || m.block_rows != 1) return false;
  if (m.minima.present() && (!fits(m.minima) || m.minima.per_super != m.scales.per_super)) return false;
  return m.cols % (run * m.scales.per_super) == 0;
}

// The narrowest type that holds every scale and offset exactly.
ScaleType choose_scale_type(const QuantizedMatrix& m, Form form) {
  if (form == Form::f32 || form == Form::bf16) return ScaleType::none;
  if (m.scales.super_format && is_super(m)) return ScaleType::super;
  const auto stored_as = [](const tensor::Scales& s, const numeric::Format& format) {
    return !s.present() || (s.format == &format && !s.super_format && s.table.empty() && s.offset == 0);
  };
  constexpr int kExactZeroPoint = 256;  // in BF16
  const bool small = std::all_of(m.zero_points.begin(), m.zero_points.end(),
                                 [](int16_t z) { return -kExactZeroPoint <= z && z <= kExactZeroPoint; });
  if (small && stored_as(m.scales, numeric::fp16) && stored_as(m.minima, numeric::fp16)) return ScaleType::fp16;
  if (small && stored_as(m.scales, numeric::bf16) && stored_as(m.minima, numeric::bf16)) return ScaleType::bf16;
  return ScaleType::f32;
}

// The smallest factor that turns all values into integers (up to FP32's rounding of a codebook's fractions), or the
// one that puts the largest at 2047.
float integer_factor(const std::array<float, 16>& values, float largest) {
  constexpr float kLargest = 2047;
  for (int factor = 1; static_cast<float>(factor) * largest <= kLargest && factor <= 256; ++factor)
    if (std::all_of(values.begin(), values.end(), [&](float v) {
          const float scaled = v * static_cast<float>(factor);
          return std::fabs(scaled - std::nearbyint(scaled)) <= std::fabs(scaled) * 0x1p-20f;
        }))
      return static_cast<float>(factor);
  return kLargest / largest;
}

void plan_codes(const QuantizedMatrix& m, Block& b) {
  const std::span<const float> values = m.format->table();
  if (m.format->kind == Kind::integer) {
    b.bias = m.format->decode((1u << m.format->bits) - 1) < 0 ? 1 << (m.format->bits - 1) : 0;
    for (size_t i = 0; i < 16; ++i) b.table[i] = static_cast<float>(static_cast<int>(i) - b.bias);
    return;
  }
  if (b.form != Form::bits4) return;
  b.codebook = true;
  std::copy(values.begin(), values.end(), b.table.begin());
  const float factor = integer_factor(b.table, m.format->max);
  b.unit = 1 / factor;
  for (size_t i = 0; i < 16; ++i) b.integers[i] = static_cast<int16_t>(std::lrint(b.table[i] * factor));
}

void plan_segments(const QuantizedMatrix& m, Block& b) {
  b.header_bytes = 0;
  if (b.scale_type == ScaleType::super) {
    b.segment_groups = m.scales.per_super;
  } else if (b.scale_type != ScaleType::none) {
    const int64_t bytes = b.scale_bytes() * (b.offset == Offset::none ? 1 : 2);
    b.segment_groups = b.groups > 1 ? std::max<int64_t>(1, kLine / bytes) : 1;
  }
  if (b.scale_type != ScaleType::none) {
    const int64_t vectors = b.segment_groups * (b.offset == Offset::none ? 1 : 2);
    b.header_bytes = base::round_up(b.super_bytes() + vectors * b.scale_bytes(), kLine);
  }
  b.segment_bytes = b.header_bytes + bytes_of_columns(b.form, b.segment_groups * b.group);
  const int64_t segments = base::ceil_div(b.groups, b.segment_groups);
  b.strip_bytes = segments * b.header_bytes + bytes_of_columns(b.form, b.depth);
}

}  // namespace

Block plan_block(const QuantizedMatrix& m, Precision precision, int64_t depth) {
  Block b;
  b.rows = m.rows;
  b.strips = base::ceil_div(m.rows, kStrip);
  b.form = choose_form(m, precision);
  b.scale_type = choose_scale_type(m, b.form);
  b.depth = b.group = depth;
  if (b.scale_type != ScaleType::none) {
    if (const int64_t run = run_length(m); run < m.cols) b.group = run;
    b.groups = base::ceil_div(depth, b.group);
    if (m.minima.present()) b.offset = Offset::minimum;
    if (!m.zero_points.empty()) b.offset = Offset::zero_point;
    plan_codes(m, b);
  }
  plan_segments(m, b);
  return b;
}

}  // namespace aquatint::kernels
