// The hub between the layouts of other people's files and the packed forms of our kernels: one weight matrix
// with everything needed to read it, exactly as stored. Nothing here is rounded, so layout → hub → layout is
// exact.
//
//   value(r, c) = scale(b) · (decode(code(r, c)) − zero_point(b)) + minimum(b),   b = block_of(r, c)
//
// computed in FP32, one rounding per operation, in this order. A matrix without scales is plain: value =
// decode(code). A low-rank part adds Σ_i left(r, i) · right(i, c), i ascending from 0, to that, each
// operation rounded to FP32.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "numeric/format.h"
#include "numeric/scheme.h"
#include "tensor/storage.h"

namespace aquatint::tensor {

// Scales (or minima) of blocks, on one or two levels:
//   at(i) = value(codes[i]) · super(i / per_super) + offset,   or value(codes[i]) / super(…) when
//   super_divides
// One level when `super_format` is null.
struct Scales {
  const numeric::Format* format = nullptr;  // null: no scales at all
  Storage codes;                            // `count` codes of format->bytes() each
  std::vector<float> table;  // if not empty, replaces format's decoding (bitsandbytes' dynamic map)

  const numeric::Format* super_format = nullptr;
  Storage super;
  int64_t per_super = 1;       // first-level scales under one second-level scale
  bool super_divides = false;  // NVFP4 as compressed-tensors stores it
  float offset = 0;            // added after the multiplication (bitsandbytes' nested_offset)
  bool negated = false;        // at(i) changes sign (K-quants subtract their minima)

  bool present() const { return format != nullptr; }
  int64_t count() const { return format ? static_cast<int64_t>(codes.size()) / format->bytes() : 0; }
  float at(int64_t i) const;
};

struct LowRank;

struct QuantizedMatrix {
  const numeric::Format* format = nullptr;  // of one element
  int64_t rows = 0, cols = 0;               // [out_features, in_features]
  Storage codes;                            // row-major, format->bytes() each; empty while deferred

  // Codes left in the file as it packs them: decodes rows [begin, end), one byte a code. Empty when `codes`
  // holds them. Whoever reads a matrix once, a few rows at a time, saves writing and reading it as bytes.
  std::function<void(int64_t begin, int64_t end, uint8_t* codes)> deferred;

  // Extent of a block. flat_block > 0: runs of that many elements of the flattened matrix (may cross rows);
  // otherwise block_rows × block_cols tiles (the last ones may be partial). Per tensor: rows × cols; per
  // channel: 1 × cols.
  int64_t block_rows = 1, block_cols = 0;
  int64_t flat_block = 0;

  Scales scales;
  std::vector<int16_t> zero_points;  // one per block, or empty
  Scales minima;                     // one per block, or absent

  std::shared_ptr<const LowRank> low_rank;  // part of the values; null: none

  numeric::ActivationScheme input;  // what this matrix expects of its input
  // Codes, scales, offsets and the low-rank part as they lie in the file; bits_per_weight counts these.
  uint64_t stored_bytes = 0;

  int64_t blocks_per_row() const { return base::ceil_div(cols, block_cols); }
  int64_t blocks() const {
    return flat_block > 0 ? base::ceil_div(rows * cols, flat_block)
                          : base::ceil_div(rows, block_rows) * blocks_per_row();
  }
  int64_t block_of(int64_t row, int64_t col) const {
    return flat_block > 0 ? (row * cols + col) / flat_block
                          : row / block_rows * blocks_per_row() + col / block_cols;
  }
  bool plain() const { return !scales.present(); }
};

// What the codes lost, in few numbers. Both are matrices like any other, without such a part of their own.
struct LowRank {
  QuantizedMatrix left, right;  // [rows][rank], [rank][cols]

  int64_t rank() const { return left.cols; }
};

// Codes of rows [begin, end): in place, or decoded into `scratch`, which grows to fit.
const uint8_t* code_rows(const QuantizedMatrix& m, int64_t begin, int64_t end, std::vector<uint8_t>& scratch);

// The same matrix with its codes in memory.
QuantizedMatrix with_codes(QuantizedMatrix m);
// What its codes say alone.
QuantizedMatrix without_low_rank(QuantizedMatrix m);

// Exact values of rows [begin, end), row-major, into out[(end − begin) · cols]; with the low-rank part.
void dequantize(const QuantizedMatrix& m, int64_t begin, int64_t end, float* out);

// A plain matrix over existing FP32 values.
QuantizedMatrix plain_matrix(const std::vector<float>& values, int64_t rows, int64_t cols);

}  // namespace aquatint::tensor
