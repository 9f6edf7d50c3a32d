// Tokens as linears read them: rounded as kernels/input_rounding.h says, in the order of the kernel that
// follows.
#pragma once
#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/ops.h"

namespace aquatint::kernels::cuda {

// The numbers of a format: integers from low to high, or floating ones up to high with `mantissa` bits and
// exponents from `exponent` on.
struct Grid {
  bool integer = false;
  float low = 0, high = 0;
  int mantissa = 0, exponent = 0;
};

enum class InputScale : int8_t {
  none,      // values stay as they are
  constant,  // codes are x / scale
  token,     // the same, scale = largest / range
  groups,    // values become code · scale of their group
};
enum class GroupScale : int8_t {
  plain,  // largest / range
  power,  // a power of two (MX)
  e4m3,   // E4M3 number / divisor (NVFP4)
};

struct InputRule {
  bool to_bf16 = true;  // first of all
  InputScale scale{};
  Grid grid;
  float constant = 0;  // scale, or the divisor of GroupScale::e4m3
  float range = 0;
  int group = 0;
  GroupScale group_scale{};
  int kept_bits = 0, top_exponent = 0;  // of GroupScale::power, as numeric::mx_scale rounds
  float threshold = 0;                  // > 0: magnitudes from it on are outliers
  bool blocks = false;                  // codes of int8, one scale for 64 columns (Precision::int8)
};

// How the rounded tokens lie.
enum class InputOrder : int8_t {
  steps,  // BF16 [depth / 64][tokens][64], columns of a step by input_place()
  bf16,   // BF16 [tokens][depth]
  fp32,   // FP32 [tokens][depth]
  int8,   // codes [tokens][depth]
  e4m3,   // the same
};

struct Inputs {
  LinearInput from;
  int64_t tokens = 0, cols = 0, depth = 0;  // depth: a multiple of 64, padded with zeros
  InputOrder order{};
  void* values = nullptr;
  void* outliers = nullptr;  // as values; when the rule has a threshold
  float* scales = nullptr;   // [tokens]
  // Of what the values stand for, without scales[]; null where nobody reads them.
  float* sums = nullptr;    // [tokens][depth / 16]; with blocks, of codes
  float* totals = nullptr;  // [tokens]
  float* steps = nullptr;   // [tokens][depth / 64], with blocks
  // The same of the outliers.
  float *outlier_sums = nullptr, *outlier_totals = nullptr;
};

void round_inputs(const InputRule& rule, const Inputs& in);

}  // namespace aquatint::kernels::cuda
