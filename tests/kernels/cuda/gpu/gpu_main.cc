// Tests of the CUDA set on a GPU.
#include <gtest/gtest.h>

#include <cstdio>
#include <exception>

#include "kernels/cuda/device.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  try {
    aquatint::kernels::cuda::open();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
  return RUN_ALL_TESTS();
}
