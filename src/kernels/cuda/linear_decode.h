// Few tokens times a packed weight: bound by reading the weight once.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/linear_plan.h"

namespace aquatint::kernels::cuda {

// A block of 64 rows: its records, and the rows of the result it makes.
struct BlockRows {
  const std::byte* records = nullptr;
  int first = 0, count = 0;
};

// Blocks of rows that share a plan; all pointers are the device's.
struct DecodeWeight {
  RecordPlan plan;
  RecordPlaces at;
  ChunkPlan chunks;
  int row_blocks = 0;
  const BlockRows* rows = nullptr;     // [row_blocks]
  const float* row_factors = nullptr;  // [row_blocks][64]; null: 1
  const float* row_offsets = nullptr;  // the same; null: 0
  uint32_t* arrived = nullptr;         // [row_blocks], 0 between calls
  float table[16] = {};                // of book4
};

// As linear_input.h leaves them.
struct DecodeInputs {
  const uint16_t* values = nullptr;  // [depth / 64][tokens][64]
  int tokens = 0, pieces = 0;        // pieces: depth / 16
  const float *scales = nullptr, *sums = nullptr, *totals = nullptr, *steps = nullptr;  // or null
};

struct DecodeOutput {
  float* y = nullptr;
  int64_t y_row = 0;
  const float* bias = nullptr;
  bool accumulate = false;
};

constexpr int kDecodeTokens = 32;  // of a pass: they go through a record together

void decode_linear(const DecodeWeight& w, const DecodeInputs& in, const DecodeOutput& out);

namespace decode {

// Of sums of chunks, in bytes; only a large weight times hundreds of tokens has more, and takes several
// launches. Tests lower it.
inline int64_t most_partial = int64_t{256} << 20;

struct DecodeJob {
  DecodeWeight w;
  DecodeInputs in;
  DecodeOutput out;
  int tokens = 0;  // of this launch; the pointers are to the first one's
  int stages = 0;
  int groups = 1;            // blocks of threads that share an item's passes
  float* partial = nullptr;  // [row blocks][chunks][tokens][64]
};

// A source of its own for each kind of codes, since these are many kernels.
void start_int4(const DecodeJob& job);
void start_book4(const DecodeJob& job);
void start_int8(const DecodeJob& job);
void start_e4m3(const DecodeJob& job);
void start_bf16(const DecodeJob& job);

}  // namespace decode
}  // namespace aquatint::kernels::cuda
