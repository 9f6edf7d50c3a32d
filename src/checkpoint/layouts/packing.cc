#include "checkpoint/layouts/packing.h"

#include <array>
#include <cstring>

#include "base/bytes.h"

namespace aquatint::checkpoint {

void pack_run(const uint8_t* codes, int64_t n, int64_t code_stride, int bits, uint8_t* words,
              int64_t word_stride) {
  const uint32_t mask = (1u << bits) - 1, offset = 1u << (bits - 1);
  uint64_t pending = 0;
  int filled = 0;
  auto flush = [&] {
    base::store(words, static_cast<uint32_t>(pending));
    words += 4 * word_stride;
  };
  for (int64_t i = 0; i < n; ++i) {
    pending |= static_cast<uint64_t>((codes[i * code_stride] + offset) & mask) << filled;
    filled += bits;
    if (filled < 32) continue;
    flush();
    pending >>= 32;
    filled -= 32;
  }
  if (filled > 0) flush();
}

void unpack_run(const uint8_t* words, int64_t word_stride, int64_t n, int bits, uint8_t* codes,
                int64_t code_stride) {
  const uint32_t mask = (1u << bits) - 1, offset = 1u << (bits - 1);
  uint64_t pending = 0;
  int filled = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (filled < bits) {
      pending |= static_cast<uint64_t>(base::load<uint32_t>(words)) << filled;
      words += 4 * word_stride;
      filled += 32;
    }
    codes[i * code_stride] = static_cast<uint8_t>(((static_cast<uint32_t>(pending) & mask) - offset) & mask);
    pending >>= bits;
    filled -= bits;
  }
}

namespace {

// n codes, a multiple of 8: eight fill `bits` bytes.
template <int bits>
void unpack_eights(const uint8_t* from, int64_t n, uint8_t* codes) {
  constexpr uint64_t kMask = (1u << bits) - 1, kOffset = 1u << (bits - 1);
  for (int64_t i = 0; i < n; i += 8, from += bits) {
    uint64_t eight = 0;
    std::memcpy(&eight, from, bits);
    for (int j = 0; j < 8; ++j) codes[i + j] = static_cast<uint8_t>((eight >> (bits * j) & kMask) ^ kOffset);
  }
}

template <>
void unpack_eights<4>(const uint8_t* from, int64_t n, uint8_t* codes) {
  for (int64_t i = 0; i < n / 2; ++i) {
    codes[2 * i] = (from[i] & 15) ^ 8;
    codes[2 * i + 1] = static_cast<uint8_t>((from[i] >> 4) ^ 8);
  }
}

}  // namespace

void unpack_dense_run(const uint8_t* words, int64_t n, int bits, uint8_t* codes) {
  constexpr std::array kByBits = {unpack_eights<1>, unpack_eights<2>, unpack_eights<3>, unpack_eights<4>,
                                  unpack_eights<5>, unpack_eights<6>, unpack_eights<7>, unpack_eights<8>};
  const int64_t whole = n / 32 * 32;  // codes that fill `bits` words
  kByBits[static_cast<size_t>(bits - 1)](words, whole, codes);
  unpack_run(words + whole * bits / 8, 1, n - whole, bits, codes + whole, 1);
}

void unpack_padded_run(const uint8_t* words, int64_t n, int bits, uint8_t* codes) {
  const int per_word = 32 / bits;
  if (32 % bits == 0) return unpack_dense_run(words, n, bits, codes);
  for (int64_t i = 0; i < n; i += per_word, words += 4)
    unpack_run(words, 1, n - i < per_word ? n - i : per_word, bits, codes + i, 1);
}

void pack_bytes(const uint8_t* codes, int64_t n, int bits, uint8_t* bytes) {
  const uint32_t mask = (1u << bits) - 1;
  uint32_t pending = 0;
  int filled = 0;
  for (int64_t i = 0; i < n; ++i) {
    pending |= (codes[i] & mask) << filled;
    for (filled += bits; filled >= 8; filled -= 8, pending >>= 8) *bytes++ = static_cast<uint8_t>(pending);
  }
  if (filled > 0) *bytes = static_cast<uint8_t>(pending);
}

void unpack_bytes(const uint8_t* bytes, int64_t n, int bits, uint8_t* codes) {
  const uint32_t mask = (1u << bits) - 1;
  uint32_t pending = 0;
  int filled = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (; filled < bits; filled += 8) pending |= static_cast<uint32_t>(*bytes++) << filled;
    codes[i] = static_cast<uint8_t>(pending & mask);
    pending >>= bits;
    filled -= bits;
  }
}

}  // namespace aquatint::checkpoint
