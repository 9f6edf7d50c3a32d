// Operations on rows over the emulated device.
#include "kernels/rows_checks.h"

#include "kernels/cuda/angle.h"
#include "kernels/cuda/emulated_set.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Cuda, Rows, testing::Values(&cuda::emulated_set()), set_name);

// Runs that shared memory does not hold, by the same bits as the scalar set.
TEST(CudaRotation, WideRunsGoThroughGlobalMemory) {
  base::ThreadPool pool(1);
  for (const int64_t width : {65536, 98304})
    for (const bool inverse : {false, true}) {
      const tensor::Rotation r(width, 3);
      std::vector<float> x = cases::random_floats(2 * width, 5), y = x;
      kernel_set("scalar").rotate_runs(r, inverse, x.data(), 1, 2 * width, 2, pool);
      cuda::emulated_set().rotate_runs(r, inverse, y.data(), 1, 2 * width, 2, pool);
      EXPECT_EQ(x, y) << width;
    }
}

TEST(Angle, SineAndCosineAreThoseOfTheAngleRoundedToFp32) {
  const auto check = [](float angle) {
    const cuda::SineCosine got = cuda::sine_cosine(angle);
    EXPECT_NEAR(got.sine, std::sin(static_cast<double>(angle)), 1.5 * kEps) << angle;
    EXPECT_NEAR(got.cosine, std::cos(static_cast<double>(angle)), 1.5 * kEps) << angle;
  };
  for (int i = -2000; i < 2000; ++i) check(static_cast<float>(i) * 0.0137f);
  for (int i = 0; i < 2000; ++i) check(static_cast<float>(i) * 8377.3f);
}

}  // namespace
}  // namespace aquatint::kernels
