// Linears of the CUDA set over the emulated device, and what the kernels add to the contract.
#include "kernels/linear_checks.h"

#include <utility>

#include "kernels/cuda/emulated_device.h"
#include "kernels/cuda/emulated_set.h"
#include "kernels/cuda/linear_decode.h"
#include "kernels/cuda/slots.h"
#include "kernels/products_checks.h"

namespace aquatint::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Sets, Linear, testing::Values(&cuda::emulated_set()), set_name);
INSTANTIATE_TEST_SUITE_P(Sets, Products, testing::Values(&cuda::emulated_set()), product_set_name);
INSTANTIATE_TEST_SUITE_P(Sets, Cross, testing::Values(&cuda::emulated_set()), product_set_name);
INSTANTIATE_TEST_SUITE_P(Sets, ColumnMagnitudes, testing::Values(&cuda::emulated_set()), product_set_name);

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

TEST(CudaLinear, ManyTokensAreWithinTheirBounds) {
  base::ThreadPool pool(2);
  for (const auto& [name, tokens] :
       {std::pair{"w4a16_asym", 100}, {"llm_int8", 65}, {"bf16", 33}, {"nf4", 64}})
    check(cuda::emulated_set(), kind_of(name), {70, 192, tokens, 1}, Precision::bf16, pool);
}

// Rows of a call of `tokens`, whose bits must be those of calls of up to 32 and of the last token alone.
void expect_same_as_few(const WeightKind& kind, int64_t out, int64_t in, std::initializer_list<int> counts) {
  base::ThreadPool pool(2);
  const KernelSet& set = cuda::emulated_set();
  const QuantizedMatrix m = cases::random_matrix(kind, out, in, 3);
  const QuantizedMatrix* part = &m;
  const auto packed = set.pack({&part, 1}, Precision::bf16, pool);
  const int64_t most = std::max(counts);
  const std::vector<float> x = cases::random_floats(most * in, 5), bias = cases::random_floats(out, 6);
  const auto multiply = [&](int64_t first, int64_t tokens) {
    std::vector<float> y(static_cast<size_t>(tokens * out));
    set.linear(*packed, x.data() + first * in, tokens, Phase::decode, bias.data(), false, y.data(), out,
               pool);
    return y;
  };
  std::vector<float> want;
  for (int64_t first = 0; first < most; first += 29) {
    const std::vector<float> some = multiply(first, std::min<int64_t>(29, most - first));
    want.insert(want.end(), some.begin(), some.end());
  }
  const std::vector<float> last = multiply(most - 1, 1);
  EXPECT_EQ(0, std::memcmp(want.data() + (most - 1) * out, last.data(), last.size() * sizeof(float)));
  for (const int tokens : counts)
    EXPECT_EQ(0, std::memcmp(multiply(0, tokens).data(), want.data(),
                             static_cast<size_t>(tokens * out) * sizeof(float)))
        << kind.name << " " << out << " x " << in << ", " << tokens << " tokens";
}

TEST(CudaLinear, BitsOfManyTokensAreThoseOfFew) {
  for (const char* name : {"w4a16_asym", "q4_1", "nf4", "w8a8", "llm_int8", "fp8_groups", "bf16"})
    expect_same_as_few(kind_of(name), 70, 192, {33, 65});
  expect_same_as_few(kind_of("fp8_channel"), 70, 192, {33, 64, 65, 100});
}

// Several chunks and more items than the device takes at once; then so few that blocks share their passes.
TEST(CudaLinear, ManyTokensOfLongRows) {
  expect_same_as_few(kind_of("fp8_dynamic"), 130, 2112, {100});
  expect_same_as_few(kind_of("w4a16"), 70, 4168, {65});
  cuda::emulated::multiprocessors = 7;
  expect_same_as_few(kind_of("bf16"), 40, 2112, {100});
  cuda::emulated::multiprocessors = 3;
}

TEST(CudaLinear, LargeSumsTakeSeveralLaunches) {
  const int64_t most = std::exchange(cuda::decode::most_partial, 1);
  for (const char* name : {"uint8_zero", "fp8_dynamic", "mxfp8"})
    expect_same_as_few(kind_of(name), 33, 2112, {65});
  cuda::decode::most_partial = most;
}

// A norm or SwiGLU on the way to a linear gives the bits of one before it: rows that are read in pieces of 16
// bytes and others, longer than a block's threads take at once.
TEST(CudaLinear, MakesItsInputOnTheWay) {
  base::ThreadPool pool(1);
  constexpr int64_t kRows = 3, kOut = 20;
  for (const WeightKind& kind : cases::weight_kinds())
    for (const int64_t cols : {128, 1152}) {
      if (kind.name != "bf16" && kind.name != "w4a16_asym" && kind.name != "llm_int8" && kind.name != "w8a8")
        continue;
      for (const int64_t width : {cols, cols - (kind.group > 0 ? kind.group : 3)}) {
        const QuantizedMatrix m = cases::random_matrix(kind, kOut, width, 5);
        const QuantizedMatrix* part = &m;
        const auto packed = cuda::pack({&part, 1}, Precision::bf16, pool);
        const auto x = cases::random_floats(kRows * 2 * width, 6), weight = cases::random_floats(width, 7);
        for (const Phase phase : {Phase::decode, Phase::prefill})
          for (const bool gated : {false, true}) {
            std::vector<float> made(static_cast<size_t>(kRows * width)), want(kRows * kOut, 0.5f), got = want;
            if (gated)
              cuda::swiglu(x.data(), kRows, width, made.data(), pool);
            else
              cuda::rms_norm(x.data(), weight.data(), 1e-5f, kRows, width, made.data(), pool);
            cuda::linear(*packed, made.data(), kRows, phase, nullptr, true, want.data(), kOut, pool);
            const LinearInput input = {x.data(), gated ? nullptr : weight.data(), 1e-5f, gated};
            cuda::linear_of(*packed, input, kRows, phase, nullptr, true, got.data(), kOut, pool);
            EXPECT_EQ(got, want) << kind.name << ", " << width << " columns, gated " << gated;
          }
      }
    }
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
