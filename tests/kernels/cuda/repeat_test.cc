// What work that repeats is told by.
#include "kernels/cuda/repeat.h"

#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>

#include "kernels/cuda/simt.h"

namespace aquatint::kernels::cuda {
namespace {

struct Padded {
  float scale;
  int64_t rows;
};

__global__ void add_scaled(Padded p, float* x) {
  if (thread_in_block() == 0) x[blockIdx.x] += p.scale;
}
__global__ void add_other(Padded p, float* x) {
  if (thread_in_block() == 0) x[blockIdx.x] += 2 * p.scale;
}

// Rubbish in what lies between the members.
Padded padded(float scale, int rubbish) {
  Padded p;
  std::memset(&p, rubbish, sizeof(p));
  p.scale = scale;
  p.rows = 4;
  return p;
}

using Kernel = void (*)(Padded, float*);
Notes::Key key_of(Kernel kernel, uint32_t blocks, const Padded& p, float* x) {
  return noted([&] { launch({.grid = {blocks}, .block = {32}}, stream(), kernel, p, x); }).key();
}

TEST(Repeat, WorkIsTheSameWhereKernelsSizesAndArgumentsAre) {
  float x[4] = {}, y[4] = {};
  const Notes::Key first = key_of(add_scaled, 4, padded(1, 0x00), x);
  EXPECT_EQ(first, key_of(add_scaled, 4, padded(1, 0xff), x));
  EXPECT_FALSE(first == key_of(add_scaled, 3, padded(1, 0), x));
  EXPECT_FALSE(first == key_of(add_other, 4, padded(1, 0), x));
  EXPECT_FALSE(first == key_of(add_scaled, 4, padded(2, 0), x));
  EXPECT_FALSE(first == key_of(add_scaled, 4, padded(1, 0), y));
  EXPECT_EQ(x[0], 0) << "noted, not done";
}

TEST(Repeat, DoesTheWorkOnce) {
  float x[4] = {};
  const auto body = [&] { launch({.grid = {4}, .block = {32}}, stream(), add_scaled, padded(1, 0), x); };
  repeat(body);
  repeat(body);
  EXPECT_EQ(x[3], 2);
  zero(x, sizeof(x));
  EXPECT_EQ(x[3], 0);
}

TEST(Repeat, ThePreparationsOfAFirstTimeAreDone) {
  float x[4] = {}, from[4] = {1, 2, 3, 4};
  bool prepared = false;
  repeat([&] {
    if (!prepared) copy_to_device(x, from, sizeof(x));
    prepared = true;
    launch({.grid = {4}, .block = {32}}, stream(), add_scaled, padded(1, 0), x);
  });
  EXPECT_EQ(x[3], 5);
}

TEST(Repeat, WorkThatChangesEachTimeIsABug) {
  float x[4] = {};
  float scale = 1;
  EXPECT_THROW(
      repeat([&] { launch({.grid = {4}, .block = {32}}, stream(), add_scaled, padded(scale++, 0), x); }),
      std::logic_error);
}

}  // namespace
}  // namespace aquatint::kernels::cuda
