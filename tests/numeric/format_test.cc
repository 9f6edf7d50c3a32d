#include "numeric/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

namespace aquatint::numeric {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

uint32_t codes_of(const Format& format) { return format.bits <= 16 ? 1u << format.bits : 0; }

struct Point {
  float value;
  uint32_t code;
};

// Every finite value of a format once, ascending; of the two zeros the positive one.
std::vector<Point> points(const Format& format) {
  std::vector<Point> all;
  for (uint32_t code = 0; code < codes_of(format); ++code)
    if (const float value = format.decode(code); std::isfinite(value) && !(value == 0 && std::signbit(value)))
      all.push_back({value, code});
  std::sort(all.begin(), all.end(), [](const Point& a, const Point& b) { return a.value < b.value; });
  return all;
}

class SmallFormat : public ::testing::TestWithParam<const Format*> {};

TEST_P(SmallFormat, EveryCodeComesBack) {
  const Format& format = *GetParam();
  for (uint32_t code = 0; code < codes_of(format); ++code) {
    const float value = format.decode(code);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(format.decode(format.encode(value)))) << code;
    } else if (std::isinf(value)) {
      EXPECT_EQ(format.decode(format.encode(value)), std::copysign(format.max, value));
    } else if (&format == &bnb_fp4 && code == 8) {
      EXPECT_EQ(format.encode(value), 0u);  // −0 is a code that is never written
    } else {
      EXPECT_EQ(format.encode(value), code) << value;
    }
  }
}

TEST_P(SmallFormat, ItsNumbersAreTrue) {
  const Format& format = *GetParam();
  const auto all = points(format);
  float largest = 0, smallest = kInfinity;
  for (const Point& p : all) {
    largest = std::max(largest, p.value);
    if (p.value > 0) smallest = std::min(smallest, p.value);
  }
  EXPECT_EQ(format.max, largest);
  EXPECT_EQ(format.smallest, smallest);
  if (format.bits > 8) return;
  ASSERT_EQ(format.table().size(), codes_of(format));
  for (uint32_t code = 0; code < codes_of(format); ++code)
    EXPECT_EQ(std::bit_cast<uint32_t>(format.table()[code]), std::bit_cast<uint32_t>(format.decode(code)));
}

// Between neighbours: the midpoint goes to the even code (codebooks: the lower entry), one FP32 step beside
// it to the nearer.
TEST_P(SmallFormat, RoundsToNearest) {
  const Format& format = *GetParam();
  const auto all = points(format);
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    const Point &low = all[i], &high = all[i + 1];
    const double middle = (static_cast<double>(low.value) + high.value) / 2;
    const auto tie = static_cast<float>(middle);
    if (static_cast<double>(tie) == middle && tie != 0) {
      const bool take_low = format.kind == Kind::codebook || low.code % 2 == 0;
      EXPECT_EQ(format.decode(format.encode(tie)), take_low ? low.value : high.value)
          << format.name << " at " << tie;
    }
    const float below = std::nextafter(tie, -kInfinity), above = std::nextafter(tie, kInfinity);
    if (below > low.value) {
      EXPECT_EQ(format.decode(format.encode(below)), low.value) << format.name << " at " << below;
    }
    if (above < high.value) {
      EXPECT_EQ(format.decode(format.encode(above)), high.value) << format.name << " at " << above;
    }
  }
}

TEST_P(SmallFormat, Saturates) {
  const Format& format = *GetParam();
  const auto all = points(format);
  for (const float large : {kInfinity, std::numeric_limits<float>::max()}) {
    if (large >= all.back().value) {
      EXPECT_EQ(format.encode(large), all.back().code);
    }
    if (&format != &e8m0) {  // E8M0 has no sign
      EXPECT_EQ(format.decode(format.encode(-large)), all.front().value);
    }
  }
  EXPECT_EQ(format.decode(format.encode(0.0f)), &format == &e8m0 ? 0x1p-127f : 0.0f);
}

TEST_P(SmallFormat, IsMonotone) {
  const Format& format = *GetParam();
  float previous = -kInfinity;
  const double start = &format == &e8m0 ? 0x1p-126 : -static_cast<double>(format.max),
               step = (format.max - start) / 4096;
  for (int i = 0; i <= 4096; ++i) {
    const float value = format.decode(format.encode(static_cast<float>(start + i * step)));
    EXPECT_GE(value, previous);
    previous = value;
  }
}

