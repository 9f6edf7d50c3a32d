#include "quant/methods/grids.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace aquatint::quant {
namespace {

// Both follow from the table of values: consecutive magnitudes 0, step, 2·step, … up to the first normal
// number.
int count_mantissa_bits(std::span<const float> table) {
  int below_first_doubling = 1;
  const float step = table[1];
  while (table[static_cast<size_t>(below_first_doubling) + 1] -
             table[static_cast<size_t>(below_first_doubling)] ==
         step)
    ++below_first_doubling;
  // Subnormals and the first binade share the step: 2 · 2^mantissa_bits values.
  return std::countr_zero(static_cast<unsigned>(below_first_doubling)) - 1;
}

}  // namespace

FloatGrid::FloatGrid(const numeric::Format& format) : max(format.max) {
  AQ_CHECK(format.kind == numeric::Kind::floating && format.bits <= 8, "{}", format.name);
  const auto table = format.table();
  mantissa_bits = count_mantissa_bits(table);
  const float first_normal = table[1] * static_cast<float>(1 << mantissa_bits);
  smallest_exponent = std::bit_cast<int32_t>(first_normal);
  inverse_step_ = 1.0f / table[1];
  code_offset_ = (smallest_exponent >> (23 - mantissa_bits)) - (1 << mantissa_bits);
}

uint8_t FloatGrid::code(float value, uint32_t mask) const {
  const int32_t bits = std::bit_cast<int32_t>(value);
  const int32_t magnitude = bits & INT32_MAX;
  const int32_t code = magnitude < smallest_exponent ? static_cast<int32_t>(std::fabs(value) * inverse_step_)
                                                     : (magnitude >> (23 - mantissa_bits)) - code_offset_;
  return static_cast<uint8_t>(bits < 0 ? static_cast<uint32_t>(code) | ((mask >> 1) + 1)
                                       : static_cast<uint32_t>(code));
}

TableGrid::TableGrid(const numeric::Format& format) {
  AQ_CHECK(format.kind == numeric::Kind::codebook && format.bits <= 4, "{}", format.name);
  const auto table = format.table();
  std::array<uint8_t, 16> order{};
  for (uint8_t code = 0; code < table.size(); ++code) order[code] = code;
  std::stable_sort(order.begin(), order.begin() + static_cast<int64_t>(table.size()),
                   [&](uint8_t a, uint8_t b) { return table[a] < table[b]; });
  for (size_t i = 0; i < table.size(); ++i) {
    const float value = table[order[i]];
    // Equal values (FP4's −0) keep the code met first, +0.
    if (size > 0 && values[static_cast<size_t>(size) - 1] == value) continue;
    codes[static_cast<size_t>(size)] = order[i];
    values[static_cast<size_t>(size++)] = value;
  }
  midpoints.fill(INFINITY);
  for (size_t i = 0; i + 1 < static_cast<size_t>(size); ++i)
    midpoints[i] = (values[i] + values[i + 1]) * 0.5f;
}

}  // namespace aquatint::quant
