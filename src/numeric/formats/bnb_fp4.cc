#include "numeric/format.h"
#include "numeric/formats/codebook.h"

namespace aquatint::numeric {
namespace {

// bitsandbytes' FP4, by code: magnitudes in twelfths in its own order (not OCP E2M1); codes 8-15 are
// negative.
constexpr std::array<float, 8> kMagnitudes = {0.0f,           0x1.555556p-8f, 0x1.555556p-1f, 1.0f,
                                              0x1.555556p-2f, 0.5f,           0x1.555556p-3f, 0.25f};
// The table in ascending order and the code of each entry (−0 is never produced).
constexpr std::array<uint8_t, 15> kAscendingCodes = {11, 10, 13, 12, 15, 14, 9, 0, 1, 6, 7, 4, 5, 2, 3};

float decode(uint32_t code) { return code & 8 ? -kMagnitudes[code & 7] : kMagnitudes[code & 7]; }

uint32_t encode(float value) {
  static const std::array<float, 15> ascending = [] {
    std::array<float, 15> values{};
    for (size_t i = 0; i < values.size(); ++i) values[i] = decode(kAscendingCodes[i]);
    return values;
  }();
  return kAscendingCodes[nearest_entry(ascending, value)];
}

}  // namespace

const Format bnb_fp4 = {
    "bnb_fp4", 4,     Kind::codebook, 1.0f, kMagnitudes[1], "bitsandbytes' FP4 table, not OCP E2M1",
    decode,    encode};

}  // namespace aquatint::numeric