std::vector<const Format*> small_formats() {
  std::vector<const Format*> all;
  for (const Format* format : formats())
    if (format->bits <= 16) all.push_back(format);
  return all;
}
INSTANTIATE_TEST_SUITE_P(All, SmallFormat, ::testing::ValuesIn(small_formats()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(Formats, AreFoundByTheirNames) {
  std::set<std::string_view> names;
  for (const Format* format : formats()) {
    EXPECT_TRUE(names.insert(format->name).second) << format->name;
    EXPECT_EQ(find_format(format->name), format);
  }
  EXPECT_EQ(find_format("int1"), nullptr);
  EXPECT_EQ(find_format(""), nullptr);
}

struct Vector {
  float value;
  uint32_t code;
};

void expect_codes(const Format& format, const std::vector<Vector>& vectors) {
  for (const auto& [value, code] : vectors)
    EXPECT_EQ(format.encode(value), code) << format.name << " of " << value;
}

// Checked against ml_dtypes and numpy, but for what lies past the largest value: there those overflow and
// these saturate.
TEST(Vectors, Fp8) {
  expect_codes(fp8_e4m3, {{0, 0},
                          {-0.0f, 0x80},
                          {1, 0x38},
                          {-1, 0xb8},
                          {0.1f, 0x1d},
                          {0.3f, 0x2a},
                          {448, 0x7e},
                          {449, 0x7e},
                          {464, 0x7e},
                          {465, 0x7e},
                          {17, 0x58},
                          {18, 0x59},
                          {19, 0x5a},
                          {0x1p-9f, 1},
                          {0x1p-10f, 0},
                          {0.0009765626f, 1},
                          {7.5f * 0x1p-9f, 8},
                          {0x1p-6f, 8}});
  expect_codes(fp8_e5m2, {{1, 0x3c},
                          {0.1f, 0x2e},
                          {0.3f, 0x35},
                          {-2.5f, 0xc1},
                          {3.25f, 0x42},
                          {57344, 0x7b},
                          {61439, 0x7b},
                          {61440, 0x7b},
                          {0x1p-16f, 1},
                          {0x1p-17f, 0}});
  EXPECT_TRUE(std::isnan(fp8_e4m3.decode(0x7f)) && std::isnan(fp8_e4m3.decode(0xff)));
  EXPECT_EQ(fp8_e5m2.decode(0x7c), kInfinity);
  for (uint32_t code : {0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff}) EXPECT_TRUE(std::isnan(fp8_e5m2.decode(code)));
}

TEST(Vectors, Fp6AndFp4) {
  expect_codes(fp6_e2m3, {{.125f, 1},
                          {.0625f, 0},
                          {.0626f, 1},
                          {1, 8},
                          {1.0625f, 8},
                          {1.1875f, 0xa},
                          {7.5f, 0x1f},
                          {8, 0x1f},
                          {-7.5f, 0x3f},
                          {.3f, 2}});
  expect_codes(
      fp6_e3m2,
      {{.0625f, 1}, {.03125f, 0}, {1, 0xc}, {1.125f, 0xc}, {1.375f, 0xe}, {28, 0x1f}, {30, 0x1f}, {.3f, 5}});
  expect_codes(fp4_e2m1, {{.25f, 0},
                          {.2501f, 1},
                          {.75f, 2},
                          {1.25f, 2},
                          {1.75f, 4},
                          {2.5f, 4},
                          {3.5f, 6},
                          {5, 6},
                          {5.01f, 7},
                          {7, 7},
                          {-.1f, 8},
                          {-5, 0xe}});
  // Ties go to the even code, with either sign; llama.cpp takes the lower one for .75, 1.75 and 3.5.
  expect_codes(fp4_e2m1,
               {{-.25f, 8}, {-.75f, 0xa}, {-1.75f, 0xc}, {-2.5f, 0xc}, {-3.5f, 0xe}, {-5.01f, 0xf}});
  // 0 … 1 by 1/8, to 2 by 1/8, to 4 by 1/4, to 7.5 by 1/2.
  for (uint32_t code = 0; code < 32; ++code) {
    const float step = code < 16 ? .125f : code < 24 ? .25f : .5f;
    const float first = code < 16 ? 0 : code < 24 ? 2.0f : 4.0f;
    EXPECT_EQ(fp6_e2m3.decode(code), first + step * static_cast<float>(code < 16 ? code : code % 8)) << code;
    EXPECT_EQ(fp6_e2m3.decode(code | 32), -fp6_e2m3.decode(code)) << code;
  }
  const float e2m1[] = {0, .5f, 1, 1.5f, 2, 3, 4, 6};
  for (uint32_t code = 0; code < 8; ++code) EXPECT_EQ(fp4_e2m1.decode(code), e2m1[code]);
}

TEST(Vectors, E8m0) {
  EXPECT_EQ(e8m0.decode(0), 0x1p-127f);
  EXPECT_EQ(e8m0.decode(0x7e), .5f);
  EXPECT_EQ(e8m0.decode(0x7f), 1.0f);
  EXPECT_EQ(e8m0.decode(0xfe), 0x1p127f);
  EXPECT_TRUE(std::isnan(e8m0.decode(0xff)));
  expect_codes(
      e8m0, {{1.5f, 0x80}, {1.49f, 0x7f}, {3, 0x80}, {2, 0x80}, {kInfinity, 0xfe}, {-1, 0xff}, {kNan, 0xff}});
}

// generate_mx_scales of compressed-tensors 0.20.
TEST(Vectors, MxScales) {
  struct Row {
    float largest;
    int fp4, fp6, fp8;  // exponents
  };
  const Row rows[] = {
      {1, -2, -2, -8},       {1.75f, -1, -2, -7},      {1.7499999f, -2, -2, -8}, {6, 0, 0, -6},
      {7, 1, 0, -5},         {7.5f, 1, 0, -5},         {7.8f, 1, 1, -5},         {3.9f, 0, 0, -6},
      {1.9375f, -1, -1, -7}, {1.9374999f, -1, -2, -7}, {448, 7, 6, 1},           {.01f, -9, -9, -15}};
  for (const Row& row : rows) {
    EXPECT_EQ(mx_scale(row.largest, fp4_e2m1), std::ldexp(1.0f, row.fp4)) << row.largest;
    EXPECT_EQ(mx_scale(row.largest, fp6_e2m3), std::ldexp(1.0f, row.fp6)) << row.largest;
    EXPECT_EQ(mx_scale(row.largest, fp8_e4m3), std::ldexp(1.0f, row.fp8)) << row.largest;
  }
  for (const float tiny : {0.0f, 1e-44f, 0x1p-126f}) EXPECT_EQ(mx_scale(tiny, fp4_e2m1), 0x1p-127f);
}

TEST(Vectors, Bf16AndFp16) {
  expect_codes(bf16, {{1, 0x3f80},
                      {.1f, 0x3dcd},
                      {-2.5f, 0xc020},
                      {1.00390625f, 0x3f80},
                      {1.01171875f, 0x3f82},
                      {3.4e38f, 0x7f7f}});
  EXPECT_EQ(float_to_bf16(3.4e38f), 0x7f80);  // the conversion overflows where the format saturates
  EXPECT_EQ(float_to_bf16(-kInfinity), 0xff80);
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  for (const auto& [value, code] : std::vector<Vector>{{.1f, 0x2e66},
                                                       {65504, 0x7bff},
                                                       {65519, 0x7bff},
                                                       {65520, 0x7c00},
                                                       {5.96e-8f, 1},
                                                       {2.98e-8f, 0},
                                                       {2.99e-8f, 1},
                                                       {-kInfinity, 0xfc00}})
    EXPECT_EQ(float_to_fp16(value), code) << value;
  EXPECT_TRUE(std::isnan(fp16_to_float(float_to_fp16(kNan))));
}

// The integer route of fp16_to_float equals the definition on all codes.
TEST(Vectors, Fp16FastPath) {
  for (uint32_t code = 0; code < 65536; ++code) {
    const float fast = fp16_to_float(static_cast<uint16_t>(code)), slow = fp16.decode(code);
    if (std::isnan(slow))
      EXPECT_TRUE(std::isnan(fast));
    else
      EXPECT_EQ(std::bit_cast<uint32_t>(fast), std::bit_cast<uint32_t>(slow)) << code;
  }
}

TEST(Vectors, BitsandbytesTablesBitForBit) {
  const uint32_t nf4_bits[] = {0xBF800000, 0xBF3239B1, 0xBF066B30, 0xBECA32A0, 0xBE91A24D, 0xBE3D353F,
                               0xBDBA7871, 0x00000000, 0x3DA2FAFF, 0x3E24CAE3, 0x3E7C04DD, 0x3EAD033A,
                               0x3EE1A4B8, 0x3F1007AB, 0x3F3913B3, 0x3F800000};
  for (uint32_t code = 0; code < 16; ++code)
    EXPECT_EQ(std::bit_cast<uint32_t>(nf4.decode(code)), nf4_bits[code]);
  const uint32_t fp4_bits[] = {0,          0x3BAAAAAB, 0x3F2AAAAB, 0x3F800000,
                               0x3EAAAAAB, 0x3F000000, 0x3E2AAAAB, 0x3E800000};
  for (uint32_t code = 0; code < 8; ++code) {
    EXPECT_EQ(std::bit_cast<uint32_t>(bnb_fp4.decode(code)), fp4_bits[code]);
    EXPECT_EQ(std::bit_cast<uint32_t>(bnb_fp4.decode(code | 8)), fp4_bits[code] | 0x80000000);
  }
}

TEST(Vectors, IntegersClampAndWrapTheirCodes) {
  expect_codes(int8, {{-128, 0x80},
                      {-129, 0x80},
                      {127, 0x7f},
                      {200, 0x7f},
                      {0.5f, 0},
                      {1.5f, 2},
                      {-0.5f, 0},
                      {-1.5f, 0xfe},
                      {kNan, 0}});
  expect_codes(int4, {{-8, 8}, {-9, 8}, {7, 7}, {7.5f, 7}, {-1, 0xf}});
  expect_codes(uint4, {{-1, 0}, {15, 15}, {15.4f, 15}, {16, 15}, {2.5f, 2}});
  expect_codes(int2, {{-2, 2}, {1, 1}, {2, 1}});
}

// Two's complement of every width: all codes, ties to even, saturation.
TEST(Vectors, IntegersOfEveryWidth) {
  for (const Format* format : {&int2, &int3, &int4, &int5, &int6, &int8}) {
    const int low = -(1 << (format->bits - 1)), high = -low - 1;
    const uint32_t mask = (1u << format->bits) - 1;
    for (int value = low; value <= high; ++value) {
      const uint32_t code = static_cast<uint32_t>(value) & mask;
      EXPECT_EQ(format->decode(code), static_cast<float>(value)) << format->name;
      EXPECT_EQ(format->encode(static_cast<float>(value)), code) << format->name;
      const int even = value % 2 == 0 ? value : value + 1;  // of value and value + 1
      const uint32_t tie = static_cast<uint32_t>(std::min(even, high)) & mask;
      EXPECT_EQ(format->encode(static_cast<float>(value) + 0.5f), tie) << format->name << " " << value;
    }
    EXPECT_EQ(format->encode(static_cast<float>(low) - 0.75f), static_cast<uint32_t>(low) & mask);
    EXPECT_EQ(format->encode(1e30f), static_cast<uint32_t>(high));
  }
}

TEST(Vectors, Tf32RoundsThirteenBitsAway) {
  const float ulp = 0x1p-10f;
  EXPECT_EQ(tf32.decode(tf32.encode(1 + ulp)), 1 + ulp);
  EXPECT_EQ(tf32.decode(tf32.encode(1 + ulp / 2)), 1.0f);            // tie to even
  EXPECT_EQ(tf32.decode(tf32.encode(1 + 1.5f * ulp)), 1 + 2 * ulp);  // tie to even
  EXPECT_EQ(tf32.decode(tf32.encode(std::numeric_limits<float>::max())), tf32.max);
  EXPECT_EQ(tf32.decode(tf32.encode(-kInfinity)), -kInfinity);
  EXPECT_TRUE(std::isnan(tf32.decode(tf32.encode(kNan))));
  EXPECT_EQ(fp32.decode(fp32.encode(0.1f)), 0.1f);
}

}  // namespace
}  // namespace aquatint::numeric
