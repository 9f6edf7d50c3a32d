// The values that a code can take, in units of its scale, four lanes at a time. A grid answers two
// questions: which of its values is nearest (for the error of a candidate scale), and which code stands for
// it.
#pragma once
#include <array>
#include <cstdint>

#include "base/lanes.h"
#include "numeric/format.h"

namespace aquatint::quant {

using base::IntLanes;
using base::kLanes;
using base::Lanes;

// Integers low … high around a zero-point: value = code − zero.
struct IntegerGrid {
  float low, high;

  AQ_INLINE void nearest(const Lanes& x, Lanes& value) const {
    // Adding 1.5 · 2^23 leaves no fraction bits: round to nearest even for |x| < 2^22.
    value = (base::clamp(x, low, high) + 12582912.0f) - 12582912.0f;
  }
  uint8_t code(float value, uint32_t mask) const {
    return static_cast<uint8_t>(static_cast<int32_t>(value) & static_cast<int32_t>(mask));
  }
};

// A sign-exponent-mantissa format without the code for infinity in reach: E4M3, E2M1, …
struct FloatGrid {
  int mantissa_bits;
  int32_t smallest_exponent;  // of a normal number, as the field of an FP32
  float max;

  explicit FloatGrid(const numeric::Format& format);

  AQ_INLINE void nearest(const Lanes& x, Lanes& value) const {
    const IntLanes bits = (IntLanes)x;
    const IntLanes sign = bits & INT32_MIN;
    const IntLanes magnitude_bits = bits & INT32_MAX;
    const Lanes magnitude = (Lanes)magnitude_bits;
    const IntLanes own = magnitude_bits & 0x7f800000;
    const IntLanes exponent = own > smallest_exponent ? own : IntLanes{} + smallest_exponent;
    // 2^(exponent + 23 − mantissa_bits): its unit in the last place is the grid's step in this binade.
    const IntLanes magic_bits = exponent + ((23 - mantissa_bits) << 23);
    const Lanes magic = (Lanes)magic_bits;
    const Lanes rounded = (magnitude + magic) - magic;
    const Lanes inside = rounded < max ? rounded : Lanes{} + max;
    const IntLanes signed_bits = (IntLanes)inside | sign;
    value = (Lanes)signed_bits;
  }
  uint8_t code(float value, uint32_t mask) const;

 private:
  float inverse_step_;  // of the smallest step
  int32_t code_offset_;
};

// An ascending table of at most 16 values (NF4, bitsandbytes' FP4), filled up with entries that are never
// nearest; a tie goes to the lower entry.
struct TableGrid {
  std::array<float, 16> values{};
  std::array<float, 15> midpoints{};
  std::array<uint8_t, 16> codes{};
  int size = 0;

  explicit TableGrid(const numeric::Format& format);

  AQ_INLINE void nearest(const Lanes& x, Lanes& value) const {
    IntLanes index{};  // a true comparison is −1
#pragma GCC unroll 15
    for (const float midpoint : midpoints) index -= x > midpoint;
    for (int lane = 0; lane < kLanes; ++lane) value[lane] = values[static_cast<size_t>(index[lane])];
  }
  uint8_t code(float value, uint32_t) const {
    size_t i = 0;
    while (values[i] < value) ++i;
    return codes[i];
  }
};

}  // namespace aquatint::quant
