// The sixteen floats (V) and eight doubles (D) that the generic kernels (*.inl) are written in, here as
// compiler vectors: portable C++ for any architecture. Other vec_*.h implement the same functions with their
// instructions.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "numeric/format.h"

namespace aquatint::kernels::scalar {

#define AQ_INLINE [[gnu::always_inline]] inline

using V = float __attribute__((vector_size(64)));
using D = double __attribute__((vector_size(64)));
using I = int32_t __attribute__((vector_size(64)));
using U = uint32_t __attribute__((vector_size(64)));
using L = int64_t __attribute__((vector_size(64)));

// The tile of a matrix product: rows of the input × strips of the weight held in registers.
constexpr int kTileRows = 2, kTileStrips = 1;
constexpr int kPassRows = 4;                       // rows of one pass over the weights of generated tokens
constexpr int kPassSums = 4;                       // sums of such a pass: rows × strips
constexpr int kAttendRows = 2, kAttendStrips = 1;  // the same in attention

AQ_INLINE V set(float x) { return x - V{}; }
AQ_INLINE V zero() { return V{}; }
template <class T>
AQ_INLINE T read(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
AQ_INLINE V load(const float* p) { return read<V>(p); }
AQ_INLINE void store(float* p, V x) { std::memcpy(p, &x, sizeof x); }
// Lanes n … 15 are zero, or not written.
AQ_INLINE V load_n(const float* p, int64_t n) {
  V x{};
  for (int64_t i = 0; i < n; ++i) x[i] = p[i];
  return x;
}
// Lanes n … 15 are those of `rest`.
AQ_INLINE V load_n(const float* p, int64_t n, V rest) {
  for (int64_t i = 0; i < n; ++i) rest[i] = p[i];
  return rest;
}
AQ_INLINE void store_n(float* p, V x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = x[i];
}
AQ_INLINE V add(V a, V b) { return a + b; }
AQ_INLINE V sub(V a, V b) { return a - b; }
AQ_INLINE V mul(V a, V b) { return a * b; }
AQ_INLINE V div(V a, V b) { return a / b; }
AQ_INLINE V max(V a, V b) { return a > b ? a : b; }
AQ_INLINE V min(V a, V b) { return a < b ? a : b; }
AQ_INLINE V abs(V a) { return reinterpret_cast<V>(reinterpret_cast<I>(a) & 0x7fffffff); }
AQ_INLINE V fma(V a, V b, V c) { return a * b + c; }  // a · b + c, fused where the machine can
// Lane i becomes lane i ^ kDistance, of 1, 2, 4 and 8.
template <int kDistance>
AQ_INLINE V exchange(V a) {
  V b;
  for (int i = 0; i < 16; ++i) b[i] = a[i ^ kDistance];
  return b;
}
// Sum and maximum of the lanes, in one fixed order.
AQ_INLINE float sum(V a) {
  float s = 0;
  for (int i = 0; i < 16; ++i) s += a[i];
  return s;
}
AQ_INLINE float largest(V a) {
  float m = a[0];
  for (int i = 1; i < 16; ++i) m = a[i] > m ? a[i] : m;
  return m;
}
// 2^n for t = n + 1.5 · 2^23: the low bits of t are n.
AQ_INLINE V pow2(V t) { return reinterpret_cast<V>((reinterpret_cast<U>(t) + 127u) << 23); }
// x · 2^n for the same t, where x and the product are normal.
AQ_INLINE V times_pow2(V x, V t) {
  return reinterpret_cast<V>(reinterpret_cast<U>(x) + (reinterpret_cast<U>(t) << 23));
}
// The power of two at or below a positive normal number.
AQ_INLINE V power_floor(V a) { return reinterpret_cast<V>(reinterpret_cast<I>(a) & 0x7f800000); }

AQ_INLINE V load_bf16_n(const uint16_t* p, int64_t n) {
  V x{};
  for (int64_t i = 0; i < n; ++i) x[i] = numeric::bf16_to_float(p[i]);
  return x;
}
AQ_INLINE V load_bf16(const uint16_t* p) { return load_bf16_n(p, 16); }
AQ_INLINE void store_bf16_n(uint16_t* p, V x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = numeric::float_to_bf16(x[i]);
}
AQ_INLINE void store_bf16(uint16_t* p, V x) { store_bf16_n(p, x, 16); }
AQ_INLINE V round_bf16(V x) {
  for (int i = 0; i < 16; ++i) x[i] = numeric::bf16_to_float(numeric::float_to_bf16(x[i]));
  return x;
}
AQ_INLINE V load_fp16(const void* p) {
  V x{};
  for (int i = 0; i < 16; ++i)
    x[i] = numeric::fp16_to_float(read<uint16_t>(static_cast<const uint16_t*>(p) + i));
  return x;
}

// A line of packed weights as its columns, ascending (packed.h).
AQ_INLINE void unpack_bf16(const std::byte* p, V (&w)[8]) {
  const U v = read<U>(p);
  w[0] = reinterpret_cast<V>(v << 16);
  w[1] = reinterpret_cast<V>(v & 0xffff0000u);
}
AQ_INLINE void unpack_int8(const std::byte* p, V (&w)[8]) {
  const U v = read<U>(p);
  for (int i = 0; i < 4; ++i)
    w[i] = __builtin_convertvector(reinterpret_cast<I>(v << static_cast<uint32_t>(24 - 8 * i)) >> 24, V);
}
// E4M3's exponent and mantissa moved to FP32's place with the biases' difference added; exponent 0 is then
// repaired: 2^-7 · (1 + m/8) stands where 2^-6 · m/8 is meant.
constexpr float kUnitOfFp8 = 1;  // w · kUnitOfFp8 are the values
AQ_INLINE void unpack_fp8(const std::byte* p, V (&w)[8]) {
  const U v = read<U>(p);
  for (int i = 0; i < 4; ++i) {
    const U top = v << static_cast<uint32_t>(24 - 8 * i);
    const V normal = reinterpret_cast<V>((((top << 1) >> 5) & 0x07f00000u) + (120u << 23));
    const V value = normal < set(0x1p-6f) ? normal + normal - 0x1p-6f : normal;
    w[i] = reinterpret_cast<V>(reinterpret_cast<U>(value) | (top & 0x80000000u));
  }
}
AQ_INLINE void unpack_codes4(const std::byte* p, V table, V (&w)[8]) {
  constexpr uint32_t kNibble[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  const U v = read<U>(p);
  alignas(64) float values[16];
  store(values, table);
  for (int i = 0; i < 8; ++i)
    for (int lane = 0; lane < 16; ++lane) w[i][lane] = values[v[lane] >> (4 * kNibble[i]) & 15u];
}

// Sixteen dwords (I), for integer arithmetic on packed codes.
AQ_INLINE I line(const std::byte* p) { return read<I>(p); }
AQ_INLINE void store_line(std::byte* p, I x) { std::memcpy(p, &x, sizeof x); }
AQ_INLINE I set_i(int32_t x) { return x - I{}; }
AQ_INLINE I and_i(I a, uint32_t mask) { return a & static_cast<int32_t>(mask); }
AQ_INLINE I or_i(I a, I b) { return a | b; }
template <int count>
AQ_INLINE I right(I a) {
  return reinterpret_cast<I>(reinterpret_cast<U>(a) >> static_cast<uint32_t>(count));
}
template <int count>
AQ_INLINE I left(I a) {
  return reinterpret_cast<I>(reinterpret_cast<U>(a) << static_cast<uint32_t>(count));
}
// Each signed half of a dword shifted right.
template <int count>
AQ_INLINE I halves_right(I a) {
  using S = int16_t __attribute__((vector_size(64)));
  return reinterpret_cast<I>(reinterpret_cast<S>(a) >> static_cast<int16_t>(count));
}
AQ_INLINE V to_float(I a) { return __builtin_convertvector(a, V); }
AQ_INLINE I nearest_i(V a) {  // ties to even, |a| < 2^22
  const V magic = set(0x1.8p23f);
  return __builtin_convertvector(a + magic - magic, I);
}
AQ_INLINE V from_int8(const std::byte* p) {
  V x{};
  for (int i = 0; i < 16; ++i) x[i] = static_cast<float>(static_cast<int8_t>(p[i]));
  return x;
}
// Integers of the 16 codes of a codebook, and the pairs of them that the low four bits of each half of a
// dword name.
using Codebook = std::array<int16_t, 16>;
AQ_INLINE Codebook codebook(const std::array<int16_t, 16>& integers) { return integers; }
AQ_INLINE I look_up(I codes, const Codebook& book) {
  I w{};
  for (int i = 0; i < 16; ++i)
    w[i] = static_cast<int32_t>(
        static_cast<uint16_t>(book[static_cast<size_t>(codes[i] & 15)]) |
        static_cast<uint32_t>(static_cast<uint16_t>(book[static_cast<size_t>(codes[i] >> 16 & 15)])) << 16);
  return w;
}
// sum + w · x over the two 16-bit halves of each dword.
AQ_INLINE I dot16(I sum, I w, I x) { return sum + (w << 16 >> 16) * (x << 16 >> 16) + (w >> 16) * (x >> 16); }
// sum + w · x over four unsigned bytes of w and four signed bytes of x. `small`: w < 128.
template <bool small>
AQ_INLINE I dot8(I sum, I w, I x) {
  for (int i = 0; i < 32; i += 8) sum += (w >> i & 255) * (x << (24 - i) >> 24);
  return sum;
}
constexpr bool kBytesOfBits8 = true;  // dot8<false> is there and worth it
// Columns k … k + 15 of an input as the pairs (0, 2), (1, 3), (4, 6), (5, 7) of each eight.
AQ_INLINE void pairs(I x, int32_t* out) {
  for (int i = 0; i < 8; ++i) {
    const int k = i / 4 * 8 + i % 4 / 2 * 4 + i % 2;
    out[i] = (x[k] & 0xffff) | static_cast<int32_t>(static_cast<uint32_t>(x[k + 2]) << 16);
  }
}
// … and as bytes.
AQ_INLINE void bytes(I x, int32_t* out) {
  for (int i = 0; i < 4; ++i)
    out[i] = (x[4 * i] & 255) | (x[4 * i + 1] & 255) << 8 | (x[4 * i + 2] & 255) << 16 |
             static_cast<int32_t>(static_cast<uint32_t>(x[4 * i + 3]) << 24);
}
AQ_INLINE int32_t sum_i(I a) {
  int32_t s = 0;
  for (int i = 0; i < 16; ++i) s += a[i];
  return s;
}

AQ_INLINE D load(const double* p) { return read<D>(p); }
AQ_INLINE void store(double* p, D x) { std::memcpy(p, &x, sizeof x); }
AQ_INLINE D set_d(double x) { return x - D{}; }
// Lanes 0 … 7 and 8 … 15 as doubles.
AQ_INLINE D low(V a) {
  D x{};
  for (int i = 0; i < 8; ++i) x[i] = static_cast<double>(a[i]);
  return x;
}
AQ_INLINE D high(V a) {
  D x{};
  for (int i = 0; i < 8; ++i) x[i] = static_cast<double>(a[8 + i]);
  return x;
}
AQ_INLINE D add(D a, D b) { return a + b; }
AQ_INLINE D sub(D a, D b) { return a - b; }
AQ_INLINE D mul(D a, D b) { return a * b; }
AQ_INLINE D max(D a, D b) { return a > b ? a : b; }
AQ_INLINE D fma(D a, D b, D c) { return a * b + c; }
AQ_INLINE double sum(D a) {
  double s = 0;
  for (int i = 0; i < 8; ++i) s += a[i];
  return s;
}
// 2^n for t = n + 1.5 · 2^52.
AQ_INLINE D pow2(D t) { return reinterpret_cast<D>((reinterpret_cast<L>(t) + 1023) << 52); }

AQ_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
AQ_INLINE void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }  // to the L2 cache

// Lane i is the sum of a[i].
AQ_INLINE V sums(const V (&a)[16]) {
  V x{};
  for (int i = 0; i < 16; ++i) x[i] = sum(a[i]);
  return x;
}

}  // namespace aquatint::kernels::scalar
