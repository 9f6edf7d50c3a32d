#include "kernels/packed.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "kernels/arena.h"
#include "kernels/input_rounding.h"

namespace aquatint::kernels {
namespace {

using numeric::Kind;
using tensor::QuantizedMatrix;

constexpr int kNibbleOfColumn[8] = {0, 2, 4, 6, 1, 3, 5, 7};  // column k + i sits in this nibble

// Columns along a row that share a block, if constant and simple to walk; 0 otherwise.
int64_t run_length(const QuantizedMatrix& m) {
  const int64_t run = m.flat_block > 0 ? m.flat_block : std::min(m.block_cols, m.cols);
  if (run == m.cols) return run;
  const bool simple = run >= 16 && std::has_single_bit(static_cast<uint64_t>(run)) && m.cols % run == 0;
  return simple ? run : 0;
}

bool is_unsigned8(const numeric::Format& format) { return format.bits == 8 && format.decode(255) == 255.0f; }

Form choose_form(const QuantizedMatrix& m, Precision precision) {
  if (precision == Precision::fp32) return Form::f32;
  const bool both_offsets = !m.zero_points.empty() && m.minima.present();
  const bool shifted_minimum =
      is_unsigned8(*m.format) && m.minima.present();  // 128 · scale + minimum is not exact
  if (m.plain() || run_length(m) == 0 || both_offsets || shifted_minimum) return Form::bf16;
  if (m.format->bits <= 4) return Form::codes4;
  if (m.format->kind == Kind::integer && m.format->bits <= 8) return Form::int8;
  if (m.format == &numeric::fp8_e4m3) return Form::fp8;
  return Form::bf16;
}

// The narrowest type that holds every scale and offset exactly.
ScaleType choose_scale_type(const QuantizedMatrix& m, Form form) {
  if (form == Form::f32 || form == Form::bf16) return ScaleType::none;
  const auto stored_as = [](const tensor::Scales& s, const numeric::Format& format) {
    return !s.present() || (s.format == &format && !s.super_format && s.table.empty() && s.offset == 0);
  };
  constexpr int kExactZeroPoint = 128;  // with 128 subtracted still exact in BF16
  const bool small = std::all_of(m.zero_points.begin(), m.zero_points.end(),
                                 [](int16_t z) { return -kExactZeroPoint <= z && z <= 2 * kExactZeroPoint; });
  if (small && stored_as(m.scales, numeric::fp16) && stored_as(m.minima, numeric::fp16))
    return ScaleType::fp16;
  if (small && stored_as(m.scales, numeric::bf16) && stored_as(m.minima, numeric::bf16))
    return ScaleType::bf16;
  return ScaleType::f32;
}

Block plan_block(const QuantizedMatrix& m, Precision precision, int64_t depth) {
  Block b;
  b.rows = m.rows;
  b.strips = base::ceil_div(m.rows, kStrip);
  b.form = choose_form(m, precision);
  b.scale_type = choose_scale_type(m, b.form);
  b.group = depth;
  int64_t at = depth / columns_per_line(b.form) * kLine;
  if (b.scale_type != ScaleType::none) {
    if (const int64_t run = run_length(m); run < m.cols) b.group = run;
    b.groups = base::ceil_div(depth, b.group);
    if (m.minima.present())
      b.offset = Offset::minimum;
    else if (!m.zero_points.empty() || is_unsigned8(*m.format))
      b.offset = Offset::zero_point;
    b.scales_at = at;
    at = base::round_up(at + b.groups * b.scale_line(), kLine);
    b.offsets_at = at;
    if (b.offset != Offset::none) at = base::round_up(at + b.groups * b.scale_line(), kLine);
  }
  if (b.form == Form::codes4) {
    const std::span<const float> values = m.format->table();
    std::copy(values.begin(), values.end(), b.table.begin());
  }
  b.sums_at = at;
  b.strip_bytes = at + (b.form == Form::int8 ? kLine : 0);
  return b;
}

void write_scale(const Block& b, std::byte* line, int64_t lane, float value) {
  switch (b.scale_type) {
    case ScaleType::f32:
      base::store(line + lane * 4, value);
      break;
    case ScaleType::fp16:
      base::store(line + lane * 2, numeric::float_to_fp16(value));
      break;
    case ScaleType::bf16:
      base::store(line + lane * 2, numeric::float_to_bf16(value));
      break;
    case ScaleType::none:
      break;
  }
}

void write_scales(const QuantizedMatrix& m, const Block& b, int64_t row, std::byte* strip) {
  const int64_t lane = row % kStrip;
  const float shift = is_unsigned8(*m.format) ? 128.0f : 0.0f;
  for (int64_t g = 0; g * b.group < m.cols; ++g) {
    const int64_t block = m.block_of(row, g * b.group);
    const float scale = m.scales.at(block);
    write_scale(b, strip + b.scales_at + g * b.scale_line(), lane, scale);
    std::byte* offset = strip + b.offsets_at + g * b.scale_line();
    if (b.offset == Offset::minimum) write_scale(b, offset, lane, m.minima.at(block));
    if (b.offset == Offset::zero_point) {
      const float zero =
          m.zero_points.empty() ? 0.0f : static_cast<float>(m.zero_points[static_cast<size_t>(block)]);
      write_scale(b, offset, lane, zero - shift);
    }
  }
}

void write_codes(const QuantizedMatrix& m, const Block& b, int64_t row, std::byte* strip) {
  const int64_t lane = row % kStrip;
  const uint8_t* codes = m.codes.u8() + row * m.cols;
  auto* lines = reinterpret_cast<uint8_t*>(strip);
  if (b.form == Form::codes4) {
    for (int64_t k = 0; k < m.cols; ++k) {
      const int nibble = kNibbleOfColumn[k % 8];
      const int code = codes[k] & ((1 << m.format->bits) - 1);
      lines[k / 8 * kLine + lane * 4 + nibble / 2] |= static_cast<uint8_t>(code << nibble % 2 * 4);
    }
    return;
  }
  const bool integer = b.form == Form::int8;
  const std::span<const float> values = m.format->table();
  const float shift = is_unsigned8(*m.format) ? 128.0f : 0.0f;
  int32_t sum = 0;
  for (int64_t k = 0; k < m.cols; ++k) {
    uint8_t& to = lines[k / 4 * kLine + lane * 4 + k % 4];
    to = codes[k];
    if (!integer) continue;
    const auto value = static_cast<int8_t>(values[codes[k] & ((1u << m.format->bits) - 1)] - shift);
    to = static_cast<uint8_t>(value);
    sum += value;
  }
  if (integer) base::store(strip + b.sums_at + lane * 4, sum);
}

void write_values(const Block& b, const float* values, int64_t cols, int64_t lane, std::byte* strip) {
  if (b.form == Form::f32)
    for (int64_t k = 0; k < cols; ++k) base::store(strip + k * kLine + lane * 4, values[k]);
  else
    for (int64_t k = 0; k < cols; ++k)
      base::store(strip + k / 2 * kLine + lane * 4 + k % 2 * 2, numeric::float_to_bf16(values[k]));
}

void pack_strip(const QuantizedMatrix& m, const Block& b, int64_t index, std::vector<float>& values) {
  std::byte* strip = b.data + index * b.strip_bytes;
  std::memset(strip, 0, static_cast<size_t>(b.strip_bytes));
  for (int64_t row = index * kStrip; row < std::min(m.rows, (index + 1) * kStrip); ++row) {
    if (b.scale_type != ScaleType::none) {
      write_codes(m, b, row, strip);
      write_scales(m, b, row, strip);
    } else {
      values.resize(static_cast<size_t>(m.cols));
      tensor::dequantize(m, row, row + 1, values.data());
      write_values(b, values.data(), m.cols, row % kStrip, strip);
    }
  }
}

}  // namespace

bool Packed::integer() const {
  return input.format == &numeric::int8 && std::all_of(blocks.begin(), blocks.end(), [](const Block& b) {
           return b.form == Form::int8 && b.groups == 1 && b.offset == Offset::none;
         });
}

std::unique_ptr<PackedMatrix> pack_strips(std::span<const QuantizedMatrix* const> parts, Precision precision,
                                          base::ThreadPool& pool) {
  AQ_CHECK(!parts.empty());
  auto packed = std::make_unique<Packed>();
  packed->in_features = parts[0]->cols;
  packed->depth = base::round_up(packed->in_features, kDepthUnit);
  packed->precision = precision;
  packed->input = parts[0]->input;
  check_input_scheme(packed->input);
  for (const QuantizedMatrix* part : parts) {
    AQ_CHECK(part->cols == packed->in_features && part->input == packed->input, "parts share their input");
    Block& b = packed->blocks.emplace_back(plan_block(*part, precision, packed->depth));
    b.first_row = packed->out_features;
    b.first_strip = packed->strips;
    packed->out_features += b.rows;
    packed->strips += b.strips;
    packed->total_bytes += static_cast<uint64_t>(b.strips * b.strip_bytes);
  }
  packed->memory = arena_allocate(packed->total_bytes);
  std::byte* at = packed->memory.get();
  for (Block& b : packed->blocks) {
    b.data = at;
    at += b.strips * b.strip_bytes;
  }
  // Strips are split between threads as linear() splits them, so each thread first touches what it will read.
  pool.parallel_for(packed->strips, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> values;
    for (size_t i = 0; i < parts.size(); ++i) {
      const Block& b = packed->blocks[i];
      const int64_t last = std::min(b.strips, end - b.first_strip);
      for (int64_t s = std::max<int64_t>(0, begin - b.first_strip); s < last; ++s)
        pack_strip(*parts[i], b, s, values);
    }
  });
  return packed;
}

}  // namespace aquatint::kernels
