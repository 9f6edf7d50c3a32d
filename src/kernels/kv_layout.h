// Where the keys and values of one sequence in one layer lie.
//
// Like packed weights they are lines of 64 bytes: 16 lanes of 4 bytes, a lane holding `per_lane` codes, the
// first in its lowest bits; codes of 4 bits in the order of packed weights, 0, 4, 1, 5, 2, 6, 3, 7. What a
// line of keys meets are per_lane entries of a query, what a line of values meets are per_lane weights;
// neither needs a transposition, and BF16 lines are AMX tiles' rows as they are.
//
//   keys    [position / 16][dimension / per_lane]: lanes are positions, codes in a lane dimensions
//   values  [position / per_lane][dimension / 16]: lanes are dimensions, codes in a lane positions
//
// Codes of dimensions past head_dim in a lane of keys are 0. The heads follow each other. A head is
//
//   int4            rings of `recent` positions of BF16 keys and values, position p at p mod recent; pairs
//                   (scale, minimum) of two BF16 numbers in 4 bytes, the scale lowest: for keys one a
//                   dimension and group of kKvGroup positions, for values one a position
//   fp8_e4m3, int8  one FP32 scale a position for keys, one for values
//   all             the codes of keys, then of values
//
// Where a cache has pages, a page is laid out so for its positions, without int4's rings, and these as if
// there were no positions.
#pragma once
#include <cstddef>

#include "kernels/ops.h"

namespace aquatint::kernels {

constexpr int64_t kKvLine = 64, kKvStrip = 16;  // bytes; positions in a strip of keys

// The lowest bit of code i of a lane.
constexpr int64_t kv_code_bit(int64_t per_lane, int64_t i) {
  return per_lane == 8 ? 4 * (i % 4 * 2 + i / 4) : 32 / per_lane * i;
}

// Keys or values in one form: whole lines.
struct KvPlane {
  int64_t per_lane = 1;
  int64_t key_lines = 0, value_lines = 0;  // in a strip of keys; in a group of per_lane positions of values
  int64_t keys = 0, values = 0;            // where they begin, in bytes behind the head's begin

  int64_t key_strip(int64_t position) const { return keys + position / kKvStrip * key_lines * kKvLine; }
  int64_t value_group(int64_t position) const { return values + position / per_lane * value_lines * kKvLine; }
  // Of the lane that holds a code.
  int64_t key_lane(int64_t position, int64_t dimension) const {
    return key_strip(position) + dimension / per_lane * kKvLine + position % kKvStrip * 4;
  }
  int64_t value_lane(int64_t position, int64_t dimension) const {
    return value_group(position) + dimension / 16 * kKvLine + dimension % 16 * 4;
  }
};

struct KvLayout {
  KvFormat format{};
  KvPlane codes, recent;                     // `recent` of int4 only
  int64_t key_scales = 0, value_scales = 0;  // int4: pairs
  int64_t key_pair_lines = 0;                // int4: lines of pairs in a group of keys
  int64_t head_bytes = 0;                    // a multiple of a line

  int64_t key_pairs(int64_t position) const {
    return key_scales + position / kKvGroup * key_pair_lines * kKvLine;
  }
};

KvLayout kv_layout(KvFormat format, int64_t head_dim, int64_t capacity, int64_t recent);

// One head of one layer of a cache, whose blocks are its pages, or all of it.
struct KvBlocks {
  // A position's block, and its place among the block's positions.
  struct Place {
    std::byte* block;
    int64_t position;
  };

  KvLayout layout;   // of a block
  std::byte* whole;  // the block; null: pages
  std::byte* rings;  // int4's, whose plane is
  KvPlane ring;
  int64_t recent;
  std::byte* const* pages;
  int64_t offset;  // of the block in a page

  Place at(int64_t position) const {
    if (whole) return {whole, position};
    return {pages[position / kKvPage] + offset, position % kKvPage};
  }
};

KvBlocks kv_blocks(const KvView& cache, const AttentionShape& shape, int64_t kv_head);

// The scale of a key or value whose largest magnitude is `largest`, int8 or E4M3: the largest code stands for
// it. FP32 epsilon for zeros.
float kv_scale(KvFormat format, float largest);

}  // namespace aquatint::kernels
