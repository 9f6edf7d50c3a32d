// The AMX instructions, one function each. Inline assembly with memory clobbers: g++ 12's _tile_loadconfig
// tells the compiler that 8 of the 64 configuration bytes are read, and its tile loads do not order stores
// before them. Tests run the same kernels over a model of the unit in C++ (tests/kernels/tile_model.h).
#pragma once
#if defined(__x86_64__)
#include <cstdint>

namespace aquatint::kernels {

struct TileUnit {
  // All eight tiles are 16 rows of 64 bytes. Once per thread and burst of work; release() lets the core save
  // power and the operating system switch cheaply.
  static void configure() {
    struct alignas(64) Config {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  static void release() { __asm__ volatile("tilerelease" ::: "memory"); }

  template <int tile>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(tile));
  }
  // Rows `stride` bytes apart.
  template <int tile>
  static void load(const void* from, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
  }
  template <int tile>
  static void store(void* to, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
  }
  // sum[i][n] += Σ over k of a[i][k] · b[k / 2][n][k % 2], 32 BF16 products in FP32.
  template <int sum, int a, int b>
  static void dot_bf16() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(a), "i"(b));
  }
  // sum[i][n] += Σ over k of a[i][k] · b[k / 4][n][k % 4], 64 products of signed and unsigned bytes in int32.
  template <int sum, int a, int b>
  static void dot_int8() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(a), "i"(b));
  }
};

}  // namespace aquatint::kernels
#endif
