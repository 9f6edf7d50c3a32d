// What kernels/cuda/gemm.h says, one element after the other.
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/repeat.h"
#include "numeric/format.h"

namespace aquatint::kernels::cuda {
namespace {

constexpr int64_t kBlock = 128;

int64_t element_bytes(GemmType type) { return type == GemmType::fp32 ? 4 : type == GemmType::bf16 ? 2 : 1; }

float value(GemmType type, const void* data, int64_t i) {
  switch (type) {
    case GemmType::fp32:
      return static_cast<const float*>(data)[i];
    case GemmType::bf16:
      return numeric::bf16_to_float(static_cast<const uint16_t*>(data)[i]);
    case GemmType::int8:
      return static_cast<const int8_t*>(data)[i];
    case GemmType::fp8_e4m3:
      break;
  }
  const int code = static_cast<const uint8_t*>(data)[i], exponent = code >> 3 & 15, mantissa = code & 7;
  const float magnitude = (code & 127) == 127 ? NAN
                          : exponent == 0     ? std::ldexp(static_cast<float>(mantissa), -9)
                                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return code & 128 ? -magnitude : magnitude;
}

// Of one element of a and one of b.
float scales(const Gemm& g, int64_t row, int64_t col, int64_t depth) {
  const int64_t block = depth / kBlock, blocks = (g.k + kBlock - 1) / kBlock;
  int64_t a = 0, b = 0;
  if (g.scale == GemmScale::row) a = row, b = col;
  if (g.scale == GemmScale::block) a = block * g.m + row, b = col / kBlock * ((blocks + 3) / 4 * 4) + block;
  return (g.a_scale ? g.a_scale[a] : 1) * (g.b_scale ? g.b_scale[b] : 1);
}

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

bool aligned(const void* p, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % static_cast<size_t>(bytes) == 0;
}

void check(const Gemm& g) {
  const int64_t bytes = element_bytes(g.type);
  require(aligned(g.a, 16) && aligned(g.b, 16) && aligned(g.d, 16), "gemm: a pointer is not aligned");
  require(g.a_row * bytes % 16 == 0 && g.b_row * bytes % 16 == 0 && g.d_row % 4 == 0,
          "gemm: rows are not aligned");
  require(g.k * bytes % 16 == 0 && g.n % (g.type == GemmType::fp8_e4m3 ? 16 : 4) == 0, "gemm: odd n or k");
  require(g.a_row >= g.k && g.b_row >= g.k && g.d_row >= g.n, "gemm: rows overlap");
  require(g.type == GemmType::fp8_e4m3 || (!g.a_scale && !g.b_scale), "gemm: scales are for FP8");
  require(g.scale == GemmScale::tensor || (g.a_scale && g.b_scale), "gemm: one operand without scales");
}

}  // namespace

void gemm(const Gemm& g) {
  check(g);
  if (notes) return notes->add(g);
  for (int64_t row = 0; row < g.m; ++row)
    for (int64_t col = 0; col < g.n; ++col) {
      if (g.type == GemmType::int8) {
        const int8_t *a = static_cast<const int8_t*>(g.a) + row * g.a_row,
                     *b = static_cast<const int8_t*>(g.b) + col * g.b_row;
        int32_t sum = 0;
        for (int64_t k = 0; k < g.k; ++k) sum += a[k] * b[k];
        int32_t& d = static_cast<int32_t*>(g.d)[row * g.d_row + col];
        d = g.accumulate ? d + sum : sum;
        continue;
      }
      float sum = 0, of_block = 0;
      for (int64_t k = 0; k < g.k; ++k) {
        of_block += value(g.type, g.a, row * g.a_row + k) * value(g.type, g.b, col * g.b_row + k);
        if (k + 1 < g.k && (k + 1) % kBlock != 0) continue;
        sum += of_block * scales(g, row, col, k);
        of_block = 0;
      }
      float& d = static_cast<float*>(g.d)[row * g.d_row + col];
      d = g.accumulate ? d + sum : sum;
    }
}

}  // namespace aquatint::kernels::cuda
