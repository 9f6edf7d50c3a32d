// Codes of b bits in 32-bit words, as compressed-tensors lays them: element i of a run occupies bits [i·b,
// i·b + b) of the run's little-endian bit stream. Codes are two's complement in a byte; files hold them plus
// 2^(b−1).
#pragma once
#include <cstdint>

namespace aquatint::checkpoint {

// Words of one run of n codes.
constexpr int64_t packed_words(int64_t n, int bits) { return (n * bits + 31) / 32; }
// Words before compressed-tensors 0.18, which left the bits that no whole code fits into unused. Equal when b
// divides 32.
constexpr int64_t padded_words(int64_t n, int bits) { return (n + 32 / bits - 1) / (32 / bits); }

// n codes at stride `code_stride` ↔ packed_words(n, bits) words at `words`, `word_stride` words apart.
void pack_run(const uint8_t* codes, int64_t n, int64_t code_stride, int bits, uint8_t* words,
              int64_t word_stride);
void unpack_run(const uint8_t* words, int64_t word_stride, int64_t n, int bits, uint8_t* codes,
                int64_t code_stride);
// The same for runs without strides, several codes at once.
void unpack_dense_run(const uint8_t* words, int64_t n, int bits, uint8_t* codes);
void unpack_padded_run(const uint8_t* words, int64_t n, int bits, uint8_t* codes);

// Codes as they are (no 2^(b−1) added) in the same stream, cut off at the last byte: FP4 and FP6.
constexpr int64_t packed_byte_count(int64_t n, int bits) { return (n * bits + 7) / 8; }
void pack_bytes(const uint8_t* codes, int64_t n, int bits, uint8_t* bytes);
void unpack_bytes(const uint8_t* bytes, int64_t n, int bits, uint8_t* codes);

}  // namespace aquatint::checkpoint
