#include "tensor/rotation.h"

#include <gtest/gtest.h>

#include <cmath>

namespace aquatint::tensor {
namespace {

// M · Mᵀ over doubles: order on the diagonal, 0 beside it.
void expect_orthogonal(const Rotation& r) {
  const int64_t n = r.order();
  const std::vector<float>& m = r.mix(false);
  if (n == 1) {
    EXPECT_TRUE(m.empty());
    return;
  }
  ASSERT_EQ(m.size(), static_cast<size_t>(n * n));
  for (int64_t a = 0; a < n; ++a)
    for (int64_t b = 0; b < n; ++b) {
      double sum = 0;
      for (int64_t j = 0; j < n; ++j)
        sum += double{m[static_cast<size_t>(a * n + j)]} * double{m[static_cast<size_t>(b * n + j)]};
      // n products of values below 1.5 that are rounded to FP32
      ASSERT_NEAR(sum, a == b ? static_cast<double>(n) : 0.0, static_cast<double>(n) * 4.5 * 0x1p-24)
          << r.width() << ": rows " << a << ", " << b;
    }
}

struct Split {
  int64_t width, order;
};

TEST(Rotation, SplitsWidthsIntoAPowerOfTwoAndAHadamardMatrix) {
  for (const Split s : {Split{1, 1},
                        {2, 1},
                        {64, 1},
                        {4096, 1},
                        {576, 36},
                        {1536, 12},
                        {80, 20},
                        {96, 12},
                        {28, 28},
                        {44, 44},
                        {52, 13},
                        {416, 104},
                        {8960, 140},
                        {18944, 148},
                        {184, 23},
                        {4864, 76}}) {
    ASSERT_TRUE(Rotation::exists(s.width));
    const Rotation r(s.width, 1);
    EXPECT_EQ(r.order(), s.order) << s.width;
    EXPECT_EQ(r.run() * r.order(), s.width);
    EXPECT_EQ(r.run() & (r.run() - 1), 0) << "not a power of two";
    expect_orthogonal(r);
  }
}

TEST(Rotation, TakesTheHartleyMatrixWhereNoHadamardMatrixIsNear) {
  for (const int64_t odd : {3, 5, 7, 11, 13, 43}) {
    const Rotation r(2 * odd, 1);
    EXPECT_EQ(r.order(), odd);
    expect_orthogonal(r);
    for (const float entry : r.mix(false)) EXPECT_LE(std::fabs(entry), 1.4143f);
  }
}

TEST(Rotation, OfTwoSeedsDiffersInItsSigns) {
  const Rotation a(96, 1), same(96, 1), b(96, 2);
  const auto signs = [](const Rotation& r) { return std::vector<float>(r.signs(), r.signs() + r.width()); };
  EXPECT_EQ(signs(a), signs(same));
  EXPECT_NE(signs(a), signs(b));
  for (const float sign : signs(a)) EXPECT_EQ(std::fabs(sign), 1.0f);
}

TEST(Rotation, DoesNotExistForWidthsThatCostTooMuch) {
  for (const int64_t width : {int64_t{0}, int64_t{-4}, int64_t{1031}, int64_t{2062}, (int64_t{1} << 20) + 4})
    EXPECT_FALSE(Rotation::exists(width)) << width;
}

}  // namespace
}  // namespace aquatint::tensor
