// How a packed weight lies in the device's memory, and how the decode kernel shares out its work: pure
// functions that packing, kernels and tests use alike.
//
// The products are Yᵀ = W · Xᵀ: weights are mma's left operand (16 rows × 16 columns a tile), tokens the
// right one. A block is 64 rows × 64 columns, 4 × 4 tiles, whose codes stand in the order in which lanes
// hold them (ptx/warp_mma.h), so that a lane fetches 16 bytes at a time:
//
//   codes   bytes of a block  lane's 16 bytes
//   4 bits  2048              one row of tiles, a word a tile
//   8 bits  4096              two tiles of a row of tiles, two words a tile
//   16 bits 8192              one tile
//
// Within a tile the depth is permuted: where mma expects columns 2 p, 2 p + 1, 2 p + 8, 2 p + 9 of lanes
// with part p stand the weight's columns 4 p … 4 p + 3, so that a lane's inputs are neighbours in memory.
//
// A record is one or two blocks (where a scale spans at least 128 columns) and their scales:
//   codes | scales [units][64 rows] | offsets [units][64 rows] | with super: factors [64], of offsets [64]
// A unit is the run of columns under one scale. Rows of a unit stand so that the eight of a lane (two of
// each row of tiles) are neighbours. Records of 64 rows follow each other along the depth.
#pragma once
#include <cstdint>

namespace aquatint::kernels::cuda {

constexpr int kTileDepth = 16;
constexpr int kBlockRows = 64, kBlockColumns = 64;
constexpr int kRowTiles = kBlockRows / 16, kDepthTiles = kBlockColumns / kTileDepth;

// What the codes of a block are.
enum class Codes : int8_t {
  int4,   // value = code − bias
  book4,  // value = table[code]
  int8,   // value = code − bias
  e4m3,
  bf16,
  f32,  // not in blocks: FP32, row-major
};

// Scales of a record. super: FP16 for a block times int8 for a unit.
enum class ScaleWord : int8_t { none, f32, fp16, bf16, super };
// zero_point: value = scale · (code − zero point), the latter as int8 plus a constant of the matrix.
// minimum: value = scale · code + minimum, of the scales' type.
enum class OffsetWord : int8_t { none, zero_point, minimum };

constexpr int code_bits(Codes codes) {
  switch (codes) {
    case Codes::int4:
    case Codes::book4:
      return 4;
    case Codes::int8:
    case Codes::e4m3:
      return 8;
    case Codes::bf16:
      return 16;
    default:
      return 32;
  }
}
constexpr int block_bytes(Codes codes) { return kBlockRows * kBlockColumns * code_bits(codes) / 8; }

// Where the mma puts a column of a tile: the word of the left operand is upper (row ≥ 8) + 2 · pair, the
// half of the word is `half`, the lane 4 · (row % 8) + part.
struct DepthPlace {
  int part, pair, half;
};
constexpr DepthPlace depth_place(int column) { return {column / 4, column % 4 / 2, column % 2}; }

// Of the code of (row, column) of a block: a byte, and the lowest of its bits there.
struct CodePlace {
  int byte, bit;
};
constexpr CodePlace code_place(Codes codes, int row, int column) {
  const int tile_row = row / 16, tile = column / kTileDepth, upper = row % 16 / 8;
  const DepthPlace d = depth_place(column % kTileDepth);
  const int lane = row % 8 * 4 + d.part, word = upper + 2 * d.pair;
  switch (code_bits(codes)) {
    case 4: {
      // Integers: word w of the operand is (code word >> 4 w) & 0x000f000f. Codebooks: byte w is the pair.
      const int bit = codes == Codes::int4 ? 4 * word + 16 * d.half : 8 * word + 4 * d.half;
      return {((tile_row * 32 + lane) * kDepthTiles + tile) * 4 + bit / 8, bit % 8};
    }
    case 8:
      return {((tile_row * 2 + tile / 2) * 32 + lane) * 16 + tile % 2 * 8 + d.pair * 4 + upper * 2 + d.half,
              0};
    default:
      return {((tile_row * kDepthTiles + tile) * 32 + lane) * 16 + word * 4 + d.half * 2, 0};
  }
}

// Of a row's scale in a unit: the eight of lanes with row % 8 = g begin at 8 g.
constexpr int scale_place(int row) { return row % 8 * 8 + row / 8; }

// Everything of a packed matrix but its place and size.
struct RecordPlan {
  Codes codes{};
  ScaleWord scale{};
  OffsetWord offset{};
  int8_t units = 0;       // of a block, 1, 2 or 4; 0: scales stand by the row, outside the records
  int8_t blocks = 1;      // of a record; two share the one unit
  int16_t bias = 0;       // of integer codes
  int16_t zero_bias = 0;  // added to every zero-point

