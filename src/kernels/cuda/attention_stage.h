// Keys and values on their way from a cache to mma's operands: squares of 32 positions × 32 dimensions in
// shared memory, in the order in which lanes read them (attention_tiles.h), so nobody's bank is another's.
#pragma once
#include "kernels/cuda/kv_head.h"
#include "kernels/cuda/ptx/async_copy.h"
#include "kernels/cuda/reduce.h"

namespace aquatint::kernels::cuda {

constexpr int kSquare = 32;

// 16-byte pieces that a lane reads of a square, keys or values.
__host__ __device__ constexpr int pieces_of(KvFormat f) {
  return f == KvFormat::bf16 ? 4 : f == KvFormat::int4 ? 1 : 2;
}

// Where a lane's piece lies.
struct PieceAt {
  int line;    // keys: of the strip; values: of the group of positions
  int row;     // keys: strip; values: group of positions behind the square's first
  int offset;  // bytes in the line
};
__host__ __device__ constexpr PieceAt key_piece(KvFormat f, int slab, int piece, int lane) {
  return {(slab * pieces_of(f) + piece) * 4 + lane % 4, lane / 16, lane / 4 % 4 * 16};
}
__host__ __device__ constexpr PieceAt value_piece(KvFormat f, int slab, int piece, int lane) {
  return {2 * slab + lane / 16, lane % 4 * pieces_of(f) + piece, lane / 4 % 4 * 16};
}

// Some squares' keys or values in shared memory: pieces [block][slab][piece][lane], then words of positions
// (or, int4's keys, of dimensions).
template <int slabs, int blocks>
struct KvStage {
  template <KvFormat f>
  static constexpr int kPieces = blocks* slabs* pieces_of(f);
  template <KvFormat f>
  static constexpr int kWords = f == KvFormat::bf16   ? 0
                                : f == KvFormat::int4 ? kSquare*(slabs > blocks ? slabs : blocks)
                                                      : kSquare* blocks;
  template <KvFormat f>
  static constexpr int kBytes = kPieces<f>* kWarp * 16 + kWords<f> * 4;

  std::byte* at;

  __device__ uint4* pieces() const { return reinterpret_cast<uint4*>(at); }
  template <KvFormat f>
  __device__ uint32_t* words() const {
    return reinterpret_cast<uint32_t*>(at + kPieces<f> * kWarp * 16);
  }
};

// One form of a head of a cache: its codes, or the rings of int4. A block's parts begin so many lines behind
// its begin.
struct KvSource {
  struct Place {
    const std::byte* block;
    int position;  // among the block's
  };

  const std::byte* whole;
  std::byte* const* pages;
  int offset;  // of the block in a page, in lines
  int keys, values, key_words, value_words;
  int key_lines, value_lines;
  int first_line;  // of values, that is of interest
  int ring;        // of how many positions; 0: none

