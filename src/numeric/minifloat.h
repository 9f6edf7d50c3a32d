// Decode and encode of any sign-exponent-mantissa format of at most 16 bits, from its parameters.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace aquatint::numeric {

// What the all-ones exponent means.
enum class Specials {
  ieee,      // infinities and NaNs (E5M2, FP16, BF16)
  nan_only,  // the all-ones code is NaN, the rest are numbers (E4M3 "fn")
  none,      // every code is a number (MX element formats)
};

template <int exponent_bits, int mantissa_bits, int bias, Specials specials>
struct Minifloat {
  static constexpr int bits = 1 + exponent_bits + mantissa_bits;
  static constexpr uint32_t sign_bit = 1u << (bits - 1);
  static constexpr uint32_t magnitude_mask = sign_bit - 1;
  static constexpr uint32_t first_infinite = ((1u << exponent_bits) - 1) << mantissa_bits;
  static constexpr uint32_t max_code = specials == Specials::ieee       ? first_infinite - 1
                                       : specials == Specials::nan_only ? magnitude_mask - 1
                                                                        : magnitude_mask;
  static constexpr uint32_t nan_code = magnitude_mask;

  static float decode(uint32_t code) {
    const uint32_t magnitude = code & magnitude_mask;
    float value;
    if (magnitude > max_code) {
      value = specials == Specials::ieee && magnitude == first_infinite
                  ? std::numeric_limits<float>::infinity()
                  : std::numeric_limits<float>::quiet_NaN();
    } else {
      const int exponent = static_cast<int>(magnitude >> mantissa_bits);
      const float mantissa = static_cast<float>(magnitude & ((1u << mantissa_bits) - 1));
      value = exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                            : std::ldexp(mantissa + static_cast<float>(1u << mantissa_bits),
                                         exponent - bias - mantissa_bits);
    }
    return code & sign_bit ? -value : value;
  }

  // The magnitude on the format's grid is an integer multiple of its ulp; codes of neighbours are
  // consecutive, so rounding up a full mantissa carries into the exponent by itself.
  static uint32_t encode(float value) {
    const uint32_t sign = std::signbit(value) ? sign_bit : 0;
    if (std::isnan(value)) return specials == Specials::none ? 0 : sign | nan_code;
    const float magnitude = std::fabs(value);
    if (magnitude >= max()) return sign | max_code;
    int exponent = magnitude == 0 ? 1 - bias : std::ilogb(magnitude);
    if (exponent < 1 - bias) exponent = 1 - bias;
    const double scaled = std::ldexp(static_cast<double>(magnitude), mantissa_bits - exponent);
    const uint32_t rounded = static_cast<uint32_t>(std::nearbyint(scaled));
    const uint32_t below = static_cast<uint32_t>(exponent - (1 - bias)) << mantissa_bits;
    return sign | (below + rounded > max_code ? max_code : below + rounded);
  }

  static float max() { return decode(max_code); }
};

}  // namespace aquatint::numeric
