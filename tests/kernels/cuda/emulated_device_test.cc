// The emulation itself: kernels of known result, and kernels that are wrong.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/cuda/ptx/warp_mma.h"
#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda {
namespace {

struct Sums {
  float of_warp[8];
};

__global__ void sum_rows(const float* x, int cols, float* out) {
  Sums& s = shared<Sums>();
  float sum = 0;
  for (int i = thread_in_block(); i < cols; i += static_cast<int>(blockDim.x))
    sum += x[blockIdx.x * cols + i];
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (thread_in_block() % kWarp == 0) s.of_warp[thread_in_block() / kWarp] = sum;
  __syncthreads();
  if (thread_in_block() != 0) return;
  sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) sum += s.of_warp[warp];
  out[blockIdx.x] = sum;
}

TEST(EmulatedDevice, SumsRowsOverShufflesAndSharedMemory) {
  const int rows = 5, cols = 300;
  std::vector<float> x(rows * cols), out(rows);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17);
  launch({.grid = {rows}, .block = {128}, .shared_bytes = sizeof(Sums)}, stream(), sum_rows, x.data(), cols,
         out.data());
  for (int r = 0; r < rows; ++r) {
    float expected = 0;
    for (int c = 0; c < cols; ++c) expected += x[static_cast<size_t>(r * cols + c)];
    EXPECT_EQ(out[static_cast<size_t>(r)], expected);
  }
}

__global__ void one_tile(const float* a, const float* b, float* d) {
  const int group = thread_in_block() / 4, part = thread_in_block() % 4;
  const auto word = [](float low, float high) {
    return __float_as_uint(low) >> 16 | (__float_as_uint(high) & 0xffff0000u);
  };
  uint32_t left[4], right[2];
  for (int i = 0; i < 4; ++i) {
    const float* row = a + (group + i % 2 * 8) * 16 + 2 * part + i / 2 * 8;
    left[i] = word(row[0], row[1]);
  }
  for (int i = 0; i < 2; ++i) {
    const float* row = b + group * 16 + 2 * part + i * 8;
    right[i] = word(row[0], row[1]);
  }
  float sums[4] = {};
  ptx::mma_bf16(sums, left, right);
  for (int i = 0; i < 4; ++i) d[(group + i / 2 * 8) * 8 + 2 * part + i % 2] = sums[i];
}

TEST(EmulatedDevice, MultipliesTiles) {
  std::vector<float> a(16 * 16), b(8 * 16), d(16 * 8);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(static_cast<int>(i * 7 % 31) - 15);
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(static_cast<int>(i * 11 % 29) - 14);
  launch({.block = {32}}, stream(), one_tile, a.data(), b.data(), d.data());
  for (int r = 0; r < 16; ++r)
    for (int c = 0; c < 8; ++c) {
      float expected = 0;
      for (int k = 0; k < 16; ++k)
        expected += a[static_cast<size_t>(r * 16 + k)] * b[static_cast<size_t>(c * 16 + k)];
      EXPECT_EQ(d[static_cast<size_t>(r * 8 + c)], expected) << r << ", " << c;
    }
}

__global__ void lonely_barrier() {
  if (thread_in_block() < 32) __syncthreads();
}
__global__ void mixed_operations() {
  if (thread_in_block() < 16)
    __syncwarp();
  else
    __shfl_xor_sync(~0u, 1, 1);
}

TEST(EmulatedDevice, SaysWhenThreadsDoNotMeet) {
  EXPECT_THROW(launch({.block = {64}}, stream(), lonely_barrier), std::logic_error);
  EXPECT_THROW(launch({.block = {32}}, stream(), mixed_operations), std::logic_error);
}

}  // namespace
}  // namespace aquatint::kernels::cuda
