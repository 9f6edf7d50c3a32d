// The AMX tile unit in plain C++, so that its kernels can be tested on any AVX-512 machine. Sums in the
// instruction's order (Intel's manual, TDPBF16PS): even products, then odd, pair by pair.
#pragma once
#include <cstdint>
#include <cstring>

#include "numeric/format.h"

namespace aquatint::kernels {

struct TileModel {
  static inline thread_local uint32_t tiles[8][16][16];
  static inline thread_local bool configured = false;

  static void configure() { configured = true; }
  static void release() { configured = false; }
  template <int tile>
  static void zero() {
    std::memset(tiles[tile], 0, sizeof tiles[tile]);
  }
  template <int tile>
  static void load(const void* from, int64_t stride) {
    for (int64_t i = 0; i < 16; ++i)
      std::memcpy(tiles[tile][i], static_cast<const std::byte*>(from) + i * stride, 64);
  }
  template <int tile>
  static void store(void* to, int64_t stride) {
    for (int64_t i = 0; i < 16; ++i)
      std::memcpy(static_cast<std::byte*>(to) + i * stride, tiles[tile][i], 64);
  }
  template <int sum, int a, int b>
  static void dot_bf16() {
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < 16; ++k)
        for (int n = 0; n < 16; ++n) {
          const uint32_t x = tiles[a][i][k], w = tiles[b][k][n];
          float s;
          std::memcpy(&s, &tiles[sum][i][n], 4);
          s += numeric::bf16_to_float(static_cast<uint16_t>(x)) *
               numeric::bf16_to_float(static_cast<uint16_t>(w));
          s += numeric::bf16_to_float(static_cast<uint16_t>(x >> 16)) *
               numeric::bf16_to_float(static_cast<uint16_t>(w >> 16));
          std::memcpy(&tiles[sum][i][n], &s, 4);
        }
  }
  template <int sum, int a, int b>
  static void dot_int8() {
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < 16; ++k)
        for (int n = 0; n < 16; ++n)
          for (int byte = 0; byte < 32; byte += 8) {
            const int x = static_cast<int8_t>(tiles[a][i][k] >> byte),
                      w = static_cast<uint8_t>(tiles[b][k][n] >> byte);
            tiles[sum][i][n] += static_cast<uint32_t>(x * w);
          }
  }
};

}  // namespace aquatint::kernels