  __device__ static KvSource of(const KvHead& head, bool ring, int first_line) {
    const KvPlane plane = ring ? head.ring : head.layout.codes;
    const auto lines = [](int64_t bytes) { return static_cast<int>(bytes / kKvLine); };
    return {ring ? head.rings : head.whole,
            head.pages,
            lines(head.offset),
            lines(plane.keys),
            lines(plane.values),
            lines(head.layout.key_scales),
            lines(head.layout.value_scales),
            static_cast<int>(plane.key_lines),
            static_cast<int>(plane.value_lines),
            first_line,
            ring ? static_cast<int>(head.recent) : 0};
  }
  // A stage's positions are neighbours in one block.
  __device__ Place at(int position) const {
    if (ring > 0) return {whole, position % ring};
    if (pages == nullptr) return {whole, position};
    constexpr int kPage = static_cast<int>(kKvPage);
    return {pages[position / kPage] + offset * kKvLine, position % kPage};
  }
};

__device__ inline void copy_words(uint32_t* to, const std::byte* from, int count, int there, int thread,
                                  int threads) {
  for (int i = thread; i < count / 4; i += threads) ptx::copy_async(to + 4 * i, from + 16 * i, 4 * i < there);
}

// copy(i, checked) for this thread's warp's share of the pieces. Where all of them are there, as in nearly
// all squares of heads of 64, 128 or 256 dimensions, nothing is checked.
template <int pieces, class Copy>
__device__ inline void for_pieces(bool all, int thread, int threads, Copy copy) {
  if (all) {
    AQ_UNROLL
    for (int i = 0; i < pieces; i += threads / kWarp) copy(i + thread / kWarp, false);
  } else {
    AQ_KEEP_LOOP
    for (int i = thread / kWarp; i < pieces; i += threads / kWarp) copy(i, true);
  }
}

// Positions from `begin` on, of which `there` are there, by `threads` threads together, of which this is one;
// whole warps.
template <KvFormat f, int slabs, int blocks>
__device__ inline void copy_keys(const KvStage<slabs, blocks>& stage, const KvSource& source, int begin,
                                 int there, int dim, int thread, int threads) {
  constexpr int kPieces = KvStage<slabs, blocks>::template kPieces<f>;
  const int lane = thread % kWarp, strip_bytes = source.key_lines * static_cast<int>(kKvLine);
  const auto [block, first] = source.at(begin);
  const std::byte* codes =
      block + source.keys * kKvLine + int64_t{first / static_cast<int>(kKvStrip)} * strip_bytes;
  const std::byte* words = block + source.key_words * kKvLine;
  const auto copy = [&](int i, bool checked) {
    const int piece = i % pieces_of(f), slab = i / pieces_of(f) % slabs, block = i / pieces_of(f) / slabs;
    const PieceAt from = key_piece(f, slab, piece, lane);
    const int strip = 2 * block + from.row;
    ptx::copy_async(stage.pieces() + i * kWarp + lane,
                    codes + strip * strip_bytes + from.line * static_cast<int>(kKvLine) + from.offset,
                    !checked || (from.line < source.key_lines && static_cast<int>(kKvStrip) * strip < there));
  };
  for_pieces<kPieces>(there == kSquare * blocks && dim == kSquare * slabs, thread, threads, copy);
  if constexpr (f == KvFormat::int4)
    copy_words(stage.template words<f>(), words + first / kKvGroup * source.value_lines * kKvLine,
               kSquare * slabs, dim, thread, threads);
  else if constexpr (f != KvFormat::bf16)
    copy_words(stage.template words<f>(), words + 4 * int64_t{first}, kSquare * blocks, there, thread,
               threads);
}

template <KvFormat f, int slabs, int blocks>
__device__ inline void copy_values(const KvStage<slabs, blocks>& stage, const KvSource& source, int begin,
                                   int there, int thread, int threads) {
  constexpr int kPieces = KvStage<slabs, blocks>::template kPieces<f>;
  constexpr int kGroups = 4 * pieces_of(f);      // of positions in a square
  constexpr int kPositions = kSquare / kGroups;  // of a group
  const int lane = thread % kWarp, group_bytes = source.value_lines * static_cast<int>(kKvLine);
  const auto [block, first] = source.at(begin);
  const std::byte* codes = block + source.values * kKvLine + int64_t{first / kPositions} * group_bytes;
  const auto copy = [&](int i, bool checked) {
    const int piece = i % pieces_of(f), slab = i / pieces_of(f) % slabs, block = i / pieces_of(f) / slabs;
    const PieceAt from = value_piece(f, slab, piece, lane);
    const int group = kGroups * block + from.row, line = source.first_line + from.line;
    ptx::copy_async(stage.pieces() + i * kWarp + lane,
                    codes + group * group_bytes + line * static_cast<int>(kKvLine) + from.offset,
                    !checked || (line < source.value_lines && kPositions * group < there));
  };
  for_pieces<kPieces>(there == kSquare * blocks && source.value_lines >= source.first_line + 2 * slabs,
                      thread, threads, copy);
  if constexpr (f != KvFormat::bf16)
    copy_words(stage.template words<f>(), block + source.value_words * kKvLine + 4 * int64_t{first},
               kSquare * blocks, there, thread, threads);
}

// Clears the second position of BF16 values' lanes where only the first one is there: it may be anything, and
// weights of 0 do not help against NaNs. By the threads that copied the values.
template <KvFormat f, int slabs, int blocks>
__device__ inline void clear_behind(const KvStage<slabs, blocks>& stage, int there, int thread, int threads) {
  if constexpr (f == KvFormat::bf16) {
    if (there % 2 == 0) return;
    AQ_KEEP_LOOP
    for (int i = thread / kWarp; i < KvStage<slabs, blocks>::template kPieces<f>; i += threads / kWarp) {
      const int piece = i % pieces_of(f), block = i / pieces_of(f) / slabs;
      if (kSquare * block + 2 * value_piece(f, 0, piece, thread % kWarp).row != there - 1) continue;
      uint4& at = stage.pieces()[i * kWarp + thread % kWarp];
      at = make_uint4(at.x & 0xffffu, at.y & 0xffffu, at.z & 0xffffu, at.w & 0xffffu);
    }
  }
}

}  // namespace aquatint::kernels::cuda
