// Attention of one warp over squares of a cache, 32 positions × 32 dimensions, by mma.m16n8k16.
//
// Lines of a cache (kv_layout.h) are read as they lie, 16 bytes a lane: four positions (of keys) or four
// dimensions (of values), each a column of one of four mma tiles. Since the order of columns and of depth is
// free, both products take their operands without moving anything between lanes. With lane = 4 · group +
// part:
//
//   keys    tile i, column n is position 4 n + i: the strip group / 4, its lanes 4 (group % 4) … + 3. So a
//           thread's sums of tile i are positions 8 part + i and 8 part + 4 + i.
//   values  tile i, column n is dimension 4 n + i. Depth is positions, of which a thread has 8 part … + 7, in
//           two steps of four: the same whose weights it has.
//
// Codes become BF16 exactly; scales of positions go to scores and weights, int4's scales of dimensions to the
// query. Numbers of more than 8 bits (weights, scaled queries) are the sum of two BF16 ones, so products are
// those of FP32 up to 2^-17 of a weight.
#pragma once
#include "kernels/cuda/attention_stage.h"
#include "kernels/cuda/kv_codes.h"
#include "kernels/cuda/ptx/exp2.h"
#include "kernels/cuda/ptx/pairs.h"
#include "kernels/cuda/ptx/warp_mma.h"
#include "kernels/cuda/reduce.h"