  bool operator==(const RecordPlan&) const = default;

  constexpr int columns() const { return blocks * kBlockColumns; }
  constexpr int code_bytes() const { return blocks * block_bytes(codes); }
  constexpr int word_bytes() const {
    return scale == ScaleWord::f32 ? 4 : scale == ScaleWord::none ? 0 : scale == ScaleWord::super ? 1 : 2;
  }
  constexpr int offset_word_bytes() const {
    return offset == OffsetWord::none ? 0 : offset == OffsetWord::zero_point ? 1 : word_bytes();
  }
  constexpr int scales_at() const { return code_bytes(); }
  constexpr int offsets_at() const { return scales_at() + units * kBlockRows * word_bytes(); }
  constexpr int factors_at() const { return offsets_at() + units * kBlockRows * offset_word_bytes(); }
  constexpr int offset_factors_at() const {
    return factors_at() + (scale == ScaleWord::super ? kBlockRows * 2 : 0);
  }
  constexpr int bytes() const {
    const bool two = scale == ScaleWord::super && offset == OffsetWord::minimum;
    return offset_factors_at() + (two ? kBlockRows * 2 : 0);
  }
};

// Where the parts of a record begin, for kernels, which do not know its plan when they are compiled.
struct RecordPlaces {
  int bytes = 0;  // of the whole
  int scales = 0, offsets = 0, factors = 0, offset_factors = 0;
};
constexpr RecordPlaces places(const RecordPlan& plan) {
  return {plan.bytes(), plan.scales_at(), plan.offsets_at(), plan.factors_at(), plan.offset_factors_at()};
}

// The decode kernel. Eight warps of a block of threads take turns at the records of an item: 64 rows, or 128
// where two blocks share the inputs' registers, times a chunk of the depth. Their sums are added in the order
// of the warps, those of chunks in the order of the depth. Everything that orders sums follows from the
// weight's depth and form, nothing from the number of tokens or rows.
constexpr int kDecodeWarps = 8;
constexpr int kMostStages = 4;

struct ChunkPlan {
  int records = 0;        // along the depth
  int chunk_records = 0;  // of a chunk, but for the last
  int chunks = 0;
};
// A chunk is about as much as the blocks of threads of an SM keep in flight, so that adding sums up is small
// beside reading it, and there are chunks enough for all SMs.
constexpr ChunkPlan plan_chunks(const RecordPlan& plan, int64_t depth) {
  const int chunk_bytes = (plan.codes == Codes::bf16 ? 128 : 64) * 1024;
  const int records = static_cast<int>((depth + plan.columns() - 1) / plan.columns());
  const int whole = chunk_bytes / plan.code_bytes();
  const int wanted = (records + whole - 1) / whole;
  const int even = (records + wanted - 1) / wanted;
  const int chunk = (even + kDecodeWarps - 1) / kDecodeWarps * kDecodeWarps;
  return {records, chunk, (records + chunk - 1) / chunk};
}

// Inputs as the decode kernel reads them: BF16 [steps of 64 columns][tokens][64], a step's columns ordered so
// that a lane's sixteen (four of each tile) are neighbours.
constexpr int input_place(int column) {
  return column % kTileDepth / 4 * 16 + column / kTileDepth * 4 + column % 4;
}

}  // namespace aquatint::kernels::cuda
