#include "checkpoint/layouts/packing.h"

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

void unpack_padded_run(const uint8_t* words, int64_t n, int bits, uint8_t* codes) {
  const int per_word = 32 / bits;
  for (int64_t i = 0; i < n; i += per_word, words += 4)
    unpack_run(words, 1, n - i < per_word ? n - i : per_word, bits, codes + i, 1);
}

}  // namespace aquatint::checkpoint