namespace aquatint::kernels::cuda {

constexpr float kNoScore = -3.402823466e38f;  // below all

// Slots 0 … 3 of a thread in one step of depth: slots 0, 1 are b[0] (and a[0]), 2, 3 b[1] (and a[2]). Codes
// of 8 and 4 bits are taken apart two and two, 16 bits from each other.
__host__ __device__ constexpr int slot_order(KvFormat f, int slot) {
  return f == KvFormat::bf16 ? slot : slot % 2 * 2 + slot / 2;
}
// The dimension of a slab that a slot of keys is, step 0 or 1.
__host__ __device__ constexpr int key_dimension(KvFormat f, int part, int step, int slot) {
  if (f == KvFormat::bf16) return 16 * step + 8 * (slot / 2) + 2 * part + slot % 2;
  return slot_order(f, slot) + (f == KvFormat::int4 ? 8 * part + 4 * step : 16 * step + 4 * part);
}
// The position of a square that a slot of values is.
__host__ __device__ constexpr int value_position(KvFormat f, int part, int step, int slot) {
  return 8 * part + 4 * step + slot_order(f, slot);
}

// Two codes, 16 bits apart in the low bits of a word's halves, as two BF16 numbers.
template <KvFormat f>
__device__ inline uint32_t to_pair(uint32_t word) {
  if constexpr (f == KvFormat::int4)  // 128 + code, less 128
    return ptx::sub_bf16((word & 0x000f000fu) | 0x43004300u, 0x43004300u);
  if constexpr (f == KvFormat::int8)  // 128 + the low seven bits, less 128 or, below zero, 256
    return ptx::sub_bf16((word & 0x007f007fu) | 0x43004300u, (word & 0x00800080u) | 0x43004300u);
  // E4M3: exponent and mantissa where BF16 has them are the number times 2^-120.
  return ptx::mul_bf16((word << 8 & 0x80008000u) | (word << 4 & 0x07f007f0u), 0x7b807b80u);
}

__device__ inline uint32_t word_of(const uint4& v, int i) {
  return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

// A lane's pieces of one step of depth: half of a square's, of int4 all.
__host__ __device__ constexpr int step_pieces(KvFormat f) { return f == KvFormat::bf16 ? 2 : 1; }
template <KvFormat f>
using StepPieces = uint4[step_pieces(f)];

// `codes`: of a square, kWarp pieces apart.
template <KvFormat f>
__device__ inline void load_step(const uint4* codes, int step, StepPieces<f>& pieces) {
  AQ_UNROLL
  for (int i = 0; i < step_pieces(f); ++i)
    pieces[i] = codes[((f == KvFormat::int4 ? 0 : step * step_pieces(f)) + i) * kWarp];
}

// b of tile i in one step of depth.
template <KvFormat f>
__device__ inline void operand(const StepPieces<f>& pieces, int i, int step, uint32_t (&b)[2]) {
  if constexpr (f == KvFormat::bf16) {
    b[0] = word_of(pieces[0], i);
    b[1] = word_of(pieces[1], i);
  } else {
    const uint32_t word = word_of(pieces[0], i) >> (f == KvFormat::int4 ? 4 * step : 0);
    b[0] = to_pair<f>(word);
    b[1] = to_pair<f>(word >> 8);
  }
}

// use(i, b) for the four tiles of a square in one step of depth; `codes` are its pieces.
template <KvFormat f, class Use>
__device__ inline void each_operand(const uint4* codes, int step, Use use) {
  StepPieces<f> pieces;
  load_step<f>(codes, step, pieces);
  AQ_UNROLL
  for (int i = 0; i < 4; ++i) {
    uint32_t b[2];
    operand<f>(pieces, i, step, b);
    use(i, b);
  }
}

__device__ inline float low_half(uint32_t word) { return __uint_as_float(word << 16); }
__device__ inline float high_half(uint32_t word) { return __uint_as_float(word & 0xffff0000u); }

// x, y ≈ high + low, a pair of BF16 numbers each.
struct SplitPair {
  uint32_t high, low;
};
__device__ inline SplitPair split(float x, float y) {
  const uint32_t high = ptx::to_bf16(x, y);
  return {high, ptx::to_bf16(x - low_half(high), y - high_half(high))};
}

// What the 16 rows of a tile are. In generated tokens' tiles rows 8 … 15 are the low parts of rows 0 … 7.
enum class TileRows { sixteen, eight_split };
__host__ __device__ constexpr int rows_of_thread(TileRows rows) { return rows == TileRows::sixteen ? 2 : 1; }

// a[] of queries: [slab][step], rounded to BF16. Those of wide heads lie in shared memory, a lane's own.
template <int slabs, bool in_shared = (slabs > 4)>
struct Query {
  static constexpr int kWarpBytes = 0;
  uint32_t a[slabs][2][4];

  __device__ explicit Query(std::byte*) {}
  __device__ void set(int slab, int step, const uint32_t (&x)[4]) {
    AQ_UNROLL
    for (int i = 0; i < 4; ++i) a[slab][step][i] = x[i];
  }
  __device__ void get(int slab, int step, uint32_t (&x)[4]) const {
    AQ_UNROLL
    for (int i = 0; i < 4; ++i) x[i] = a[slab][step][i];
  }
};

template <int slabs>
struct Query<slabs, true> {
  static constexpr int kWarpBytes = slabs * 2 * kWarp * 16;
  uint4* at;

  // `memory`: kWarpBytes of shared memory of the warp's own.
  __device__ explicit Query(std::byte* memory) : at(reinterpret_cast<uint4*>(memory) + lane_id()) {}
  __device__ void set(int slab, int step, const uint32_t (&x)[4]) {
    at[(slab * 2 + step) * kWarp] = make_uint4(x[0], x[1], x[2], x[3]);
  }
  __device__ void get(int slab, int step, uint32_t (&x)[4]) const {
    const uint4 v = at[(slab * 2 + step) * kWarp];
    x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
  }
};

// `row` gives the query of tile row r (of this thread: its group, and group + 8), or null.
template <KvFormat f, TileRows rows, int slabs, bool in_shared, class Row>
__device__ inline void load_query(Query<slabs, in_shared>& query, int dim, Row row) {
  const int part = lane_id() % 4;
  const float* of_row[2] = {row(0), rows == TileRows::sixteen ? row(1) : nullptr};
  AQ_UNROLL
  for (int i = 0; i < slabs * 2; ++i) {
    uint32_t a[4] = {};
    AQ_UNROLL
    for (int j = 0; j < 2 * rows_of_thread(rows); ++j) {
      const int pair = j % 2, half = j / 2;
      const int d = kSquare * (i / 2) + key_dimension(f, part, i % 2, 2 * pair);
      const int e = kSquare * (i / 2) + key_dimension(f, part, i % 2, 2 * pair + 1);
      const float* q = of_row[half];
      a[2 * pair + half] = ptx::to_bf16(q && d < dim ? q[d] : 0.0f, q && e < dim ? q[e] : 0.0f);
    }
    query.set(i / 2, i % 2, a);
  }
}

// s[block][tile][…] = q · codes of keys; `codes` are the lane's pieces, kWarp uint4 apart.
template <KvFormat f, TileRows rows, int slabs, bool in_shared, int blocks>
__device__ inline void score_codes(const uint4* codes, const Query<slabs, in_shared>& query,
                                   float (&s)[blocks][4][4]) {
  AQ_UNROLL
  for (int slab = 0; slab < slabs; ++slab) AQ_UNROLL
  for (int step = 0; step < 2; ++step) {
    uint32_t a[4];
    query.get(slab, step, a);
    AQ_UNROLL
    for (int block = 0; block < blocks; ++block) {
      each_operand<f>(codes + (block * slabs + slab) * pieces_of(f) * kWarp, step,
                      [&](int i, const uint32_t(&b)[2]) { ptx::mma_bf16(s[block][i], a, b); });
    }
  }
}

// int4's: q · (scale · code + minimum) = (q scale) · code + q · minimum, pairs by dimension.
template <TileRows rows, int slabs, bool in_shared, int blocks>
__device__ inline void score_int4(const uint4* codes, const uint32_t* pairs, int dim,
                                  const Query<slabs, in_shared>& query, float (&s)[blocks][4][4]) {
  constexpr KvFormat f = KvFormat::int4;
  const int part = lane_id() % 4;
  float offset[4] = {};
  AQ_UNROLL_BY(slabs > 4 ? 1 : slabs)  // wide heads' pairs are too many to be read ahead
  for (int slab = 0; slab < slabs; ++slab) {
    StepPieces<f> pieces[blocks];
    AQ_UNROLL
    for (int block = 0; block < blocks; ++block) pieces[block][0] = codes[(block * slabs + slab) * kWarp];
    AQ_UNROLL
    for (int step = 0; step < 2; ++step) {
      uint32_t a[4];
      query.get(slab, step, a);
      uint32_t high[4] = {}, low[4] = {}, minima[2];
      AQ_UNROLL
      for (int pair = 0; pair < 2; ++pair) {
        const int d = kSquare * slab + key_dimension(f, part, step, 2 * pair), e = d + 2;
        const uint32_t x = d < dim ? pairs[d] : 0, y = e < dim ? pairs[e] : 0;
        minima[pair] = x >> 16 | (y & 0xffff0000u);
        AQ_UNROLL
        for (int half = 0; half < rows_of_thread(rows); ++half) {
          const uint32_t q = a[2 * pair + half];
          const SplitPair scaled = split(low_half(q) * low_half(x), high_half(q) * low_half(y));
          high[2 * pair + half] = scaled.high;
          (rows == TileRows::sixteen ? low : high)[2 * pair + (rows == TileRows::sixteen ? half : 1)] =
              scaled.low;
        }
      }
      ptx::mma_bf16(offset, a, minima);
      AQ_UNROLL
      for (int block = 0; block < blocks; ++block) AQ_UNROLL
      for (int i = 0; i < 4; ++i) {
        uint32_t b[2];
        operand<f>(pieces[block], i, step, b);
        ptx::mma_bf16(s[block][i], high, b);
        if constexpr (rows == TileRows::sixteen) ptx::mma_bf16(s[block][i], low, b);
      }
    }
  }
  // All columns of `offset` are equal.
  AQ_UNROLL
  for (int block = 0; block < blocks; ++block) AQ_UNROLL
  for (int i = 0; i < 4; ++i) AQ_UNROLL
  for (int j = 0; j < 4; ++j) {
    if (rows == TileRows::sixteen) s[block][i][j] += offset[j];
    if (rows == TileRows::eight_split && j < 2) s[block][i][j] += s[block][i][j + 2] + offset[j];
  }
}

// Slabs of values that one block sums: wide heads' sums are too many for a thread's registers, so two blocks
// do the same scores and half of the sums each.
__host__ __device__ constexpr int sum_slabs(int slabs) { return slabs > 4 ? slabs / 2 : slabs; }

// What a thread keeps of its rows: row `half` is tile row group + 8 · half.
template <TileRows rows, int slabs>
struct WarpSums {
  static constexpr int kRows = rows_of_thread(rows);
  float out[slabs][4][4];  // Σ weight · v
  float most[kRows];       // the largest score so far
  float total[kRows];      // Σ weight of the thread's positions
  float minima[kRows];     // int4: Σ weight · minimum of the thread's positions

  __device__ void clear() {
    AQ_UNROLL
    for (int i = 0; i < slabs * 16; ++i) out[i / 16][i / 4 % 4][i % 4] = 0;
    AQ_UNROLL
    for (int half = 0; half < kRows; ++half) {
      most[half] = kNoScore;
      total[half] = minima[half] = 0;
    }
  }

  // Scores become weights 2^((s − most) · c), where they are masked 0 outside of lowest[half] ≤ position ≤
  // highest[half]; `begin` is the first position. What was summed before is brought to the new maximum.
  template <bool masked, int blocks>
  __device__ void soften(float (&s)[blocks][4][4], float c, int begin, const int (&lowest)[kRows],
                         const int (&highest)[kRows]) {
    const int part = lane_id() % 4;
    float kept[kRows];
    AQ_UNROLL
    for (int half = 0; half < kRows; ++half) {
      const int low = lowest[half] - begin - 8 * part, high = highest[half] - begin - 8 * part;
      const auto seen = [&](int block, int i, int j) {
        const int p = kSquare * block + 4 * j + i;
        return !masked || (p >= low && p <= high);
      };
      float largest = most[half];
      AQ_UNROLL
      for (int k = 0; k < blocks * 8; ++k) {
        const float score = s[k / 8][k / 2 % 4][2 * half + k % 2];
        if (seen(k / 8, k / 2 % 4, k % 2)) largest = fmaxf(largest, score);
      }
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
      const float shift = -(largest * c);
      float sum = 0;
      AQ_UNROLL
      for (int k = 0; k < blocks * 8; ++k) {
        float& score = s[k / 8][k / 2 % 4][2 * half + k % 2];
        score = seen(k / 8, k / 2 % 4, k % 2) ? ptx::exp2_approx(fmaf(score, c, shift)) : 0.0f;
        sum += score;
      }
      kept[half] = ptx::exp2_approx((most[half] - largest) * c);
      total[half] = fmaf(total[half], kept[half], sum);
      minima[half] *= kept[half];
      most[half] = largest;
    }
    bool changed = false;
    for (const float k : kept) changed = changed || k != 1.0f;
    if (__ballot_sync(~0u, changed) == 0) return;
    AQ_UNROLL
    for (int i = 0; i < slabs * 16; ++i) out[i / 16][i / 4 % 4][i % 4] *= kept[kRows == 2 ? i % 4 / 2 : 0];
  }

  // out += weights · values. `factors`: of positions, FP32 or pairs of int4, null where there are none;
  // `visible`: positions from here on are not there, behind the first.
  template <KvFormat f, int blocks>
  __device__ void weigh(const uint4* codes, const uint32_t* factors, int visible, float (&s)[blocks][4][4]) {
    AQ_UNROLL
    for (int block = 0; block < blocks; ++block) {
      if constexpr (f != KvFormat::bf16)
        scale_weights<f>(factors + kSquare * block, visible - kSquare * block, s[block]);
      AQ_UNROLL
      for (int step = 0; step < 2; ++step) {
        SplitPair a[2][kRows];  // slots 0, 1 and 2, 3
        AQ_UNROLL
        for (int k = 0; k < 2 * kRows; ++k) {
          const int pair = k % 2, half = k / 2;
          a[pair][half] = split(s[block][slot_order(f, 2 * pair)][2 * half + step],
                                s[block][slot_order(f, 2 * pair + 1)][2 * half + step]);
        }
        AQ_UNROLL
        for (int slab = 0; slab < slabs; ++slab) {
          each_operand<f>(codes + (block * slabs + slab) * pieces_of(f) * kWarp, step,
                          [&](int i, const uint32_t(&b)[2]) { multiply(out[slab][i], a, b); });
        }
      }
    }
  }

  // Over the four threads of a row: total and minima.
  __device__ void join_parts() {
    AQ_UNROLL
    for (int half = 0; half < kRows; ++half) AQ_UNROLL
    for (int distance = 1; distance <= 2; distance *= 2) {
      total[half] += __shfl_xor_sync(~0u, total[half], distance);
      minima[half] += __shfl_xor_sync(~0u, minima[half], distance);
    }
  }

  // body(dimension, Σ weight · v of row `half`), after join_parts().
  template <class Body>
  __device__ void for_sums(int half, Body body) const {
    const int part = lane_id() % 4;
    AQ_UNROLL
    for (int k = 0; k < slabs * 8; ++k) {
      const int slab = k / 8, j = k / 4 % 2, i = k % 4;
      const float(&tile)[4] = out[slab][i];
      const float sum = rows == TileRows::sixteen ? tile[2 * half + j] : tile[j] + tile[2 + j];
      body(kSquare * slab + 8 * part + 4 * j + i, sum + minima[half]);
    }
  }

 private:
  template <KvFormat f>
  __device__ void scale_weights(const uint32_t* factors, int visible, float (&s)[4][4]) {
    const int part = lane_id() % 4;
    const auto* at = reinterpret_cast<const uint4*>(factors + 8 * part);
    const uint4 words[2] = {at[0], at[1]};
    AQ_UNROLL
    for (int k = 0; k < 8; ++k) {
      const int i = k % 4, j = k / 4;
      const uint32_t word = 8 * part + k < visible ? word_of(words[j], i) : 0;
      AQ_UNROLL
      for (int half = 0; half < kRows; ++half) {
        float& weight = s[i][2 * half + j];
        if constexpr (f == KvFormat::int4) minima[half] = fmaf(weight, high_half(word), minima[half]);
        weight *= f == KvFormat::int4 ? low_half(word) : __uint_as_float(word);
      }
    }
  }

  __device__ static void multiply(float (&d)[4], const SplitPair (&a)[2][kRows], const uint32_t (&b)[2]) {
    if constexpr (rows == TileRows::sixteen) {
      const uint32_t high[4] = {a[0][0].high, a[0][1].high, a[1][0].high, a[1][1].high};
      const uint32_t low[4] = {a[0][0].low, a[0][1].low, a[1][0].low, a[1][1].low};
      ptx::mma_bf16(d, high, b);
      ptx::mma_bf16(d, low, b);
    } else {
      const uint32_t both[4] = {a[0][0].high, a[0][0].low, a[1][0].high, a[1][0].low};
      ptx::mma_bf16(d, both, b);
    }
  }
};

// The keys' scale of each position, FP32 words.
template <int rows, int blocks>
__device__ inline void scale_scores(const uint32_t* factors, float (&s)[blocks][4][4]) {
  const int part = lane_id() % 4;
  AQ_UNROLL
  for (int block = 0; block < blocks; ++block) AQ_UNROLL
  for (int j = 0; j < 2; ++j) {
    const uint4 words = reinterpret_cast<const uint4*>(factors + kSquare * block + 8 * part)[j];
    AQ_UNROLL
    for (int i = 0; i < 4; ++i) AQ_UNROLL
    for (int half = 0; half < rows; ++half) s[block][i][2 * half + j] *= __uint_as_float(word_of(words, i));
  }
}

// What a stage's keys make of the queries.
template <KvFormat f, TileRows rows, int slabs, bool in_shared, int blocks>
__device__ inline void score_stage(const KvStage<slabs, blocks>& stage, const Query<slabs, in_shared>& query,
                                   int dim, float (&s)[blocks][4][4]) {
  AQ_UNROLL
  for (int i = 0; i < blocks * 16; ++i) s[i / 16][i / 4 % 4][i % 4] = 0;
  const uint4* codes = stage.pieces() + lane_id();
  if constexpr (f == KvFormat::int4)
    score_int4<rows>(codes, stage.template words<f>(), dim, query, s);
  else
    score_codes<f, rows>(codes, query, s);
  if constexpr (has_scales(f)) scale_scores<rows_of_thread(rows)>(stage.template words<f>(), s);
}

// e^((s − m) · scale) = 2^((s − m) · c).
__device__ inline float exponent_scale(const AttentionShape& shape) { return shape.scale * 0x1.715476p0f; }

// start.operator()<format, slabs>() for a cache of at most 16 bits and heads of at most kWidestHead
// dimensions.
template <class Start>
void with_form(KvFormat format, int64_t dim, Start start) {
  const auto with_slabs = [&]<KvFormat f>() {
    if (dim <= 2 * kSquare) return start.template operator()<f, 2>();
    if (dim <= 4 * kSquare) return start.template operator()<f, 4>();
    start.template operator()<f, 8>();
  };
  if (format == KvFormat::bf16) return with_slabs.template operator()<KvFormat::bf16>();
  if (format == KvFormat::fp8_e4m3) return with_slabs.template operator()<KvFormat::fp8_e4m3>();
  if (format == KvFormat::int8) return with_slabs.template operator()<KvFormat::int8>();
  with_slabs.template operator()<KvFormat::int4>();
}

}  // namespace aquatint::kernels::cuda
