// Linears of the CUDA set over the emulated device, and what the kernels add to the contract.
#include "kernels/linear_checks.h"

#include "kernels/cuda/emulated_set.h"
#include "kernels/cuda/slots.h"
#include "kernels/products_checks.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Sets, Linear, testing::Values(&cuda::emulated_set()), set_name);
INSTANTIATE_TEST_SUITE_P(Sets, Products, testing::Values(&cuda::emulated_set()), product_set_name);
INSTANTIATE_TEST_SUITE_P(Sets, Cross, testing::Values(&cuda::emulated_set()), product_set_name);

// Depths of several chunks, more items than the device takes at once, a record of two blocks at the end.
TEST(CudaLinear, LongRowsAreSplit) {
  using namespace numeric;
  base::ThreadPool pool(2);
  const WeightKind kinds[] = {{"w4 g128", &uint4, 128, &bf16, WeightKind::zero_points},
                              {"w4 g32", &int4, 32, &fp16},
                              {"w4 channel", &int4, 0, &fp32},
                              {"nf4", &nf4, -64, &fp32},
                              {"w8", &int8, 128, &fp32},
                              {"fp8", &fp8_e4m3, 0, &fp32},
                              {"bf16", &bf16}};
  for (const WeightKind& kind : kinds)
    for (const int64_t rows : {1, 9})
      check(cuda::emulated_set(), kind, {70, kind.group < 0 ? 4224 : 4168, rows, 0}, Precision::bf16, pool);
}

TEST(CudaLinear, ManyTokensGoInPasses) {
  base::ThreadPool pool(2);
  for (const WeightKind& kind : cases::weight_kinds())
    if (kind.name == "w4a16_asym" || kind.name == "llm_int8" || kind.name == "bf16")
      check(cuda::emulated_set(), kind, {70, 192, 75, 1}, Precision::bf16, pool);
}

TEST(CudaLinear, NansOfE4m3StayNans) {
  base::ThreadPool pool(1);
  QuantizedMatrix m = cases::random_matrix({"fp8", &numeric::fp8_e4m3, 0, &numeric::fp32}, 3, 40, 2);
  m.codes.mutable_u8()[50] = 0x7f;
  const QuantizedMatrix* part = &m;
  const auto packed = cuda::pack({&part, 1}, Precision::bf16, pool);
  const std::vector<float> x = cases::random_floats(40, 1);
  std::vector<float> y(3);
  cuda::linear(*packed, x.data(), 1, Phase::decode, nullptr, false, y.data(), 3, pool);
  EXPECT_FALSE(std::isnan(y[0]));
  EXPECT_TRUE(std::isnan(y[1]));
  EXPECT_FALSE(std::isnan(y[2]));
}

}  // namespace
}  // namespace aquatint::kernels
